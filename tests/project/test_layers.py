"""Whether a module computes something else in training mode."""

from collections.abc import Callable, Mapping

import pytest

from gradlint.project import Project
from gradlint.project.linking.nodes import External

Build = Callable[[Mapping[str, str]], Project]

HEAD = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n"


def depends(build: Build, text: str, **others: str) -> bool | None:
    """Whether the class ``Net`` does."""
    project = build({"main.py": HEAD + text, **{f"{name}.py": HEAD + other for name, other in others.items()}})
    net = next(cls for module in project.modules for cls in module.classes if cls.name == "Net")
    return project.layers.depend_on_mode(net)


def made_of(*lines: str) -> str:
    """A module whose constructor consists of these lines."""
    return "class Net(nn.Module):\n    def __init__(self, given=None):\n" + "".join(
        f"        {line}\n" for line in lines
    )


@pytest.mark.parametrize(
    "text",
    [
        made_of("self.drop = nn.Dropout(0.5)"),
        made_of("self.norm = nn.BatchNorm2d(3)"),
        "class Net(nn.Module):\n    def forward(self, x):\n        return F.dropout(x, training=self.training)",
        "class Net(nn.Module):\n    def forward(self, x):\n        return x if self.training else -x",
        "class Base(nn.Module):\n    def f(self):\n        self.drop = nn.Dropout()\nclass Net(Base):\n    pass",
        "def block():\n    return nn.BatchNorm1d(2)\n" + made_of("self.b = block()"),
        "from torchvision import models\n" + made_of("self.m = models.resnet18()"),
    ],
)
def test_layers_that_look_at_the_flag(build: Build, text: str) -> None:
    assert depends(build, text)


@pytest.mark.parametrize(
    "text",
    [
        made_of("self.head = nn.Linear(2, 2)", "self.norm = nn.LayerNorm(2)", "print(len('x'))"),
        made_of("self.inner = Net()"),
    ],
)
def test_layers_that_do_not(build: Build, text: str) -> None:
    assert depends(build, text) is False


@pytest.mark.parametrize(
    "text",
    [
        made_of("self.inner = Block()"),
        "from somewhere import Block\n" + made_of("self.inner = Block()"),
        "from somewhere import Base\nclass Net(Base):\n    pass",
    ],
)
def test_layers_that_cannot_be_seen(build: Build, text: str) -> None:
    assert depends(build, text) is None


def test_other_files_and_libraries_are_looked_into(build: Build) -> None:
    text = "from parts import Block\nclass Net(nn.Module):\n    def __init__(self):\n        self.b = Block()"
    assert depends(build, text, parts="class Block(nn.Module):\n    def __init__(self):\n        self.d = nn.Dropout()")
    project = build({"main.py": ""})
    assert project.layers.depend_on_mode(External("timm.create_model"))
    assert project.layers.depend_on_mode(External("torch.nn.Linear")) is False
    assert project.layers.depend_on_mode(None) is None


SWITCHED = (
    "class Net(nn.Module):\n"
    "    def __init__(self, width, norm=False, dropout=0.0):\n"
    "        super().__init__()\n"
    "        self.first = nn.Linear(2, width)\n"
    "        if norm:\n"
    "            self.norm = nn.BatchNorm1d(width)\n"
    "        self.dropout = nn.Dropout(dropout) if dropout > 0 else None\n"
    "        self.idle = nn.Dropout(dropout)\n"
    "    def forward(self, x):\n"
    "        x = self.first(x)\n"
    "        return x if self.dropout is None else self.dropout(x)\n"
)


@pytest.mark.parametrize(
    "calls",
    [
        "net = Net(8)",
        "net = Net(8, False, dropout=0.0)",
        "def make(dropout=0.0):\n    return Net(8, dropout=dropout)\nnet = make()",
        "class Wide(Net):\n    def __init__(self):\n        super().__init__(64)\nnet = Wide()",
    ],
)
def test_layers_that_only_a_flag_adds_which_nobody_passes(build: Build, calls: str) -> None:
    assert depends(build, SWITCHED + calls) is False


@pytest.mark.parametrize(
    "calls",
    [
        "net = Net(8, norm=True)",
        "net = Net(8)\nother = Net(8, True)",
        "net = Net(8, dropout=0.1)",
        "net = Net(8, **options)",
        "def make(dropout=0.0):\n    return Net(8, dropout=dropout)\nnet = make(0.5)",
        "class Wide(Net):\n    def __init__(self, norm):\n        Net.__init__(self, 64, norm)\nnet = Wide(True)",
        "",
    ],
)
def test_layers_that_a_flag_adds_which_somebody_passes(build: Build, calls: str) -> None:
    assert depends(build, SWITCHED + calls)
