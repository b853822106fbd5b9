"""Which growths keep graphs that neither a function nor who gets its result wants, and who is run to find out."""

from collections.abc import Callable, Mapping
from textwrap import indent

import pytest

from gradlint.project import Project
from gradlint.project.linking.nodes import FunctionNode

Build = Callable[[Mapping[str, str]], Project]

HEAD = """\
import torch
from torch import nn
net, other = nn.Linear(2, 2), nn.Linear(2, 2)
still = nn.Linear(2, 2).eval()
w = torch.ones(2, requires_grad=True)
"""


def function(build: Build, text: str, name: str, path: str = "code.py") -> tuple[Project, FunctionNode]:
    project = build({path: HEAD + text})
    (found,) = (each for each in project.functions() if each.name == name)
    return project, found


def kept(build: Build, text: str, name: str = "run", path: str = "code.py") -> list[tuple[str, bool]]:
    project, found = function(build, text, name, path)
    return [(each.growth.path, each.walked) for each in project.growths.kept(found)]


def looped(body: str, after: str = "") -> str:
    """A function that does something in a loop, with a sum and a list of its own."""
    head = "def run(model, aux, engine, xs, y, quiet):\n    total, found, once, sums = 0, [], net(y), {}\n"
    head += "    for x in xs:\n"
    return head + indent(body, "        ") + "\n" + indent(after, "    ") + "\n"


WALKED = "loss = net(x).sum()\nloss.backward()\n"
READ = "print(torch.cat(found).argmax(1))"


@pytest.mark.parametrize(
    ("body", "after", "expected"),
    [
        (f"{WALKED}total += loss", "", [("total", True)]),
        ("loss = (w * x).sum()\nloss.backward()\ntotal += loss", "", [("total", True)]),  # of no module
        # Nothing but what is taken from the list decides whether it may be wanted.
        ("found.append(net(x))", READ, [("found", False)]),
        ("found.append(net(x))", "", [("found", False)]),
        ("found.append(net(x))", "return found", []),
        ("out = net(x)\nfound.append(out)\nshow(out.numpy())", READ, []),  # it has no graph
        ("found.append(aux(x).float())\nprint(net(x).mean())", READ, []),
        ("total += (w * x).sum()\nprint(net(x).mean())", "print(float(total))", []),
        ("found.append(once)", READ, []),  # one graph, in each round
        # Of a part of what a module gives, or of what is made of that, nobody knows whether it has a graph.
        ("found.append(model(x))", READ, [("found", False)]),
        ("found.append(model(x)[0])", READ, []),
        ("found.append(model(x) + y)", READ, []),
        # On one way without its graph.
        ("loss = net(x).sum()\nif quiet:\n    loss = loss.detach()\nelse:\n    loss.backward()\ntotal += loss", "", []),
        # In training, only what ``backward()`` has walked is certainly not wanted.
        (f"{WALKED}found.append(other(x))", READ, []),
        (f"{WALKED}total += other(x).sum()", "print(float(total))", []),
        (f"{WALKED}other.eval()\nfound.append(other(x))", READ, [("found", False)]),
        (f"{WALKED}other.eval()\nfound.append(other.forward(x))", READ, [("found", False)]),
        (f"{WALKED}other.eval()\nfound.append(net(x))", READ, [("found", False)]),
        (f"{WALKED}found.append(still(x))", READ, [("found", False)]),
        (f"{WALKED}found.append(still.forward(x))", READ, [("found", False)]),
        # A loss by its name, which a function that is handed in computes.
        ("aux_loss = aux(net(x))\n(aux_loss * y).backward()\ntotal += aux_loss", "", [("total", True)]),
        ("value = aux(net(x))\n(value * y).backward()\ntotal += value", "", []),
        # What is added up, and walked then, has a graph by whatever name.
        ("value = aux(net(x))\n(value + 1).backward()\ntotal += value", "", [("total", True)]),
        ("value = aux(net(x))\n(2 * (w - 0.5 * value)).backward()\ntotal += value", "", []),
        ("value = aux(net(x))\nboth = w - 0.5 * value\nboth.backward()\ntotal += value", "", [("total", True)]),
        # The items of a dict, and several sums at once.
        (f"{WALKED}sums['a'] = sums.get('a', 0) + loss", "", [("sums", True)]),
        (f"{WALKED}sums['a'] = 0.9 * sums['a'] + 0.1 * loss", "", [("sums", True)]),
        (f"{WALKED}sums['a'] = other['a'] + loss", "", []),
        (f"{WALKED}sums['a'] += [loss]", "", [("sums", True)]),
        (f"{WALKED}total, once = total + loss, once + 1", "", [("total", True)]),
        (f"{WALKED}total, once = once + loss, total", "", []),
        ("aux_loss = aux(net(x))\ntotal += aux_loss", "", []),
    ],
)
def test_a_growth_keeps_graphs_that_nobody_wants(
    build: Build, body: str, after: str, expected: list[tuple[str, bool]]
) -> None:
    assert kept(build, looped(body, after)) == expected


