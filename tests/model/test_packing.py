"""Bodies are packed apart from the other facts of a function, and made when somebody first asks for them."""

import pytest

from gradlint.model.extract import extract
from gradlint.model.facts import Function, ModuleFacts
from gradlint.model.packing import PackingError, packed, unpacked
from gradlint.source import Source

TEXT = """\
def double(x):
    return 2 * x
class Base:
    def forward(self, x):
        raise NotImplementedError
    def log(self):
        "Nobody listens."
    def items(self):
        yield 1
"""


def facts() -> ModuleFacts:
    return extract(Source("a.py", TEXT))


def function(name: str, module: ModuleFacts) -> Function:
    (found,) = (each for each in module.functions if each.name == name)
    return found


def test_a_body_is_unpacked_when_it_is_asked_for() -> None:
    read = facts()
    found, before = function("double", unpacked(packed(read))), function("double", read)
    assert found.words == before.words
    with pytest.raises(AttributeError):
        object.__getattribute__(found, "body")
    assert found.body == before.body
    assert object.__getattribute__(found, "body") is found.body


def test_a_body_is_made_once() -> None:
    found, made = function("double", facts()), []

    def make() -> tuple[()]:
        made.append("a body")
        return ()

    found.put_body_off(make)
    assert not made
    assert found.body is found.body == ()
    assert made == ["a body"]


def test_a_body_that_is_none_is_an_error_where_it_is_asked_for() -> None:
    data = packed(facts())
    begins = data.index(b"\x80\x05", 2)  # the first body, a pickle of its own
    broken = unpacked(data[:begins] + b"\x80\x05N." + data[begins + 4 :])
    with pytest.raises(PackingError):
        print([each.body for each in broken.functions])


def test_other_attributes_are_missed_as_ever() -> None:
    found = unpacked(packed(facts())).functions[0]
    with pytest.raises(AttributeError, match="Function has no attribute bodies"):
        getattr(found, "bodies")  # noqa: B009  # type checkers see that there is none


@pytest.mark.parametrize(
    ("name", "gives_back", "is_stub"),
    [("double", True, False), ("forward", False, True), ("log", False, True), ("items", True, False)],
)
def test_what_is_known_without_a_body(name: str, gives_back: bool, is_stub: bool) -> None:
    found = function(name, facts())
    assert (found.gives_back, found.is_stub) == (gives_back, is_stub)
