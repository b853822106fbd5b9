"""From source text to facts through Python's own parser; it gives up where LibCST has to be asked."""

import ast
import re
import sys
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from gradlint.model.abstract.expressions import Part
from gradlint.model.abstract.statements import block
from gradlint.model.extraction import Extraction
from gradlint.model.facts import ModuleFacts
from gradlint.source import Source

# Some thousand levels. What is nested more deeply LibCST's reader refuses, or reads, after a closer look.
_MOST_FRAMES = 2_000
_FOREIGN_NAME = re.compile(r"\w*[^\W\x00-\x7f]\w*")


def facts(source: Source) -> ModuleFacts | None:
    """The facts of a module; None where this Python does not read the text, or reads it differently."""
    found = walk(source)
    return found[0] if found is not None else None


def walk(source: Source) -> tuple[ModuleFacts, list[Part]] | None:
    """Facts and nodes by number of a module; None as above."""
    if _has_renamed_names(source.text):
        return None
    extraction: Extraction[Part] = Extraction(source.path)
    try:
        tree = _parse(source.text)
        at = extraction.number(tree)
        with _at_most(_MOST_FRAMES):
            return extraction.module(at, block(tree.body, extraction)), extraction.nodes
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _parse(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it thinks of escapes and comparisons is not our subject
        return ast.parse(text)


@contextmanager
def _at_most(frames: int) -> Iterator[None]:
    """Let nobody below recurse deeper than so many frames."""
    before, frame = sys.getrecursionlimit(), sys._getframe()
    while frame.f_back is not None:
        frame, frames = frame.f_back, frames + 1
    sys.setrecursionlimit(frames)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _has_renamed_names(text: str) -> bool:
    """Whether some name may be one that Python spells otherwise than the text does (NFKC)."""
    if text.isascii() or unicodedata.is_normalized("NFKC", text):
        return False
    words = set(_FOREIGN_NAME.findall(text))
    return any(word.isidentifier() and not unicodedata.is_normalized("NFKC", word) for word in words)
