"""Where cells begin and end in a source, and what is written in them."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from gradlint.notebook.indents import shown
from gradlint.notebook.magics import restored
from gradlint.source import Source

_MARK = "\ue001"
RESERVED = f"\ue000{_MARK}"  # characters for private use, which no cell may hold
_CELL = re.compile(f"#{_MARK}([0-9]+)([a-z]?)\n((?:(?!#{_MARK}).*\n)*)")


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its number among all of the notebook's, from 1; the line of the source before its first; its text.

    ``code`` is what the source has of it, which is Python alone.
    """

    number: int
    before: int
    text: str
    code: str


def joined(number: int, text: str, indented: str = "") -> str:
    """A cell as it stands in a source; ``indented`` names the indentation that was taken off it."""
    return f"#{_MARK}{number}{indented}\n{text}\n"


def cells(source: Source) -> Iterator[Cell]:
    """The cells of a notebook's source, as they are written in the notebook."""
    if source.notebook is None:
        return
    line = 0
    for found in _CELL.finditer(source.text):
        line += 1
        code = found[3].removesuffix("\n")
        yield Cell(int(found[1]), line, restored(shown(code, found[2]), source.notebook.magics), code)
        line += found[3].count("\n")


def without(source: Source, numbers: Collection[int]) -> Source:
    """The source with nothing in some cells but their empty lines: what stands in the others keeps its place."""

    def emptied(found: re.Match[str]) -> str:
        return joined(int(found[1]), "\n" * (found[3].count("\n") - 1)) if int(found[1]) in numbers else found[0]

    return source.with_text(_CELL.sub(emptied, source.text))
