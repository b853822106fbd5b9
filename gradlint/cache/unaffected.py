"""Edits that leave a report as it was: of comments, docstrings and layout, below all that it speaks of.

Rules are told facts and nothing else. What a report takes from the text besides are the lines of what was found, and
comments that speak to us. So where an edit leaves the facts and those lines alone, all would be said again, and nobody
need be asked.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from gradlint.cache import facts, parts
from gradlint.cache.store import CacheError
from gradlint.model.extract import followed
from gradlint.source import Source, SourceError, contents, decode

_SPEAKS_TO_US = re.compile(r"gradlint|noqa", re.IGNORECASE)


class Ground(NamedTuple):
    """What a report took from a file: its facts, known by a ``key``, and the first so many ``lines``.

    The ``digest`` is that of those, and of all lines further down that look as if they spoke to us.
    """

    key: bytes
    lines: int
    digest: bytes


def ground(source: Source, key: bytes | None, lines: int) -> Ground | None:
    """What a report took from a source; None where that is not all of it, as of notebooks, whose cells it counts.

    ``key`` is None for a source whose facts nobody keeps.
    """
    if key is None or source.notebook is not None:
        return None
    text = "\n".join(_taken(source, lines)).encode("utf-8", "surrogatepass")
    return Ground(key, lines, hashlib.blake2b(text, digest_size=16).digest())


def unaffected(file: str, grounds: Mapping[str, Ground]) -> bool:
    """Whether a report would be the same on what now stands in files; those of then are in the cache ``file``.

    Whatever stands in the way, a syntax error as well as a broken cache, is for a full run to tell.
    """
    try:
        stored = parts.get(file, [each.key for each in grounds.values()])
        return all(_is_unaffected(path, each, stored.get(each.key)) for path, each in grounds.items())
    except (SourceError, CacheError):
        return False


def _is_unaffected(path: str, before: Ground, stored: bytes | None) -> bool:
    source = decode(path, contents(path, path))
    if ground(source, before.key, before.lines) != before:
        return False
    known = facts.loaded(stored, path)
    return known is not None and followed(source) == known


def _taken(source: Source, lines: int) -> Iterator[str]:
    if lines:
        yield from source.lines()[:lines]
    if _may_speak_to_us(source.encoded):
        yield from filter(_SPEAKS_TO_US.search, source.lines()[lines:])


def _may_speak_to_us(data: bytes) -> bool:
    """Whether a text may hold our names; the expression, which knows letters that pass for others, takes its time."""
    lower = data.lower()
    return not data.isascii() or b"gradlint" in lower or b"noqa" in lower
