"""Which way branches go when some names are known."""

from collections.abc import Callable, Mapping

import pytest

from gradlint.model.code import Evaluate
from gradlint.project import Project
from gradlint.project.running.conditions import constant, decided

Build = Callable[[Mapping[str, str]], Project]
KNOWN = {"phase": "val", "train": False, "count": 3, "self.training": True}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ('phase == "train"', False),
        ('phase != "train"', True),
        ('phase in ("val", "test")', True),
        ('phase not in ("val", "test")', False),
        ('"v" in phase', True),
        ('"train" not in phase', True),
        ('other in ("val", "test")', None),
        ('"train" in other', None),
        ("phase in names", None),
        ("train or self.training", True),
        ("train and unknown", False),
        ("not train and unknown", None),
        ("count >= 3", True),
        ('phase < "x"', None),
        ('("train" if train else "val") == phase', True),
        ("(train if unknown else False) == False", None),
    ],
)
def test_a_condition_is_decided_by_what_is_known(build: Build, condition: str, holds: bool | None) -> None:
    (statement,) = build({"main.py": condition}).modules[0].body.facts.body
    assert isinstance(statement, Evaluate)
    assert decided(statement.value, KNOWN) is holds
    assert not isinstance(constant(statement.value, KNOWN), bool) or constant(statement.value, KNOWN) is holds
