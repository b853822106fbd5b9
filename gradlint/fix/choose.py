"""Which of many fixes can be applied together."""

from collections.abc import Collection, Iterable, Iterator

from gradlint.diagnostic import Diagnostic, LocatedEdit, LocatedFix
from gradlint.finding import Applicability
from gradlint.model.record import answer

_Key = tuple[int, int]


@answer
class Offer:
    """A fix, and the finding it mends."""

    diagnostic: Diagnostic
    fix: LocatedFix

    @property
    def identity(self) -> tuple[str, str, str]:
        """Which offer it is, also when lines above it have moved."""
        return (self.diagnostic.path, self.diagnostic.code, self.diagnostic.fingerprint)


def offers(
    diagnostics: Iterable[Diagnostic], allowed: Collection[Applicability], paths: Collection[str]
) -> Iterator[Offer]:
    """The fixes that may be applied and touch none but these files."""
    for diagnostic in diagnostics:
        fix = diagnostic.fix
        if fix is not None and fix.applicability in allowed and all(edit.path in paths for edit in fix.edits):
            yield Offer(diagnostic, fix)


def chosen(wanted: Iterable[Offer]) -> list[Offer]:
    """The offers of which none touches what another one changes: the first come, in the order of reports.

    Offers that want the same edit are no conflict for a person, but the second would repeat it. It is left for
    the next round, if there is still something to mend by then.
    """
    taken: dict[str, list[LocatedEdit]] = {}
    found: list[Offer] = []
    for offer in wanted:
        if not any(_touch(edit, other) for edit in offer.fix.edits for other in taken.get(edit.path, ())):
            found.append(offer)
            for edit in offer.fix.edits:
                taken.setdefault(edit.path, []).append(edit)
    return found


def _touch(left: LocatedEdit, right: LocatedEdit) -> bool:
    """Whether two edits overlap or meet: text that two fixes put at one point could come out in either order."""
    return _start(left) <= _end(right) and _start(right) <= _end(left)


def _start(edit: LocatedEdit) -> _Key:
    return edit.span.line, edit.span.column


def _end(edit: LocatedEdit) -> _Key:
    return edit.span.end_line, edit.span.end_column
