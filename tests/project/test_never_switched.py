"""A module that is trained around a function that measures it, and that nobody ever puts into evaluation mode."""

from collections.abc import Callable, Mapping

import pytest

from gradlint.project import Project

Build = Callable[[Mapping[str, str]], Project]

NET = """\
import abc
import torch
from torch import nn
from elsewhere import Unknown
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.drop = nn.Linear(3, 3), nn.Dropout(0.5)
    def forward(self, x, y=None):
        return self.drop(self.fc(x))
class Quiet(nn.Module):
    def forward(self, x):
        return x
"""


def whys(build: Build, files: Mapping[str, str], name: str) -> list[str]:
    project = build(files)
    (function,) = (function for function in project.functions() if function.name == name)
    return [found.why for found in project.training_mode.of(function)]


TRAINER = """\
class Trainer{base}:
    def __init__(self, given):
        self.net = {made}
    def learn(self, x):
        {learn}
    @torch.no_grad()
    def {name}(self, x):
        {body}
"""
TRAINS = {"base": "", "made": "Net()", "learn": "self.net.train()", "name": "validate", "body": "return self.net(x)"}


@pytest.mark.parametrize(
    ("changed", "others", "expected"),
    [
        ({}, "", ["set"]),
        ({"made": "given"}, "", ["set"]),  # its layers are not known, but somebody minds its mode
        ({"made": "Quiet()"}, "", []),
        ({"base": "(abc.ABC)"}, "", ["set"]),
        ({"base": "(Unknown)"}, "", []),  # may switch modes in methods that cannot be seen
        ({"learn": "self.net.train(x)"}, "", []),
        ({"learn": "self.other.train()"}, "", []),
        ({"learn": "self.net.train()\n        self.net.training = x"}, "", []),
        ({"learn": "self.net.train()\n        x(self.net.eval)"}, "", []),
        ({"learn": "self.net.train()\n        eval(x)"}, "", ["set"]),  # Python's own
        ({"name": "act"}, "", []),  # noise helps to explore
        ({"name": "sample"}, "", []),
        ({"name": "advance"}, "", []),
        ({"name": "advance", "body": "for y in self.val_loader:\n            print(self.net(y))"}, "", ["set"]),
        ({"body": "prepare(1, self.net)\n        return self.net(x)"}, "", []),
        ({"body": "return self.net(x, targets)"}, "", []),  # it computes a loss
        ({"body": "return self.net.drop(x)"}, "", []),
        ({}, "def main(trainer: Trainer, x):\n    trainer.quiet.eval()\n    trainer.validate(x)\n", []),
        ({}, "def main(trainer, x):\n    trainer.net.eval()\n", []),
        ({}, "def main(trainer, x):\n    trainer.net.train(x)\n", []),
        ({}, "def main(trainer, x):\n    trainer.net.train()\n", ["set"]),
        ({}, "def main(trainer, x):\n    trainer.other.eval()\n", ["set"]),
        ({}, "def main(net):\n    net.eval()\n    return Trainer(net)\n", []),
        ({}, "class Fast(Trainer):\n    def ready(self):\n        self.net.eval()\n", []),
    ],
)
def test_another_method_puts_an_attribute_into_training_mode(
    build: Build, changed: Mapping[str, str], others: str, expected: list[str]
) -> None:
    told = TRAINS | dict(changed)
    assert whys(build, {"code.py": NET + TRAINER.format(**told) + others}, f"Trainer.{told['name']}") == expected


def test_the_first_of_many_places_is_told(build: Build) -> None:
    many = "".join(f"    def learn_{number}(self):\n        self.net.train()\n" for number in range(9))
    project = build({"code.py": NET + TRAINER.format(**TRAINS) + many})
    (validate,) = (function for function in project.functions() if function.name == "Trainer.validate")
    (learn,) = (function for function in project.functions() if function.name == "Trainer.learn")
    (train,) = learn.facts.calls
    assert [found.place for found in project.training_mode.of(validate)] == [learn.place(train.at)]


