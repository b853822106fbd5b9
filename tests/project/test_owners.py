"""Whose parameters an optimizer has, by the name that a function has for the module."""

from collections.abc import Callable, Mapping

import pytest

from gradlint.project import Project

Build = Callable[[Mapping[str, str]], Project]

MADE = "net = torch.nn.Linear(2, 2)\nsgd = torch.optim.SGD(net.parameters(), lr=0.1)\n"


def owned(build: Build, text: str, function: str, optimizer: str) -> dict[str, str]:
    project = build({"code.py": "import torch\n" + text})
    found = next(f for f in project.modules[0].functions if f.facts.name == function)
    return project.order.modules(found, [optimizer])


def test_an_optimizer_that_is_handed_over_is_of_the_module_beside_it(build: Build) -> None:
    text = "def epoch(model, solver):\n    solver.step()\n\n" + MADE + "epoch(net, sgd)\n"
    assert owned(build, text, "epoch", "solver") == {"solver": "model"}


def test_it_is_followed_through_callers_of_callers(build: Build) -> None:
    text = "def epoch(m, opt):\n    opt.step()\n\ndef train(model, *, solver):\n    epoch(opt=solver, m=model)\n\n"
    assert owned(build, text + MADE + "train(net, solver=sgd)\n", "epoch", "opt") == {"opt": "m"}


def test_a_function_of_the_file_uses_the_optimizer_that_the_script_made(build: Build) -> None:
    text = MADE + "def epoch(batch):\n    sgd.step()\n"
    assert owned(build, text, "epoch", "sgd") == {"sgd": "net"}


def test_a_method_is_handed_the_optimizer_of_its_own_objects_module(build: Build) -> None:
    text = """
class Trainer:
    def __init__(self):
        self.net = torch.nn.Linear(2, 2)
        self.sgd = torch.optim.SGD(self.net.parameters(), lr=0.1)

    def fit(self):
        self.epoch(self.sgd)

    def epoch(self, solver):
        solver.step()
"""
    assert owned(build, text, "epoch", "solver") == {"solver": "self.net"}


@pytest.mark.parametrize(
    "text",
    [
        "def epoch(a, b, solver):\n    solver.step()\n\n" + MADE + "epoch(net, 1, sgd)\nepoch(1, net, sgd)\n",
        "def epoch(model, solver):\n    solver.step()\n\n" + MADE + "epoch(net, sgd)\nepoch(net, load())\n",
        "def epoch(model, solver):\n    model = clone(model)\n    solver.step()\n\n" + MADE + "epoch(net, sgd)\n",
        "def epoch(model, solver):\n    solver.step()\n",
        "def epoch(solver):\n    solver.step()\n\n" + MADE + "epoch(sgd)\n",
        "def epoch(model, solver):\n    epoch(model, solver)\n",
    ],
    ids=["callers disagree", "unknown to one", "another by then", "nobody calls it", "alone", "only itself"],
)
def test_nobody_knows_whose_it_is(build: Build, text: str) -> None:
    assert owned(build, text, "epoch", "solver") == {}


def test_a_function_that_makes_the_optimizer_calls_the_module_by_another_name(build: Build) -> None:
    text = """
def made(net):
    return torch.optim.SGD(net.parameters(), lr=0.1)

def both(net):
    return net, torch.optim.SGD(net.parameters(), lr=0.1)

def train(net, head):
    sgd = made(head)
    same, adam = both(head)
    own = made(load())
"""
    assert owned(build, text, "train", "sgd") == {"sgd": "head"}
    assert owned(build, text, "train", "adam") == {"adam": "head"}
    assert owned(build, text, "train", "own") == {}


def test_a_variable_of_the_same_name_is_another_module(build: Build) -> None:
    text = MADE + "def epoch(batch):\n    net = load()\n    sgd.step()\n"
    assert owned(build, text, "epoch", "sgd") == {}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a.parameters()", {"a"}),
        ("list(a.parameters()) + list(b.parameters())", {"a", "b"}),
        ("itertools.chain(a.parameters(), self.b.parameters())", {"a", "self.b"}),
        ("[*a.parameters(), *b.parameters()]", {"a", "b"}),
        ("[{'params': a.parameters(), 'lr': 0.1}, {'params': b.parameters()}]", {"a", "b"}),
        ("both", {"a", "b"}),
        ("[*a.parameters(), scale]", None),
        ("filter(None, a.parameters())", None),
        ("several", None),
    ],
)
def test_an_optimizer_is_made_of_the_modules_whose_parameters_are_spelt(
    build: Build, given: str, expected: set[str] | None
) -> None:
    text = f"def f(self, a, b, several):\n    both = [*a.parameters(), *b.parameters()]\n    sgd = SGD({given})\n"
    project = build({"code.py": f"import torch, itertools\nfrom torch.optim import SGD\n{text}"})
    function = next(f for f in project.modules[0].functions if f.facts.name == "f")
    found = project.order.owners.made_of(function, "sgd")
    assert (None if found is None else set(found[1])) == expected
