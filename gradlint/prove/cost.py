"""What a run cost that a fix can save, and whether it did."""

from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass

from gradlint.trace.events import Trace
from gradlint.trace.text import size


@dataclass(frozen=True, slots=True)
class Cost:
    """What was wasted: bytes saved for backward that no backward used, also those still alive at the end.

    ``growing`` counts lines that keep more and more graphs, ``kept`` the most bytes those held; ``leaks`` counts grad
    modes that got out of the code that set them.
    """

    wasted: int = 0
    growing: int = 0
    kept: int = 0
    leaks: int = 0

    def apart(self, other: "Cost") -> "Cost":
        """How far two runs of the same code lie apart."""
        return Cost(*(abs(one - two) for one, two in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class Difference:
    """Two costs compared: better if something fell and nothing rose, by more than equal runs differ."""

    before: Cost
    after: Cost
    noise: Cost

    @property
    def better(self) -> bool:
        """Whether it was worth it."""
        changes = [*self._changes()]
        return any(fell for _, fell in changes) and all(fell for _, fell in changes)

    @property
    def text(self) -> str:
        """What changed, before and after; empty if nothing did."""
        return ", ".join(text for text, _ in self._changes())

    def _changes(self) -> Iterator[tuple[str, bool]]:
        """What changed, in words, and whether it fell."""
        rows = zip(_WORDS, *(astuple(one) for one in (self.before, self.after, self.noise)), strict=True)
        for (words, spelt), before, after, noise in rows:
            if abs(before - after) > noise:
                yield f"{spelt(before)} -> {spelt(after)} {words}", after < before


_WORDS: tuple[tuple[str, Callable[[int], str]], ...] = (
    ("never used", size),
    ("lines that keep graphs", str),
    ("kept by them", size),
    ("leaked modes", str),
)


def cost(trace: Trace) -> Cost:
    """What a run cost."""
    growing = [line for line in trace.lines if line.growing]
    leaks = {(leak.kind, leak.site) for leak in trace.leaks}
    wasted = sum(line.wasted + line.alive for line in trace.lines)
    return Cost(wasted, len(growing), sum(line.most for line in growing), len(leaks))
