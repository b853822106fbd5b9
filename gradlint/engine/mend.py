"""Fixes applied until nothing is left to mend, each kept only if the result is clean.

A fix is a promise that its finding is gone afterwards and that nothing else has come. The engine holds it to
that: after every round all sources are checked again, and what breaks the promise is taken back.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from gradlint.diagnostic import LocatedEdit, Outcome
from gradlint.engine.analysis import Analysis
from gradlint.engine.policy import Policy
from gradlint.engine.reading import Memory
from gradlint.engine.run import NO_MEMORY, NO_NAMES, NO_POLICY, Progress, run, unseen
from gradlint.finding import Applicability
from gradlint.fix import Offer, chosen, edited, offers
from gradlint.model.record import answer
from gradlint.project import Names
from gradlint.rule import Rule
from gradlint.source import Source

_SAFE: tuple[Applicability, ...] = ("safe",)
_Check = Callable[[Mapping[str, Source]], Outcome]


@answer
class Mending:
    """What fixes have come to: the sources after them, the outcome of checking those, and which were made."""

    sources: Mapping[str, Source]
    outcome: Outcome
    made: tuple[Offer, ...]
    refused: tuple[Offer, ...]


@dataclass(slots=True)
class _State:
    sources: dict[str, Source]
    outcome: Outcome
    made: list[Offer] = field(default_factory=list)
    refused: list[Offer] = field(default_factory=list)


def mend(
    sources: Iterable[Source],
    rules: Sequence[Rule],
    names: Names = NO_NAMES,
    *,
    allowed: Collection[Applicability] = _SAFE,
    policy: Policy = NO_POLICY,
    report_only: Collection[str] | None = None,
    progress: Progress = unseen,
    jobs: int = 1,
    memory: Memory = NO_MEMORY,
) -> Mending:
    """Check sources and apply the fixes that are ``allowed``, again and again until none is left.

    Everything else is as for :func:`gradlint.engine.run`. Fixes that would leave their finding, bring another
    or break a file are refused, and so are those that touch other files than are reported on; the sources are then
    as if they had not been offered.
    """

    analysis = memory.held(partial(Analysis, last=not allowed and not memory.holds))

    def check(texts: Mapping[str, Source]) -> Outcome:
        return run(
            texts.values(),
            rules,
            names,
            policy=policy,
            report_only=report_only,
            progress=progress,
            jobs=jobs,
            memory=memory,
            analysis=analysis,
        )

    texts = {source.path: source for source in sources}
    state = _State(texts, check(texts))
    while True:  # ends: each round either leaves fewer findings or refuses one offer more
        known = {offer.identity for offer in state.refused}
        possible = offers(state.outcome.diagnostics, allowed, texts if report_only is None else report_only)
        wanted = [offer for offer in possible if offer.identity not in known]
        if not wanted:
            break
        _apply(state, chosen(wanted), check)
    return Mending(state.sources, state.outcome, tuple(state.made), tuple(state.refused))


def mended(
    sources: Mapping[str, Source], outcome: Outcome, offer: Offer, check: _Check
) -> tuple[dict[str, Source], Outcome] | None:
    """The sources with one fix, and the outcome of checking them; None if the fix does not keep its promise."""
    after = _with(sources, [offer])
    found = check(after)
    return (after, found) if _keeps_promise(outcome, found, [offer]) else None


def _apply(state: _State, together: Sequence[Offer], check: _Check) -> None:
    """Apply offers of one round; if they do harm, half of them, down to the one that does, which is refused.

    The others are offered again in the next round: lines may have moved.
    """
    sources = _with(state.sources, together)
    outcome = check(sources)
    if _keeps_promise(state.outcome, outcome, together):
        state.sources, state.outcome = sources, outcome
        state.made.extend(together)
    elif len(together) == 1:
        state.refused.extend(together)
    else:
        _apply(state, together[: len(together) // 2], check)


def _with(sources: Mapping[str, Source], together: Iterable[Offer]) -> dict[str, Source]:
    edits: dict[str, list[LocatedEdit]] = {}
    for offer in together:
        for edit in offer.fix.edits:
            edits.setdefault(edit.path, []).append(edit)
    return {path: edited(source, edits[path]) if path in edits else source for path, source in sources.items()}


def _keeps_promise(before: Outcome, after: Outcome, together: Iterable[Offer]) -> bool:
    """Whether each finding that was to be mended is gone, and no other finding and no failure has come."""
    found, left = _counted(before), _counted(after)
    found.subtract((offer.diagnostic.path, offer.diagnostic.code) for offer in together)
    failed = Counter(failure.path for failure in after.failures) - Counter(f.path for f in before.failures)
    return not failed and all(count <= found[key] for key, count in left.items())


def _counted(outcome: Outcome) -> "Counter[tuple[str, str]]":
    return Counter((diagnostic.path, diagnostic.code) for diagnostic in outcome.diagnostics)