@pytest.mark.parametrize(
    ("changed", "others", "expected"),
    [
        ({}, "", ["object"]),
        ({"learn": "return self.net(x)"}, "", []),
        ({"made": "given"}, "", []),
        ({"made": "Quiet()"}, "", []),
        ({"made": "Net().eval()"}, "", []),
        ({"made": "Net()\n        self.net = given"}, "", []),
        ({"base": "(abc.ABC)"}, "", ["object"]),
        ({"base": "(Unknown)"}, "", []),
        ({"learn": "self.net(x).sum().backward()\n        self.net.eval()"}, "", []),
        ({"learn": "self.net(x).sum().backward()\n        self.net.train(x)"}, "", []),
        ({"name": "act"}, "", []),
        ({}, "    def ready(self):\n        self.net = Quiet()\n", []),
        ({}, "def main(trainer):\n    trainer.net.eval()\n", []),
    ],
)
def test_an_object_trains_what_its_constructor_made(
    build: Build, changed: Mapping[str, str], others: str, expected: list[str]
) -> None:
    told = TRAINS | {"learn": "self.net(x).sum().backward()"} | dict(changed)
    assert whys(build, {"code.py": NET + TRAINER.format(**told) + others}, f"Trainer.{told['name']}") == expected


@pytest.mark.parametrize(
    ("opening", "expected"),
    [
        ("", ["set"]),  # a variable of the same name in a file that has nothing to do with it
        ("import code_\n", []),
        ("def ready(net):\n    net.eval()\n", ["set"]),
    ],
)
def test_variables_count_in_files_that_import_the_class(build: Build, opening: str, expected: list[str]) -> None:
    files = {"code_.py": NET + TRAINER.format(**TRAINS), "main.py": f"{opening}def main(net):\n    net.eval()\n"}
    assert whys(build, files, "Trainer.validate") == expected


def test_variables_count_in_files_that_the_class_imports(build: Build) -> None:
    files = {"code_.py": "import main\n" + NET + TRAINER.format(**TRAINS), "main.py": "def f(net):\n    net.eval()\n"}
    assert whys(build, files, "Trainer.validate") == []


MAIN = """\
def fit(net, x):
    {fit}
@torch.no_grad()
def {name}(net, x):
    {body}
def switch(nets):
    for each in nets:
        each.eval()
def {main}(x):
    net = {made}
    {before}
    return {name}(net, x)
"""
CALLS = {
    "fit": "net(x).sum().backward()",
    "name": "evaluate",
    "body": "return net(x)",
    "main": "main",
    "made": "Net()",
    "before": "fit(net, x)",
}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, ["used"]),
        ({"before": "net(x).sum().backward()"}, ["used"]),
        ({"before": "pass"}, []),  # nobody trains it
        ({"before": "print(x.train)"}, []),
        ({"before": "fit(net, x)\n    switch([net])"}, []),
        ({"main": "main(self, net, x):\n    pass\ndef other", "made": "x.net"}, []),
        ({"fit": "net(x).sum().backward()\n    net.eval()"}, []),
        ({"before": "fit(net, x)\n    net.eval()"}, []),
        ({"before": "fit(net, x)\n    net.train(False)"}, []),
        ({"before": "fit(net, x)\n    print(eval('1'))"}, ["used"]),
        ({"made": "Quiet()"}, []),
        ({"made": "Unknown.from_pretrained(x)"}, []),
        ({"made": "x.net"}, []),
        ({"name": "act"}, []),
        ({"main": "test_main"}, ["used"]),
        ({"body": "return net(x, labels)"}, []),
        ({"body": "ready_for_eval(net)\n    return net(x)"}, []),
        ({"before": "fit(net, x)\n    prepare(net)"}, []),  # unknown, and called as if it might switch modes
        ({"before": "fit(net, x)\n    show(net)"}, ["used"]),
        ({"before": "fit(net, x)\n    evaluate(net, 2 * x)"}, ["used"]),
        ({"before": "fit(net, x)\n    evaluate(Quiet(), x)"}, ["used"]),
        ({"before": "fit(net, x)", "made": "(Net(), 1)[0]"}, ["used"]),
    ],
)
def test_a_caller_trains_what_it_hands_over(build: Build, changed: Mapping[str, str], expected: list[str]) -> None:
    told = CALLS | dict(changed)
    assert whys(build, {"code.py": NET + MAIN.format(**told)}, told["name"]) == expected


@pytest.mark.parametrize(
    ("main", "expected"),
    [("", ["used"]), ("def main(x):\n    runner = Runner()\n    runner.net.eval()\n    runner.run(x)\n", [])],
)
def test_an_object_trains_and_hands_over_what_it_holds(build: Build, main: str, expected: list[str]) -> None:
    runner = (
        "class Runner:\n    def __init__(self):\n        self.net = Net()\n"
        "    def run(self, x):\n        fit(self.net, x)\n        return evaluate(self.net, x)\n"
    )
    code = NET + MAIN.format(**CALLS).partition("def main")[0] + runner + main
    assert whys(build, {"code.py": code}, "evaluate") == expected


