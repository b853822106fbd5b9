"""Findings that only a run could make: what it measured where no rule about code has reported anything."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from gradlint.diagnostic import Diagnostic, Measured, fingerprint
from gradlint.finding import Span
from gradlint.join.files import Ran
from gradlint.join.measured_growth import measured_growth
from gradlint.join.measured_leak import measured_leak
from gradlint.join.measured_waste import measured_waste
from gradlint.join.verdict import calls_of, cost_of, lines_of, places_of
from gradlint.rule import Measures, Rule
from gradlint.source import Source
from gradlint.trace.events import Line
from gradlint.trace.text import size

LEAST = 1 << 20  # bytes wasted by a line that is worth a finding of its own


def unforeseen(
    source: Source,
    seen: Ran,
    found: Collection[Diagnostic],
    measures: Mapping[str, Measures],
    elsewhere: Collection[str],
) -> Iterator[Diagnostic]:
    """What the run saw in a file, without what the findings there, and those at lines that lead there, have said."""
    told = {kind: _told(found, kind, measures) for kind in ("waste", "growth", "leak")}
    by_line: dict[int, list[Line]] = {}
    for line in seen.lines:
        by_line.setdefault(line.line, []).append(line)
    for number, lines in sorted(by_line.items()):
        wasted, saved = sum(line.wasted for line in lines), sum(line.saved for line in lines)
        growing = [line for line in lines if line.growing]
        if growing and lines[0].function not in {one.function for one in found if _of(one, "growth", measures)}:
            yield _growth(source, number, growing, exact=seen.deep)
        elif str(lines[0]) in elsewhere:
            continue
        elif wasted >= LEAST and wasted > saved // 2 and number not in told["waste"] | told["growth"]:
            yield _waste(source, number, lines, exact=seen.deep)
    for leak in {(leak.site, leak.kind): leak for leak in seen.leaks}.values():
        if leak.site.line not in told["leak"]:
            text = f"`{leak.site.what}` leaked in the run: {leak.message}"
            cost = Measured("confirmed", "seen in the run alone", 0, leak.times, leak.times, True)
            yield _diagnostic(measured_leak, source, leak.site.line, leak.site.function, text, cost)


def _told(found: Collection[Diagnostic], kind: str, measures: Mapping[str, Measures]) -> frozenset[int]:
    mine = [one for one in found if _of(one, kind, measures)]
    return frozenset(line for one in mine for line in (places_of(one) if kind == "leak" else lines_of(one)))


def _of(found: Diagnostic, kind: str, measures: Mapping[str, Measures]) -> bool:
    return measures.get(found.code) == kind


def _waste(source: Source, number: int, lines: list[Line], *, exact: bool) -> Diagnostic:
    cost = sum(line.wasted for line in lines)
    unused, calls = sum(line.wasted_calls for line in lines), sum(line.calls for line in lines)
    text = f"in the run this line recorded graphs that nothing used: {cost_of(cost, exact)}{calls_of(unused, calls)}"
    measured = Measured("confirmed", "seen in the run alone", cost, unused, calls, exact)
    found = _diagnostic(measured_waste, source, number, lines[0].function, text, measured)
    return replace(found, help="what is not trained on belongs under `torch.no_grad()`")


def _growth(source: Source, number: int, lines: list[Line], *, exact: bool) -> Diagnostic:
    most, calls = sum(line.most for line in lines), sum(line.calls for line in lines)
    text = f"in the run the graphs of this line were kept, more with each forward: {size(most)} at once"
    measured = Measured("confirmed", "seen in the run alone", most, calls, calls, exact)
    found = _diagnostic(measured_growth, source, number, lines[0].function, text, measured)
    return replace(found, help="something keeps what each forward returned: `.item()` or `.detach()` lets go of it")


def _diagnostic(rule: Rule, source: Source, number: int, function: str, text: str, measured: Measured) -> Diagnostic:
    line = source.lines()[number - 1]
    span = Span(number, len(line) - len(line.lstrip()) + 1, number, len(line.rstrip()) + 1)
    function = function.replace(".<locals>", "")
    identity = fingerprint(rule.code, source.path, function, line, 0)
    return Diagnostic(
        rule.code, rule.name, rule.severity, source.path, span, function, text, fingerprint=identity, measured=measured
    )
