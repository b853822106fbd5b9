"""Who put a module into training mode is found wherever that is; who never speaks of modes is not run to see."""

from collections.abc import Callable, Mapping

import pytest

from gradlint.project import Project

Build = Callable[[Mapping[str, str]], Project]

NET = """\
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.drop = nn.Linear(3, 3), nn.Dropout(0.5)
    def forward(self, x):
        return self.drop(self.fc(x))
@torch.no_grad()
def evaluate(net, x):
    return net(x).argmax(1)
"""


@pytest.mark.parametrize(
    "callers",
    [
        "def main(x):\n    net = Net().train()\n    return evaluate(net, x)\n",
        "def made():\n    return Net().train()\ndef main(x):\n    return evaluate(made(), x)\n",
        "net = Net()\nnet.train()\ndef main(x):\n    return evaluate(net, x)\n",
        "class Runner:\n"
        "    def __init__(self):\n        self.net = Net()\n        self.net.train()\n"
        "    def run(self, x):\n        return evaluate(self.net, x)\n",
        "class Runner:\n"
        "    def __init__(self):\n        self.net = Net().train()\n"
        "class Fast(Runner):\n"
        "    def run(self, xs):\n        def one(x):\n            return evaluate(self.net, x)\n"
        "        return list(map(one, xs))\n",
    ],
    ids=["caller", "callee", "file", "object", "base"],
)
def test_the_callers_module_is_in_training_mode(build: Build, callers: str) -> None:
    project = build({"code.py": NET + callers})
    (evaluate,) = (function for function in project.functions() if function.name == "evaluate")
    assert [found.why for found in project.training_mode.of(evaluate)] == ["set"]


def test_where_nobody_speaks_of_modes_nothing_is_run(build: Build) -> None:
    project = build({"code.py": f"{NET}def main(x):\n    return evaluate(Net(), x)\n"})
    (evaluate,) = (function for function in project.functions() if function.name == "evaluate")
    assert not [*project.training_mode.of(evaluate)]
    before = next(project.flows.epochs)
    project.flow(evaluate)
    assert next(project.flows.epochs) > before + 1  # it was run only now


LOADED = """\
class Loaded:
    def __init__(self):
        self.net = Net()
        self.net.load_state_dict(torch.load("net.pt"))
class Runner(Loaded):
    @torch.no_grad()
    def predict(self, x):
        return self.net(x).argmax(1)
"""


def test_what_the_constructor_of_a_base_made_and_loaded_is_in_training_mode(build: Build) -> None:
    project = build({"code.py": NET + LOADED})
    (predict,) = (function for function in project.functions() if function.name == "Runner.predict")
    assert [found.why for found in project.training_mode.of(predict)] == ["loaded"]
