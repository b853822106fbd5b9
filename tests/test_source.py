"""Bytes become text as Python would read them, or an error with its place."""

import codecs
import pickle
import sys
from pathlib import Path

import pytest

from gradlint.source import Notebook, Source, SourceError, decode, read


@pytest.mark.parametrize(
    ("data", "text", "encoding", "bom"),
    [
        (b"x = '\xc3\xa9'\n", "x = 'é'\n", "utf-8", False),
        (b"\xef\xbb\xbfx = 1\n", "x = 1\n", "utf-8", True),
        (b"\xef\xbb\xbf# coding: utf-8\n", "# coding: utf-8\n", "utf-8", True),
        (b"# -*- coding: latin-1 -*-\n'\xe9'", "# -*- coding: latin-1 -*-\n'é'", "iso-8859-1", False),
        (
            b"#!/py\n# vim: fileencoding=cp1252 :\n'\x80'",
            "#!/py\n# vim: fileencoding=cp1252 :\n'€'",
            "cp1252",
            False,
        ),
        (b"# coding: future_fstrings\nf'\xc3\xa9'", "# coding: future_fstrings\nf'é'", "utf-8", False),
        (b"# -*- coding: Future-Typing -*-\n", "# -*- coding: Future-Typing -*-\n", "utf-8", False),
        (b"\n\n# coding: latin-1\n", "\n\n# coding: latin-1\n", "utf-8", False),
        (b"", "", "utf-8", False),
        (b"x = 1\r\n\x0cy = 2\r", "x = 1\r\n\x0cy = 2\r", "utf-8", False),
    ],
)
def test_decoded_as_python_would(data: bytes, text: str, encoding: str, bom: bool) -> None:
    assert decode("a.py", data) == Source("a.py", text, encoding, bom)


def test_a_coding_line_for_an_old_python_is_utf_8_also_where_its_package_is_installed() -> None:
    ascii_codec = codecs.lookup("ascii")

    def known(name: str) -> codecs.CodecInfo | None:
        return ascii_codec if "fstrings" in name else None

    codecs.register(known)
    try:
        assert decode("a.py", b"# coding: future_fstrings\nf'\xc3\xa9'").text.endswith("f'é'")
    finally:
        codecs.unregister(known)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"x = 1\ny\0 = 2\n", "a.py:2:2: the source contains a nul byte"),
        (b"x = 1\n\n\ny = '\xe9'\n", "a.py:4:6: cannot decode as utf-8: invalid continuation byte"),
        (b"x = '\xe9'\n", "a.py:1:6: cannot decode as utf-8: invalid continuation byte"),
        (b"\xef\xbb\xbfx = 1\n\n'\xff'\n", "a.py:3:2: cannot decode as utf-8: invalid start byte"),
        (b"# coding: ascii\nx = 1\nx = '\xc3\xa9'", "a.py:3:6: cannot decode as ascii: ordinal "),
        (b"# coding: klingon\n", "a.py:1:1: unknown encoding: klingon"),
        (b"# coding: rot13\n", "a.py:1:1: cannot decode as rot13: "),
        (b"\xef\xbb\xbf# coding: latin-1\n", "a.py:1:1: the byte order mark says UTF-8, "),
        ("x = 1\n".encode("utf-16"), "a.py:1:1: the file is UTF-16, which Python does not read"),
    ],
)
def test_refused_with_line_and_column(data: bytes, error: str) -> None:
    with pytest.raises(SourceError) as caught:
        decode("a.py", data)
    assert str(caught.value).startswith(error)


def test_lines_are_pythons_lines() -> None:
    assert Source("a.py", "a\r\nb\rc\nd\x0ce\u2028f\x1cg\n").lines() == [
        "a",
        "b",
        "c",
        "d\x0ce\u2028f\x1cg",
        "",
    ]


def test_position_of_a_character() -> None:
    source = Source("a.py", "ab\r\ncd\n")
    assert [source.position(offset) for offset in (0, 1, 4, 5, 7)] == [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1)]


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_bytes(b"x = 1\r\n")
    assert read(str(file)) == Source(str(file), "x = 1\r\n")
    assert read(str(file), "shown.py").path == "shown.py"


def test_a_file_that_cannot_be_opened_is_named_as_shown(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"^shown.py:1:1: cannot read: No such file or directory$"):
        read(str(tmp_path / "none.py"), "shown.py")
    with pytest.raises(SourceError, match=r"cannot read: Is a directory"):
        read(str(tmp_path))


@pytest.mark.parametrize("text", ["", "x = 1\n", "x = 'é'\n", "x = '日本'\r\n", "x = '🤗'\n", "x = '\ud800'\n"])
def test_a_text_is_what_it_was_and_takes_no_more_room_than_as_utf8(text: str) -> None:
    source = Source("a.py", text, "latin-1", True)
    assert source.text == text
    assert source.encoded == text.encode("utf-8", "surrogatepass")
    assert source.size == len(source.encoded)
    assert sys.getsizeof(source.held) <= sys.getsizeof("") + source.size
    assert source == Source("a.py", text, "latin-1", True)
    assert hash(source) == hash(Source("a.py", text, "latin-1", True))
    assert source != Source("a.py", text + "#", "latin-1", True)
    assert pickle.loads(pickle.dumps(source)) == source


def test_another_text_of_the_same_file() -> None:
    notebook = Notebook("{}", ("%magic",))
    before = Source("a.py", "é", "latin-1", True, notebook)
    assert before.with_text("x") == Source("a.py", "x", "latin-1", True, notebook)
