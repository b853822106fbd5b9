"""What nobody wants to meet: each gets a message at its place, and everything beside it is still checked.

All of it is checked by one process, because what is tested here first is that it survives.
"""

import errno
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FAULT = "import torch\ntorch.no_grad()\n"


@dataclass(frozen=True)
class Bad:
    """A file that cannot be checked: its bytes, where it is said to be bad, and words of the message."""

    data: bytes
    line: int
    column: int | None = None
    words: str = "syntax error"


@dataclass(frozen=True)
class Odd:
    """A file that only looks bad: the line of its finding, None if it has none."""

    data: bytes
    line: int | None


def deep(before: str, opening: str, inner: str, closing: str = "", *, levels: int) -> bytes:
    return f"{before}{opening * levels}{inner}{closing * levels}\n".encode()


BAD = {
    "unclosed.py": Bad(b"x = 1\ny = (1,\n", 2, 5),
    "unclosed_string.py": Bad(b"x = 'abc\n", 1, 5),
    "unclosed_docstring.py": Bad(b'def f():\n    """abc\n', 2, 5),
    "half_a_line.py": Bad(b"def f():\n    return 1 +\n", 2),
    "continued_at_the_end.py": Bad(b"x = 1 \\\n", 1),
    "unknown_character.py": Bad("x = 1\nprice = 3€\n".encode(), 2),
    "indentation.py": Bad(b"if x:\n    a = 1\n  b = 2\n", 3),
    "no_body.py": Bad(b"def f():\n", 1),
    "tabs_and_spaces.py": Bad(b"if 1:\n\tx = 1\n        y = 2\n", 3),
    "merge_conflict.py": Bad(b"x = 1\n<<<<<<< HEAD\ny = 2\n", 2),
    "python2_print.py": Bad(b"import torch\nprint 'hello'\n", 2, 1, "Missing parentheses in call to 'print'"),
    "python2_raise.py": Bad(b"x = 1\nraise ValueError, 'no'\n", 2),
    "python2_backticks.py": Bad(b"x = `y`\n", 1),
    "python2_octal.py": Bad(b"x = 0777\n", 1),
    "python2_exec.py": Bad(b"exec 'x = 1'\n", 1, 1),
    "crlf.py": Bad(b"x = 1\r\ny = (\r\n", 2, 5),
    "form_feed.py": Bad(b"x = 1\n\x0c\ny = (\n", 3, 5),
    "wide.py": Bad("x = '日本', (\n".encode(), 1, 11),
    "nul.py": Bad(b"x = 1\ny = '\0'\n", 2, 6, "nul byte"),
    "binary.py": Bad(bytes(range(1, 256)) * 8, 3, None, "cannot decode as utf-8"),
    "latin1_without_coding.py": Bad(b"# a\n# b\nx = '\xe9'\n", 3, 6, "cannot decode as utf-8"),
    "unknown_coding.py": Bad(b"# coding: klingon\n", 1, 1, "unknown encoding: klingon"),
    "wrong_coding.py": Bad(b"# coding: ascii\nx = '\xc3\xa9'\n", 2, 6, "cannot decode as ascii"),
    "utf16.py": Bad("x = 1\n".encode("utf-16"), 1, 1, "UTF-16"),
    "bom_and_error.py": Bad(b"\xef\xbb\xbfx = (\n", 1, 5),
    "brackets_500.py": Bad(deep("x = ", "(", "1", ")", levels=500), 1, 205, "more than 200 nested brackets"),
    "brackets_5000.py": Bad(deep("x = ", "[", "1", "]", levels=5000), 1, 205, "more than 200 nested brackets"),
    "calls_5000.py": Bad(deep("x = ", "f(", "1", ")", levels=5000), 1, 406, "more than 200 nested brackets"),
    "dicts_5000.py": Bad(deep("x = ", "{1:", "1", "}", levels=5000), 1, None, "more than 200 nested brackets"),
    "in_f_string_5000.py": Bad(deep("x = f'{", "(", "1", ")", levels=5000)[:-1] + b"}'\n", 1, None, "nested"),
    "not_5000.py": Bad(deep("x = ", "not ", "1", levels=5000), 1, 4005, "nested more than 1,000 levels"),
    "minus_5000.py": Bad(deep("x = ", "-", "1", levels=5000), 1, 1005, "nested more than 1,000 levels"),
    "plus_5000.py": Bad(deep("x = 1", " + 1", "", levels=5000), 1, None, "nested more than 1,000 levels"),
    "power_5000.py": Bad(deep("x = 1", "**1", "", levels=5000), 1, None, "nested more than 1,000 levels"),
    "methods_5000.py": Bad(deep("x = a", ".b()", "", levels=5000), 1, None, "nested more than 1,000 levels"),
    "items_5000.py": Bad(deep("x = a", "[0]", "", levels=5000), 1, None, "nested more than 1,000 levels"),
    "lambdas_5000.py": Bad(deep("x = ", "lambda: ", "1", levels=5000), 1, None, "nested more than 1,000 levels"),
    "elifs_5000.py": Bad(b"if a:\n    b\n" + b"elif c:\n    d\n" * 5000, 2003, 1, "nested more than 1,000 levels"),
    "indented_500.py": Bad("".join(f"{' ' * n}if x:\n" for n in range(500)).encode() + b" " * 500 + b"x\n", 101),
}  # fmt: skip

