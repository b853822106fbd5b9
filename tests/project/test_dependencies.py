"""Results know what they depend on: each read of a module's facts is noted, or a later edit would not be seen."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MemberDescriptorType

import pytest

from gradlint import registry
from gradlint.finding import Finding
from gradlint.model.extract import extract
from gradlint.project import Project
from gradlint.project.linking.dependencies import Dependencies
from gradlint.project.linking.files import unnumbered
from gradlint.project.linking.memos import Memo, Table, Whole
from gradlint.project.linking.nodes import ClassNode, FunctionNode, ModuleNode
from gradlint.project.linking.views import View
from gradlint.rule import Rule
from gradlint.source import Source
from gradlint.testing import cases

RULES = [rule for rule in registry.load() if not rule.run_only]
ROOT = Path(__file__).parent.parent.parent
FIXTURES = [
    Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "fixtures").rglob("*.py"))
]
EXAMPLES = [[Source(f.path, f.text) for f in case.files] for rule in RULES for case in cases(rule) if case.files[1:]]


@contextmanager
def unnoted(dependencies: Dependencies) -> Iterator[Counter[str]]:
    """The modules whose facts are read, while this is open, by somebody who has not looked at them."""
    found: Counter[str] = Counter()
    slots: dict[type, MemberDescriptorType] = {
        kind: kind.__dict__["facts"] for kind in (ModuleNode, FunctionNode, ClassNode)
    }

    def watched(slot: MemberDescriptorType) -> property:
        def read(node: ModuleNode | FunctionNode | ClassNode) -> object:
            if not dependencies.bits & node.module.bit:
                found[".".join(node.module.parts)] += 1
            return slot.__get__(node)

        return property(read, slot.__set__)

    with pytest.MonkeyPatch.context() as patch:
        for kind, slot in slots.items():
            patch.setattr(kind, "facts", watched(slot))
        yield found


def asked(rule: Rule, project: Project) -> list[Finding]:
    return list(rule.check(project))


def linked(files: Iterable[Source]) -> Project:
    return Project([extract(source) for source in files])


def test_each_read_of_facts_is_noted() -> None:
    for files in (FIXTURES, *EXAMPLES):
        project = linked(files)
        dependencies = project.linker.dependencies
        with unnoted(dependencies) as found:
            for module in reversed(project.modules):
                part = project.about([module])
                for rule in RULES:
                    dependencies.noted(partial(asked, rule, part), module.bit)
                    assert not found, rule.code


def test_a_read_that_is_not_noted_is_seen() -> None:
    project = linked([Source("a.py", "x = 1"), Source("b.py", "y = 2")])
    a, b = project.modules
    with unnoted(project.linker.dependencies) as found:
        project.linker.dependencies.noted(lambda: (a.facts, b.body.facts), a.bit)
    assert found == {"b": 1}


def test_a_result_has_looked_at_what_the_results_it_uses_have_looked_at() -> None:
    project = linked([Source(f"{name}.py", "x = 1") for name in "abc"])
    a, b, c = project.modules
    dependencies = project.linker.dependencies
    inner: Memo[ModuleNode, int] = Memo(dependencies, lambda module: module.bit, 0)
    outer: Memo[ModuleNode, int] = Memo(dependencies, lambda module: inner.of(b) if module is a else 0, 0)
    for _ in range(2):  # worked out, and remembered
        assert dependencies.noted(lambda: outer.of(a), c.bit) == (b.bit, a.bit | b.bit | c.bit)
    assert dependencies.noted(lambda: outer.of(c), 0) == (0, c.bit)


def test_what_depends_on_an_edit_is_worked_out_again_and_nothing_else() -> None:
    project = linked([Source("a.py", "x = 1"), Source("b.py", "x = 1")])
    a, b = project.modules
    worked_out: list[ModuleNode] = []
    memo: Memo[ModuleNode, None] = Memo(project.linker.dependencies, worked_out.append, None)
    for module in (a, b):
        assert memo.of(module) is None
    memo.forget(a.bit)
    for module in (a, b):
        assert memo.of(module) is None
    assert worked_out == [a, b, a]


def test_an_answer_that_stays_the_same_changes_nothing() -> None:
    project = linked([Source("a.py", "x = 1"), Source("b.py", "y = 1")])
    a, _ = project.modules
    dependencies = project.linker.dependencies
    names: Table[str, int] = Table(
        dependencies, "names", lambda: {n: 1 for m in project.modules for n in m.body.facts.local}, lambda _: ()
    )
    count = Whole(dependencies, "count", lambda: len(project.modules[0].body.facts.local))
    (_, x), (_, y), (_, z), (_, size) = (
        dependencies.noted(partial(find, key, 0), 0)
        for find, key in ((names.get, "x"), (names.get, "y"), (names.get, "z"), (lambda *_: count.value, ""))
    )
    changed = project.update([extract(Source("a.py", "z = 1")), project.modules[1].facts])
    assert changed is not None
    assert changed & a.bit
    assert [bool(changed & bits) for bits in (x, y, z, size)] == [True, False, True, False]


def test_who_asked_in_vain_hears_of_an_answer() -> None:
    project = linked([Source("a.py", "def alone(): ..."), Source("b.py", "")])
    a, _ = project.modules
    alone = a.functions[1]
    callers, bits = project.linker.dependencies.noted(lambda: project.calls.callers.get(alone, []), a.bit)
    assert callers == []
    assert (project.update([a.facts, extract(Source("b.py", "import a\na.alone()"))]) or 0) & bits
    assert [edge.caller.module.path for edge in project.calls.callers.get(alone, [])] == ["b.py"]


def test_who_asked_for_a_word_hears_of_its_first_use_elsewhere() -> None:
    project = linked([Source("a.py", "x = 1"), Source("b.py", "y = 1"), Source("c.py", "x = 1")])
    dependencies, mentions = project.linker.dependencies, project.linker.mentions
    uses = [
        dependencies.noted(partial(lambda word: [f.module.path for f in mentions.of(word)], word), 0)
        for word in ("seek", "find")
    ]
    assert [found for found, _ in uses] == [[], []]
    changed = project.update([extract(Source("a.py", "seek()")), *(m.facts for m in project.modules[1:])])
    assert changed is not None
    assert [bool(changed & bits) for _, bits in uses] == [True, False]
    assert [f.module.path for f in mentions.of("seek")] == ["a.py"]


def test_words_are_found_alike_one_by_one_and_all_at_once_and_anew_after_an_edit() -> None:
    words = [f"word{number}" for number in range(20)]
    text = "\n".join(f"def f{number}(): {word}(); {words[number - 1]}()" for number, word in enumerate(words))
    project = linked([Source("a.py", text), Source("b.py", f"{words[0]}()\n{words[-1]}()")])
    mentions = project.linker.mentions

    def found(word: str) -> list[str]:
        return [f"{function.module.path}:{function.name}" for function in mentions.of(word)]

    assert found(words[0]) == ["a.py:f0", "a.py:f1", "b.py:<module>"]  # looked for alone
    assert [found(word) for word in words[1:-1]] == [[f"a.py:f{n}", f"a.py:f{n + 1}"] for n in range(1, 19)]
    assert found(words[-1]) == ["a.py:f0", "a.py:f19", "b.py:<module>"]  # out of all words
    project.update([project.modules[0].facts, extract(Source("b.py", "other()"))])
    assert not any(found(f"none{number}") for number in range(10))
    assert [found(word) for word in (words[-1], "other")] == [["a.py:f0", "a.py:f19"], ["b.py:<module>"]]


def test_who_looks_through_a_view_hears_only_of_another_answer() -> None:
    project = linked([Source("a.py", "x = 1"), Source("b.py", "y = 1")])
    a, b = project.modules
    dependencies = project.linker.dependencies
    names: View[ModuleNode, frozenset[str]] = View(
        dependencies, "names", lambda module: module.body.facts.local, lambda _: ()
    )
    found, bits = dependencies.noted(lambda: names.of(b), a.bit)
    assert found == {"y"}
    told = []
    for text in ("y = 2", "z = 2", "z = 3"):
        changed = project.update([a.facts, extract(Source("b.py", text))])
        assert changed is not None
        told.append(bool(changed & bits & ~b.bit))
        assert names.of(project.modules[1]) == {text[0]}
    assert told == [False, False, False]  # a module that has changed is looked at itself
    sizes: View[ModuleNode, int] = View(
        dependencies, "sizes", lambda _: len(names.of(project.modules[1])), lambda _: ()
    )
    seen, bits = dependencies.noted(lambda: sizes.of(a), 0)
    assert seen == 1
    for text, is_new in (("w = 1", False), ("w = v = 1", True), ("v = w = 2", False)):
        changed = project.update([a.facts, extract(Source("b.py", text))])
        assert changed is not None
        assert bool(changed & bits) == is_new
    assert sizes.of(a) == 2


def test_what_rests_on_an_answer_that_rests_on_another_of_its_view_is_found_anew_before_tables_are() -> None:
    project = linked([Source(f"{name}.py", "x = 1") for name in "abc"])
    a, b, _ = project.modules
    dependencies = project.linker.dependencies
    counts: View[ModuleNode, int] = View(
        dependencies, "counts", lambda node: counts.of(b) if node is a else len(_last(project)), lambda _: ()
    )
    doubled: Memo[str, int] = Memo(dependencies, lambda _: 2 * counts.of(a), 0)
    whole = Whole(dependencies, "whole", lambda: doubled.of(""))
    _, bits = dependencies.noted(lambda: whole.value, 0)
    assert whole.value == 2
    changed = project.update([a.facts, b.facts, extract(Source("c.py", "x = y = 1"))])
    assert changed is not None
    assert changed & bits
    assert whole.value == 4


def _last(project: Project) -> frozenset[str]:
    """The names of the last module's body, which is thereby looked at."""
    module = project.modules[-1]
    project.linker.dependencies.bits |= module.bit
    return module.body.facts.local


