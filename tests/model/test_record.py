"""Records are made and changed as the standard's dataclasses are."""

import dataclasses
from typing import Any

import pytest

from gradlint.model.record import replace
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
