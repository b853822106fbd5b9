"""Putting suppression comments into a source."""

import io
import tokenize
from collections.abc import Iterable

from gradlint.diagnostic import LocatedEdit
from gradlint.finding import Span
from gradlint.source import Source


def ignoring(source: Source, line: int, codes: Iterable[str], reason: str = "") -> LocatedEdit:
    """The edit that silences codes on a line: a comment at its end, or at its statement's where it cannot be there.

    A comment cannot be in a string, nor behind a backslash that continues a line.
    """
    at = _end(source, line)
    column = len(source.lines()[at - 1].rstrip()) + 1
    end = len(source.lines()[at - 1]) + 1
    text = f"  # gradlint: ignore[{', '.join(sorted(set(codes)))}] {reason}".rstrip()
    return LocatedEdit(source.path, Span(at, column, at, end), text)


def _end(source: Source, line: int) -> int:
    """The first line from this one on that ends outside of strings and without a backslash."""
    try:
        for token in tokenize.generate_tokens(io.StringIO(source.text, newline=None).readline):
            if token.type in (tokenize.NL, tokenize.NEWLINE) and token.start[0] >= line:
                return token.start[0]
    except (tokenize.TokenError, SyntaxError):  # LibCST reads syntax that this Python's tokenizer may not know
        return line
    return line
