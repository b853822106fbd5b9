"""What is equal in the facts of several modules is one object, and sharing makes nothing equal that is not."""

import gc

import pytest

from gradlint.model import sharing
from gradlint.model.code import Attribute, Call, Constant, Name
from gradlint.model.extract import extract, extract_with_libcst
from gradlint.model.facts import ModuleFacts
from gradlint.model.sharing import NUMBERS, shared
from gradlint.source import Source

_LONG = "def step(model, batch):\n" + "".join(f"    x{n} = model.run(batch.first, 'a word{n}')\n" for n in range(90))
_READERS = [extract, extract_with_libcst]


def facts(text: str, libcst: bool = False) -> ModuleFacts:
    return _READERS[libcst](Source("a.py", text))


def parts(found: ModuleFacts) -> list[object]:
    """All that a module's facts are made of."""
    seen: dict[int, object] = {}
    pending: list[object] = [found]
    while pending:
        part = pending.pop()
        if id(part) not in seen and not isinstance(part, type):
            seen[id(part)] = part
            pending.extend(gc.get_referents(part))
    return [*seen.values()]


@pytest.mark.parametrize("libcst", [False, True])
def test_the_same_number_is_one_object_in_all_modules(libcst: bool) -> None:
    first, second = facts(_LONG, libcst), facts(f"import torch\n{_LONG}", libcst)
    for found in (first, second):
        numbers = [part.at for part in parts(found) if isinstance(part, Name | Attribute | Constant | Call)]
        assert max(numbers) > 600  # Python itself has one object only for numbers up to 256
        assert all(number is NUMBERS[number] for number in numbers)


@pytest.mark.parametrize("libcst", [False, True])
def test_names_and_sets_of_names_are_one_object_in_all_modules(libcst: bool) -> None:
    first, second = facts(_LONG, libcst), facts(f"import torch\n{_LONG}", libcst)
    one, other = first.functions[1], second.functions[1]
    assert one.local is other.local
    assert one.words is other.words
    assert one.shared is other.shared is first.body.shared
    for call, same in zip(one.calls, other.calls, strict=True):
        assert call.callee == "model.run"
        assert call.callee is same.callee
        assert call.handed == ("batch.first",)
        assert call.handed is same.handed
    words = {part.value for part in parts(first) if isinstance(part, Constant)}
    assert len(words) == 90
    assert all(word is shared(str(word)) for word in words)


def test_what_is_shared_is_what_it_was() -> None:
    words = ["a", "b", "ab", "('a',)"]
    groups = [(), ("a",), ("a", "b"), ("b", "a"), ("ab",)]
    assert [shared(word) for word in words] == words
    assert [shared(group) for group in groups] == groups
    assert [shared(frozenset(group)) for group in groups] == [frozenset(group) for group in groups]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[object, object] = {}
    monkeypatch.setattr(sharing, "_known", known)
    monkeypatch.setattr(sharing, "_MOST", 10)
    for number in range(1000):
        assert shared(f"word{number}") == f"word{number}"
        assert len(known) <= 10
