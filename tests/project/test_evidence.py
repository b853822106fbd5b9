"""What is done with a name tells whether it holds a tensor or a module, when nothing else does."""

from collections.abc import Callable, Mapping

import pytest

from gradlint.model.code import Attribute, Evaluate
from gradlint.project import Project

Build = Callable[[Mapping[str, str]], Project]


def last_read(build: Build, body: str) -> tuple[bool, bool]:
    """Whether the owner of the attribute that a method named last reads is a tensor, and whether a module."""
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    head = "import torch\nimport torch.nn.functional as F\nclass A:\n"
    head += "    def other(self):\n        return self.seen.exp()\n"
    project = build({"code.py": f"{head}    def run(self, x, model, settings):\n{lines}\n"})
    function = next(f for f in project.functions() if f.facts.name == "run")
    statement = function.facts.body[-1]
    assert isinstance(statement, Evaluate)
    assert isinstance(statement.value, Attribute)
    evidence = project.evidence
    return evidence.owned_by_tensor(function, statement.value), evidence.owned_by_module(function, statement.value)


@pytest.mark.parametrize(
    "body",
    [
        "x.detach\nx.detach",
        "settings.cpu = settings.cpu\nsettings.cpu",
        "x + 'text'\nx.item",
        "x = [1]\nx + [2]\nx.item",
        "print(x)\nx.item",
        "self.other.item",
        "lossless.item",
        "settings.read(x)\nx.item",
    ],
)
def test_a_method_by_itself_is_no_evidence(build: Build, body: str) -> None:
    assert last_read(build, body) == (False, False)


@pytest.mark.parametrize(
    "body",
    [
        "y = x * 2\nx.item",
        "y = 1\ny += x\nx.item",
        "x.unsqueeze(0)\nx.item",
        "F.relu(x)\nx.item",
        "if x.is_leaf:\n    pass\nx.item",
        "x = torch.ones(3)\nx.item",
        "self.x = torch.zeros(3)\nself.x.item",
        "self.seen.item",
        "model(x)\nx.item",
        "model.eval()\nout = model(settings)\nout.item",
        "total_loss.item",
        "kl.item",
    ],
)
def test_what_is_calculated_with_is_a_tensor(build: Build, body: str) -> None:
    assert last_read(build, body) == (True, False)


def test_a_model_is_known_by_its_name(build: Build) -> None:
    assert last_read(build, "model.eval") == (False, True)
    assert last_read(build, "settings.eval") == (False, False)
