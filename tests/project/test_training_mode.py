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


@pytest.mark.parametrize(
    "text",
    [
        f"{NET}def main(x):\n    return evaluate(Net(), x)\n",
        f"{NET}class Runner:\n    def run(self, x):\n        return evaluate(self.net, x)\n",
        "def evaluate(net, x):\n    net.train()\n    return net(x)\n",  # nothing is switched off
        "import torch\nclass Runner:\n    @torch.no_grad()\n    def evaluate(self, x):\n        return self.net(x)\n",
    ],
    ids=["function", "object", "with a graph", "method"],
)
def test_where_nobody_speaks_of_modes_nothing_is_run(build: Build, text: str) -> None:
    project = build({"code.py": text})
    (evaluate,) = (function for function in project.functions() if function.facts.name == "evaluate")
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


def whys(build: Build, text: str, name: str) -> list[str]:
    project = build({"code.py": NET + text})
    (function,) = (function for function in project.functions() if function.name == name)
    return [found.why for found in project.training_mode.of(function)]


QUIET = "class Quiet(nn.Module):\n    def forward(self, x):\n        return x\n"


def after_train(name: str, body: str, parameters: str = "x") -> str:
    """A function without a graph that puts a module of its own into training mode first."""
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    return f"@torch.no_grad()\ndef {name}({parameters}):\n    net = Net()\n    net.train()\n{lines}"


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("predict", "return net(x)", ["set"]),
        ("predict", "return net(x), net(x + 1)", ["set"]),  # once for each module
        ("advance", "return net(x)", []),
        ("advance", "for y in val_loader:\n    print(net(y))", ["set"]),
        ("advance", "for y in batches:\n    print(net(y))", []),
        ("advance", "for y in val_loader:\n    print(y)\nreturn net(x)", []),
        ("predict_with_dropout", "return net(x)", []),  # the mode is what it is about
        ("predict", "return net(x, labels)", []),  # it computes a loss
        ("predict", "net.half()", []),
        ("predict", "net.eval()\nreturn net(x)", []),
        ("predict", "if x.any():\n    net.eval()\nreturn net(x)", []),
        ("predict", "with torch.enable_grad():\n    return net(x)", []),
        ("predict", "y = net(x)\nwith torch.enable_grad():\n    (other(x) - y).sum().backward()", []),
    ],
)
def test_a_module_that_was_put_into_training_mode_evaluates(
    build: Build, name: str, body: str, expected: list[str]
) -> None:
    assert whys(build, after_train(name, body), name) == expected


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("class Runner:\n    @torch.no_grad()\n    def predict(self, x):\n        {}\n", "Runner.predict", ["set"]),
        ("class Bayesian:\n    @torch.no_grad()\n    def predict(self, x):\n        {}\n", "Bayesian.predict", []),
        ("class Own(nn.Module):\n    @torch.no_grad()\n    def predict(self, x):\n        {}\n", "Own.predict", []),
        (
            "class TestNet:\n    @torch.no_grad()\n    def test_predict(self, x):\n        {}\n",
            "TestNet.test_predict",
            [],
        ),
        (
            "class Shown(Callback):\n    @torch.no_grad()\n    def predict_step(self, x):\n        {}\n",
            "Shown.predict_step",
            [],
        ),
        (
            "class Shown:\n    @torch.no_grad()\n    def predict_step(self, x):\n        {}\n",
            "Shown.predict_step",
            ["set"],
        ),
        ("def predict(x):\n    {}\n", "predict", []),
    ],
    ids=["object", "on purpose", "module", "test", "hook", "no hook", "with a graph"],
)
def test_where_a_module_evaluates_decides(build: Build, text: str, name: str, expected: list[str]) -> None:
    body = "net = Net().train(); return net(x)"
    assert whys(build, f"from lightning import Callback\n{text.format(body)}", name) == expected


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("nn.Sequential(nn.Linear(2, 2), nn.Dropout())", ["set"]),
        ("nn.Sequential(nn.Linear(2, 2), Unknown())", ["set"]),
        ("nn.Sequential(nn.Linear(2, 2), nn.ReLU())", []),
        ("Quiet()", []),
        ("Net()", ["set"]),
    ],
)
def test_the_mode_must_matter_to_some_layer(build: Build, layers: str, expected: list[str]) -> None:
    text = f"@torch.no_grad()\ndef predict(x):\n    net = {layers}\n    net.train()\n    return net(x)\n"
    assert whys(build, f"from parts import Unknown\n{QUIET}{text}", "predict") == expected


