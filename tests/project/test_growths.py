"""What grows from round to round, which graphs are walked twice, and which parts of a result share one."""

from collections.abc import Callable, Mapping

import pytest

from gradlint.project import Project
from gradlint.project.running.values import COMPUTED, LEAF, PLAIN

Build = Callable[[Mapping[str, str]], Project]

AGENT = """\
import {imported}

class Agent:
    def setup(self, optimizer):
        made = self.policy(self.session, self.space)
        self.first = made
        values_loss = {imported}.square(made)
        self.operations += [optimizer.minimize(values_loss), values_loss]
"""
HEAD = "import torch\nfrom torch import nn\nmodel = nn.Linear(2, 2)\n"


def paths(build: Build, text: str) -> list[str]:
    project = build({"code.py": HEAD + text})
    return [growth.path for growth in project.flow(project.modules[0].body).growths.values()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("total = 0\nfor x in xs:\n    total += model(x)", ["total"]),
        ("total = 0\nfor x in xs:\n    total = total + model(x)", ["total"]),
        ("total = 0\ntotal += model(x)", []),
        ("for x in xs:\n    total = 0\n    total += model(x)", []),
        ("x = xs[0]\nfor layer in layers:\n    x += layer(model(x))", []),
        ("x = xs[0]\nfor step in range(9):\n    noise = model(x)\n    x = x - noise / step", []),
        ("for x in xs:\n    total = 0\n    for y in x:\n        total += model(y)", ["total"]),
        ("total = 0\nfor x in xs:\n    total += model(x).item()", []),
        ("total = 0\nfor x in xs:\n    total += model(x).detach()", []),
        ("kept = []\nfor x in xs:\n    kept.append(model(x))", ["kept"]),
        ("kept = {'a': []}\nfor x in xs:\n    kept['a'].append(model(x))", ["kept"]),
        ("for x in xs:\n    kept = []\n    kept.append(model(x))", []),
        ("joined = []\nfor x in xs:\n    kept = []\n    kept.append(model(x))\n    joined = joined + kept", []),
        ("kept = []\nfor x in xs:\n    kept += [model(x)]", ["kept"]),
    ],
)
def test_what_is_added_again_to_what_holds_it_already_grows(build: Build, text: str, expected: list[str]) -> None:
    assert paths(build, text) == expected


@pytest.mark.parametrize(
    ("text", "walks"),
    [
        ("y = model(x)\ny.sum().backward()\ny.mean().backward()", 1),
        ("y = model(x)\ny.sum().backward()\ny = model(x)\ny.mean().backward()", 0),
        ("y = model(x)\nz = y.detach()\ny.sum().backward()\n(z * w).mean().backward()", 0),
        ("a, b = model(x)\na.sum().backward()\nb.sum().backward()", 0),
        ("h = None\nfor x in xs:\n    y, h = model(x, h)\n    y.sum().backward()", 1),
        ("h = None\nfor x in xs:\n    y, h = model(x, h)\n    y.sum().backward()\n    h = h.detach()", 0),
        ("h = None\nfor x in xs:\n    y, h = model(x, h)\n    if x:\n        y.sum().backward()", 0),
        ("with torch.no_grad():\n    y = model(x)\nhead(y).backward()\nother(y).backward()", 0),
    ],
)
def test_a_graph_is_walked_twice_where_a_tensor_still_leads_into_it(build: Build, text: str, walks: int) -> None:
    project = build({"code.py": HEAD + text})
    assert len(list(project.walks.second(project.modules[0].body))) == walks


def test_changes_in_place_are_noted_with_what_the_tensor_was(build: Build) -> None:
    text = "x = torch.ones(3)\nx += 1\ny = torch.ones(3, requires_grad=True) * 2\ny[0] = 1\ny.mul_(2)\n"
    project = build({"code.py": text if text.startswith("import") else "import torch\n" + text})
    changes = project.flow(project.modules[0].body).changes.values()
    assert [(change.path, change.how, change.owner.tensor) for change in changes] == [
        ("x", "+=", PLAIN),
        ("y", "[]=", COMPUTED),
        ("y", "mul_", COMPUTED),
    ]


def test_a_list_of_products_keeps_its_items(build: Build) -> None:
    project = build({"code.py": "import torch\nw = torch.ones(3, requires_grad=True)\nkept = [w * 2, w]\n"})
    value = project.flow(project.modules[0].body).env["kept"]
    assert [item.tensor for item in value.items or ()] == [COMPUTED, LEAF]


@pytest.mark.parametrize(("imported", "found"), [("tensorflow", 0), ("torch", 1)])
def test_graphs_of_another_framework_are_not_ours(build: Build, imported: str, found: int) -> None:
    project = build({"agent.py": AGENT.format(imported=imported)})
    function = next(f for f in project.functions() if f.facts.name == "setup")
    assert len(list(project.growths.kept(function))) == found
