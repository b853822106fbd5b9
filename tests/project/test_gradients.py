"""Where gradients are read, what is known of the read, and where graphs are walked."""

from collections.abc import Callable, Mapping

import pytest

from gradlint.project import Project
from gradlint.project.running.flow import AttributeEvent

Build = Callable[[Mapping[str, str]], Project]

HEAD = "import torch\nx = torch.ones(3, requires_grad=True)\ny = x * 2\n"


def reads(build: Build, text: str) -> list[AttributeEvent]:
    project = build({"code.py": HEAD + text})
    return project.gradients.reads(project.modules[0].body)


@pytest.mark.parametrize(
    ("text", "fresh"),
    [
        ("x.grad", True),
        ("y.sum()\nprint(y)\nx.grad", True),
        ("len([y])\nx.grad", True),
        ("torch.autograd.grad(y.sum(), x)\nx.grad", True),
        ("y.sum().backward()\nx.grad", False),
        ("torch.autograd.backward(y.sum())\nx.grad", False),
        ("step = lambda: y.sum().backward()\nstep()\nx.grad", False),
        ("def step():\n    y.sum().backward()\nstep()\nx.grad", False),
        ("def look():\n    print(y)\nlook()\nx.grad", True),
        ("map(torch.Tensor.backward, [y.sum()])\nx.grad", False),
        ("unknown(y)\nx.grad", False),
        ("unknown()\nx.grad", False),
        ("if y.sum() > 0:\n    y.sum().backward()\nx.grad", False),
        ("for _ in range(3):\n    y.sum().backward()\nx.grad", False),
        ("for _ in range(3):\n    x.grad\n    (x * 2).sum().backward()", True),
        ("for i in range(3):\n    if i:\n        x.grad\n    (x * 2).sum().backward()", False),
        ("for i in range(3):\n    if not i:\n        continue\n    x.grad\n    (x * 2).sum().backward()", False),
        ("while True:\n    z = x * 2\n    z.grad\n    z.sum().backward()", True),
        ("y.sum().backward()\nz = torch.ones(3, requires_grad=True)\nz.grad", True),
        ("z = x\nz.grad = torch.ones(3)\nx.grad", False),
    ],
)
def test_a_read_is_fresh_if_no_backward_can_have_run(build: Build, text: str, fresh: bool) -> None:
    assert reads(build, text)[-1].fresh is fresh


@pytest.mark.parametrize(
    ("text", "tested", "guarded"),
    [
        ("x.grad", [False], [False]),
        ("x.grad is None", [False], [False]),
        ("if x.grad is None: pass", [True], [False]),
        ("if x.grad is not None:\n    x.grad", [True, False], [False, True]),
        ("x.grad is not None and x.grad", [True, False], [False, True]),
        ("x.grad if x.grad else 0", [True, False], [False, True]),
        ("if y.is_leaf:\n    y.grad", [False], [True]),
        ("while x.grad is None:\n    break", [True], [False]),
        ("[x.grad for _ in range(3) if x.grad is not None]", [True, False], [False, True]),
        ("assert x.grad is None", [True], [True]),
        ("import unittest\nunittest.TestCase().assertIsNone(x.grad)", [True], [True]),
        ("g = x.grad\nif g is not None: pass", [True], [False]),
        ("getattr(x, 'grad')", [False], [False]),
        ("getattr(x, 'grad', None)", [True], [False]),
        ("hasattr(x, 'grad')", [True], [False]),
    ],
)
def test_who_asks_for_none_first(build: Build, text: str, tested: list[bool], guarded: list[bool]) -> None:
    found = reads(build, text)
    assert [event.tested for event in found] == tested
    assert [event.guarded for event in found] == guarded


@pytest.mark.parametrize(
    ("text", "used"),
    [
        ("print(x.grad)", False),
        ("x.grad.zero_()", True),
        ("x.grad[0]", True),
        ("x - 0.1 * x.grad", True),
        ("x.grad += 1", True),
        ("torch.norm(x.grad)", True),
        ("for g in x.grad: pass", True),
        ("x.grad == None", False),
        ("g = x.grad\ng.norm()", True),
        ("g = x.grad\nh = g", False),
        ("f'{x.grad}'", False),
    ],
)
def test_what_raises_on_none(build: Build, text: str, used: bool) -> None:
    assert reads(build, text)[0].dereferenced is used


@pytest.mark.parametrize(
    ("text", "unretained"),
    [
        ("y.grad", True),
        ("y.retain_grad()\ny.sum().backward()\ny.grad", False),
        ("y.sum().backward()\ny.retain_grad()\ny.grad", True),
        ("z = y\nz.retain_grad()\ny.sum().backward()\ny.grad", False),
        ("z = y.float()\nz.retain_grad()\ny.sum().backward()\ny.grad", False),
        ("if x.sum() > 0:\n    y.retain_grad()\ny.sum().backward()\ny.grad", False),
        ("keep_gradients(y)\ny.sum().backward()\ny.grad", False),
        ("show(y)\ny.sum().backward()\ny.grad", True),
    ],
)
def test_a_gradient_is_retained_before_backward_or_not_at_all(build: Build, text: str, unretained: bool) -> None:
    assert reads(build, text)[-1].unretained is unretained


def test_a_store_is_no_read(build: Build) -> None:
    assert reads(build, "x.grad = None\ndel x.grad") == []


def test_a_read_of_what_was_just_stored_is_none(build: Build) -> None:
    assert reads(build, "x.grad = torch.zeros(3)\nx.grad.add_(1)") == []


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ("y.sum().backward()", ["tensor"]),
        ("torch.autograd.backward(y)", ["tensor"]),
        ("torch.autograd.backward([x, y])", ["tensor", "tensor"]),
        ("torch.autograd.grad(outputs=y, inputs=x)", ["tensor"]),
        ("y.sum().item().backward()", ["number"]),
        ("y.backward", []),
        ("unknown.backward()", ["unknown"]),
    ],
)
def test_where_a_graph_is_walked_from(build: Build, text: str, starts: list[str]) -> None:
    made = build({"code.py": HEAD + text})
    assert [value.kind for _, value in made.gradients.walks(made.modules[0].body)] == starts


def test_a_function_that_speaks_of_no_gradient_is_not_run(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    made = build({"code.py": "def add(a, b):\n    return a + b\n"})
    monkeypatch.setattr(made.flows, "flow", lambda function: pytest.fail(f"{function} was run"))
    add = made.modules[0].functions[1]
    assert made.gradients.reads(add) == []
    assert list(made.gradients.walks(add)) == []