@pytest.mark.parametrize(
    ("evaluate", "caller", "expected"),
    [
        ("return net(x)", "net.train()\nshow(net, x)", ["set"]),
        ("return net(x)", "show(net, x)", []),
        ("return net(x)", "net.eval()\nshow(net, x)", []),
        ("return net(x)", "net.train(False)\nshow(net, x)", []),
        ("return net(x)", "net.train()\nother.eval()\nshow(net, x)", []),
        ("return net(x)", "net.train()\nshow(net, x)\nother.eval()", ["set"]),
        ("return net(x)", "net.train()\nwhile x:\n    show(net, x)\n    other.eval()", []),
        ("return net(x)", "net.train()\nwhile x:\n    show(net, x)\nelse:\n    other.eval()", ["set"]),
        ("return net(x)", "net.train()\nshow(net, x)\nwhile x:\n    other.eval()", ["set"]),
        ("return net(x)", "net.train()\nshow(net, x)\nprint(x.eval)", []),
        ("other.eval()\nreturn net(x)", "net.train()\nshow(net, x)", []),
        ("prepare_model(net)\nreturn net(x)", "net.train()\nshow(net, x)", []),
        ("switch(net)\nreturn net(x)", "net.train()\nshow(net, x)", []),
        ("draw(net)\nreturn net(x)", "net.train()\nshow(net, x)", ["set"]),
        ("prepare_model(x)\nreturn net(x)", "net.train()\nshow(net, x)", ["set"]),
        ("return net(x, labels)", "net.train()\nshow(net, x)", []),
    ],
)
def test_a_caller_put_the_module_into_training_mode_unless_somebody_on_the_way_says_otherwise(
    build: Build, evaluate: str, caller: str, expected: list[str]
) -> None:
    switch = "def switch(module):\n    for part in module.children():\n        part.eval()\n"
    helpers = f"{switch}def draw(module):\n    print(module)\n"
    shows = "@torch.no_grad()\ndef show(net, x):\n" + "".join(f"    {line}\n" for line in evaluate.split("\n"))
    calls = "def main(x):\n    net = Net()\n" + "".join(f"    {line}\n" for line in caller.split("\n"))
    found = whys(build, (helpers + shows + calls).replace("show(", "evaluate_all("), "evaluate_all")
    assert found == expected


@pytest.mark.parametrize(("name", "expected"), [("evaluate_all", ["set"]), ("advance", [])])
def test_a_callers_module_must_be_evaluated(build: Build, name: str, expected: list[str]) -> None:
    text = f"@torch.no_grad()\ndef {name}(net, x):\n    return net(x)\n"
    main = f"def main(x):\n    net = Net()\n    net.train()\n    {name}(net, x)\n"
    assert whys(build, text + main, name) == expected


def test_a_module_of_the_file_may_be_in_training_mode_on_purpose(build: Build) -> None:
    text = "shared = Net().train()\n@torch.no_grad()\ndef predict(x):\n    return shared(x)\n"
    assert whys(build, f"{text}def main(x):\n    predict(x)\n", "predict") == []


@pytest.mark.parametrize(("given", "known"), [("x", True), ("x, scale", None)])
def test_who_sets_the_mode_of_an_unknown_module_by_hand_thinks_that_it_matters(
    build: Build, given: str, known: bool | None
) -> None:
    text = f"@torch.no_grad()\ndef predict(model, x, scale):\n    model.train()\n    return model({given})\n"
    project = build({"code.py": NET + text})
    (predict,) = (function for function in project.functions() if function.name == "predict")
    assert [found.known for found in project.training_mode.of(predict)] == [known]


FIT = """\
def fit(train_loader, val_loader, data):
    net, second = Net(), Net()
    for x in train_loader:
        {trained}
    with torch.no_grad():
        for x in {data}:
            {before}
            print(net(x).mean().item())
"""


@pytest.mark.parametrize(
    ("changed", "caller", "expected"),
    [
        ({}, "", ["trained"]),
        ({"data": "data"}, "", []),
        ({"trained": "print(net(x))"}, "", []),
        ({"trained": "print(net(x), x.train)"}, "", []),
        ({"trained": "second(x).sum().backward()"}, "", []),
        ({"before": "net.eval()"}, "", []),
        ({"before": "print(x.eval)"}, "", []),
        ({"before": "net.train(False)"}, "", []),
        ({"before": "prepare(net)"}, "", []),
        ({}, "def main(loader):\n    fit(loader, loader, loader)\n", ["trained"]),
        ({}, "def main(loader):\n    net.eval()\n    fit(loader, loader, loader)\n", []),
    ],
)
def test_what_is_trained_and_then_run_on_other_data_evaluates(
    build: Build, changed: Mapping[str, str], caller: str, expected: list[str]
) -> None:
    told = {"trained": "net(x).sum().backward()", "data": "val_loader", "before": "pass"} | dict(changed)
    assert whys(build, FIT.format(**told) + caller, "fit") == expected


MADE = "@torch.no_grad()\ndef run(path, x, given):\n    net = {made}\n    {loaded}\n    return net(x).argmax(1)\n"
LOADING = "net.load_state_dict(torch.load(path))"


@pytest.mark.parametrize(
    ("made", "loaded", "expected"),
    [
        ("Net()", LOADING, ["made"]),
        ("Net()", "pass", []),
        ("given", LOADING, []),
        ("Net().eval()", LOADING, []),
        ("Net().train()", LOADING, []),
        ("Net()", f"{LOADING}; net.eval()", []),
        ("Net()", f"{LOADING}; shown = net(x + 1); net.eval()", []),  # who knows in which order it runs
        ("Net()", f"{LOADING}; prepare(net)", []),
        ("Net()", f"{LOADING}; other.zero_grad()", []),
        ("nn.BatchNorm1d(2)", LOADING, ["made"]),
        ("torch.hub.load('some/where', 'net')", LOADING, []),
    ],
)
def test_what_is_made_and_loaded_is_in_training_mode(build: Build, made: str, loaded: str, expected: list[str]) -> None:
    assert whys(build, MADE.format(made=made, loaded=loaded), "run") == expected


