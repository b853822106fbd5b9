"""Suppression comments, applied to the findings of a whole run."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from gradlint import suppress
from gradlint.diagnostic import Diagnostic
from gradlint.engine.policy import Policy
from gradlint.model.record import answer
from gradlint.rule import Rule
from gradlint.source import Source


@answer
class Silenced:
    """What is left of a run's findings, how many are gone, and complaints about comments.

    ``depths`` are the numbers of lines of the files, by path, whose comments may have had a say in it.
    """

    kept: Sequence[Diagnostic]
    count: int
    complaints: Sequence[Diagnostic]
    depths: Mapping[str, int]


def silenced(
    diagnostics: Iterable[Diagnostic], sources: Iterable[Source], ran: Collection[Rule], policy: Policy
) -> Silenced:
    """Apply the sources' comments to their findings. ``ran`` are the rules that came through."""
    by_path: defaultdict[str, list[Diagnostic]] = defaultdict(list)
    for diagnostic in diagnostics:
        by_path[diagnostic.path].append(diagnostic)
    codes = frozenset(rule.code for rule in ran if not rule.run_only)
    known = {rule.code: rule.name for rule in (*policy.known, *ran)}
    by_default = frozenset(rule.code for rule in policy.known if rule.severity != "advice" and not rule.run_only)
    kept: list[Diagnostic] = []
    complaints: list[Diagnostic] = []
    depths: dict[str, int] = {}
    count = 0
    for source in sources:
        ran_here = codes - policy.ignored(source.path)
        scope = suppress.Scope(ran_here, known, complete=by_default <= ran_here)
        result = suppress.apply(source, by_path[source.path], scope)
        kept.extend(result.kept)
        complaints.extend(_as_decided(found, policy) for found in result.complaints if found.code in ran_here)
        count += result.silenced
        if result.spoken:
            depths[source.path] = len(source.lines())
    return Silenced(kept, count, complaints, depths)


def _as_decided(found: Diagnostic, policy: Policy) -> Diagnostic:
    return replace(found, severity=policy.severities.get(found.code, found.severity))