def test_what_a_test_trains_and_hands_over_proves_nothing(build: Build) -> None:
    files = {"code.py": NET + MAIN.format(**CALLS).partition("def main")[0]}
    body = "    net = Net()\n    fit(net, x)\n    evaluate(net, x)\n"
    files["tests/test_code.py"] = f"from code import Net, evaluate, fit\ndef test_main(x):\n{body}"
    assert whys(build, files, "evaluate") == []


SCRIPT = """\
net = {made}
def train(x):
    {train}
@torch.no_grad()
def test(x):
    {body}
def main(x):
    train(x)
    test(x)
"""
RUNS = {"made": "Net().cuda()", "train": "net(x).sum().backward()", "body": "return net(x)"}


@pytest.mark.parametrize(
    ("changed", "more", "expected"),
    [
        ({}, {}, ["file"]),
        ({"made": "Quiet()"}, {}, []),
        ({"made": "Net().eval()"}, {}, []),
        ({"made": "torch.hub.load('a', 'b')"}, {}, []),
        ({"made": "Net()\nnet = Net()"}, {}, []),
        ({"made": "Net() if main else Quiet()"}, {}, []),
        ({"train": "net.eval()\n    net(x).sum().backward()"}, {}, []),
        ({"train": "ready(net)\n    net(x).sum().backward()"}, {}, ["file"]),
        ({"train": "prepare(net)\n    net(x).sum().backward()"}, {}, []),
        ({"train": "for each in [net]:\n        each.eval()\n    net(x).sum().backward()"}, {}, []),
        ({"train": "return net(x)"}, {}, []),
        ({"body": "net = x\n    return net(x)"}, {}, []),
        ({}, {"other.py": "import code_\ncode_.test(0)\n"}, []),  # somebody else may switch it
        ({"made": "Net()\nfor net in [Quiet()]:\n    pass"}, {}, []),
        ({"made": "Net()\ndef main(x):\n    net = Quiet()"}, {}, ["file"]),
        ({}, {"other.py": "def ready(net):\n    net.eval()\n"}, ["file"]),
    ],
)
def test_a_script_trains_the_module_that_it_evaluates(
    build: Build, changed: Mapping[str, str], more: Mapping[str, str], expected: list[str]
) -> None:
    told = RUNS | dict(changed)
    assert whys(build, {"code_.py": NET + SCRIPT.format(**told), **more}, "test") == expected


PAIR = """\
@torch.no_grad()
def test({parameters}, x):
    {before}
    return predictor(net(x))
"""
CALLING = """\
def main(given, x):
    net, predictor = {made}
    return test({handed}, x)
"""
HANDED = {
    "parameters": "net, predictor",
    "before": "net.eval()",
    "made": "Quiet(), Net()",
    "handed": "net, predictor",
}


@pytest.mark.parametrize(
    ("changed", "others", "expected"),
    [
        ({}, "", ["beside"]),
        ({"before": "predictor.eval()\n    net.eval()"}, "", []),
        ({"before": "pass"}, "", []),
        ({"made": "Net(), Quiet()"}, "", []),  # the mode makes no difference
        ({"made": "Net(), Net()"}, "", []),  # perhaps the same under two names
        ({"made": "given, Net()"}, "", []),
        ({"made": "Quiet(), given"}, "", []),
        ({"made": "Quiet(), Net().eval()"}, "", []),
        ({"made": "Quiet(), Net().train()"}, "", ["beside"]),
        ({}, "def other(given, x):\n    test(Quiet(), given, x)\n", []),
        ({}, "def other(given, x):\n    test(Quiet(), Net(), x)\n", ["beside"]),
    ],
)
def test_one_of_two_that_are_handed_over_was_forgotten(
    build: Build, changed: Mapping[str, str], others: str, expected: list[str]
) -> None:
    told = HANDED | dict(changed)
    assert whys(build, {"code.py": NET + (PAIR + CALLING).format(**told) + others}, "test") == expected


def test_without_callers_nobody_knows_what_is_handed_over(build: Build) -> None:
    assert whys(build, {"code.py": NET + PAIR.format(**HANDED)}, "test") == []
