"""What a run says of one finding: confirmed, refuted, not reached, or nothing."""

from collections.abc import Iterable, Iterator

from gradlint.diagnostic import Diagnostic, Measured
from gradlint.join.files import Ran
from gradlint.rule import Measures
from gradlint.trace.analyse import GROWING
from gradlint.trace.events import Line, Mode
from gradlint.trace.text import place, size

CHANGED = Measured("source-changed", "the file has changed since the run: trace it again")


def verdict(found: Diagnostic, measures: Measures, seen: Ran | None) -> Measured | None:
    """What the run says of a finding; None where it can say nothing either way."""
    if not measures:
        return None
    if seen is not None and seen.changed:
        return CHANGED
    seen = seen or Ran()
    match measures:
        case "waste":
            there, ways = [line for line in seen.lines if line.line in lines_of(found)], [*led(found, seen)]
            if there or not ways:
                return _waste(there, exact=seen.deep)
            return _waste([line for line, _ in ways], exact=seen.deep, at=_inner(ways))
        case "growth":
            return _growth([line for line in seen.lines if _same_function(line, found)], exact=seen.deep)
        case "leak":
            return _leak(found, seen)


def led(found: Diagnostic, seen: Ran) -> Iterator[tuple[Line, Line]]:
    """What a finding's lines led to, where they ran no forward themselves: what it cost, and the line it stood on."""
    yield from ((line, inner) for line, inner in seen.through if line.line in lines_of(found))


def lines_of(found: Diagnostic) -> range:
    """The lines that a finding stands on."""
    return range(found.span.line, found.span.end_line + 1)


def places_of(found: Diagnostic) -> frozenset[int]:
    """The lines of a finding and of the notes to it in the same file."""
    notes = {note.span.line for note in found.notes if note.path == found.path}
    return frozenset((*lines_of(found), *notes))


def _inner(ways: list[tuple[Line, Line]]) -> str:
    """Where the forwards stand that a finding's lines led to; the costliest first."""
    places = dict.fromkeys(place(inner) for _, inner in sorted(ways, key=lambda way: -way[0].wasted))
    first, *more = places
    return f", by {first}" + (f" and {len(more)} more line{'s' if len(more) > 1 else ''}" if more else "")


def _waste(lines: list[Line], *, exact: bool, at: str = "") -> Measured:
    calls = sum(line.calls for line in lines)
    if not lines:
        return Measured("not-reached", "not reached: the run recorded no forward here")
    unused = sum(line.wasted_calls for line in lines)
    cost = sum(line.wasted + line.alive for line in lines)
    if unused or cost:
        text = f"the run confirms it: {cost_of(cost, exact)}{calls_of(unused, calls)}{at}"
        return Measured("confirmed", text, cost, unused, calls, exact)
    modes = sorted({str(line.mode) for line in lines})
    where = f"all under {' or '.join(modes)}" if Mode.GRAD not in {line.mode for line in lines} else _USED
    return Measured("refuted", f"the run refutes it: {_forwards(calls)} here{at}, {where}", 0, 0, calls, exact)


_USED = "and no graph was dropped unused"


def _growth(lines: list[Line], *, exact: bool) -> Measured | None:
    calls = sum(line.calls for line in lines)
    if not lines:
        return Measured("not-reached", "not reached: the run recorded no forward in this function")
    growing = [line for line in lines if line.growing]
    if growing:
        most = sum(line.most for line in growing)
        text = f"the run confirms it: {size(most)} were held at once, and more with each forward"
        return Measured("confirmed", text, most, sum(line.calls for line in growing), calls, exact)
    if calls < GROWING or any(line.mode == Mode.GRAD for line in lines):
        return None  # too short a run, or graphs of which the nodes may be kept when their bytes are freed
    return Measured("refuted", f"the run refutes it: {_forwards(calls)} in this function, and nothing was kept",
                    0, 0, calls, exact)  # fmt: skip


def _leak(found: Diagnostic, seen: Ran) -> Measured | None:
    places = places_of(found)
    leaks = [leak for leak in seen.leaks if leak.site.line in places]
    if leaks:
        times = sum(leak.times for leak in leaks)
        said = "; ".join(dict.fromkeys(leak.message for leak in leaks))
        return Measured("confirmed", f"the run confirms it, {_times(times)}: {said}", 0, times, times, True)
    if seen.modes.isdisjoint(places):
        return Measured("not-reached", "not reached: the run changed no grad mode here")
    return None  # that it did not leak this time proves nothing


def _same_function(line: Line, found: Diagnostic) -> bool:
    """Whether a line stands in the finding's function; Python 3.10 knows only its last name."""
    name, wanted = line.function.replace(".<locals>", ""), found.function.replace(".<locals>", "")
    return name == wanted or ("." not in name and wanted.rpartition(".")[2] == name)


def cost_of(number: int, exact: bool) -> str:
    """What was saved for nothing, in words."""
    if not number:
        return "graphs were dropped unused"
    return f"{'' if exact else 'about '}{size(number)} saved for backward and never used"


def calls_of(unused: int, calls: int) -> str:
    """How many forwards did so, in words."""
    return f", in {unused:,} of {_forwards(calls)}" if calls else ""


def _forwards(calls: int) -> str:
    return f"{calls:,} forward{'s' if calls != 1 else ''}"


def _times(times: int) -> str:
    return "once" if times == 1 else f"{times:,} times"


def rank(found: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
    """What cost most first, then what the run says nothing of, what it did not reach, and what it refutes."""
    yield from sorted(found, key=_rank)


_ORDER = ("confirmed", "source-changed", "", "not-reached", "refuted")


def _rank(found: Diagnostic) -> tuple[object, ...]:
    measured = found.measured
    if measured is None:
        return (_ORDER.index(""), 0, 0, found.order)
    return (_ORDER.index(measured.verdict), -measured.size, -measured.times, found.order)
