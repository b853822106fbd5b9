"""Facts of files come back as they were read, for the same text only."""

import random
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradlint import engine, registry, suppress
from gradlint.cache import facts as facts_of
from gradlint.cache import parts, store
from gradlint.cache.facts import Facts
from gradlint.finding import Finding
from gradlint.model.extract import extract
from gradlint.project import Project
from gradlint.rule import Rule
from gradlint.source import Source

RULES = registry.load(suppress.RULES)
ROOT = Path(__file__).parent.parent.parent
FIXTURES = [
    Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "fixtures").rglob("*.py"))
]


@pytest.fixture(params=["held", "stored"])
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> Facts:
    return Facts(None, hold=True) if request.param == "held" else Facts(str(tmp_path))


def learn(memory: Facts, *sources: Source) -> None:
    memory.keep(sources, {source.path: extract(source) for source in sources}, write=True)


def test_what_was_read_is_known(memory: Facts) -> None:
    assert memory.recall(FIXTURES) == {}
    learn(memory, *FIXTURES)
    assert memory.recall(FIXTURES) == {source.path: extract(source) for source in FIXTURES}


def test_a_process_that_is_not_to_write_remembers_for_itself_alone(tmp_path: Path) -> None:
    memory = Facts(str(tmp_path), hold=True)
    memory.keep(FIXTURES, {source.path: extract(source) for source in FIXTURES}, write=False)
    assert memory.recall(FIXTURES).keys() == {source.path for source in FIXTURES}
    assert Facts(str(tmp_path)).recall(FIXTURES) == {}
    assert not [*tmp_path.iterdir()]


def test_a_record_is_of_no_use_where_no_source_is_known(tmp_path: Path) -> None:
    memory = Facts(str(tmp_path))
    memory.recall(FIXTURES)
    learn(memory, *FIXTURES)
    memory.record("all", (), [source.path for source in FIXTURES], lambda into: into.write(b"found"))
    same, others = Facts(str(tmp_path)), Facts(str(tmp_path))
    same.recall(FIXTURES)
    others.recall([Source(source.path, source.text + "\n") for source in FIXTURES])
    assert same.recorded("all", ()) is not None
    assert others.recorded("all", ()) is None


def test_another_text_is_not_known(memory: Facts) -> None:
    learn(memory, Source("a.py", "x = 1\n"))
    assert memory.recall([Source("a.py", "x = 2\n")]) == {}


def test_the_same_text_elsewhere_is_known_under_its_own_path(tmp_path: Path) -> None:
    learn(Facts(str(tmp_path)), Source("a.py", "x = 1\n"))
    found = Facts(str(tmp_path)).recall([Source("b.py", "x = 1\n"), Source("c.py", "x = 1\n")])
    assert [found[path].path for path in ("b.py", "c.py")] == ["b.py", "c.py"]


def test_without_a_folder_nothing_is_written(tmp_path: Path) -> None:
    learn(Facts(None), Source("a.py", "x = 1\n"))
    assert not [*tmp_path.iterdir()]


def test_facts_of_another_reader_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source("a.py", "x = 1\n")
    learn(Facts(str(tmp_path)), source)
    assert Facts(str(tmp_path)).recall([source])
    monkeypatch.setattr(facts_of, "_reader", lambda: b"another")
    assert not Facts(str(tmp_path)).recall([source])


@pytest.mark.parametrize("data", [b"", b"nonsense", b"x\x9c\x03\x00\x00\x00\x00\x01"])
def test_parts_that_are_no_facts_are_read_anew(tmp_path: Path, data: bytes) -> None:
    source = Source("a.py", "x = 1\n")
    learn(Facts(str(tmp_path)), source)
    with sqlite3.connect(tmp_path / store.FOLDER / store.FILE) as database:
        database.execute("UPDATE parts SET data = ?", (data,))
    database.close()
    memory = Facts(str(tmp_path))
    assert memory.recall([source]) == {}
    learn(memory, source)
    assert Facts(str(tmp_path)).recall([source])


def test_a_broken_file_is_named_and_replaced(tmp_path: Path) -> None:
    file = Path(store.prepare(str(tmp_path)))
    file.write_bytes(b"rubbish" * 1000)
    memory = Facts(str(tmp_path))
    assert memory.recall(FIXTURES) == {}
    learn(memory, *FIXTURES)
    assert memory.trouble.endswith("it was replaced")
    assert len(Facts(str(tmp_path)).recall(FIXTURES)) == len(FIXTURES)


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = store.prepare(str(tmp_path))
    monkeypatch.setattr(parts, "MOST_BYTES", 100)
    day = 24 * 60 * 60
    now = time.time()
    for age, key in ((3, b"a"), (2, b"b"), (1, b"c")):
        monkeypatch.setattr(time, "time", lambda age=age: now - age * day)
        parts.put(file, {key: bytes(40)}, used=[b"a"] if key == b"b" else [])
    assert sorted(parts.get(file, [b"a", b"b", b"c"])) == [b"a", b"c"]
    monkeypatch.setattr(time, "time", lambda: now)
    parts.put(file, {b"d": bytes(40)}, used=[b"a"])
    assert sorted(parts.get(file, [b"a", b"b", b"c", b"d"])) == [b"a", b"d"]


def test_nothing_is_analysed_again_while_the_facts_are_the_same() -> None:
    asked: list[int] = []

    def counts(project: Project) -> Iterator[Finding]:
        asked.append(1)
        for function in project.functions():
            yield Finding(function.place(function.facts.calls[0].at), function.name, "a call")

    rules = [Rule("XY101", "counts", "error", "0", "Page.", __name__, counts)]
    memory = Facts(None, hold=True)
    for text, line, times in (("f(1)\n", 1, 1), ("# a comment\nf( 1 )\n", 2, 1), ("f(2)\n", 1, 2), ("f(1)\n", 1, 3)):
        outcome = engine.run([Source("a.py", text)], rules, memory=memory)
        assert ([found.span.line for found in outcome.diagnostics], len(asked)) == ([line], times)


def test_an_outcome_after_any_edits_is_that_of_a_run_without_memory(memory: Facts) -> None:
    chance = random.Random(3)
    sources = {source.path: source for source in FIXTURES}
    for _ in range(6):
        for path in chance.sample(sorted(sources), 2):
            lines = sources[path].text.split("\n")
            at = chance.randrange(len(lines))
            lines[at : at + chance.randrange(3)] = ["# a comment"] * chance.randrange(3)
            sources[path] = Source(path, "\n".join(lines))
        files = [*sources.values()]
        assert engine.run(files, RULES, memory=memory) == engine.run(files, RULES)
