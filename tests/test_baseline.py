"""What a baseline accepts, and what it forgets."""

from pathlib import Path

import pytest

from gradlint import baseline
from gradlint.baseline import Baseline, Key
from gradlint.diagnostic import ConfigError, Diagnostic
from gradlint.finding import Span
from gradlint.source import Source

FILE = Path(".gradlint-baseline.json")


def found(line: int, code: str = "XY101", path: str = "a.py", function: str = "f") -> Diagnostic:
    return Diagnostic(code, "n", "error", path, Span(line, 1, line, 2), function, "m")


def sources(text: str, path: str = "a.py") -> dict[str, Source]:
    return {path: Source(path, text)}


def lines_left(known: Baseline, text: str, *findings: Diagnostic) -> list[int]:
    return [left.span.line for left in baseline.new(findings, known, sources(text))]


def test_a_moved_line_stays_accepted_and_a_changed_one_does_not() -> None:
    known = baseline.made(FILE, [found(1)], sources("x = f()\n"))
    assert lines_left(known, "\n\n    x  =  f()\n", found(3)) == []
    assert lines_left(known, "\n\n    x = f()\n", found(3)) == []
    assert lines_left(known, "x = f(1)\n", found(1)) == [1]
    assert lines_left(known, "x = f()\n", found(1, code="XY102")) == [1]
    assert lines_left(known, "x = f()\n", found(1, function="g")) == [1]


def test_of_equal_findings_so_many_are_accepted_as_there_were() -> None:
    known = baseline.made(FILE, [found(1), found(2)], sources("x()\nx()\n"))
    assert lines_left(known, "x()\n" * 4, *map(found, (1, 2, 3, 4))) == [3, 4]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "b.json"
    for known in (
        Baseline(file, {Key("a.py", "XY1", "f", 'x = "ü"'): 2, Key("a.py", "XY2", "", ""): 1}),
        Baseline(file, {}),
    ):
        file.write_text(baseline.text(known))
        assert baseline.read(file) == known


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pkg").mkdir()
    monkeypatch.chdir(tmp_path)
    known = baseline.made(tmp_path / FILE, [found(1, path="pkg/a.py")], sources("x", "pkg/a.py"))
    monkeypatch.chdir(tmp_path / "pkg")
    assert list(baseline.new([found(1)], known, sources("x"))) == []
    assert [key.path for key in known.counts] == ["pkg/a.py"]


def test_only_what_was_looked_for_can_be_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").touch()
    (tmp_path / "other.py").touch()
    known = Baseline(
        tmp_path / FILE,
        {
            Key("a.py", "XY101", "f", "x"): 2,
            Key("a.py", "XY102", "f", "x"): 1,
            Key("other.py", "XY101", "f", "x"): 1,
            Key("deleted.py", "XY101", "f", "x"): 1,
        },
    )
    now = baseline.made(tmp_path / FILE, [found(1)], sources("x"))
    after = baseline.shrunk(known, now, ["a.py"], {"XY101"})
    assert {(key.path, key.code): count for key, count in after.counts.items()} == {
        ("a.py", "XY101"): 1,
        ("a.py", "XY102"): 1,
        ("other.py", "XY101"): 1,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a baseline: "),
        ("[]", "not a baseline of version 1"),
        ('{"version": 2}', "not a baseline of version 1"),
        ('{"version": 1}', "its findings cannot be read"),
        ('{"version": 1, "findings": [["a", "b"]]}', "its findings cannot be read"),
        ('{"version": 1, "findings": [["a", "b", "c", "d", "e"]]}', "its findings cannot be read"),
    ],
)
def test_what_is_no_baseline_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "b.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        baseline.read(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        baseline.read(tmp_path / "none.json")
