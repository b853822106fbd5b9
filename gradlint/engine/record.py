"""What rules said of a project, kept with all that was worked out for it, so that a later process asks little again.

A record goes with the facts of its modules. The process that finds one goes on as if it had been there: the modules
of then are linked, what was known of them is known again, and what has changed since is an edit.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from gradlint.engine.asking import Known, Said
from gradlint.engine.placing import Located
from gradlint.engine.reading import Memory
from gradlint.model.facts import ModuleFacts
from gradlint.model.record import answer
from gradlint.project import Names, Project
from gradlint.project.snapshot import Numbers, SnapshotError, restored, take
from gradlint.rule import Rule
from gradlint.source import Source


@answer
class Record:
    """A project, what rules said of it, and where the places of that are, by path."""

    project: Project
    known: Known
    places: dict[str, Located]


def record(names: Names, rules: Sequence[Rule], found: Record, memory: Memory) -> None:
    """Leave a record of a project for other processes."""
    paths = [module.path for module in found.project.modules]
    spans = {path: located.spans for path, located in found.places.items()}
    try:
        memory.record(
            *_about(names, rules), paths, lambda into: take(found.project, (*_portable(found.known), spans), into)
        )
    except SnapshotError:
        return  # a rule said what cannot be kept


def recorded(
    names: Names, rules: Sequence[Rule], modules: Sequence[ModuleFacts], texts: Mapping[str, Source], memory: Memory
) -> Record | None:
    """The record of a project that was much like these modules; None if there is none that can be used."""
    found = memory.recorded(*_about(names, rules))
    if found is None:
        return None
    data, before = found
    same = {facts.path for facts, now in _together(before, modules) if facts is now}  # then the texts are, too
    if 2 * len(same) < max(len(before), len(modules)):
        return None  # it is quicker to begin anew
    try:
        project, (said, numbers, of_all, spans) = restored(data, before, names)
        places = {path: Located(texts[path].text, spans[path]) for path in spans if path in same}
        return Record(project, Known(_known(said, numbers), of_all), places)
    except (SnapshotError, ValueError, TypeError, IndexError, KeyError):
        return None


def _about(names: Names, rules: Sequence[Rule]) -> tuple[str, Collection[str]]:
    """What a record is about, besides modules, and the packages whose code it depends on."""
    settings = [sorted(each) for each in (names.guards, names.models, names.inference_functions)]
    asked = [(rule.code, rule.module, rule.name) for rule in rules]
    return repr((settings, asked)), {rule.module.partition(".")[0] for rule in rules}


def _together(
    before: Sequence[ModuleFacts], now: Sequence[ModuleFacts]
) -> Iterator[tuple[ModuleFacts, ModuleFacts | None]]:
    by_path = {facts.path: facts for facts in now}
    return ((facts, by_path.get(facts.path)) for facts in before)


def _portable(known: Known) -> tuple[object, ...]:
    """What is known, such that it can be pickled quickly; the same numbers stand for most of it."""
    numbers = Numbers()
    said = [
        (path, [*each], [one.answer for one in each.values()], [numbers.place(one.bits) for one in each.values()])
        for path, each in known.of_modules.items()
    ]
    return said, numbers.all, known.of_all


def _known(said: Sequence[Any], numbers: Sequence[int]) -> dict[str, dict[str, Said]]:
    return {
        path: {code: Said(answer, numbers[place]) for code, answer, place in zip(codes, answers, places, strict=True)}
        for path, codes, answers, places in said
    }
