"""What is not looked into has nothing to show: who is passed over runs no module, and holds no inference tensor."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from gradlint import registry
from gradlint.model.extract import extract
from gradlint.project import Project
from gradlint.project.questions.inference_modes import InferenceModes
from gradlint.rule import Rule
from gradlint.source import Source
from gradlint.testing import cases

Build = Callable[[Mapping[str, str]], Project]
FIXTURES = Path(__file__).parents[2] / "fixtures"


def forwards_missed(project: Project) -> list[str]:
    """The functions that run a module against expectation."""
    return [
        f"{function} {event.name}"
        for function in project.functions()
        for event in project.flow(function).calls.values()
        if event.forward and not project.forwards.may_run(function)
    ]


def misuses_missed(sources: Sequence[Source], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The functions that misuse inference tensors against expectation."""
    near = Project(extract(source) for source in sources)
    expected = {repr(f) for f in near.functions() if [*near.inference_tensors.misuses(f)]}
    with monkeypatch.context() as everywhere:
        everywhere.setattr(InferenceModes, "are_near", lambda self, function: True)
        project = Project(extract(source) for source in sources)
        return [
            repr(f) for f in project.functions() if [*project.inference_tensors.misuses(f)] and repr(f) not in expected
        ]


@pytest.mark.parametrize("rule", registry.load(), ids=lambda rule: rule.code)
def test_no_case_of_a_rule_is_missed(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    for case in cases(rule):
        sources = [Source(file.path, file.text) for file in case.files]
        assert not forwards_missed(Project(map(extract, sources))), case
        assert not misuses_missed(sources, monkeypatch), case


def test_no_fixture_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [Source(path.as_posix(), path.read_text(encoding="utf-8")) for path in sorted(FIXTURES.rglob("*.py"))]
    assert not forwards_missed(Project(map(extract, sources)))
    assert not misuses_missed(sources, monkeypatch)


PROJECT = {
    "net.py": """
        import torch
        from torch import nn
        def ready(): return torch.cuda.is_available()
        def version(): return str(torch.__version__)
        def decorate(original): return original()
        def run(model, x): return model(x)
        def log(model, x): print(model(x))
        """,
    "use.py": """
        from net import *
        def on(model, x): return run(model, x).argmax()
        def further(model, x): return on(model, x)
        def hands(model, x): return run(model, x) * 2
        def handed(model, x): return hands(model, x)
        def off(model, x): return log(model, x)
        def asks(): return ready() and version()
        def again(n): return again(n - 1)
        """,
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("run", True),
        ("on", True),
        ("further", False),  # what ``argmax()`` gives has no graph
        ("handed", True),
        ("log", True),
        ("off", False),
        ("asks", False),
        ("ready", False),
    ],
)
def test_who_calls_something_for_a_result_that_is_no_modules_runs_none(build: Build, name: str, expected: bool) -> None:
    project = build(PROJECT)
    (function,) = [f for f in project.functions() if f.name == name]
    assert project.forwards.may_run(function) is expected


@pytest.mark.parametrize(
    ("body", "near"),
    [
        ("def g(x): return made(x)", True),
        ("def g(x): return quiet(x)", False),
        ("def g(x): return Net()(x)", True),
        ("class A:\n    @torch.inference_mode()\n    def m(self): self.k = 1\n    def g(self): return self.k", True),
        ("class A:\n    def g(self): return self.k", False),
        ("def g(x):\n    with torch.inference_mode():\n        return x + 1", True),
    ],
)
def test_who_is_near_an_inference_mode(build: Build, body: str, near: bool) -> None:
    held = (
        "import torch\n@torch.inference_mode()\ndef made(x): return x + 1\ndef quiet(x): return x\n"
        "class Net(torch.nn.Module):\n    @torch.inference_mode()\n    def forward(self, x): return x\n"
    )
    names = "Net, made, quiet" if "Net" in body else "made, quiet"
    project = build({"held.py": held, "use.py": f"import torch\nfrom held import {names}\n{body}\n"})
    (function,) = [f for f in project.functions() if f.facts.name == "g"]
    assert project.inference_modes.are_near(function) is near


def test_without_an_inference_mode_nobody_is_near_one(build: Build) -> None:
    project = build({"a.py": "import torch\n@torch.no_grad()\ndef f(x): return x.add_(1)\n"})
    assert not any(map(project.inference_modes.are_near, project.functions()))


CLASSES = {
    "net.py": """
        from torch import nn
        class Heads(nn.Module):
            def __init__(self, net):
                super().__init__()
                self.net = net
                self.chosen = self.first
                self.picked = net
            def first(self, x): return self.net(x)
            @property
            def head(self): return self.net
            @lazy_property(lock=True)
            def encoder(self): return self.net
            def model(self, x): raise NotImplementedError
            @classmethod
            def share(cls, net): cls.common = net
            def shares(self, x): return self.common(x)
            def picked(self, x): return 3
            def encode(self): return 3
            def encoded(self): return self.encode()
            def encodes(self, x): return self.encoder(x)
            def abstract(self, x): return self.model(x)
            def picks(self, x): return self.picked(x)
            def size(self): return 3
            def resize(self): return self.size()
            def again(self, x): return self.first(x)
            def asked(self, x): return self.head(x)
            def chooses(self, x): return self.chosen(x)
            @classmethod
            def make(cls, net): return cls(net)
            @classmethod
            def loaded(cls, x):
                cls = x.load()
                return cls(x)
            @classmethod
            def nested(cls):
                def one(cls, x): return cls(x)
                return one
            def predict(self, x): return super().__call__(x)
        def keep(state, net): state.scorer = net
        def score(state, x): return state.scorer(x)
        def score_here(state, net, x):
            state.scorer = net
            return state.scorer(x)
        class Tokens:
            def make(self): pass
            def ask(self, cls, x): return cls(x)
        class Words(Tokens):
            def split(self, text): return super().__call__(text)
        """,
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Heads.first", True),
        ("Heads.resize", False),
        ("Heads.again", True),  # through the method that it calls
        ("Heads.encoded", False),  # by its name a model's method, but here is what it does
        ("Heads.asked", True),  # a property gives it
        ("Heads.encodes", True),
        ("Heads.abstract", True),  # who derives from it may have a model there
        ("Heads.picks", True),
        ("Heads.shares", True),
        ("Heads.chooses", True),  # an attribute holds it
        ("Heads.make", False),  # it makes one
        ("Heads.loaded", True),
        ("Heads.nested.one", False),  # ``cls`` is what it is given, and nothing treats that as a module
        ("Heads.predict", True),
        ("score", False),  # nobody knows whose ``scorer`` it is
        ("score_here", True),
        ("Tokens.ask", False),
        ("Words.split", False),
    ],
)
def test_a_method_that_an_object_calls_is_no_module(build: Build, name: str, expected: bool) -> None:
    project = build(CLASSES)
    (function,) = [f for f in project.functions() if f.name == name]
    assert project.forwards.may_run(function) is expected
    assert not forwards_missed(project)
