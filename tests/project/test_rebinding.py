"""What statements do to a plain name."""

from collections.abc import Callable, Mapping

import pytest

from gradlint.model.code import Constant
from gradlint.project import Project
from gradlint.project.linking.rebinding import given_to, is_touched_among

Build = Callable[[Mapping[str, str]], Project]


@pytest.mark.parametrize(
    ("body", "given"),
    [
        ("x = 1", [1]),
        ("y, x = 2, 3", [3]),
        ("y, x = z", [None]),
        ("x += 1", [None]),
        ("for x in z: pass", [None]),
        ("with z as x: pass", [None]),
        ("with z: pass", []),
        ("x[0] = 1", [None]),
        ("del x", [None]),
        ("y = x", []),
    ],
)
def test_what_a_name_is_given(build: Build, body: str, given: list[int | None]) -> None:
    function = build({"a.py": body}).modules[0].body
    found = [value.value if isinstance(value, Constant) else value for value in given_to(function, "x")]
    assert found == given
    everywhere = frozenset(range(100))
    assert is_touched_among(function, "x", everywhere) == bool(given)
    assert not is_touched_among(function, "x", frozenset())
