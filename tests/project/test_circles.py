"""Names and functions that stand for one another: all questions come to an end, and soon."""

from collections.abc import Callable, Iterable, Mapping

import pytest

from gradlint import engine, registry
from gradlint.project import Project
from gradlint.project.grad_states.effects import GRAD, NO_GRAD
from gradlint.source import Source

Build = Callable[[Mapping[str, str]], Project]
RULES = registry.load()
EACH = range(10)


def states_of_call(project: Project, name: str) -> int:
    """The grad states in which the only call of a name runs."""
    [(function, call)] = [
        (function, call) for function in project.functions() for call in function.facts.calls if call.callee == name
    ]
    return project.calls.states_at(function, call.at)


@pytest.mark.parametrize(
    "guard",
    [
        "first = second\nsecond = first\nsecond = torch.no_grad\nwith first():",
        "first = second\nsecond = first\nsecond = torch.no_grad()\nwith first:",
        "def first(): return second()\ndef second(): return first() if x else torch.no_grad()\nwith first():",
    ],
)
def test_what_leads_out_of_a_circle_is_found(build: Build, guard: str) -> None:
    assert states_of_call(build({"a.py": f"import torch\n{guard}\n    here()\n"}), "here") == NO_GRAD


@pytest.mark.parametrize(
    "guard",
    [
        "guard = guard()\nwith guard():",
        "first = second\nsecond = first\nwith first:",
        "def first(): return second()\ndef second(): return first()\nwith first():",
    ],
)
def test_a_circle_that_nothing_leads_out_of_is_no_guard(build: Build, guard: str) -> None:
    assert states_of_call(build({"a.py": f"import torch\n{guard}\n    here()\n"}), "here") & GRAD


def test_a_decorator_that_decorates_its_own_inner_function(build: Build) -> None:
    text = "def wrap(fn):\n    @wrap\n    def inner(*args):\n        return fn(*args)\n    return inner\n"
    assert states_of_call(build({"a.py": f"{text}@wrap\ndef f():\n    here()\n"}), "here") == GRAD


def every(line: str) -> str:
    """A line for each pair of ten things."""
    return "".join(line.format(i=i, j=j) for i in EACH for j in EACH if i != j)


def bodies(head: str, line: str, others: Iterable[int] = EACH) -> str:
    return "".join(head.format(i=i) + "".join(line.format(j=j) for j in others if j != i) for i in EACH)


RETURNING = bodies("def f{i}(x):\n", "    if x: return f{j}(x)\n")
RUN = "    model.eval()\n    return model(x).item()\n"
TANGLES = {
    "names of a module": every("a{i} = a{j}\n") + f"@a1\ndef f(model, x):\n    with a2(), a3:\n        a4(x)\n{RUN}",
    "locals": "def f(model, x):\n" + every("    a{i} = a{j}\n") + f"    with a1(), a2:\n        a3(x)\n{RUN}",
    "attributes": "class A(nn.Module):\n    def __init__(self):\n" + every("        self.a{i} = self.a{j}\n")
    + "    def f(self, x):\n        with self.a1():\n            return self.a2(x).item()\n",
    "functions": f"{RETURNING}model = f1(2)\nwith f2(3):\n    model(1).item()\n",
    "decorators": f"{RETURNING}@f1\n@f2\ndef g(model, x):\n{RUN}",
    "context managers": bodies("@contextmanager\ndef f{i}(x):\n", "    with f{j}(x): yield\n")
    + f"def g(model, x):\n    with f1(x):\n        x = x + 1\n{RUN}",
}  # fmt: skip


@pytest.mark.parametrize("text", TANGLES.values(), ids=TANGLES)
def test_ten_things_that_stand_for_each_other_are_asked_once_each(text: str) -> None:
    head = "import torch\nfrom contextlib import contextmanager\nfrom torch import nn\n"
    outcome = engine.run([Source("a.py", head + text)], RULES)
    assert (outcome.files, outcome.failures) == (1, ())


