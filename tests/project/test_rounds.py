"""What is said of a `.grad` that is read in a loop holds for the rounds that it names."""

from collections.abc import Callable, Mapping

import pytest

from gradlint import registry
from gradlint.project import Project

Build = Callable[[Mapping[str, str]], Project]
FIT = """\
import torch
def fit(rows, lr):
    w = torch.ones(3, requires_grad=True)
    {before}
    for row in rows:
        {body}
"""


def messages(build: Build, code: str, text: str) -> list[str]:
    (rule,) = (rule for rule in registry.load() if rule.code == code)
    return [finding.message.partition(":")[0] for finding in rule.check(build({"code.py": text}))]


@pytest.mark.parametrize(
    ("before", "body", "expected"),
    [
        ("pass", "(w * row).sum().backward()\n        w = w - lr * w.grad", "from the second round on"),
        ("pass", "(w * row).sum().backward()\n        print(w.grad)\n        w = w * lr", "from the second round on"),
        ("pass", "y = w * row\n        y.sum().backward()\n        print(y.grad)", None),
        ("y = w * lr", "(y * row).sum().backward()\n        print(y.grad)", None),
        ("y = w * lr\n    y.sum().backward()\n    print(y.grad)", "pass", None),
    ],
    ids=["rebound", "rebound later", "made in each round", "made before", "no loop"],
)
def test_what_is_made_at_the_end_of_a_round_has_no_gradient_in_the_next(
    build: Build, before: str, body: str, expected: str | None
) -> None:
    (message,) = messages(build, "GL201", FIT.format(before=before, body=body))
    assert message.endswith(f" is None {expected}" if expected else " is always None")


@pytest.mark.parametrize(
    ("before", "body", "expected"),
    [
        ("pass", "print(w.grad)\n        (w * row).sum().backward()", "here in the first round"),
        ("pass", "w.grad.zero_()\n        w.sum().backward()", "here in the first round and using it raises"),
        ("pass", "v = torch.ones(3, requires_grad=True)\n        print(v.grad)", "here"),
        ("print(w.grad)", "w.sum().backward()", "here"),
    ],
    ids=["made before", "used", "made in each round", "no loop"],
)
def test_before_the_first_backward_is_the_first_round_of_a_loop(
    build: Build, before: str, body: str, expected: str
) -> None:
    (message,) = messages(build, "GL202", FIT.format(before=before, body=body))
    assert message.endswith(f" is None {expected}")
