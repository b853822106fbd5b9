"""From node numbers back to lines and columns, for the few places that are reported."""

from collections.abc import Collection

from gradlint.finding import Span
from gradlint.model.abstract import places
from gradlint.source import Source


def locate(source: Source, numbers: Collection[int]) -> dict[int, Span]:
    """The spans of nodes, by number. Parses the module again: meant for files that have findings.

    Raises:
        SourceError: when the text cannot be parsed.
    """
    found = places.spans(source, numbers)
    if found is not None:
        return found
    from gradlint.model.concrete import places as exact  # LibCST takes longer to import than most runs last

    return exact.spans(source, numbers)
