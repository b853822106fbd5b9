"""Flows are run on demand, dropped when nobody needs them any more, and leave nothing else behind."""

import gc
import weakref
from collections.abc import Callable, Mapping

import pytest

from gradlint.project import Project
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.running.flow import Flow
from gradlint.project.running.flows import Flows
from gradlint.project.running.interpret import Run

FILES = {
    "net.py": """
        import torch

        class Net(torch.nn.Module):
            def forward(self, x):
                return self.head(x)

            def head(self, x):
                return x * self.scale

            def reset(self):
                self.scale = torch.ones(1)
    """,
    "use.py": """
        from net import Net

        def evaluate(x):
            net = Net()
            return twice(net.head(x))

        def twice(x):
            return x + x
    """,
}


def function(project: Project, name: str) -> FunctionNode:
    return next(f for f in project.functions() if f.facts.name == name)


def test_a_flow_that_other_modules_use_is_kept_and_others_are_run_again_alike(
    build: Callable[[Mapping[str, str]], Project],
) -> None:
    project = build(FILES)
    head, reset, twice = (function(project, name) for name in ("head", "reset", "twice"))
    before = [project.flow(f) for f in (head, reset, twice)]
    project.flows.leave(project.modules)
    after = [project.flow(f) for f in (head, reset, twice)]
    assert [a is b for a, b in zip(before, after, strict=True)] == [True, False, False]
    assert [(f.calls, f.returns, f.env) for f in after] == [(f.calls, f.returns, f.env) for f in before]


def test_a_run_that_is_over_is_freed_without_a_collector(
    build: Callable[[Mapping[str, str]], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[weakref.ref[Run]] = []
    begin = Run.__init__

    def noted(run: Run, flows: Flows, flow: Flow) -> None:
        made.append(weakref.ref(run))
        begin(run, flows, flow)

    monkeypatch.setattr(Run, "__init__", noted)
    project = build(FILES)
    gc.disable()
    try:
        for each in project.functions():
            project.flow(each)
        assert len(made) >= len(FILES)
        assert [run for run in made if run() is not None] == []
    finally:
        gc.enable()


@pytest.mark.parametrize(("held", "is_forward"), [("transforms", False), ("layers", True)])
def test_a_transformer_is_a_model_unless_it_is_one_of_the_transforms(
    build: Callable[[Mapping[str, str]], Project], held: str, is_forward: bool
) -> None:
    text = f"""
        import torch

        class Jitter:
            def __call__(self, image):
                for i, (transformer, strength) in enumerate(self.{held}):
                    image = transformer(image)
                return image
    """
    project = build({"jitter.py": text})
    calls = project.flow(function(project, "__call__")).calls.values()
    assert [event.forward for event in calls if event.name == "transformer"] == [is_forward]


@pytest.mark.parametrize(
    ("made", "is_forward"),
    [("cv2.resize(cv2.imread(path), size)", False), ("Image.open(path)", False), ("torch.load(path)", True)],
)
def test_what_takes_pictures_is_no_module_of_torch_whatever_its_name(
    build: Callable[[Mapping[str, str]], Project], made: str, is_forward: bool
) -> None:
    text = f"""
        import cv2
        import torch
        from PIL import Image

        def show(model, path, size):
            image = {made}
            return model(image)
    """
    project = build({"demo.py": text})
    calls = project.flow(function(project, "show")).calls.values()
    assert [event.forward for event in calls if event.name == "model"] == [is_forward]


@pytest.mark.parametrize(
    ("own", "others", "is_forward"),
    [
        ("raise NotImplementedError", ["return self.net(x)"], True),
        ("raise NotImplementedError", ["return self.net(x)", "return self.net(x) + 1"], True),
        ("raise NotImplementedError", ["return self.net(x)", "return len(x)"], False),
    ],
)
def test_a_stub_is_no_forward_but_where_all_that_override_it_are(
    build: Callable[[Mapping[str, str]], Project], own: str, others: list[str], is_forward: bool
) -> None:
    text = "import torch\nclass Base:\n    def run(self, x):\n        return self.step(x)\n"
    text += f"    def step(self, x): {own}\n"
    for number, other in enumerate(others):
        text += f"class C{number}(Base):\n    def __init__(self): self.net = torch.nn.Linear(2, 1)\n"
        text += f"    def step(self, x): {other}\n"
    project = build({"base.py": text})
    calls = project.flow(function(project, "run")).calls.values()
    assert [event.forward for event in calls] == [is_forward]