LEAF = "loss = (w * x).sum()\n"
ADDED = "(aux_loss * y).backward()\ntotal += aux_loss"


@pytest.mark.parametrize(
    ("body", "after", "expected"),
    [
        (f"{LEAF}engine.backward(loss)\ntotal += loss", "", ["total"]),
        (f"{LEAF}engine.scale(loss).backward()\ntotal += loss", "", ["total"]),
        (f"{LEAF}engine.show(loss)\nnet(x).sum().backward()\ntotal += loss", "", []),
        (f"{LEAF}loss.backward()", f"for x in xs:\n    {LEAF}    total += loss", []),  # in another loop
        # What it is called when it is added is what was walked, unless a call gave that name something else.
        (f"{WALKED}loss = loss * 2\ntotal += loss", "", ["total"]),
        (f"{WALKED}loss = reduced(loss)\ntotal += loss", "", []),
        (f"{WALKED}loss, n = reduced(loss), 1\ntotal += loss", "", []),
        (f"{WALKED}shown = reduced(loss)\ntotal += loss", "", ["total"]),
        (f"loss = reduced(x)\n{WALKED}total += loss", "", ["total"]),
        (f"{WALKED}total += loss\nloss = reduced(loss)", "", ["total"]),
        (f"{WALKED}shown = loss.detach()\ntotal += loss", "", ["total"]),
        (f"{WALKED}y = y.detach()\ntotal += loss", "", ["total"]),
        (f"{WALKED}total += loss", "loss = loss.detach()", ["total"]),
        (
            "loss = net(x).sum()\nif quiet:\n    loss = loss.float()\nelse:\n    loss.backward()\ntotal += loss",
            "",
            ["total"],
        ),
        (f"{WALKED}y['loss'] = loss.item()\ntotal += loss", "", ["total"]),
        (f"{WALKED}y.append(1)\nfound.append(loss)", "y.clear()", ["found"]),
        # A derivative with a graph of its own.
        (f"{WALKED}torch.autograd.grad((w * 2).sum(), w, create_graph=True)\ntotal += loss", "", ["total"]),
        (f"{WALKED}torch.autograd.grad(other(w).sum(), w, create_graph=True)\ntotal += loss", "", ["total"]),
        (f"{WALKED}torch.autograd.grad(loss, w, create_graph=True)\ntotal += loss", "", []),
        (f"{WALKED}torch.autograd.grad(loss, w, create_graph=False)\ntotal += loss", "", ["total"]),
        # What is called a loss, and by what it is given.
        (f"aux_loss, n = aux(net(x)), 1\n{ADDED}", "", ["total"]),
        (f"aux_loss = aux(net(x))\n_, n = aux(x)\n{ADDED}", "", ["total"]),
        (f"aux_loss = aux(net(x))\naux_loss, n = aux(x)\n{ADDED}", "", []),
        (f"aux_loss, *n = aux(net(x)), 1, 2\n{ADDED}", "", []),
        (f"aux_loss = model(x)[0]\n{ADDED}", "", []),
    ],
)
def test_what_was_walked_is_known_by_its_name(build: Build, body: str, after: str, expected: list[str]) -> None:
    assert kept(build, looped(body, after)) == [(path, True) for path in expected]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("self.total += loss", [("self.total", True)]),
        ("loss = reduced(loss)\nself.total += loss", []),
        ("loss = loss.detach()\nself.total += loss", []),
        ("self.found.append(loss)", [("self.found", True)]),
        ("self.drained.append(loss)", []),
    ],
)
def test_what_an_object_keeps_from_call_to_call(build: Build, body: str, expected: list[tuple[str, bool]]) -> None:
    method = indent(f"{WALKED}{body}", "        ")
    drain = "    def drain(self):\n        return self.drained.pop()\n"
    assert kept(build, f"class Own:\n{drain}    def run(self, x):\n{method}\n", "Own.run") == expected


