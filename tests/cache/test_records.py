"""A record of a run is used by the next process where it holds, and by no other; what it says is the truth."""

import io
import marshal
import pickle
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gradlint import engine
from gradlint.cache import facts as facts_of
from gradlint.cache import parts, store
from gradlint.cache.facts import Facts
from gradlint.finding import Finding, Note
from gradlint.project import Names, Project
from gradlint.rule import Rule
from gradlint.source import Source

FILES = {
    "main.py": "from model import one\none()\n",
    "model.py": "def one():\n    return 1\n",
    "other.py": "def two():\n    return 2\n",
}
NOT_ASKED: list[str] = []
NO_NAMES = Names()
Ask = Callable[..., list[str]]


def sources(**changed: str) -> list[Source]:
    return [
        Source(*file) for file in sorted({**FILES, **{f"{name}.py": text for name, text in changed.items()}}.items())
    ]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Runs as of a new process; the modules that are asked about, in which each call has a finding."""

    def run(
        code: str = "XY101", names: Names = NO_NAMES, scope: str = "", memory: Facts | None = None, **changed: str
    ) -> list[str]:
        asked: list[str] = []

        def calls(project: Project) -> Iterator[Finding]:
            asked.extend(module.path for module in project.modules)
            for function in project.functions():
                callers = [edge.caller for edge in project.calls.callers.get(function, ())]
                notes = tuple(Note(caller.place(caller.facts.at), "a caller") for caller in callers)
                if notes:
                    yield Finding(function.place(function.facts.at), function.name, "it is called", notes)

        rules = [Rule(code, "calls", "error", "0", "Page.", "gradlint.none", calls)]
        texts = sources(**changed)
        found = engine.run(texts, rules, names, memory=memory or Facts(str(tmp_path), scope=scope))
        told = [*asked]
        assert found == engine.run(texts, rules, names)
        assert any(diagnostic.path == "model.py" for diagnostic in found.diagnostics) == ("main" not in changed)
        return told

    return run


def stored(folder: Path) -> tuple[bytes, bytes]:
    """The key and the data of the only record."""
    with sqlite3.connect(folder / store.FOLDER / store.FILE) as database:
        ((key, data),) = [row for row in database.execute("SELECT key, data FROM parts") if row[0][:7] == parts.RECORD]
    database.close()
    return key, data


def put(folder: Path, data: bytes) -> None:
    parts.put(str(folder / store.FOLDER / store.FILE), {stored(folder)[0]: data})


def test_a_new_process_asks_only_about_what_may_have_changed(ask: Ask) -> None:
    assert ask() == sorted(FILES)
    assert ask() == NOT_ASKED
    assert ask(other="def two():\n    return 3\n") == ["other.py"]
    assert ask(main="from model import one\n") == ["main.py", "model.py", "other.py"]
    assert ask(new="from model import one\none()\n") == ["main.py", "model.py", "new.py"]


@pytest.mark.parametrize("other", [{"code": "XY102"}, {"names": Names(guards=frozenset({"quiet"}))}, {"scope": "src"}])
def test_a_record_of_something_else_is_not_used(ask: Ask, other: dict[str, object]) -> None:
    for request in ({}, other):
        assert ask(**request) == sorted(FILES)
    for request in ({}, other):
        assert ask(**request) == NOT_ASKED


def test_a_record_of_another_tool_is_not_used(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask() == sorted(FILES)
    monkeypatch.setattr(facts_of, "tool", lambda _: b"another")
    assert ask() == sorted(FILES)
    monkeypatch.setattr(facts_of, "tool", lambda _: None)
    assert [ask(), ask()] == [sorted(FILES)] * 2


def test_a_record_in_another_folder_is_not_used(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask() == sorted(FILES)
    monkeypatch.chdir(tmp_path)
    assert ask() == sorted(FILES)


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return (exec, ("raise SystemExit('run by a cache')",))


def broken(record: bytes) -> Iterator[bytes]:
    """What may stand where a record stood."""
    yield b""
    yield b"rubbish"
    yield record[: len(record) // 2]
    yield record[:-20] + bytes(20)
    file = io.BytesIO(zlib.decompress(record))
    keys, data = marshal.load(file), file.read()
    numbering = pickle.dumps(({path: n + 1 for n, path in enumerate(keys)}, 67))
    for other in (b"", data[:100], data[:-20], pickle.dumps(Harmful()), numbering + pickle.dumps(Harmful()), numbering):
        yield zlib.compress(marshal.dumps(keys) + other)
    yield zlib.compress(marshal.dumps({**keys, "gone.py": bytes(16)}) + data)
    yield zlib.compress(marshal.dumps({"main.py": keys["main.py"]}) + data)
    yield zlib.compress(data)


@pytest.mark.parametrize("number", range(13))
def test_a_broken_record_is_not_used_and_replaced(ask: Ask, tmp_path: Path, number: int) -> None:
    ask()
    put(tmp_path, [*broken(stored(tmp_path)[1])][number])
    assert ask(other="x = 1\n") == sorted(FILES)
    assert ask(other="x = 1\n") == NOT_ASKED


def test_a_record_whose_facts_are_gone_is_not_used(ask: Ask, tmp_path: Path) -> None:
    ask()
    key, _ = stored(tmp_path)
    with sqlite3.connect(tmp_path / store.FOLDER / store.FILE) as database:
        database.execute("DELETE FROM parts WHERE key != ?", (key,))
    database.close()
    assert ask(other="x = 1\n") == sorted(FILES)


def test_two_runs_that_share_a_cache_take_turns(ask: Ask, tmp_path: Path) -> None:
    """The one that ends later leaves its record, whatever it began with."""
    ask()
    before = stored(tmp_path)[1]
    ask(other="x = 1\n")
    between = stored(tmp_path)[1]
    ask(main="x = 1\n")
    for data in (before, between, before):
        put(tmp_path, data)
        ask(other="x = 1\n")
        ask(main="x = 1\n", other="")


def test_without_room_to_write_a_run_goes_on(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise store.CacheError("disk full")

    monkeypatch.setattr(parts, "put", full)
    memory = Facts(str(tmp_path))
    assert ask(memory=memory) == sorted(FILES)
    assert memory.trouble == "disk full"
    monkeypatch.undo()
    assert [ask(), ask()] == [sorted(FILES), []]


def test_few_records_are_kept_and_the_oldest_go(ask: Ask) -> None:
    scopes = [str(number) for number in range(parts.MOST_RECORDS + 1)]
    for scope in scopes:
        assert ask(scope=scope) == sorted(FILES)
    assert [ask(scope=scope) for scope in scopes[1:]] == [NOT_ASKED] * parts.MOST_RECORDS
    assert ask(scope=scopes[0]) == sorted(FILES)


def test_what_a_broken_rule_leaves_is_no_record(tmp_path: Path) -> None:
    def breaks(project: Project) -> Iterator[Finding]:
        yield from ()
        raise ValueError

    for _ in range(2):
        rules = [Rule("XY101", "breaks", "error", "0", "Page.", "gradlint.none", breaks)]
        found = engine.run(sources(), rules, memory=Facts(str(tmp_path)))
        assert [failure.message for failure in found.failures] == [
            "rule XY101 (breaks) failed on main.py: ValueError (and on 2 more)"
        ]
