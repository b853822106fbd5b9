"""What stands where in a function's own scope."""

from collections.abc import Iterable

import pytest

from gradlint.model.code import Expression, dotted
from gradlint.model.extract import extract
from gradlint.project import Project
from gradlint.project.linking import changes, scope
from gradlint.project.linking.nodes import FunctionNode
from gradlint.source import Source


def body_of(text: str) -> FunctionNode:
    return Project([extract(Source("main.py", text))]).modules[0].body


def names(found: Iterable[Expression]) -> list[str | None]:
    return [dotted(expression) for expression in found]


def test_decorators_defaults_and_bases_are_evaluated_outside() -> None:
    body = body_of("@mark\ndef f(x=default):\n    inside\n@cls_mark\nclass C(Base):\n    attribute = value\n")
    found = names(scope.evaluated(body))
    assert {"mark", "default", "cls_mark", "Base", "value"} <= set(found)
    assert "inside" not in found


def test_with_and_exit_stacks_enter() -> None:
    body = body_of("with a, b as c:\n    stack.enter_context(d)\n    stack.push(e)\n")
    assert names(scope.entered(body)) == ["a", "b", "d"]


def test_every_kind_of_condition_tests() -> None:
    text = """
if a and (b or not c): ...
elif d: ...
while e: ...
assert f
x = g if h else i
y = j or k
z = [l for l in m if n]
o == True
p is None
q(r)
"""
    assert sorted(filter(None, names(scope.tested(body_of(text))))) == [
        "a",
        "b",
        "c",
        "d",
        "e",
        "f",
        "h",
        "j",
        "n",
        "o",
    ]


def test_the_result_of_or_and_conditionals_may_be_each_operand() -> None:
    (first, *_) = scope.entered(body_of("with a if b else (c or d and e): ..."))
    assert names(scope.outcomes(first)) == ["a", "c", "e"]


def test_what_should_raise_and_what_is_only_tried() -> None:
    text = """
with pytest.raises(TypeError):
    expected
try:
    probed
except AttributeError:
    handled
try:
    one; two; three; four
except KeyboardInterrupt:
    pass
"""
    body = body_of(text)
    where = {dotted(e): e.at for e in scope.evaluated(body) if dotted(e)}
    assert where["expected"] in scope.expected_to_fail(body)
    assert where["probed"] not in scope.expected_to_fail(body)
    tried = scope.tried(body)
    assert [name for name in ("probed", "handled", "one", "expected") if where[name] in tried] == ["probed"]


def test_withs_around_a_place_come_from_the_inside() -> None:
    body = body_of("with a:\n    with b:\n        here\n    with c:\n        there\n")
    at = next(e.at for e in scope.evaluated(body) if dotted(e) == "here")
    contexts = [statement.items[0].context for statement in scope.enclosing_withs(body, at)]
    assert names(contexts) == ["b", "a"]


@pytest.mark.parametrize(
    "text",
    [
        "if self.training:\n    drop()",
        "if not self.training:\n    other()\nelse:\n    drop()",
        "if training and x:\n    for y in x:\n        drop()",
        "def f():\n    pass\nx = drop() if self.training else y",
        "x = self.training and drop()",
        "while x:\n    if not training:\n        break\n    drop()",
    ],
)
def test_a_place_behind_a_question_is_reached_after_it(text: str) -> None:
    body = body_of(text)
    assert scope.asked_before(body, call_of("drop", body), "training")


@pytest.mark.parametrize(
    "text",
    ["drop()", "if self.training:\n    other()\ndrop()", "drop()\nif training:\n    other()", "if train:\n    drop()"],
)
def test_a_question_elsewhere_is_none(text: str) -> None:
    body = body_of(text)
    assert not scope.asked_before(body, call_of("drop", body), "training")


def call_of(name: str, function: FunctionNode) -> int:
    """The place of the call of a name."""
    return next(call.at for call in function.facts.calls if call.callee == name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x.add_(y)", True),
        ("self.net.weight.mul_(y)", True),
        ("f(x).add_(y)", True),
        ("torch.relu_(x)", True),
        ("x += y", True),
        ("x[0] = y", True),
        ("torch.add(x, y, out=z)", True),
        ("F.relu(x, inplace=True)", True),
        ("init = f(x)\ninit.normal_(y)", True),  # no module of functions
        ("from torch.nn import init\ndef f(init):\n    init.normal_(y)", True),
        ("class A:\n    def f(self):\n        self.init.normal_(y)", True),
        ("from torch.nn import init\ninit.normal_(x)", False),
        ("import torch.nn.init as init\ndef f(x):\n    init.normal_(x)", False),
        ("nn.init.normal_(x)", False),
        ("torch.nn.init.zero_(x)", False),
        ("normal_(x)", False),
        ("x.requires_grad_()", False),
        ("x.add(y)", False),
        ("x = y", False),
    ],
)
def test_changes_in_place_are_told_by_how_they_are_spelt(text: str, expected: bool) -> None:
    (module,) = Project([extract(Source("main.py", text))]).modules
    assert changes.may_change_in_place(module.functions[-1]) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x.y.add_(z)", ["x.y"]),
        ("x += y", ["x"]),
        ("x.y[0] = z[1] = 2", ["x.y", "z"]),
        ("torch.add(x, y, out=z)", ["z"]),
        ("F.relu(x, inplace=True)", ["x"]),
    ],
)
def test_what_is_changed_in_place(text: str, expected: list[str]) -> None:
    (module,) = Project([extract(Source("main.py", text))]).modules
    assert [dotted(changed) for changed in changes.changed_in_place(module.functions[-1])] == expected
