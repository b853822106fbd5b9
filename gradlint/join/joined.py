"""An outcome of checking, joined with traces of runs."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from gradlint import suppress
from gradlint.diagnostic import Diagnostic, Outcome
from gradlint.engine import Policy
from gradlint.join.files import Ran, ran
from gradlint.join.unforeseen import unforeseen
from gradlint.join.verdict import led, rank, verdict
from gradlint.rule import Measures, Rule
from gradlint.source import Source
from gradlint.trace.events import Trace


def join(
    outcome: Outcome, sources: Mapping[str, Source], trace: Trace, rules: Iterable[Rule], policy: Policy
) -> Outcome:
    """The outcome with what the run says of each finding, what cost most first, and with what only the run saw.

    A finding that the run refutes is advice. ``rules`` are those that were selected.
    """
    seen = ran(trace, sources)
    rules = tuple(rules)
    measures: dict[str, Measures] = {rule.code: rule.measures for rule in (*policy.known, *rules)}
    judged = [_judged(found, measures.get(found.code, ""), seen.get(found.path)) for found in outcome.diagnostics]
    selected = {rule.code for rule in rules if rule.run_only}
    told = _told(judged, measures, seen)
    more: list[Diagnostic] = []
    suppressed = 0
    for path, there in seen.items():
        known = [found for found in judged if found.path == path]
        mine = _wanted(unforeseen(sources[path], there, known, measures, told), selected, policy)
        kept = [found for found in mine if not _silenced(found, sources[path], measures)]
        more += kept
        suppressed += len(mine) - len(kept)
    return replace(outcome, diagnostics=tuple(rank([*judged, *more])), suppressed=outcome.suppressed + suppressed)


def _judged(found: Diagnostic, measures: Measures, seen: Ran | None) -> Diagnostic:
    measured = verdict(found, measures, seen)
    refuted = measured is not None and measured.verdict == "refuted"
    return replace(found, measured=measured, severity="advice" if refuted else found.severity)


def _told(judged: Iterable[Diagnostic], measures: Mapping[str, Measures], seen: Mapping[str, Ran]) -> set[str]:
    """The lines whose waste is told already, at lines that led to them."""
    return {
        str(inner)
        for found in judged
        if measures.get(found.code) == "waste" and found.measured is not None and found.path in seen
        for line, inner in led(found, seen[found.path])
        if found.measured.verdict == "confirmed" and line.wasted > inner.wasted // 2
    }


def _wanted(found: Iterable[Diagnostic], selected: Collection[str], policy: Policy) -> list[Diagnostic]:
    return [
        replace(one, severity=policy.severities.get(one.code, one.severity))
        for one in found
        if one.code in selected and one.code not in policy.ignored(one.path)
    ]


def _silenced(found: Diagnostic, source: Source, measures: Mapping[str, Measures]) -> bool:
    """Whether a comment silences it, by its own code or by that of a rule that would say the same of the code."""
    same = [code for code, kind in measures.items() if kind == measures[found.code]]
    scope = suppress.Scope((), {}, complete=False)
    result = suppress.apply(source, [replace(found, code=code) for code in (found.code, *same)], scope)
    return result.silenced > 0
