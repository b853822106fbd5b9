"""What functions do to gradients, in order, and in which state a step finds them."""

from collections.abc import Callable, Mapping

import pytest

from gradlint.project import Project
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.questions.handed_optimizers import is_optimizer_name
from gradlint.project.questions.scripts import acts

Build = Callable[[Mapping[str, str]], Project]

HEAD = "import torch\noptimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"


def body(build: Build, text: str, **files: str) -> tuple[Project, FunctionNode]:
    project = build({"code.py": HEAD + text, **{f"{name}.py": other for name, other in files.items()}})
    return project, next(m for m in project.modules if m.path == "code.py").body


def kinds(build: Build, text: str, **files: str) -> list[str]:
    project, function = body(build, text, **files)
    return [f"{act.kind} {act.path}" for act in acts(project.order.steps.script(function)) if act.kind != "read"]


def grads(build: Build, text: str, kind: str = "step") -> list[set[str]]:
    project, function = body(build, text)
    return [set(m.grads) for m in project.order.moments(function) if m.act.kind == kind]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("loss.backward()", ["backward loss"]),
        ("scaler.scale(loss).backward()\nscaler.step(optimizer)", ["backward None", "step optimizer"]),
        ("accelerator.backward(loss)", ["backward accelerator"]),
        ("optimizer.zero_grad()\noptimizer.step()", ["zero optimizer", "step optimizer"]),
        ("for p in model.parameters():\n    p.grad = None", ["zero model"]),
        ('for p in optimizer.param_groups[0]["params"]:\n    p.grad = None', ["zero None"]),
        ("for o in optimizers:\n    o.zero_grad()", ["zero optimizers[...]"]),
        ("[o.zero_grad() for o in (optimizer, other)]", ["zero optimizer", "zero other"]),
        ("p.grad.zero_()", ["zero None"]),
        ("loss.backward()\ntorch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)", ["backward loss", "clip model"]),
        ("scheduler.step()\nenv.step(action)\nlr_scheduler.step()", []),
        ("optimizers['G'].step()", ["step optimizers['G']"]),
        ("solver.zero_grad()\nsolver.step()", ["zero solver", "step solver"]),
        ("for o in optimizers:\n    o.zero_grad()\n    loss.backward()", ["zero o", "backward loss"]),
        ("solver.step()", ["anything None"]),
        ("engine.zero_grad()\nengine.backward(loss)\nengine.step()", ["zero engine", "backward engine"]),
        ("def closure():\n    loss.backward()\noptimizer.step(closure)", ["backward loss", "step optimizer"]),
        ("optimizer.step()\ntrain_everything(optimizer)", ["step optimizer", "anything None"]),
    ],
)
def test_calls_act_on_gradients(build: Build, text: str, expected: list[str]) -> None:
    assert kinds(build, text) == expected


def test_what_a_function_of_another_file_does_is_done_by_its_caller_under_the_callers_names(build: Build) -> None:
    helper = "def update(opt, loss):\n    opt.zero_grad()\n    loss.backward()\n    opt.step()\n"
    text = "from helper import update\nupdate(optimizer, total)\n"
    assert kinds(build, text, helper=helper) == ["zero optimizer", "backward total", "step optimizer"]


@pytest.mark.parametrize(("does", "expected"), [("optimizer.zero_grad()", ["anything"]), ("print(self)", [])])
def test_what_half_the_project_overrides_may_do_anything_if_it_acts_at_all(
    build: Build, does: str, expected: list[str]
) -> None:
    methods = "".join(f"class C{n}(Base):\n    def update(self):\n        {does}\n" for n in range(13))
    helper = f"class Base:\n    def update(self):\n        pass\n{methods}"
    text = "from helper import Base\ndef run(of: Base):\n    of.update()\n"
    project, _ = body(build, text, helper=helper)
    (run,) = (function for function in project.functions() if function.name == "run")
    assert [act.kind for act in acts(project.order.steps.script(run))] == expected


