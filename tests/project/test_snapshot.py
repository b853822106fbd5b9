"""What one process has worked out of a project, another one knows."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from gradlint.engine import preparing, workers
from gradlint.engine.preparing import prepare
from gradlint.engine.reading import Forgetful, extracted
from gradlint.engine.workers import Team
from gradlint.project import FunctionNode, Project, snapshot
from gradlint.project.linking.files import unnumbered
from gradlint.project.linking.nodes import ClassNode
from tests.test_workers import FIXTURES, nobody

FACTS = extracted(FIXTURES, Forgetful(), Team(1), nobody)[0]
TEXTS = {source.path: source for source in FIXTURES}


def numbered() -> Project:
    return Project(FACTS)


def without_numbers() -> Project:
    return Project(FACTS, numbering=unnumbered(FACTS))


def prepared(project: Project) -> Project:
    for preparation in project.preparations:
        for module in project.modules:
            preparation(module)
    return project


def results(project: Project) -> Mapping[str, Mapping[str, str]]:
    """What memos know, and what that depends on, such that it can be compared with that of another project."""
    found = project.linker.dependencies.results.found
    assert {"edges", "walked", "held", "decorators", "like a module"} <= found.memos.keys()
    return {
        name: {_told(key): repr(_ordered(known)) for key, known in each.items()} for name, each in found.memos.items()
    }


def _ordered(known: object) -> object:
    """The same whatever order its sets have, which is another one in a copy that was sent."""
    if isinstance(known, tuple):
        return tuple(map(_ordered, known))
    return sorted(map(repr, known)) if isinstance(known, frozenset) else known


def _told(key: Any) -> str:
    return f"{key!r} {key.facts.index}" if isinstance(key, FunctionNode | ClassNode) else repr(key)


@pytest.mark.parametrize("made", [numbered, without_numbers])
def test_what_is_prepared_in_one_process_is_known_in_another(made: Callable[[], Project]) -> None:
    one, other = prepared(made()), made()
    assert not any(map(other.is_prepared, other.modules))
    snapshot.hear(other, snapshot.news(one))
    assert all(map(other.is_prepared, other.modules))
    assert results(other) == results(one)
    assert other.linker.dependencies.asked == one.linker.dependencies.asked
    edges = [
        edge for module in other.modules for function in module.functions for edge in other.calls.edges_of(function)
    ]
    assert {edge.callee.module for edge in edges} <= {*other.modules}  # and none of ``one``
    assert len({edge.callee.module for edge in edges}) > 5


def test_news_are_told_once() -> None:
    project = prepared(numbered())
    first = project.linker.dependencies.news()
    assert len(first.memos["edges"]) == sum(len(module.functions) for module in project.modules)
    again = project.linker.dependencies.news()
    assert (again.memos, again.views) == ({}, {})


def test_what_was_forgotten_and_is_worked_out_again_is_no_reason_to_tell_the_rest_again() -> None:
    project = prepared(numbered())
    project.linker.dependencies.news()
    changed = project.modules[0]
    project.calls._edges_of.forget(changed.bit)
    gone = [f for module in project.modules for f in module.functions if f not in project.calls._edges_of]
    assert gone
    for function in gone:
        project.calls.edges_of(function)
    assert [*project.linker.dependencies.news().memos["edges"]] == gone


@pytest.mark.skipif(not workers.can_fork(), reason="no fork here")
@pytest.mark.parametrize("made", [numbered, without_numbers])
def test_several_processes_find_out_what_one_would(
    made: Callable[[], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "_WORTH_IT", 0)
    project = made()
    with Team(3) as team:
        prepare(project, TEXTS, team)
    alone = prepared(made())
    assert results(project) == results(alone)
    assert project.linker.dependencies.asked == alone.linker.dependencies.asked


@pytest.mark.parametrize("jobs", [1, 3])
def test_little_is_found_out_when_somebody_asks(jobs: int) -> None:
    project = numbered()
    prepare(project, TEXTS, Team(jobs))
    assert not any(map(project.is_prepared, project.modules))
