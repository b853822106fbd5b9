"""A Python file as text: decoding, line structure, and the error for what cannot be read."""

import codecs
import io
import re
import tokenize
from dataclasses import dataclass, field

# str.splitlines would also split at form feeds and other separators, which Python does not count as lines.
LINE_END = re.compile(r"\r\n|\n|\r")
_OF_FUTURE = frozenset({"future_annotations", "future_fstrings", "future_typing"})  # packages of these names


class SourceError(Exception):
    """A file that cannot be analysed: unreadable, undecodable, or not valid Python.

    ``line`` and ``column`` are 1-based.
    """

    def __init__(self, path: str, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(f"{path}:{line}:{column}: {message}")
        self.path = path
        self.message = message
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Notebook:
    """What is needed to put a source back into the notebook it came from.

    ``raw`` is the file's text; ``magics`` are the stretches of code that are not Python, by the number that stands
    for each.
    """

    raw: str
    magics: tuple[str, ...]


@dataclass(frozen=True, slots=True, init=False)
class Source:
    """The text of one module. ``path`` is what reports show; ``text`` has no byte order mark.

    The text of a ``notebook`` is that of its cells, one after another: see :mod:`gradlint.notebook`.
    """

    path: str
    held: str | bytes = field(repr=False)
    encoding: str
    bom: bool
    notebook: Notebook | None

    def __init__(
        self, path: str, text: str, encoding: str = "utf-8", bom: bool = False, notebook: Notebook | None = None
    ) -> None:
        # One odd character makes Python take four bytes for each: as UTF-8 all files of a project take half as much.
        held = text if text.isascii() else text.encode("utf-8", "surrogatepass")
        for name, value in zip(self.__slots__, (path, held, encoding, bom, notebook), strict=True):
            object.__setattr__(self, name, value)

    @property
    def text(self) -> str:
        """The text, as Python reads it."""
        return self.held if isinstance(self.held, str) else self.held.decode("utf-8", "surrogatepass")

    @property
    def encoded(self) -> bytes:
        """The text as UTF-8, whatever the file's own encoding."""
        return self.held if isinstance(self.held, bytes) else self.held.encode()

    @property
    def size(self) -> int:
        """How much there is of it, in bytes, to judge what work it will be."""
        return len(self.held)

    def with_text(self, text: str) -> "Source":
        """The same file with another text."""
        return Source(self.path, text, self.encoding, self.bom, self.notebook)

    def lines(self) -> list[str]:
        """The lines without their ends, as Python counts them."""
        return LINE_END.split(self.text)

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column, both from 1, of a character of the text."""
        return _position(self.text[:offset])


def decode(path: str, data: bytes) -> Source:
    """Turn a file's bytes into a Source as Python would: BOM, coding line, else UTF-8.

    Raises:
        SourceError: for nul bytes, an encoding Python does not know, or bytes that encoding does not allow.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SourceError(path, "the file is UTF-16, which Python does not read")
    if (nul := data.find(b"\0")) >= 0:
        line, column = _position(data[:nul].decode("latin-1"))
        raise SourceError(path, "the source contains a nul byte", line, column)
    encoding = _encoding(path, data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        name = encoding.removesuffix("-sig")  # whose error counts from behind the BOM
        line, column = _position(error.object[: error.start].decode(name, "replace"))
        message = f"cannot decode as {name}: {error.reason}"
        raise SourceError(path, message, line, column) from error
    except (LookupError, UnicodeError) as error:  # codecs that are not for text
        raise SourceError(path, f"cannot decode as {encoding}: {error}") from error
    bom = data.startswith(codecs.BOM_UTF8)
    return Source(path, text, "utf-8" if bom else encoding, bom)


def _encoding(path: str, data: bytes) -> str:
    """What the BOM or the coding line says; whether it is true, decoding will show."""
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
        return "utf-8" if _is_of_future(encoding) else encoding
    except SyntaxError as error:
        if _is_of_future(error.msg.removeprefix("unknown encoding: ")):
            return "utf-8"
        if error.msg.startswith("invalid or missing"):  # one of the first two lines is not UTF-8
            return "utf-8"
        if error.msg.startswith("encoding problem"):
            message = "the byte order mark says UTF-8, the coding line something else"
            raise SourceError(path, message) from error
        raise SourceError(path, error.msg) from error


def _is_of_future(encoding: str) -> bool:
    """Whether a coding line asks a package to translate newer syntax for an older Python: it is UTF-8 to ours."""
    return encoding.lower().replace("-", "_") in _OF_FUTURE


def read(path: str, shown_as: str | None = None) -> Source:
    """Read and decode one file.

    Raises:
        SourceError: when the file cannot be opened or decoded.
    """
    shown = path if shown_as is None else shown_as
    return decode(shown, contents(path, shown))


def contents(path: str, shown_as: str) -> bytes:
    """The bytes of a file.

    Raises:
        SourceError: when it cannot be opened.
    """
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise SourceError(shown_as, f"cannot read: {error.strerror or error}") from error


def spelt(error: Exception) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _position(before: str) -> tuple[int, int]:
    lines = LINE_END.split(before)
    return len(lines), len(lines[-1]) + 1