STEP = """\
def step(x):
    loss = net(x).sum()
    loss.backward()
    return loss
def either(x, keep):
    loss = net(x).sum()
    loss.backward()
    return loss if keep else loss.detach()
def plain(x):
    return net(x).sum()
def weighed(x):
    return (w * x).sum()
"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("total += step(x)", [("total", True)]),
        ("total += step(x) * y", [("total", True)]),
        ("total += plain(x)", [("total", False)]),
        ("total += weighed(x)\nstep(x)", []),  # which nobody walks
        ("total += step(x) if quiet else torch.zeros(1)", []),  # perhaps without a graph
        ("total += either(x, quiet) + net(x).sum()", [("total", False)]),
        ("step(x)\ntotal += model(x).sum()", [("total", False)]),
    ],
)
def test_a_loss_that_is_given_back_when_it_was_walked_keeps_what_is_left_of_its_graph(
    build: Build, body: str, expected: list[tuple[str, bool]]
) -> None:
    assert kept(build, STEP + looped(body, "return float(total)")) == expected


COLLECTING = """\
    found = []
    for x in xs:
        found.append(net(x))
    print(torch.cat(found).argmax(1))
"""
EVALUATING = f"    net.eval()\n{COLLECTING}"
TRAINED = f"{STEP}def train(xs):\n    for x in xs:\n        step(x)\n"
METHOD = "class Own(nn.Module):\n    def run(self, xs):\n"


@pytest.mark.parametrize(
    ("text", "name", "path", "expected"),
    [
        (f"def run(xs):\n{COLLECTING}", "run", "code.py", [("found", False)]),
        (f"def run(xs):\n{COLLECTING}", "run", "tests/test_code.py", []),
        (f"def run(xs):\n    net.zero_grad()\n{COLLECTING}", "run", "code.py", []),
        (f"def run(xs):\n    net.zero_grad()\n    step(xs[0])\n{EVALUATING}", "run", "code.py", [("found", False)]),
        (f"def run(xs):\n    step(xs[0])\n{EVALUATING}", "run", "tests/test_code.py", []),
        (f"{METHOD}{indent(COLLECTING, '    ')}", "Own.run", "code.py", []),
        (f"{METHOD}        step(xs[0])\n{indent(EVALUATING, '    ')}", "Own.run", "code.py", []),
        # Called in both modes.
        (
            f"def run(xs):\n    step(xs[0])\n{COLLECTING}"
            "def main(xs):\n    run(xs)\n    with torch.no_grad():\n        run(xs)\n",
            "run",
            "code.py",
            [],
        ),
        (
            f"def run(xs):\n{COLLECTING}def main(xs):\n    run(xs)\n    with torch.no_grad():\n        run(xs)\n",
            "run",
            "code.py",
            [],
        ),
        (
            "def run(xs):\n    total = 0\n    for x in xs:\n        total += step(x)\n    return float(total)\n"
            "def main(xs):\n    run(xs)\n    with torch.no_grad():\n        run(xs)\n",
            "run",
            "code.py",
            [("total", True)],
        ),
    ],
)
def test_outputs_that_are_kept_where_there_is_training_too_may_be_wanted(
    build: Build, text: str, name: str, path: str, expected: list[tuple[str, bool]]
) -> None:
    assert kept(build, TRAINED + text, name, path) == expected


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (f"{METHOD}        return [net(x) for x in xs]\n", "Own.run"),
        (f"{METHOD}        loss = [net(x) for x in xs]\n        return loss\n", "Own.run"),
        (f"{METHOD}        self.step()\n        return [net(x) for x in xs]\n", "Own.run"),
        ("def run(x):\n    return net(x)\n", "run"),
        (f"@torch.no_grad()\ndef run(xs):\n{COLLECTING}", "run"),
        ("def run(xs):\n    return [str(x) for x in xs]\n", "run"),
    ],
    ids=["layers", "losses", "steps", "nothing kept", "nothing recorded", "no module"],
)
def test_who_can_keep_no_graphs_is_not_run(build: Build, text: str, name: str) -> None:
    project, found = function(build, text, name)
    before = next(project.flows.epochs)
    assert not [*project.growths.kept(found)]
    assert next(project.flows.epochs) == before + 1
    project.flow(found)
    assert next(project.flows.epochs) > before + 2  # it was run only now


METERS = """\
class Meter:
    def __init__(self):
        self.sum, self.values = 0, []
    def update(self, value):
        self.sum += value
    def put(self, value):
        self.values.append(value)
    def note(self, step, value):
        self.sum += value
    def set(self, value):
        self.sum = self.sum + value
    def sort(self, value):
        self.sums["all"] += value