# What a name, an attribute or a function may be given that is made of itself, and what may be done with it then.
MADE_OF_ITSELF = (
    "{a}", "{a} or x", "{a} if x else y", "x if {a} else y", "-{a}", "{a} + [x]", "f'{{{a}}}'", "(z := {a})",
    "[{a}, y]", "({a}, y)", "{{'k': {a}}}", "{{'k': {a}, 'new': model(x)}}", "[*{a}]", "{{**{a}}}",
    "dict(k={a})", "dict(zip(x, {a}))",
    "[e for e in {a} if e]", "(e for e in {a})", "{{e.name: e for e in {a}}}", "[e for e in [g for g in {a}]]",
    "{a}[0]", "{a}['k']", "{a}[x]", "{a}[1:]", "{a}.get('k')", "next(iter({a}))", "list(map({a}, x))", "zip({a}, {a})",
    "{a}()", "{a}.part", "{a}.part(x)", "{a}.eval()", "lambda *z: {a}(*z)", "functools.partial({a}, x)", "type({a})(x)",
    "getattr({a}, 'part')", "copy.deepcopy({a})", "torch.no_grad()({a})", "torch.no_grad() if x else {a}",
    "torch.compile({a})", "contextlib.nullcontext({a})", "nn.Sequential(*{a})", "nn.ModuleList([e for e in {a}])",
    "nn.DataParallel({a}).module", "list({a}.parameters())", "torch.optim.SGD({a}.parameters(), 1.0)",
    "torch.stack({a})", "sum({a})", "{a} - {a}.grad", "{a}.clone().requires_grad_()",
)  # fmt: skip
USES = """
    {a}(x), {a}[0](x), {a}['k'](x), {a}.part(x)
    for f, g in zip({a}, {a}.values()):
        g(f(x)).item()
    with {a}, {a}(), torch.set_grad_enabled({a}):
        model(x).item()
    @{a}
    @{a}(x)
    def inner(x): return model(x).item()
    class Part({a}): pass
    Part()(x)
    model.eval()
    model({a}).item()
    criterion({a}, x).backward(), {a}.step(), {a}.zero_grad()
    {a}.grad.norm(), {a}.append(model(x)), {a}.backward()
    {a}.requires_grad = True
    total += {a}
    torch.optim.SGD({a}, 0.1).step()
    threading.Thread(target={a}).start(), checkpoint({a}, x), model.register_forward_hook({a})
"""
HEAD = """import contextlib, copy, functools, threading, torch
from torch import nn
from torch.utils.checkpoint import checkpoint
"""


@pytest.mark.parametrize("other", ["one", "two"], ids=["itself", "another"])
@pytest.mark.parametrize("given", MADE_OF_ITSELF)
def test_what_is_made_of_itself(given: str, other: str) -> None:
    def both(line: str, owner: str = "") -> str:
        pair = ((owner + "one", owner + other), (owner + other, owner + "one"))
        return "".join(line.format(name=name, given=given.format(a=of)) for name, of in pair)

    within_a_loop = USES.format(a="one").replace("\n", "\n    ")
    texts = [
        both("{name} = {given}\n") + "def f(model, x, total):" + USES.format(a="one"),
        "def f(model, x, total, one):\n" + both("    {name} = {given}\n") + USES.format(a="one"),
        "class A(nn.Module):\n    def __init__(self, x, y):\n" + both("        {name} = {given}\n", "self.")
        + "    def f(self, model, x, total):" + USES.format(a="self.one").replace("\n", "\n    ") + "\n",
        both("def {name}(x=None, y=None): return {given}\n") + "def f(model, x, total):" + USES.format(a="one"),
        "def f(model, x, y, kept, total):\n    one = model(x)\n    for round in x:\n"
        + both("        {name} = {given}\n        kept.append({name})\n") + within_a_loop,
        f"def give(one, x, y):\n    {other} = {given.format(a='one')}\n    return {given.format(a=other)}\n"
        "def f(model, x, kept, total):\n    for round in x:\n        one = give(model(x), x, x)\n"
        "        kept.append(one)\n" + within_a_loop,
    ]  # fmt: skip
    outcome = engine.run([Source(f"{number}.py", HEAD + text) for number, text in enumerate(texts)], RULES)
    assert (outcome.files, outcome.failures) == (len(texts), ())


def test_loops_in_loops_in_loops_are_walked_and_what_is_in_them_found() -> None:
    depth = 18
    loops = "".join("    " * (level + 1) + f"for i{level} in images:\n" for level in range(depth))
    inmost = "    " * (depth + 1) + "total += (model(images).argmax(1) == 1).sum().item()\n"
    head = "import torch\ndef evaluate(model, images):\n    model.eval()\n    total = 0\n"
    outcome = engine.run([Source("a.py", f"{head}{loops}{inmost}    return total\n")], RULES)
    assert [found.code for found in outcome.diagnostics] == ["GL101"]
