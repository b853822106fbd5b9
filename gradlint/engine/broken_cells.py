"""Notebooks with cells that cannot be parsed: the others are read all the same, as IPython runs them all the same."""

from collections.abc import Iterator, Mapping, Sequence

from gradlint.diagnostic import Failure
from gradlint.engine.reading import Memory, read
from gradlint.model.facts import ModuleFacts
from gradlint.model.record import answer
from gradlint.notebook import cells, without
from gradlint.source import Source


@answer
class Readable:
    """What can be read of a run's sources: texts by path, facts in the order of those, and why there is no more."""

    texts: Mapping[str, Source]
    modules: Sequence[ModuleFacts]
    failures: Sequence[Failure]


def with_other_cells(found: Readable, memory: Memory, *, write: bool) -> Readable:
    """The same with notebooks that failed, less the cells that are to blame, each of which is a failure.

    ``write`` tells whether ``memory`` is to write what is read for other processes.
    """
    notebooks = (found.texts[failure.path] for failure in found.failures)
    failed = {source.path: source for source in notebooks if source.notebook is not None}
    parts = {path: part for path, source in failed.items() if (part := _part(source)) is not None}
    if not parts:
        return found
    facts = {path: module for path, part in parts.items() for module in part.modules}
    memory.keep([part.texts[path] for path, part in parts.items()], facts, write=write)
    known = {**{module.path: module for module in found.modules}, **facts}
    return Readable(
        {path: parts[path].texts[path] if path in parts else source for path, source in found.texts.items()},
        [known[path] for path in found.texts if path in known],
        [failure for failure in found.failures if failure.path not in parts]
        + [failure for part in parts.values() for failure in part.failures],
    )


def _part(source: Source) -> Readable | None:
    """What can be read of one notebook; None if it is not single cells that are to blame."""
    blamed = dict(_blamed(source))
    rest = without(source, blamed)
    answer = read(rest) if blamed else None
    return Readable({source.path: rest}, [answer], [*blamed.values()]) if isinstance(answer, ModuleFacts) else None


def _blamed(source: Source) -> Iterator[tuple[int, Failure]]:
    """The numbers of the cells that cannot be read alone, with the reason."""
    for cell in cells(source):
        answer = read(Source(source.path, "\n" * cell.before + cell.code))
        if isinstance(answer, Failure):
            yield cell.number, answer
