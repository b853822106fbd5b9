"""A patch that other tools take."""

import shutil
import subprocess
from pathlib import Path

import pytest

from gradlint.fix import unified
from gradlint.source import Source

PAIRS = [
    ("a\nb\nc\n", "a\nB\nc\n"),
    ("a\nb", "a\nB"),
    ("a", "a\n"),
    ("a\r\nb\r\n", "a\r\nc\r\n"),
]


def test_it_names_the_file_and_shows_the_lines() -> None:
    lines = list(unified(Source("pkg/a.py", "a\nb\n"), Source("pkg/a.py", "a\nc\n")))
    assert lines == ["--- pkg/a.py\n", "+++ pkg/a.py\n", "@@ -1,2 +1,2 @@\n", " a\n", "-b\n", "+c\n"]


def test_nothing_changed_is_nothing() -> None:
    assert list(unified(Source("a.py", "a\n"), Source("a.py", "a\n"))) == []


@pytest.mark.parametrize(("before", "after"), PAIRS)
@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_git_applies_it(tmp_path: Path, before: str, after: str) -> None:
    (tmp_path / "a.py").write_bytes(before.encode())
    patch = "".join(unified(Source("a.py", before), Source("a.py", after)))
    command = ["git", "apply", "-p0", "--whitespace=nowarn", "-"]
    subprocess.run(command, cwd=tmp_path, input=patch.encode(), check=True)
    assert (tmp_path / "a.py").read_bytes() == after.encode()
