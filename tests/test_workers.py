"""Work spread over processes comes out as from one, whatever happens to them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gradlint import engine, registry, suppress
from gradlint.cache.facts import Facts
from gradlint.engine import asking, preparing, workers
from gradlint.engine.asking import answers
from gradlint.engine.reading import Forgetful, extracted
from gradlint.engine.workers import Team
from gradlint.finding import Finding
from gradlint.model.packing import PackingError, packed, unpacked
from gradlint.project import Project
from gradlint.rule import Rule
from gradlint.source import Source
from gradlint.testing import cases

Together = Callable[[list[int], Callable[[int], object], int, Callable[[int], None]], Any]
pytestmark = pytest.mark.skipif(not workers.can_fork(), reason="no fork here")

RULES = registry.load(suppress.RULES)
ROOT = Path(__file__).parent.parent
FIXTURES = [
    Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "fixtures").rglob("*.py"))
]


def nobody(done: int) -> None:
    """Hears of progress, and forgets it."""


@pytest.fixture(params=[Team.spread, Team.gather])
def together(request: pytest.FixtureRequest) -> Together:
    """Has tasks done by a team, whether the others are to go on with the answers or not."""
    share = request.param

    def do_together(sizes: list[int], do: Callable[[int], object], jobs: int, done: Callable[[int], None]) -> object:
        with Team(jobs) as team:
            return share(team, sizes, do, done)

    return do_together


@pytest.mark.parametrize("jobs", [1, 2, 3, 7])
@pytest.mark.parametrize("sizes", [[], [1], [0, 0], [5, 1, 1, 1, 1, 9, 2], [1] * 40])
def test_answers_come_in_order_and_every_task_is_done_once(sizes: list[int], jobs: int, together: Together) -> None:
    heard: list[int] = []
    assert together(sizes, lambda number: number * number, jobs, heard.append) == [n * n for n in range(len(sizes))]
    assert heard == sorted(heard)
    assert heard[-1:] == [len(sizes)][: len(heard)]
    assert not workers._alive


class Meeting:
    """Two tasks that wait for each other, so that one process alone would wait forever; each tells its process."""

    def __init__(self) -> None:
        self._ends = [os.pipe(), os.pipe()]

    def __call__(self, number: int) -> int:
        os.write(self._ends[number][1], b"x")
        os.read(self._ends[1 - number][0], 1)
        return os.getpid()


def test_several_processes_take_part(together: Together) -> None:
    assert len(set(together([1, 1], Meeting(), 2, nobody))) == 2


def test_everybody_goes_on_with_all_answers_and_with_what_it_has_worked_out_itself() -> None:
    meetings, mine = [Meeting(), Meeting()], []

    def first(number: int) -> int:
        mine.append(number)
        return meetings[0](number)

    with Team(2) as team:
        processes = team.spread([1, 1], first, nobody)
        told = team.gather([1, 1], lambda number: (meetings[1](number), mine, processes), nobody)
    assert [process for process, _, _ in told] == processes
    assert [found for _, found, _ in told] == [[0], [1]]
    assert [everybody for _, _, everybody in told] == [processes, processes]


def test_a_team_that_has_ended_may_be_formed_anew() -> None:
    with Team(2) as team:
        before, after = (team.gather([1, 1], Meeting(), nobody) for _ in range(2))
        assert team.alone
    assert before[0] == after[0] == os.getpid()
    assert before[1] != after[1]


@pytest.mark.parametrize("death", [lambda: os._exit(3), lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: 1 / 0])
def test_what_a_worker_does_not_answer_is_done_here(death: Callable[[], object], together: Together) -> None:
    parent = os.getpid()

    def do(number: int) -> int:
        if os.getpid() != parent:
            death()
        return number

    assert together([1] * 20, do, 3, nobody) == list(range(20))
    assert not workers._alive


def test_who_dies_between_two_pieces_of_work_is_not_waited_for() -> None:
    parent = os.getpid()
    with Team(3) as team:
        team.spread([1] * 3, lambda number: number, nobody)
        if os.getpid() != parent:
            os._exit(3)
        assert team.spread([1] * 20, lambda number: number, nobody) == list(range(20))
    assert not workers._alive


def test_who_thinks_that_there_is_other_work_is_not_listened_to() -> None:
    parent, meeting = os.getpid(), Meeting()
    with Team(2) as team:
        team.spread([1, 1], meeting, nobody)
        is_other = os.getpid() != parent
        assert team.spread([2, 1] if is_other else [1, 1], lambda number: is_other, nobody) == [False, False]
    assert not workers._alive


def test_what_a_task_raises_is_raised_here_and_no_worker_is_left(together: Together) -> None:
    def do(number: int) -> int:
        raise KeyError(number)

    with pytest.raises(KeyError):
        together([1] * 20, do, 3, nobody)
    assert not workers._alive


def test_without_room_for_more_processes_one_does_all(monkeypatch: pytest.MonkeyPatch, together: Together) -> None:
    fork, forked = os.fork, iter([True, False])

    def once() -> int:
        if not next(forked):
            raise BlockingIOError
        return fork()

    monkeypatch.setattr(os, "fork", once)
    assert together([1] * 20, lambda number: number, 3, nobody) == list(range(20))
    assert not workers._alive


def test_an_interrupt_ends_every_process(tmp_path: Path) -> None:
    script = """