ODD = {
    "empty.py": Odd(b"", None),
    "only_a_bom.py": Odd(b"\xef\xbb\xbf", None),
    "bom.py": Odd(b"\xef\xbb\xbf" + FAULT.encode(), 2),
    "crlf_fine.py": Odd(FAULT.replace("\n", "\r\n").encode(), 2),
    "cr_fine.py": Odd(FAULT.replace("\n", "\r").encode(), 2),
    "form_feeds.py": Odd(b"\x0c" + FAULT.replace("\n", "\n\x0c").encode(), 2),
    "no_newline.py": Odd(FAULT.strip().encode(), 2),
    "latin1.py": Odd(b"# coding: latin-1\n# \xe9\n" + FAULT.encode(), 4),
    "odd_separators.py": Odd("x = '\u2028\x85\x1c'\n".encode() + FAULT.encode(), 3),
    "generated.py": Odd(b"DATA = (\n" + (b'    "' + b"x" * 90 + b'",\n') * 21_000 + b")\n" + FAULT.encode(), 21_004),
    "one_long_line.py": Odd(b"DATA = '" + b"x" * 2_000_000 + b"'\n" + FAULT.encode(), 3),
    "brackets_190.py": Odd(FAULT.encode() + deep("x = ", "(", "1", ")", levels=190), 2),
    "minus_500.py": Odd(FAULT.encode() + deep("x = ", "-", "1", levels=500), 2),
    "plus_500.py": Odd(FAULT.encode() + deep("x = 1", " + 1", "", levels=500), 2),
    "methods_300.py": Odd(FAULT.encode() + deep("x = a", ".b()", "", levels=300), 2),
    "elifs_500.py": Odd(FAULT.encode() + b"if a:\n    pass\n" + b"elif b:\n    pass\n" * 500, 2),
    "strings_5000.py": Odd(FAULT.encode() + deep("x = (", "'a'\n", ")", levels=5000), 2),
    "newer_syntax.py": Odd(FAULT.encode() + b"match x:\n    case [1, *_]:\n        pass\n", 2),
}  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The JSON report over one folder with everything in it."""
    folder = tmp_path_factory.mktemp("bad")
    files = {name: bad.data for name, bad in BAD.items()} | {name: odd.data for name, odd in ODD.items()}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "loop").symlink_to(".", target_is_directory=True)
    (folder / "loop.py").symlink_to("loop.py")
    (folder / "folder.py").mkdir()
    result = subprocess.run(
        [sys.executable, "-m", "gradlint", "check", "--select", "GL301", "--output-format", "json"],
        cwd=folder,
        capture_output=True,
        timeout=300,
    )
    assert result.returncode == 2, result.stderr.decode()
    assert b"Traceback" not in result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_every_bad_file_fails_and_nothing_else(report: dict[str, Any]) -> None:
    assert {failure["path"] for failure in report["failures"]} == set(BAD)
    assert len(report["failures"]) == len(BAD)
    assert report["summary"]["files"] == len(BAD) + len(ODD)


@pytest.mark.parametrize("name", BAD)
def test_bad(report: dict[str, Any], name: str) -> None:
    [failure] = [failure for failure in report["failures"] if failure["path"] == name]
    bad = BAD[name]
    assert failure["line"] == bad.line
    assert bad.column is None or failure["column"] == bad.column
    assert bad.words in failure["message"]


@pytest.mark.parametrize("name", ODD)
def test_odd(report: dict[str, Any], name: str) -> None:
    lines = [finding["line"] for finding in report["findings"] if finding["path"] == name]
    assert lines == ([] if ODD[name].line is None else [ODD[name].line])


def test_a_file_that_cannot_be_read_is_a_failure_and_the_others_are_checked(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(FAULT)
    (tmp_path / "loop.py").symlink_to("loop.py")
    command = [sys.executable, "-m", "gradlint", "check", "--output-format", "concise", "loop.py", "a.py"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2, result.stderr
    assert "a.py:2:1: GL301" in result.stdout
    assert f"loop.py:1:1: failed cannot read: {os.strerror(errno.ELOOP)}" in result.stdout


def test_every_rule_follows_long_chains_in_reasonable_time(tmp_path: Path) -> None:
    text = "import torch\n" + "x = a" + ".b(c)" * 150 + "\n" + "y = " + "f(" * 60 + "1" + ")" * 60 + "\n"
    (tmp_path / "a.py").write_text(text)
    command = [sys.executable, "-m", "gradlint", "check", "a.py"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert result.returncode == 0, result.stdout