class Shown:
    def show(self, value):
        self.shown = value
def gather(value):
    global gathered
    gathered += value
def mean(value):
    total, seen = 0, []
    for _ in range(3):
        total += value
        seen.append(1)
    return float(total) / len(seen)
"""


@pytest.mark.parametrize(
    ("body", "after", "expected"),
    [
        (f"{WALKED}meter.update(loss)", "", [("self.sum", True)]),
        (f"{WALKED}meter.put(loss)", "", [("self.values", True)]),
        (f"{WALKED}with torch.no_grad():\n    meter.update(loss)", "", []),
        (f"{WALKED}with torch.no_grad():\n    meter.put(loss)", "", [("self.values", True)]),
        ("loss = (w * x).sum()\nloss.backward()\nmeter.note(y, loss)", "", [("self.sum", True)]),
        (f"{WALKED}mean(loss)", "", []),  # it keeps nothing
        (f"{WALKED}meter.set(loss)", "", [("self.sum", True)]),
        (f"{WALKED}meter.sort(loss)", "", [("self.sums", True)]),
        (f"{WALKED}gather(loss)", "", [("gathered", True)]),
        ("loss = torch.zeros(1)\nengine.backward(loss)\nmeter.update(loss)", "", []),
        (f"{WALKED}total += loss", "shown.show(total)", [("total", True)]),
        (f"{WALKED}found.append(loss)", "shown.show(found)", [("found", True)]),  # nobody walks that graph again
        ("found.append(net(x).sum())", "shown.show(found)", []),  # who has it may train on it
        (f"{WALKED}found.append(loss)", "while found:\n    print(found.pop())", []),
    ],
)
def test_what_is_handed_to_objects_is_kept_by_them(
    build: Build, body: str, after: str, expected: list[tuple[str, bool]]
) -> None:
    objects = "meter, shown = Meter(), Shown()\n"
    assert kept(build, METERS + objects + looped(body, after)) == expected


def test_what_a_comprehension_hands_over_is_kept_as_well(build: Build) -> None:
    text = f"{STEP}{METERS}def run(meter: Meter, xs):\n    [meter.note(1, step(x)) for x in xs]\n"
    assert kept(build, text) == [("self.sum", True)]


def test_of_a_method_that_many_override_nobody_knows_what_it_keeps(build: Build) -> None:
    others = "".join(
        f"class Meter{n}(Meter):\n    def update(self, value):\n        self.sum += value\n" for n in range(12)
    )
    body = looped(f"{WALKED}meter.update(loss)").replace("def run(model", "def run(meter: Meter")
    assert kept(build, METERS + body) == [("self.sum", True)]
    assert kept(build, METERS + others + body) == []


def test_a_loss_that_is_handed_to_what_steps_with_it_was_walked(build: Build) -> None:
    body = "loss = net(x).sum()\nself.engine.minimize(loss)\ntotal += loss"
    method = indent(looped(body, "return float(total)").replace("def run(model", "def run(self"), "    ")
    assert kept(build, f"class Own(nn.Module):\n{method}", "Own.run") == [("total", True)]


AGENT = """\
class Agent:
    def __init__(self):
        self.net, self.target_net = nn.Linear(2, 2), nn.Linear(2, 2)
        self.memory, self.optimizer = [], torch.optim.SGD(self.net.parameters(), lr=0.1)
    def learn(self):
        loss = torch.stack(self.memory).sum()
        loss.backward()
        self.optimizer.step()
    def store(self, x, y):
"""


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        ("self.target_net(x).max()", [("self.memory", False)]),
        ("self.net(x).max()", []),
        ("self.target_net(x).max() + self.net(x).max()", []),
        ("self.target_net(x).max() + y", [("self.memory", False)]),
        ("self.target_net(x).max() + weigh(y)", [("self.memory", False)]),
        ("(w * 2).max() + y", []),
    ],
)
def test_what_is_trained_on_elsewhere_is_wanted_but_not_what_a_target_network_gives(
    build: Build, added: str, expected: list[tuple[str, bool]]
) -> None:
    assert kept(build, f"{AGENT}        self.memory.append({added})\n", "Agent.store") == expected
