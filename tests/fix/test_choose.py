"""Of fixes that touch one another, one is chosen."""

import pytest

from gradlint.diagnostic import Diagnostic, LocatedEdit, LocatedFix
from gradlint.finding import Applicability, Span
from gradlint.fix import Offer, chosen, offers

SAFE: tuple[Applicability, ...] = ("safe",)
BOTH: tuple[Applicability, ...] = ("safe", "unsafe")


def found(*spans: tuple[int, int, int], applicability: Applicability = "safe", path: str = "a.py") -> Diagnostic:
    """A finding whose fix edits these stretches, each given as line, column and end column."""
    edits = tuple(LocatedEdit(path, Span(line, start, line, end), "x") for line, start, end in spans)
    fix = LocatedFix(applicability, "mend it", edits)
    return Diagnostic("XY101", "flag-me", "warning", "a.py", Span(1, 1, 1, 1), "f", "found", fix=fix)


def choose(*diagnostics: Diagnostic) -> list[int]:
    """Which of the findings are chosen, by number."""
    wanted = [Offer(diagnostic, diagnostic.fix) for diagnostic in diagnostics if diagnostic.fix is not None]
    picked = chosen(wanted)
    return [number for number, offer in enumerate(wanted) if any(offer is one for one in picked)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((1, 1, 5), (1, 3, 8)),
        ((1, 3, 8), (1, 1, 5)),
        ((1, 1, 9), (1, 3, 4)),
        ((1, 1, 5), (1, 5, 5)),  # inserted where the other ends: before it, or behind?
        ((1, 4, 4), (1, 4, 4)),
    ],
)
def test_what_overlaps_or_meets_waits(first: tuple[int, int, int], second: tuple[int, int, int]) -> None:
    assert choose(found(first), found(second)) == [0]


def test_what_is_apart_goes_together() -> None:
    assert choose(found((1, 1, 5)), found((1, 6, 9)), found((2, 1, 5))) == [0, 1, 2]


def test_a_fix_is_applied_whole_or_not_at_all() -> None:
    assert choose(found((1, 1, 5)), found((1, 3, 4), (9, 1, 2)), found((9, 1, 2))) == [0, 2]


def test_the_same_stretch_of_two_files_is_no_conflict() -> None:
    assert choose(found((1, 1, 5)), found((1, 1, 5), path="b.py")) == [0, 1]


def test_only_what_is_allowed_is_offered() -> None:
    diagnostics = [found((1, 1, 2)), found((2, 1, 2), applicability="unsafe"), found((3, 1, 2), path="elsewhere.py")]
    safe = list(offers(diagnostics, SAFE, {"a.py"}))
    both = list(offers(diagnostics, BOTH, {"a.py"}))
    assert [offer.fix.applicability for offer in safe] == ["safe"]
    assert [offer.fix.applicability for offer in both] == ["safe", "unsafe"]
