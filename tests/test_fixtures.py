"""The whole projects in ``fixtures/``, checked together: what is marked is found, and nothing else."""

from pathlib import Path

from gradlint import registry, suppress
from gradlint.testing import Case, File, check_case

ROOT = Path(__file__).parent.parent
PATHS = sorted((ROOT / "fixtures").rglob("*.py"))


def test_finds_what_is_marked_and_nothing_else() -> None:
    files = tuple(File(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in PATHS)
    by_default = [rule for rule in registry.load(suppress.RULES) if rule.severity != "advice"]
    check_case(Case("GL101", "fixtures", "flagged", files), by_default)


def test_what_the_article_gets_wrong_is_named() -> None:
    marks = Case(
        "GL101", "fixtures", "flagged", tuple(File(p.name, p.read_text(encoding="utf-8")) for p in PATHS)
    ).marks
    named = {(name, code) for name, _, code in marks}
    assert {("gradients.py", "GL201"), ("gradients.py", "GL202"), ("modes.py", "GL320")} <= named
    assert not any(name == "timing.py" for name, _ in named)