import pathlib, time
from gradlint.engine.room import with_room
from gradlint.engine.workers import Team
def do(number):
    pathlib.Path(f"begun-{number}").touch()
    time.sleep(600)
with_room(lambda: Team(2).spread([1, 1], do, lambda done: None))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    while len([*tmp_path.iterdir()]) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)  # to this process alone; a terminal would send it to all
    process.communicate(timeout=60)  # comes back when the last one has closed its output
    assert process.returncode != 0


def test_when_the_first_process_is_killed_the_others_end_with_their_tasks(tmp_path: Path) -> None:
    script = """
import os, pathlib, time
from gradlint.engine.workers import Team
def do(number):
    pathlib.Path(f"begun-{number}").touch()
    time.sleep(600 if os.getpid() == first else 0.2)
first = os.getpid()
Team(2).spread([1] * 1000, do, lambda done: None)
"""
    process = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE)
    while len([*tmp_path.iterdir()]) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=60)  # comes back when the last one has closed its output


def test_what_has_been_read_together_is_gone_on_with_together_unless_some_of_it_was_known(tmp_path: Path) -> None:
    memory = Facts(str(tmp_path))
    with Team(2) as team:
        extracted(FIXTURES, memory, team, nobody)
        if team.leads:
            assert not team.alone
        changed = [Source(source.path, f"{source.text}\n") for source in FIXTURES[1:]]
        extracted([FIXTURES[0], *changed], memory, team, nobody)
        assert team.alone
    assert not workers._alive


@pytest.mark.parametrize("worth_it", [0, 10**9])
@pytest.mark.parametrize("jobs", [2, 3])
def test_an_outcome_is_that_of_one_process(jobs: int, worth_it: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "_WORTH_IT", worth_it)
    sources = [*FIXTURES, Source("broken.py", "def (:\n"), Source("empty.py", "")]
    once = engine.run(sources, RULES)
    assert once.diagnostics
    assert once.failures
    assert engine.run(sources, RULES, jobs=jobs) == once


def test_a_broken_rule_is_reported_as_in_one_process() -> None:
    def breaks(project: Project) -> Iterator[Finding]:
        for function in project.functions():
            if 1 / (len(function.facts.calls) - 2):
                yield Finding(function.place(function.facts.at), function.name, "?")

    rules = [
        Rule("XY101", "breaks", "error", "0", "Page.", module, breaks)
        for module in ("gradlint_rules.none", "house_rules.none")
    ]
    for rule in rules:
        once = engine.run(FIXTURES, [*RULES[:3], rule])
        assert any("XY101" in failure.message for failure in once.failures)
        assert engine.run(FIXTURES, [*RULES[:3], rule], jobs=2) == once


def test_every_rule_says_of_each_module_what_it_says_of_all() -> None:
    """What lets processes share the work, and a hook check some files only."""
    for files in [FIXTURES, *([Source(f.path, f.text) for f in case.files] for rule in RULES for case in cases(rule))]:
        texts = {source.path: source for source in files}
        modules, _ = extracted(files, Forgetful(), Team(1), nobody)
        whole = answers(Project(modules), RULES, texts, texts, Team(1), nobody).found
        project = Project(modules)
        apart = [
            (rule.code, found)
            for module in reversed(project.modules)
            for rule, found in answers(project, RULES, texts, [module.path], Team(1), nobody).found
            if found.place.path == module.path
        ]
        assert sorted(map(repr, apart)) == sorted(repr((rule.code, found)) for rule, found in whole)


def test_facts_are_the_same_after_packing() -> None:
    files = [*FIXTURES, *(Source(f.path, f.text) for rule in RULES for case in cases(rule) for f in case.files)]
    odd = Source("odd.py", "a = (1j, ..., None, b'\\xff', '\\ud800', 10**99, -0.0)\n")
    for module in extracted([*files, odd], Forgetful(), Team(1), nobody)[0]:
        assert unpacked(packed(module)) == module


@pytest.mark.parametrize(
    "data", [b"", b"nonsense", b"cos\nsystem\n(S'true'\ntR.", b"\x80\x05N.", b"\x80\x05]\x94.", b"\x80\x05\x8c\x03abc"]
)
def test_other_bytes_are_no_facts(data: bytes) -> None:
    with pytest.raises(PackingError):
        unpacked(data)


def test_what_is_asked_in_parts_is_what_is_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = engine.run(FIXTURES, RULES)
    monkeypatch.setattr(asking, "_LARGEST", 1)
    assert engine.run(FIXTURES, RULES) == at_once
