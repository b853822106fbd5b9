"""What a rule reports: places in code, messages and offered edits. Imports nothing of ours.

Rules name *places* (a node of a module, by number); lines and columns are worked out later, and only for
what is really reported, because computing them for every node costs twice as much as parsing.
"""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "advice"]
Applicability = Literal["safe", "unsafe"]
Side = Literal["replace", "before", "after", "line-above", "header", "argument"]


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of source: 1-based lines and columns, counted in characters; the end is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """One node of one module, numbered in the order the extractor meets it."""

    path: str
    node: int


@dataclass(frozen=True, slots=True)
class Note:
    """A second place that helps to understand a finding, possibly in another file."""

    place: Place
    message: str


@dataclass(frozen=True, slots=True)
class Edit:
    """Text put in place of a node, before it, after it, or on a line of its own above it.

    ``header`` puts a simple statement into a block below the text (``with torch.no_grad():``); ``argument`` takes the
    place of a keyword argument, whose value the place is, and of the comma before it. Behind the text comes what
    stands at ``moved``, if that is given.
    """

    place: Place
    side: Side
    text: str
    moved: Place | None = None


@dataclass(frozen=True, slots=True)
class Fix:
    """Edits that mend a finding; ``safe`` when no correct program can notice them."""

    applicability: Applicability
    message: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault at one place, with the evidence for it.

    ``function`` is the qualified name of the function it stands in, ``<module>`` at top level.
    ``severity`` overrides the rule's where one situation is worse than the rule's usual one.
    ``help`` is one line that says what to do.
    """

    place: Place
    function: str
    message: str
    notes: tuple[Note, ...] = ()
    help: str = ""
    fix: Fix | None = None
    severity: Severity | None = None