def test_a_function_that_calls_itself_has_a_script(build: Build) -> None:
    assert kinds(build, "def again(n):\n    loss.backward()\n    again(n - 1)\nagain(3)") == ["backward loss"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("optimizer.step()", []),  # nobody computes gradients, or zeroes them
        ("optimizer.step()\nloss.backward()", [{"earlier"}]),
        ("optimizer.zero_grad()\noptimizer.step()", [{"none"}]),
        ("model.zero_grad()\noptimizer.step()", [{"none"}]),
        ("other.zero_grad()\nother_optimizer.zero_grad()\noptimizer.step()", [{"unknown"}]),
        ("loss.backward()\noptimizer.step()", [{"fresh"}]),
        ("loss.backward()\nif bad:\n    optimizer.zero_grad()\noptimizer.step()", [{"fresh", "none"}]),
        ("loss.backward()\noptimizer.step()\noptimizer.step()", [{"fresh"}, {"stale"}]),
        ("optimizer.zero_grad(set_to_none=False)\noptimizer.step()", [{"unknown"}]),
        ("optimizer.zero_grad()\ntrain_batch(model)\noptimizer.step()", [{"unknown"}]),
        ("for x in xs:\n    optimizer.zero_grad()\n    optimizer.step()\n    loss.backward()", [{"none"}]),
        ("for x in xs:\n    optimizer.step()\n    loss.backward()", [{"earlier", "fresh"}]),
        ("for x in xs:\n    if x:\n        continue\n    loss.backward()\noptimizer.step()", [{"earlier", "fresh"}]),
        ("while True:\n    loss.backward()\n    break\noptimizer.step()", [{"earlier", "fresh"}]),
    ],
)
def test_a_step_finds_gradients_as_the_paths_to_it_left_them(build: Build, text: str, expected: list[set[str]]) -> None:
    assert grads(build, text) == expected


def test_a_clip_is_about_the_optimizer_of_its_model(build: Build) -> None:
    text = (
        "other = torch.optim.SGD(critic.parameters())\nloss.backward()\noptimizer.step()\nother_optimizer = other\n"
        "torch.nn.utils.clip_grad_norm_(critic.parameters(), 1.0)\nother.step()"
    )
    assert grads(build, text, "clip") in ([], [{"fresh"}])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("optimizer", True),
        ("self.optim_g", True),
        ("opt", True),
        ("trainer.optimizers[0]", True),
        ("scheduler", False),
        ("lr_optimizer_schedule", False),
        ("env", False),
        ("self.options", False),
    ],
)
def test_optimizers_are_known_by_name(name: str, expected: bool) -> None:
    assert is_optimizer_name(name) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f(optimizer): pass", True),
        ("def f(sgd): sgd.step()", True),
        ("def f(scaler, sgd): scaler.step(sgd)", True),
        ("def f(sgd): go(1, sgd)\ndef go(n, solver): solver.step()", True),
        ("def f(sgd): go(sgd)\ndef go(solver): return solver.name", False),
        ("class A:\n    def f(self, x): self.sgd.step()", False),
        ("def f(env, x): sgd.step()", False),
        ("def f(): optimizer.step()", False),
    ],
)
def test_who_may_step_with_what_it_is_handed(build: Build, text: str, expected: bool) -> None:
    project = build({"main.py": text})
    (function,) = [f for f in project.functions() if f.facts.name == "f"]
    assert project.order.steps.handed.may_step(function) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("loss.backward()", True),
        ("optimizer.zero_grad()", True),
        ("p.grad = None", True),
        ("fabric.clip_gradients(model, optimizer)", True),
        ("from helper import walk\nwalk(loss)", True),
        ("scheduler.step()\nenv.step(action)", False),
    ],
)
def test_who_minds_gradients_says_so_or_calls_one_that_does(build: Build, text: str, expected: bool) -> None:
    project, function = body(build, text, helper="def walk(loss):\n    loss.backward()\n")
    assert project.order.steps.may_mind(function) is expected


@pytest.mark.parametrize(
    ("clip", "found"),
    [
        ("torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)", 1),
        ("torch.nn.utils.clip_grad_value_(model.parameters(), 1.0)", 1),
        ("fabric.clip_gradients(model, optimizer)", 1),
        ("model.clip_grad(1.0)", 1),
        ("model.clip(1.0)", 0),
    ],
)
def test_what_clips_before_backward_clips_too_early(build: Build, clip: str, found: int) -> None:
    project, function = body(build, f"{clip}\nloss.backward()")
    assert len([*project.order.early_clips(function)]) == found