OWNER = """\
class Owner:
    def __init__(self, given):
        self.net = {made}
        {loaded}
    @torch.no_grad()
    def {name}(self, x):
        {before}
        return {net}(x).argmax(1)
"""


@pytest.mark.parametrize(
    ("changed", "others", "expected"),
    [
        ({}, "", ["loaded"]),
        ({"made": "given"}, "", []),
        ({"made": "Net().eval()"}, "", []),
        ({"made": "Net().train()"}, "", []),
        ({"loaded": "pass"}, "", []),
        ({"loaded": "pass"}, "    def fill(self, state):\n        self.net.load_state_dict(state)\n", []),
        ({"loaded": "self.net.load_state_dict(given)\n        self.net = Net()"}, "", []),
        ({"name": "advance"}, "", []),
        ({"net": "self.net.drop"}, "", []),
        ({"net": "head"}, "", []),
        ({"loaded": "self.net.load_state_dict(given)\n        self.net = wrapped(self.net)"}, "", []),
        ({"before": "self.prepare()"}, "    def prepare(self):\n        self.net.eval()\n", []),
        ({}, "    def prepare(self):\n        for part in self.parts:\n            part.eval()\n", []),
        ({}, "def prepare(self):\n    self.net.eval()\n", []),
        ({}, "def prepare(owner):\n    owner.net.eval()\n", []),
        ({}, "def prepare(owner):\n    owner.head.eval()\n", ["loaded"]),
        ({}, "class Other:\n    def prepare(self):\n        self.net.eval()\n", ["loaded"]),
        ({}, "class Other:\n    def prepare(self, owner):\n        owner.net.eval()\n", []),
    ],
)
def test_what_the_constructor_made_and_loaded_is_in_training_mode_until_somebody_switches_it(
    build: Build, changed: Mapping[str, str], others: str, expected: list[str]
) -> None:
    told = {
        "made": "Net()",
        "loaded": "self.net.load_state_dict(given)",
        "name": "predict",
        "before": "pass",
        "net": "self.net",
    } | dict(changed)
    assert whys(build, f"head = Net()\n{OWNER.format(**told)}{others}", f"Owner.{told['name']}") == expected


PAIR = """\
class Open(nn.Module):
    def __init__(self):
        self.layer = Unknown()
    def forward(self, x):
        return self.layer(x)
class Pair:
    def __init__(self, given):
        self.head, self.net = given, {made}
    @torch.no_grad()
    def scores(self, x):
        {before}
        return self.head(self.net(x))
"""


@pytest.mark.parametrize(
    ("changed", "others", "expected"),
    [
        ({}, "", ["beside"]),
        ({"before": "pass"}, "", []),
        ({"before": "self.net.eval()"}, "", []),
        ({"before": "self.head.eval()\n        self.net.train()"}, "", []),
        ({"before": "self.eval()"}, "", []),  # the module is part of that
        ({"before": "self.net.drop.eval()"}, "", []),
        ({"before": "for self.head in given:\n            self.head.eval()"}, "", []),
        ({"before": "self.head.eval()\n        print(x.train)"}, "", []),
        ({"made": "Net().train()"}, "", []),
        ({"made": "Quiet()"}, "", []),
        ({"made": "given"}, "", []),  # perhaps the same module under another name
        ({"made": "nn.DataParallel(self.head)"}, "", []),
        (
            {"made": "Open()"},
            "    def fit(self):\n        self.head.train()\n        self.net.train()\n",
            ["beside"],
        ),
        ({"made": "Open()"}, "    def fit(self):\n        self.net.train()\n", []),
        ({"made": "Open()"}, "    def fit(self):\n        self.head.train()\n", []),
        ({}, "def main(pair, x):\n    pair.eval()\n    pair.scores(x)\n", []),
        ({}, "def main(pair: Pair, x):\n    pair.scores(x)\n", ["beside"]),
    ],
)
def test_beside_a_module_that_is_switched_another_one_was_forgotten(
    build: Build, changed: Mapping[str, str], others: str, expected: list[str]
) -> None:
    told = {"made": "Net()", "before": "self.head.eval()"} | dict(changed)
    assert whys(build, f"from parts import Unknown\n{QUIET}{PAIR.format(**told)}{others}", "Pair.scores") == expected


def test_what_is_said_of_evaluation_mode_after_the_call_matters_to_a_module_that_outlives_it(build: Build) -> None:
    runner = "class Runner:\n    def __init__(self):\n        self.net = Net()\n        self.net.train()\n"
    run = "    def run(self, x):\n        evaluate(self.net, x)\n"
    assert whys(build, f"{runner}{run}", "evaluate") == ["set"]
    assert whys(build, f"{runner}{run}        other.eval()\n", "evaluate") == []
