"""Facts of all sources: remembered ones, and the others read, by several processes if there is much to read."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import IO, Protocol, TypeVar

from gradlint.diagnostic import Failure
from gradlint.engine.workers import Team, Wire
from gradlint.model.facts import ModuleFacts
from gradlint.model.packing import packed, unpacked
from gradlint.project.snapshot import Sink
from gradlint.source import Source, SourceError

Held = TypeVar("Held")
Writing = Callable[[Sink], None]


class Memory(Protocol):
    """Facts of earlier runs, and what was made of them; ``holds`` if that stays in this process."""

    @property
    def forgets(self) -> bool:
        """Whether no later run, here or in another process, will ever know of this one."""
        ...

    @property
    def holds(self) -> bool:
        """Whether later runs of this process go on with what is left."""
        ...

    def recall(self, sources: Sequence[Source]) -> Mapping[str, ModuleFacts]:
        """What is known of sources, by path."""
        ...

    def keep(self, sources: Sequence[Source], facts: Mapping[str, ModuleFacts], *, write: bool) -> None:
        """Keep what has been read, for later runs; ``write`` it, if so, for those of other processes."""
        ...

    def held(self, make: Callable[[], Held]) -> Held:
        """What earlier runs of this process left for later ones to go on with; made if there is none."""
        ...

    def recorded(self, about: str, packages: Collection[str]) -> tuple[IO[bytes], Sequence[ModuleFacts]] | None:
        """The record that another process left about something, and the facts it was made of."""
        ...

    def record(self, about: str, packages: Collection[str], paths: Sequence[str], write: Writing) -> None:
        """Keep a record, written of what is known of these paths, for other processes.

        It holds while this tool and the ``packages`` that rules come from are the same.
        """
        ...


class Forgetful:
    """Remembers nothing."""

    forgets = True
    holds = False

    def recall(self, sources: Sequence[Source]) -> Mapping[str, ModuleFacts]:
        """Nothing."""
        return {}

    def keep(self, sources: Sequence[Source], facts: Mapping[str, ModuleFacts], *, write: bool) -> None:
        """Do nothing."""

    def held(self, make: Callable[[], Held]) -> Held:
        """Make it."""
        return make()

    def recorded(self, about: str, packages: Collection[str]) -> None:
        """Nothing."""

    def record(self, about: str, packages: Collection[str], paths: Sequence[str], write: Writing) -> None:
        """Do nothing."""


def extracted(
    sources: Sequence[Source], memory: Memory, team: Team, done: Callable[[int], None]
) -> tuple[list[ModuleFacts], list[Failure]]:
    """The facts of each source that can be read, in order, and why the others cannot.

    Who has read all of them goes on as a team. What is remembered, though, is looked up by one alone: the file that it
    is in may change meanwhile.
    """
    known = memory.recall(sources)
    new = [source for source in sources if source.path not in known]
    sizes = [source.size for source in new]
    together = team.gather if known else team.spread
    answers = together(sizes, lambda number: read(new[number]), lambda count: done(len(known) + count), _WIRE)
    facts = {found.path: found for found in answers if isinstance(found, ModuleFacts)}
    memory.keep(new, facts, write=team.leads)
    found = {**known, **facts}
    modules = [found[source.path] for source in sources if source.path in found]
    return modules, [answer for answer in answers if isinstance(answer, Failure)]


def read(source: Source) -> ModuleFacts | Failure:
    """The facts of one source, or why it cannot be read."""
    from gradlint.model.extract import followed  # heavy, and a run without new files does without it

    try:
        return followed(source)
    except SourceError as error:
        return failure_of(error)


def failure_of(error: SourceError) -> Failure:
    """A source error as a run reports it."""
    return Failure(error.path, error.line, error.column, error.message)


def _sent(answer: ModuleFacts | Failure) -> object:
    return packed(answer) if isinstance(answer, ModuleFacts) else answer


def _received(answer: bytes | Failure) -> ModuleFacts | Failure:
    return unpacked(answer) if isinstance(answer, bytes) else answer


_WIRE = Wire(_sent, _received)
