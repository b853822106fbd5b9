"""Where an edit is said to leave a report as it was, a run from nothing makes the same report."""

import random
from collections import Counter
from pathlib import Path

from gradlint import engine, registry, suppress
from gradlint.cache.facts import Facts
from gradlint.cache.store import FILE, FOLDER
from gradlint.cache.unaffected import ground, unaffected
from gradlint.diagnostic import Outcome
from gradlint.engine.policy import Policy
from gradlint.report import FORMATS, Page, render
from gradlint.source import Notebook, Source

ROOT = Path(__file__).parent.parent.parent
RULES = registry.load(suppress.RULES)
POLICY = Policy(known=RULES)
FIXTURES = [
    Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "fixtures").rglob("*.py"))
]
LINES = (
    "",
    "# a comment",
    "#\tgradlint: ignore",
    "# gradlint: ignore[GL101] for a test",
    "# noqa",
    "# noqa: GL301",
    "# noqa: F401",
    '"""A string."""',
    "pass",
    "torch.no_grad()",
    "import torch",
)


def reports(source: Source, found: Outcome) -> list[str]:
    page = Page(found, {source.path: source}, rules=RULES)
    return ["".join(render(name, page)) for name in FORMATS]


def edited(source: Source, rng: random.Random) -> Source:
    """The source with a line more or less, or something behind a line: in the middle as often as near the end."""
    lines = source.lines()
    at = rng.choice((rng.randrange(len(lines)), max(0, len(lines) - rng.randrange(1, 4))))
    indentation = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
    match rng.randrange(5):
        case 0:
            del lines[at]
        case 1:
            lines[at] += f"  {rng.choice([line for line in LINES if line.startswith('#')])}"
        case _:
            lines.insert(at, indentation + rng.choice(LINES))
    return source.with_text("\n".join(lines))


def test_a_report_is_as_it_was_wherever_an_edit_is_said_to_leave_it(tmp_path: Path) -> None:
    rng, seen = random.Random(16), Counter[tuple[bool, bool]]()
    file = tmp_path / "edited.py"
    for source in FIXTURES:
        memory = Facts(str(tmp_path))
        before = engine.run([source], RULES, policy=POLICY, memory=memory)
        told = reports(source, before)
        taken = ground(source, memory.key(source.path), before.depths.get(source.path, 0))
        assert taken is not None
        for _ in range(30):
            after = edited(source, rng)
            file.write_bytes(after.encoded)
            stands = unaffected(str(tmp_path / FOLDER / FILE), {str(file): taken})
            same = reports(after, engine.run([after], RULES, policy=POLICY)) == told
            assert same or not stands, after.text
            seen[stands, bool(before.diagnostics)] += 1
    # Both answers are given, where something is told of a file and where nothing is.
    assert min(seen[stands, found] for stands in (True, False) for found in (True, False)) > 10


def test_nothing_is_known_of_files_whose_facts_are_gone(tmp_path: Path) -> None:
    source = FIXTURES[0]
    memory = Facts(str(tmp_path))
    engine.run([source], RULES, memory=memory)
    taken = ground(source, memory.key(source.path), 0)
    assert taken is not None
    (tmp_path / "same.py").write_bytes(source.encoded)
    grounds, cache = {str(tmp_path / "same.py"): taken}, tmp_path / FOLDER / FILE
    assert unaffected(str(cache), grounds)
    assert not unaffected(str(cache), {str(tmp_path / "missing.py"): taken})
    assert not unaffected(str(cache), {path: taken._replace(key=b"another") for path in grounds})
    cache.write_bytes(b"rubbish" * 1000)
    assert not unaffected(str(cache), grounds)


def test_a_notebook_and_what_nobody_keeps_have_no_ground() -> None:
    source = FIXTURES[0]
    assert ground(source, None, 0) is None
    assert ground(Source("n.ipynb", source.text, notebook=Notebook("", ())), b"key", 0) is None
