"""Where in a notebook's file the text of a cell stands, so that it can be replaced and all else be left as it is."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gradlint.source import LINE_END

_DECODER = json.JSONDecoder()
_BLANK = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Written:
    """A cell as it is in the file. ``start`` and ``end`` bound the value of its ``source``, which says ``text``.

    ``text`` is None where that is neither a string nor a list of them.
    """

    number: int
    cell: Mapping[str, object]
    start: int
    end: int
    text: str | None


def written(raw: str) -> Iterator[Written]:
    """The cells of a notebook, given as valid JSON; none where there is no list of cells."""
    for key, _, start in _members(raw, _after_blank(raw, 0)):
        if key == "cells" and raw[start] == "[":
            yield from (found for number, at in enumerate(_items(raw, start), 1) for found in _cell(raw, number, at))


def file_lines(raw: str) -> dict[int, list[int]]:
    """By cell, the line of the file, from 1, in which each line of the cell's text begins."""
    return {cell.number: list(_file_lines(raw, cell)) for cell in written(raw)}


def _file_lines(raw: str, cell: Written) -> Iterator[int]:
    line, counted = 1, 0
    rest = ""  # of the cell's last line so far
    for start in _items(raw, cell.start) if raw[cell.start] == "[" else (cell.start,):
        line, counted = line + raw.count("\n", counted, start), start
        *whole, last = LINE_END.split(str(_DECODER.raw_decode(raw, start)[0]))
        yield from [line] * (len(whole) + bool(last) - bool(rest))
        rest = last if whole else rest + last
    if not rest:
        yield line


def _cell(raw: str, number: int, start: int) -> Iterator[Written]:
    cell, _ = _DECODER.raw_decode(raw, start)
    if not isinstance(cell, dict):
        return
    for key, value, at in _members(raw, start):
        if key == "source":
            yield Written(number, cell, at, _DECODER.raw_decode(raw, at)[1], _text(value))


def _text(value: object) -> str | None:
    if isinstance(value, list):
        lines = [line for line in value if isinstance(line, str)]
        return "".join(lines) if len(lines) == len(value) else None
    return value if isinstance(value, str) else None


def _members(raw: str, start: int) -> Iterator[tuple[str, object, int]]:
    """Key, value and the value's offset for each member of the object that starts here."""
    if raw[start] != "{":
        return
    at = _after_blank(raw, start + 1)
    while raw[at] != "}":
        key, at = _DECODER.raw_decode(raw, at)
        at = _after_blank(raw, _after_blank(raw, at) + 1)
        value, end = _DECODER.raw_decode(raw, at)
        yield key, value, at
        at = _next(raw, end)


def _items(raw: str, start: int) -> Iterator[int]:
    """The offset of each item of the list that starts here."""
    at = _after_blank(raw, start + 1)
    while raw[at] != "]":
        yield at
        at = _next(raw, _DECODER.raw_decode(raw, at)[1])


def _next(raw: str, end: int) -> int:
    at = _after_blank(raw, end)
    return _after_blank(raw, at + 1) if raw[at] == "," else at


def _after_blank(raw: str, at: int) -> int:
    found = _BLANK.match(raw, at)
    return at if found is None else found.end()
