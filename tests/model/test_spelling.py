"""Distances count what a typing hand does wrong."""

import pytest

from gradlint.model.spelling import distance


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("grad", "grad", 0),
        ("requires", "require", 1),
        ("requires", "required", 1),
        ("requires", "requiers", 1),
        ("gard", "grad", 1),
        ("requires", "requried", 2),
        ("", "grad", 4),
        ("requires", "requests", 3),
    ],
)
def test_letters_are_added_dropped_replaced_and_swapped(left: str, right: str, expected: int) -> None:
    assert distance(left, right) == distance(right, left) == expected