def test_a_project_that_notes_nothing_cannot_go_on_after_edits() -> None:
    modules = [extract(source) for source in EXAMPLES[0]]
    project = Project(modules, numbering=unnumbered(modules))
    for rule in RULES:
        list(rule.check(project))
    assert not any(project.linker.dependencies.asked.values())
    assert project.update(modules[1:]) is None


def test_the_bit_of_a_question_is_one_object() -> None:
    dependencies = linked([Source("a.py", "x = 1")]).linker.dependencies
    bits = {dependencies.question("callers", f"name{number}") for number in range(20_000)}
    assert len(bits) > 1500
    for number in range(20_000):
        assert dependencies.question("callers", f"name{number}") in bits
    assert len({id(dependencies.question("callers", f"name{number}")) for number in range(20_000)}) == len(bits)


def test_what_is_left_is_worked_out_again_as_it_was() -> None:
    for files in (FIXTURES, *EXAMPLES):
        project = linked(files)
        before = [asked(rule, project) for rule in RULES]
        project.leave()
        assert not project.flows._done
        assert [asked(rule, project) for rule in RULES] == before


def test_what_is_left_is_not_what_other_processes_go_on_with() -> None:
    project = linked([Source("a.py", "from b import f\nf()\n"), Source("b.py", "def f(): ...\n")])
    for rule in RULES:
        asked(rule, project)
    before = project.linker.dependencies.results
    assert any(before.found.memos.values())
    project.leave()
    assert project.linker.dependencies.results == before


def test_what_depends_on_the_same_and_is_nothing_is_one_object() -> None:
    project = linked([Source("a.py", "x = 1"), Source("b.py", "x = 1")])
    a, b = project.modules
    dependencies = project.linker.dependencies
    memo: Memo[tuple[ModuleNode, int], None] = Memo(dependencies, lambda _: None, None)
    table: Table[tuple[ModuleNode, int], int] = Table(dependencies, "some", dict, lambda _: ())
    for module in (a, b):
        for number in range(50):
            assert dependencies.noted(partial(memo.of, (module, number)), 0) == (None, module.bit)
            assert table.get((module, number), 7) == 7
    assert len({id(known) for known in memo.known.values()}) == 2
    asked = {dependencies.question("some", (module, number)) for module in (a, b) for number in range(50)}
    assert len({id(known) for known in table._known.values()}) == len(asked)
    assert set(table._known.values()) == {(None, bits) for bits in asked}
