"""One fix after the other: applied, run, and kept or put back."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gradlint import engine
from gradlint.diagnostic import Outcome
from gradlint.engine import Policy
from gradlint.fix import Offer, encoded, offers
from gradlint.join.joined import join
from gradlint.project import Names
from gradlint.prove.command import Ran
from gradlint.prove.cost import Cost, Difference, cost
from gradlint.prove.journal import Journal
from gradlint.rule import Rule
from gradlint.source import Source

Verdict = Literal["kept", "put back", "not tried"]
Run = Callable[[], Ran]
_BOTH: Collection[Literal["safe", "unsafe"]] = ("safe", "unsafe")


class Unproved(Exception):
    """Nothing can be proved with this command, and why; ``printed`` is what it said."""

    def __init__(self, message: str, printed: str = "") -> None:
        super().__init__(message)
        self.printed = printed


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one fix. ``why`` says it in words; ``printed`` is what a command that failed said.

    ``line`` is where the finding stood before any fix was kept.
    """

    offer: Offer
    line: int
    verdict: Verdict
    why: str
    printed: str = ""


@dataclass(slots=True)
class Prover:
    """Proves fixes of files in place. ``files`` is where each source is, by the path that reports show.

    Whoever uses it restores the journal if anything is raised, and commits it in the end.
    """

    sources: dict[str, Source]
    files: Mapping[str, str]
    rules: Sequence[Rule]
    names: Names
    policy: Policy
    run: Run
    journal: Journal
    first: Cost = field(default_factory=Cost)
    last: Cost = field(default_factory=Cost)
    _noise: Cost = field(default_factory=Cost)
    _outcome: Outcome = field(default_factory=lambda: Outcome(0, (), (), 0))
    _ran: Ran | None = None
    _lines: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def begin(self) -> Ran:
        """Run the command twice as things are: it must pass, and show how far equal runs lie apart.

        Raises:
            Unproved: when it fails, or does nothing with torch.
        """
        one, two = self._passing("as it is"), self._passing("the second time")
        self.first = self.last = cost(two.trace)
        self._noise = cost(one.trace).apart(self.first)
        self._ran = two
        return two

    def offered(self) -> list[Offer]:
        """The fixes to try, those first whose findings cost most in the run.

        Needs no :meth:`begin`; without it nothing was measured.
        """
        if not self._outcome.files:
            self._outcome = self._check(self.sources)
        outcome = self._outcome
        if self._ran is not None:
            outcome = join(outcome, self.sources, self._ran.trace, self.rules, self.policy)
        found = [*offers(outcome.diagnostics, _BOTH, self.sources)]
        for offer in found:
            self._lines.setdefault(offer.identity, offer.diagnostic.span.line)
        return found

    def unfixable(self) -> int:
        """How many findings, as things are now, offer no fix."""
        return sum(found.fix is None for found in self._outcome.diagnostics)

    def trials(self) -> Iterator[Trial]:
        """Try each fix once. What is kept changes what is offered after it."""
        tried: set[tuple[str, str, str]] = set()
        while wanted := [offer for offer in self.offered() if offer.identity not in tried]:
            tried.add(wanted[0].identity)
            yield self._tried(wanted[0])

    def _tried(self, offer: Offer) -> Trial:
        line, measured = self._lines[offer.identity], offer.diagnostic.measured
        if measured is not None and measured.verdict in ("not-reached", "refuted"):
            return Trial(offer, line, "not tried", measured.message)
        after = engine.mended(self.sources, self._outcome, offer, self._check)
        if after is None:
            return Trial(offer, line, "not tried", "it would leave its finding, or bring another")
        sources, outcome = after
        changed = [path for path in sources if sources[path] is not self.sources[path]]
        self._write(sources, changed)
        ran = self.run()
        spent = cost(ran.trace)
        helps, why = self._judged(ran, spent)
        if helps:
            self.sources, self._outcome, self._ran, self.last = sources, outcome, ran, spent
            return Trial(offer, line, "kept", why)
        self._write(self.sources, changed)
        return Trial(offer, line, "put back", why, "" if ran.passed else ran.printed)

    def _judged(self, ran: Ran, spent: Cost) -> tuple[bool, str]:
        """Whether a run shows that a fix helps, and in words."""
        if not ran.passed:
            return False, f"with it the command {ran.ending}"
        if not ran.trace.processes:
            return False, "with it the run was not recorded"
        difference = Difference(self.last, spent, self._noise)
        return difference.better, difference.text or "the run costs the same with it"

    def _write(self, sources: Mapping[str, Source], paths: Collection[str]) -> None:
        for path in paths:
            self.journal.change(self.files[path], encoded(sources[path]))

    def _check(self, sources: Mapping[str, Source]) -> Outcome:
        return engine.run(sources.values(), self.rules, self.names, policy=self.policy)

    def _passing(self, when: str) -> Ran:
        ran = self.run()
        if not ran.passed:
            raise Unproved(f"the command {ran.ending} {when}, before any fix", ran.printed)
        if not ran.trace.processes:
            raise Unproved("the command passed, but nothing of it was recorded: no Python of it imported torch")
        return ran
