"""Who hands back what a module gave, graph and all; a plain ``forward`` is known to do so without being run."""

from collections.abc import Callable, Mapping

import pytest

from gradlint.project import Project
from gradlint.project.linking.nodes import FunctionNode

Build = Callable[[Mapping[str, str]], Project]

HEAD = """\
import torch
from torch import nn
def quietly(net, x):
    with torch.no_grad():
        return net(x)
def doubled(x): return x * 2
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)
"""
PLAIN = "    def forward(self, x):\n        return self.fc(x)\n"


def function(build: Build, text: str, name: str = "Net.forward") -> tuple[Project, FunctionNode]:
    project = build({"code.py": HEAD + text})
    (found,) = (each for each in project.functions() if each.name == name)
    return project, found


def test_a_plain_forward_is_not_run_to_see_what_it_hands_back(build: Build) -> None:
    project, forward = function(build, PLAIN)
    before = next(project.flows.epochs)
    assert project.flows.hands_back(forward)
    assert next(project.flows.epochs) == before + 1
    project.flow(forward)
    assert next(project.flows.epochs) > before + 2  # it was run only now


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return self.fc(x)", True),
        ("return doubled(self.fc(x))", True),
        ("with torch.no_grad():\n            return self.fc(x)", False),
        ("return quietly(self.fc, x)", False),
        ("with torch.no_grad():\n            y = self.fc(x)\n        return self.fc(y)", True),
        ("loss = self.fc(x).sum()\n        loss.backward()\n        return loss", False),  # what it gives was walked
        ("self.optimizer.zero_grad()\n        return self.fc(x)", False),
    ],
)
def test_a_forward_hands_a_graph_back_unless_it_has_a_guard_or_trains(build: Build, body: str, expected: bool) -> None:
    project, forward = function(build, f"    def forward(self, x):\n        {body}\n")
    assert project.flows.hands_back(forward) is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return net(x)", True),
        ("yield net(x)", True),
        ("return net(x).item()", False),
        ("return x", False),
        ("return quietly(net, x)", False),
        ("loss = net(x).sum()\n    loss.backward()\n    return loss", False),
    ],
)
def test_a_function_hands_a_graph_back_where_it_runs_a_module_for_its_caller(
    build: Build, body: str, expected: bool
) -> None:
    project, run = function(build, f"{PLAIN}def run(net: Net, x):\n    {body}\n", "run")
    assert project.flows.hands_back(run) is expected


def test_many_guarded_forwards_say_nothing_about_another_one(build: Build) -> None:
    guarded = "    def forward(self, x):\n        with torch.no_grad():\n            return self.fc(x)\n"
    text = guarded + "".join(f"class Net{i}(Net):\n{guarded}" for i in range(13))
    project, evaluate = function(
        build, text + "def evaluate(model, x):\n    model.eval()\n    return model.forward(x).argmax()\n", "evaluate"
    )
    assert [call.name for call in project.flow(evaluate).calls.values() if call.forward] == ["model.forward"]
