"""The run itself: extract facts, link them, ask the rules, place what they say, apply comments."""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

from gradlint.diagnostic import Outcome
from gradlint.engine.analysis import Analysis
from gradlint.engine.asking import Answers
from gradlint.engine.broken_cells import Readable, with_other_cells
from gradlint.engine.identity import distinct, fingerprinted
from gradlint.engine.placing import Located, placed
from gradlint.engine.policy import Policy
from gradlint.engine.reading import Forgetful, Memory, extracted
from gradlint.engine.room import with_room
from gradlint.engine.silencing import silenced
from gradlint.engine.workers import Team
from gradlint.project import Names
from gradlint.rule import Rule
from gradlint.source import Source

Progress = Callable[[int, int], None]
NO_NAMES = Names()
NO_POLICY = Policy()
NO_MEMORY = Forgetful()


def unseen(done: int, total: int) -> None:
    """Progress that nobody watches."""


def run(
    sources: Iterable[Source],
    rules: Sequence[Rule],
    names: Names = NO_NAMES,
    *,
    policy: Policy = NO_POLICY,
    report_only: Collection[str] | None = None,
    progress: Progress = unseen,
    jobs: int = 1,
    memory: Memory = NO_MEMORY,
    analysis: Analysis | None = None,
) -> Outcome:
    """Check sources with rules.

    All sources are linked into one project; findings and failures are reported for the paths in
    ``report_only`` (None for all). A source that cannot be analysed and a rule that raises become failures,
    and the rest is still done. ``progress`` hears how many of how many steps are done, from another thread.
    The work is spread over ``jobs`` processes, which changes nothing in the outcome; facts that ``memory`` has
    are not read again, and what an earlier ``analysis`` knows and an edit did not touch is not asked again.
    """
    texts = {source.path: source for source in sources}
    reported = frozenset(texts) if report_only is None else frozenset(texts).intersection(report_only)
    steps = len(texts) + len(rules)

    def work() -> Outcome:
        with Team(jobs) as team:
            legible, known, said = together(team)
        outcome = _outcome(legible, rules, policy, reported, said, known.places)
        known.leave(memory)
        return outcome

    def together(team: Team) -> tuple[Readable, Analysis, Answers]:
        """All that several processes may take part in; only one comes back from it."""
        modules, unread = extracted([*texts.values()], memory, team, lambda done: progress(done, steps))
        legible = with_other_cells(Readable(texts, modules, unread), memory, write=team.leads)
        known = analysis or memory.held(partial(Analysis, last=not memory.holds))
        said = known.answers(
            legible.modules,
            names,
            rules,
            legible.texts,
            reported,
            team,
            lambda done: progress(len(texts) + done, steps),
            memory,
        )
        return legible, known, said

    return with_room(work, stays=memory.holds)


def _outcome(
    legible: Readable,
    rules: Sequence[Rule],
    policy: Policy,
    reported: frozenset[str],
    answers: Answers,
    places: dict[str, Located],
) -> Outcome:
    texts = legible.texts
    wanted = (
        (rule, finding)
        for rule, finding in answers.found
        if finding.place.path in reported and rule.code not in policy.ignored(finding.place.path)
    )
    result = placed(wanted, texts, policy.severities, places)
    diagnostics = fingerprinted(distinct(result.diagnostics), texts)
    sources = [texts[module.path] for module in legible.modules if module.path in reported]
    left = silenced(diagnostics, sources, answers.ran, policy)
    by_code = {rule.code: rule for rule in rules}
    kept = (found for found in left.kept if policy.shows(by_code[found.code], found.severity))
    complaints = fingerprinted(distinct(left.complaints), texts)
    failures = (failure for failure in (*legible.failures, *result.failures) if failure.path in reported)
    return Outcome(
        files=len(reported),
        diagnostics=tuple(sorted((*kept, *complaints), key=lambda found: found.order)),
        failures=tuple(sorted((*failures, *answers.failures))),
        suppressed=left.count,
        depths={**result.depths, **left.depths},
    )
