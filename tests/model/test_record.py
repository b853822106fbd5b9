"""Records are made and changed as the standard's dataclasses are."""

import dataclasses
from typing import Any

import pytest

from gradlint.model.record import answer, replace
from gradlint.project.linking.nodes import External
from gradlint.project.questions.scripts import Act
from gradlint.project.running.values import NUMBER, PLAIN, Value


def fields_of(record: Any) -> list[object]:
    """All of them, those too that do not count in comparisons."""
    return [getattr(record, field.name) for field in dataclasses.fields(record)]


@pytest.mark.parametrize(
    ("record", "changes"),
    [
        (Value("tensor", tensor=PLAIN, born=3), {"kind": "unknown", "items": (NUMBER,)}),
        (Value("tensor", born=3), {}),
        (Act("step", 1, "optimizer"), {"used": True}),  # frozen
        (External("torch.nn"), {"name": "torch"}),
    ],
)
def test_a_changed_copy_is_that_of_the_standard_library(record: object, changes: dict[str, Any]) -> None:
    assert dataclasses.is_dataclass(record)
    assert not isinstance(record, type)
    before = fields_of(record)
    changed, expected = replace(record, **changes), dataclasses.replace(record, **changes)
    assert type(changed) is type(record)
    assert changed == expected
    assert fields_of(changed) == fields_of(expected)
    assert fields_of(record) == before


def test_a_field_that_does_not_exist_is_refused() -> None:
    record: Any = NUMBER
    with pytest.raises(AttributeError):
        replace(record, sort="tensor")


def test_values_are_compared_and_hashed_by_what_counts() -> None:
    assert Value("tensor", born=1) == Value("tensor", born=2) != Value("tensor", tensor=PLAIN)
    assert len({Value("tensor", born=1), Value("tensor", born=2), NUMBER}) == 2


@answer
class Found:
    """An answer as questions give them."""

    name: str
    places: tuple[int, ...] = ()
    cost: float = dataclasses.field(default=0.0, compare=False)
    source: str = dataclasses.field(default="", repr=False)


@dataclasses.dataclass(frozen=True)
class Standard:
    """The same, declared by the standard library."""

    name: str
    places: tuple[int, ...] = ()
    cost: float = dataclasses.field(default=0.0, compare=False)
    source: str = dataclasses.field(default="", repr=False)


MADE: list[tuple[Any, ...]] = [("a",), ("a", (1,)), ("a", (1,), 2.0), ("a", (1,), 3.0, "text"), ("b", (1,))]


def test_answers_are_compared_hashed_and_shown_as_the_standard_library_s() -> None:
    answers, standard = [Found(*each) for each in MADE], [Standard(*each) for each in MADE]
    for one, other in zip(answers, standard, strict=True):
        assert [one == each for each in answers] == [other == each for each in standard]
        assert repr(one) == repr(other).replace("Standard", "Found")
    assert len(set(answers)) == len(set(standard)) == 4
    of_another_kind: object = standard[0]
    assert answers[0] != of_another_kind
    assert dataclasses.replace(answers[0], name="c") == Found("c")
