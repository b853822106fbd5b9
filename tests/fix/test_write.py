"""A file is replaced whole, and stays what it was in every other respect."""

import os
import stat
from pathlib import Path

import pytest

from gradlint.fix import WriteError, replace_file
from gradlint.source import Source, decode


@pytest.mark.parametrize(
    "data",
    [
        b"x = 1\n",
        b"x = 1\r\ny = 2\r\n",
        b"x = 1",
        b"\xef\xbb\xbfx = 1\n",
        "# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1"),
        "x = '日本'\n".encode(),
        b"",
    ],
)
def test_what_was_read_is_written_byte_for_byte(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"something else")
    replace_file(str(path), decode("a.py", data))
    assert path.read_bytes() == data


def test_the_mode_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("x\n")
    path.chmod(0o750)
    replace_file(str(path), Source("a.py", "y\n"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o750


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.py").write_text("x\n")
    (tmp_path / "link.py").symlink_to("real.py")
    replace_file(str(tmp_path / "link.py"), Source("link.py", "y\n"))
    assert (tmp_path / "link.py").is_symlink()
    assert (tmp_path / "real.py").read_text() == "y\n"


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("x\n")
    replace_file(str(path), Source("a.py", "y\n"))
    assert [found.name for found in tmp_path.iterdir()] == ["a.py"]


def test_an_encoding_that_lacks_a_character_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("x\n")
    with pytest.raises(WriteError, match="ascii"):
        replace_file(str(path), Source("a.py", "'é'\n", "ascii"))
    assert path.read_text() == "x\n"


def test_a_failure_half_way_leaves_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.py"
    path.write_text("x\n")

    def refuse(source: str, target: str) -> None:
        raise PermissionError(13, "not allowed")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(WriteError, match="not allowed"):
        replace_file(str(path), Source("a.py", "y\n"))
    assert path.read_text() == "x\n"
    assert [found.name for found in tmp_path.iterdir()] == ["a.py"]


def test_a_file_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    with pytest.raises(WriteError):
        replace_file(str(tmp_path / "gone.py"), Source("gone.py", "y\n"))
    assert list(tmp_path.iterdir()) == []
