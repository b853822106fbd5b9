"""Real files with something broken in them: read alike by both readers or refused, and never a crash."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradlint import engine, registry
from gradlint.model.abstract import places, read
from gradlint.model.concrete import places as exact
from gradlint.model.extract import extract_with_libcst
from gradlint.source import Source, SourceError
from gradlint.testing import cases

RULES = registry.load()
FIXTURES = Path(__file__).parent.parent / "fixtures"
TEXTS = [
    *(path.read_text(encoding="utf-8") for path in sorted(FIXTURES.rglob("*.py"))),
    *(file.text for rule in RULES for case in cases(rule) for file in case.files),
]
PIECES = (
    "with torch.no_grad():", "loss.backward()", "x.grad", "await ", "yield ", "lambda x: ", "*", "**", "(",
    ")", "[", "]", "{", "}", ":", ",", "=", ":=", "==", "not ", "and ", "or ", "if ", "else ", "for x in y",
    "async ", "def f(x):", "class A(B):", "return ", "None", "self", "\\\n", "\n", "    ", "\t",
    "# gradlint: ignore[GL101]", '"', "'", '"""', 'f"{x}"', 'f"{x!r:>{y}}"', "@", "try:", "except E as e:",
    "finally:", "global x", "del x, (y, z)", "import a.b", "from . import c", "from a import *", "1", "0x1",
    "1e9", "...", "é", "\u2028", "\f", "\r", "x[1:2, ::3]", "model(x)", "match x:\n case [a, *b]: pass\n",
    "torch.set_grad_enabled(False)", "super().__init__()", "model.eval()",
)  # fmt: skip

SETTINGS = settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A real file after a few accidents."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        text = draw(st.sampled_from([inserted, deleted, swapped]))(draw, text)
    return text


def inserted(draw: st.DrawFn, text: str) -> str:
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(st.sampled_from(PIECES)) + text[at:]


def deleted(draw: st.DrawFn, text: str) -> str:
    at = draw(st.integers(0, len(text)))
    return text[:at] + text[at + draw(st.integers(1, 30)) :]


def swapped(draw: st.DrawFn, text: str) -> str:
    lines = text.split("\n")
    one, other = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
    lines[one], lines[other] = lines[other], lines[one]
    return "\n".join(lines)


@SETTINGS
@given(mutated())
def test_both_readers_agree_on_whatever_both_can_read(text: str) -> None:
    source = Source("a.py", text)
    found = read.walk(source)
    try:
        reference = extract_with_libcst(source)
    except SourceError:
        return
    if found is not None:
        facts, nodes = found
        assert facts == reference
        lines, spans = source.lines(), exact.spans(source, range(len(nodes)))
        told = ((number, places.place(node, lines)) for number, node in enumerate(nodes))
        assert not [(number, span, spans[number]) for number, span in told if span not in (None, spans[number])]


@SETTINGS
@given(st.lists(mutated(), min_size=1, max_size=3))
def test_no_rule_breaks_and_no_file_stops_the_run(texts: list[str]) -> None:
    outcome = engine.run([Source(f"m{number}.py", text) for number, text in enumerate(texts)], RULES)
    expected = ("syntax error", "nested")
    assert not [failure for failure in outcome.failures if not failure.message.startswith(expected)]
