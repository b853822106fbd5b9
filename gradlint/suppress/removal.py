"""The edit that takes a suppression, or some of its codes, out of a file."""

from collections.abc import Sequence

from gradlint.diagnostic import LocatedEdit
from gradlint.finding import Span
from gradlint.source import Source
from gradlint.suppress.comments import Mention, Suppression


def without(comment: Suppression, codes: Sequence[Mention], source: Source) -> LocatedEdit:
    """Take these codes out of the comment; the whole directive when none would be left."""
    if len(codes) < len(comment.codes):
        return _fewer_codes(comment, codes, source)
    span, line = comment.span, source.lines()[comment.span.line - 1]
    before, after = line[: span.column - 1], line[span.end_column - 1 :]
    if not before.strip() and not after.strip():
        return LocatedEdit(source.path, Span(span.line, 1, span.line + 1, 1), "")
    start = len(before.rstrip()) + 1 if not after.strip() else span.column
    end = len(line) + 1 if not after.strip() else span.end_column + len(after) - len(after.lstrip())
    return LocatedEdit(source.path, Span(span.line, start, span.line, end), "")


def _fewer_codes(comment: Suppression, codes: Sequence[Mention], source: Source) -> LocatedEdit:
    """The list rewritten as a whole: separators come out right whichever codes go."""
    first, last = comment.codes[0].span, comment.codes[-1].span
    kept = ", ".join(mention.code for mention in comment.codes if mention not in codes)
    return LocatedEdit(source.path, Span(first.line, first.column, last.line, last.end_column), kept)
