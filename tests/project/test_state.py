"""In which grad state code runs, and what a function leaves behind."""

from collections.abc import Callable, Mapping

import pytest

from gradlint.model.extract import extract
from gradlint.project import Names, Project
from gradlint.project.grad_states.effects import (
    DISABLE,
    ENABLE,
    GRAD,
    IDENTITY,
    INFERENCE,
    NO_GRAD,
    TO_INFERENCE,
    UNSURE,
    apply,
    either,
    join,
    names,
    then,
)
from gradlint.source import Source

Build = Callable[[Mapping[str, str]], Project]
Modes = Callable[..., str]


def left_by(body: str) -> str:
    """The modes that a function with this body may leave behind when grad was on before."""
    lines = "".join(f"    {line}\n" for line in body.strip("\n").splitlines())
    text = f"import torch\nfrom torch import set_grad_enabled as switch\ndef run(model, x):\n{lines}"
    project = Project([extract(Source("run.py", text))])
    function = next(f for f in project.functions() if f.name == "run")
    return names(apply(project.states.effect_after(function), GRAD))


def test_a_statement_leaves_its_mode_behind() -> None:
    assert left_by("torch.set_grad_enabled(False)") == names(NO_GRAD)
    assert left_by("torch.no_grad().__enter__()") == names(NO_GRAD)
    assert left_by("guard = torch.inference_mode()\nguard.__enter__()") == names(INFERENCE)
    assert left_by("switch(False)") == names(NO_GRAD)


def test_an_inference_mode_that_nothing_holds_ends_at_once() -> None:
    assert left_by("torch.inference_mode().__enter__()") == names(GRAD)


@pytest.mark.parametrize(
    ("statement", "states"),
    [
        ("torch.set_grad_enabled(True) if x else torch.set_grad_enabled(False)", GRAD | NO_GRAD),
        ("x or torch.set_grad_enabled(False)", GRAD | NO_GRAD),
        ("torch.set_grad_enabled(False) or print()", NO_GRAD),
        ("torch.set_grad_enabled(False) if torch.set_grad_enabled(True) else torch.set_grad_enabled(False)", NO_GRAD),
    ],
)
def test_what_an_expression_leaves_out_switches_nothing(statement: str, states: int) -> None:
    assert left_by(statement) == names(states)


@pytest.mark.parametrize("restoring", ["torch.set_grad_enabled(True)", "switch(before)"])
def test_finally_restores_on_every_way_out(restoring: str) -> None:
    body = f"""
before = torch.is_grad_enabled()
switch(False)
try:
    if x:
        return model(x)
    model(-x)
finally:
    {restoring}
"""
    assert left_by(body) == names(GRAD)


def test_with_restores_on_every_way_out() -> None:
    body = """
with torch.enable_grad():
    switch(False)
    if x:
        return x
    model(x)
"""
    assert left_by(body) == names(GRAD)
    assert left_by(body.replace("torch.enable_grad()", "open(x)")) == names(NO_GRAD)


def test_a_return_before_the_try_is_not_restored() -> None:
    body = """
switch(False)
if x:
    return x
try:
    return model(x)
finally:
    switch(True)
"""
    assert left_by(body) == names(GRAD | NO_GRAD)


def test_an_endless_loop_leaves_nothing_behind() -> None:
    assert left_by("switch(False)\nwhile True:\n    model(x)") == names(GRAD)
    assert left_by("switch(False)\nwhile True:\n    if model(x):\n        break") == names(NO_GRAD)
    assert left_by("switch(False)\nwhile True:\n    for y in x:\n        break") == names(GRAD)
    assert left_by("switch(False)\nwhile x:\n    model(x)") == names(NO_GRAD)


# What holds at a point


def at_here(project: Project) -> str:
    """The modes in which the only call of ``here`` may run."""
    ((function, at),) = [(f, c.at) for f in project.functions() for c in f.facts.calls if c.callee == "here"]
    return names(project.calls.states_at(function, at))


@pytest.fixture
def modes(build: Build) -> Modes:
    """The modes in which the call of ``here`` in a file may run; other files by name."""

    def find(text: str, **others: str) -> str:
        return at_here(build({"main.py": text, **{f"{name}.py": other for name, other in others.items()}}))

    return find


@pytest.mark.parametrize(
    ("guard", "states"),
    [
        ("torch.no_grad()", NO_GRAD),
        ("torch.autograd.no_grad()", NO_GRAD),
        ("torch.autograd.grad_mode.no_grad()", NO_GRAD),
        ("ng()", NO_GRAD),
        ("th.no_grad()", NO_GRAD),
        ("autograd.no_grad()", NO_GRAD),
        ("torch.inference_mode()", INFERENCE),
        ("torch.inference_mode(True)", INFERENCE),
        ("torch.inference_mode(mode=True)", INFERENCE),
        ("torch.autograd.inference_mode()", INFERENCE),
        ("torch.inference_mode(False)", GRAD),
        ("torch.inference_mode(mode=False)", GRAD),
        ("torch.inference_mode(flag)", UNSURE),
        ("torch.enable_grad()", GRAD),
        ("torch.set_grad_enabled(False)", NO_GRAD),
        ("torch.set_grad_enabled(mode=False)", NO_GRAD),
        ("torch.set_grad_enabled(True)", GRAD),
        ("torch.set_grad_enabled(phase == 'train')", UNSURE),
        ("torch._C._set_grad_enabled(False)", NO_GRAD),
        ("torch.autocast('cuda'), torch.no_grad()", NO_GRAD),
        ("torch.no_grad(), torch.autocast('cuda')", NO_GRAD),
        ("torch.no_grad(), torch.enable_grad()", GRAD),
        ("torch.enable_grad(), torch.no_grad()", NO_GRAD),
        ("torch.no_grad() if flag else nullcontext()", UNSURE),
        ("nullcontext() if flag else torch.inference_mode()", UNSURE),
        ("torch.no_grad() if flag else torch.inference_mode()", NO_GRAD),
        ("(torch.inference_mode if flag else torch.no_grad)()", NO_GRAD),
        ("torch.no_grad() if flag else torch.enable_grad()", UNSURE),
        ("nullcontext()", GRAD),
        ("open(path)", GRAD),
        ("torch.autocast('cuda')", GRAD),
        ("torch.autograd.set_detect_anomaly(True)", GRAD),
        ("torch.cuda.device(0)", GRAD),
        ("torch.no_grad() as quiet", NO_GRAD),
        ("unknown.no_grad()", UNSURE),
        ("unknown.disable_grad(net)", UNSURE),
        ("grad_ctx", UNSURE),
        ("amp_ctx", GRAD),
    ],
)
def test_with_runs_its_body_in_the_mode_of_its_guard(modes: Modes, guard: str, states: int) -> None:
    text = f"""
import torch, torch as th
from contextlib import nullcontext
from torch import autograd, no_grad as ng
def run(flag, phase, path, net, grad_ctx, amp_ctx):
    with {guard}:
        here()
"""
    assert modes(text) == names(states)


@pytest.mark.parametrize("text", ["no_grad()", "no_grad"])
def test_no_grad_of_somebody_else_switches_nothing_off_for_certain(modes: Modes, text: str) -> None:
    assert modes(f"from jax import no_grad\nwith {text}:\n    here()\n") != names(NO_GRAD)


@pytest.mark.parametrize(
    ("outer", "inner", "states"),
    [
        ("torch.no_grad()", "torch.enable_grad()", GRAD),
        ("torch.enable_grad()", "torch.no_grad()", NO_GRAD),
        ("torch.inference_mode()", "torch.enable_grad()", INFERENCE),
        ("torch.inference_mode()", "torch.no_grad()", INFERENCE),
        ("torch.inference_mode()", "torch.inference_mode(False)", GRAD),
        ("torch.no_grad()", "torch.inference_mode()", INFERENCE),
        ("torch.no_grad()", "torch.set_grad_enabled(True)", GRAD),
        ("torch.no_grad()", "torch.set_grad_enabled(flag)", UNSURE),
        ("torch.inference_mode()", "torch.set_grad_enabled(flag)", INFERENCE),
        ("torch.set_grad_enabled(flag)", "torch.no_grad()", NO_GRAD),
        ("torch.no_grad()", "torch.no_grad() if flag else open(x)", NO_GRAD),
        ("torch.no_grad()", "open(x)", NO_GRAD),
    ],
)
def test_guards_nest(modes: Modes, outer: str, inner: str, states: int) -> None:
    text = f"import torch\ndef run(flag, x):\n    with {outer}:\n        with {inner}:\n            here()\n"
    assert modes(text) == names(states)


@pytest.mark.parametrize(
    "text",
    [
        "with torch.no_grad():\n    pass\nhere()",
        "with torch.no_grad():\n    if x: return\nhere()",
        "if x:\n    with torch.no_grad(): f()\nelse:\n    here()",
        "torch.no_grad()\nhere()",
        "guard = torch.no_grad()\nhere()",
        "with open(here()), torch.no_grad(): pass",
        "with torch.no_grad():\n    def inner():\n        return 1\nhere()",
        "try:\n    with torch.no_grad(): f()\nexcept E:\n    here()",
    ],
)
def test_outside_a_guard_grad_is_on(modes: Modes, text: str) -> None:
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    assert modes(f"import torch\ndef run(x):\n{lines}") == names(GRAD)


@pytest.mark.parametrize(
    "text",
    [
        "guard = torch.no_grad()\nwith guard: here()",
        "guard = torch.no_grad\nwith guard(): here()",
        "guard = torch.no_grad if x else torch.inference_mode\nwith guard(): here()",
        "with torch.no_grad(), open(here()): pass",
        "with torch.no_grad():\n    for y in x:\n        if y: here()",
        "with torch.no_grad():\n    try: f()\n    except E: here()",
        "with torch.no_grad():\n    try: f()\n    finally: here()",
        "with torch.no_grad():\n    class A:\n        y = here()",
        "with torch.no_grad():\n    z = [here() for y in x]",
        "with torch.no_grad():\n    z = f'{here()}'",
        "with torch.no_grad():\n    while (y := here()): pass",
        "with torch.no_grad():\n    match x:\n        case 1: here()",
        "with torch.no_grad():\n    return here()",
        "with torch.no_grad():\n    del x[here()]",
    ],
)
def test_everything_that_runs_inside_a_guard_is_guarded(modes: Modes, text: str) -> None:
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    assert modes(f"import torch\ndef run(x):\n{lines}") == names(NO_GRAD)


def test_an_async_with_around_or_inside_changes_nothing(modes: Modes) -> None:
    text = "import torch\nasync def run(s):\n    async with s:\n        with torch.no_grad():\n            here()\n"
    assert modes(text) == names(NO_GRAD)


@pytest.mark.parametrize(
    ("text", "states"),
    [
        ("torch.set_grad_enabled(False)\nhere()", NO_GRAD),
        ("here()\ntorch.set_grad_enabled(False)", GRAD),
        ("torch.set_grad_enabled(False)\ntorch.set_grad_enabled(True)\nhere()", GRAD),
        ("torch.set_grad_enabled(x)\nhere()", UNSURE),
        ("if x: torch.set_grad_enabled(False)\nhere()", GRAD | NO_GRAD),
        ("if x: torch.set_grad_enabled(False)\nelse: torch.set_grad_enabled(False)\nhere()", NO_GRAD),
        ("if x:\n    torch.set_grad_enabled(False)\n    return\nhere()", GRAD),
        ("for y in x:\n    here()\n    torch.set_grad_enabled(False)", GRAD | NO_GRAD),
        ("for y in x:\n    torch.set_grad_enabled(False)\n    here()\n    torch.set_grad_enabled(True)", NO_GRAD),
        ("before = torch.is_grad_enabled()\ntorch.set_grad_enabled(False)\nhere()", NO_GRAD),
        (
            "before = torch.is_grad_enabled()\ntorch.set_grad_enabled(False)\n"
            "try: f()\nfinally: torch.set_grad_enabled(before)\nhere()",
            GRAD,
        ),
        ("torch.set_grad_enabled(False)\ntry: here()\nfinally: torch.set_grad_enabled(True)", NO_GRAD),
        ("with torch.enable_grad():\n    torch.set_grad_enabled(False)\nhere()", GRAD),
        ("with torch.enable_grad():\n    torch.set_grad_enabled(False)\n    here()", NO_GRAD),
        ("guard = torch.no_grad()\nguard.__enter__()\nhere()", NO_GRAD),
        ("guard = torch.no_grad()\nguard.__enter__()\nguard.__exit__(None, None, None)\nhere()", GRAD),
        ("torch.no_grad().__enter__()\nhere()", NO_GRAD),
        ("with ExitStack() as stack:\n    stack.enter_context(torch.no_grad())\n    here()", NO_GRAD),
        ("with ExitStack() as stack:\n    stack.enter_context(torch.no_grad())\nhere()", GRAD),
        ("with ExitStack() as stack:\n    here()\n    stack.enter_context(torch.no_grad())", GRAD),
        (
            "with contextlib.ExitStack() as stack:\n    if x: stack.enter_context(torch.no_grad())\n    here()",
            GRAD | NO_GRAD,
        ),
        ("with ExitStack() as stack:\n    stack.enter_context(open(x))\n    here()", GRAD),
    ],
)
def test_statements_change_the_mode_for_what_comes_after(modes: Modes, text: str, states: int) -> None:
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    text = f"import contextlib, torch\nfrom contextlib import ExitStack\ndef run(x):\n{lines}"
    assert modes(text) == names(states)


def test_a_function_that_switches_grad_off_switches_it_off_for_its_caller(modes: Modes) -> None:
    setup = "import torch\ndef freeze():\n    torch.set_grad_enabled(False)\n"
    assert modes("from setup import freeze\ndef run():\n    freeze()\n    here()\n", setup=setup) == names(NO_GRAD)
    assert modes("from setup import freeze\ndef run():\n    here()\n    freeze()\n", setup=setup) == names(GRAD)


def test_a_switch_at_the_top_of_a_file_holds_for_its_functions(modes: Modes) -> None:
    assert modes("import torch\ntorch.set_grad_enabled(False)\ndef run():\n    here()\n") == names(NO_GRAD)


def test_a_switch_in_the_constructor_holds_for_the_methods(modes: Modes) -> None:
    text = """
        import torch
        class Server:
            def __init__(self):
                torch.set_grad_enabled(False)
            def handle(self, x):
                return here()
        """
    assert modes(text) == names(NO_GRAD)


# Context managers of the project

MANAGERS = {
    "returns a guard": "def quiet():\n    return torch.no_grad()",
    "returns one of two": "def quiet(fast):\n    if fast: return torch.inference_mode()\n    return torch.no_grad()",
    "generator": "@contextmanager\ndef quiet():\n    with torch.no_grad():\n        yield",
    "generator with modes": """
@contextlib.contextmanager
def quiet(model):
    was = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield model
    finally:
        model.train(was)
""",
    "generator that sets": """
@contextmanager
def quiet():
    before = torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    try:
        yield
    finally:
        torch.set_grad_enabled(before)
""",
    "class": """
class quiet:
    def __enter__(self):
        self.before = torch.is_grad_enabled()
        torch.set_grad_enabled(False)
    def __exit__(self, *error):
        torch.set_grad_enabled(self.before)
""",
    "class that holds one": """
class quiet:
    def __init__(self):
        self.guard = torch.no_grad()
    def __enter__(self):
        self.guard.__enter__()
        return self
    def __exit__(self, *error):
        self.guard.__exit__(*error)
""",
    "subclass": "class quiet(torch.no_grad): ...",
    "subclass of a class": """
class base:
    def __enter__(self):
        torch.set_grad_enabled(False)
    def __exit__(self, *error):
        torch.set_grad_enabled(True)
class quiet(base): ...
""",
    "alias": "quiet = torch.no_grad",
    "wrapper of a wrapper": "def inner():\n    return torch.no_grad()\ndef quiet():\n    return inner()",
}


@pytest.mark.parametrize("manager", MANAGERS.values(), ids=MANAGERS.keys())
def test_context_managers_of_the_project_guard(modes: Modes, manager: str) -> None:
    tools = f"import contextlib, torch\nfrom contextlib import contextmanager\n{manager}\n"
    assert modes("from tools import quiet\nwith quiet():\n    here()\n", tools=tools) == names(NO_GRAD)
    assert modes("import tools\nwith tools.quiet():\n    pass\nhere()\n", tools=tools) == names(GRAD)


@pytest.mark.parametrize(
    "manager",
    [
        "@contextmanager\ndef timed():\n    yield",
        "@contextmanager\ndef timed():\n    with torch.no_grad(): warm_up()\n    yield",
        "@contextmanager\ndef timed():\n    yield\n    with torch.no_grad(): warm_up()",
        "class timed:\n    def __enter__(self): ...\n    def __exit__(self, *error): ...",
        "def timed():\n    return open(path)",
        "class timed:\n    def __enter__(self):\n        with torch.no_grad(): ...\n    def __exit__(self, *e): ...",
    ],
)
def test_context_managers_without_a_guard_change_nothing(modes: Modes, manager: str) -> None:
    tools = f"import torch\nfrom contextlib import contextmanager\n{manager}\n"
    assert modes("from tools import timed\nwith timed():\n    here()\n", tools=tools) == names(GRAD)


def test_a_conditional_manager_is_chosen_at_run_time(modes: Modes) -> None:
    tools = "import torch\nfrom contextlib import nullcontext\ndef guard(train):\n    if train:\n"
    tools += "        return nullcontext()\n    return torch.no_grad()\n"
    assert modes("from tools import guard\nwith guard(x):\n    here()\n", tools=tools) == names(UNSURE)


METHODS = {
    "one that returns a guard": ("def hush(self):\n        return torch.no_grad()", "self.hush()", NO_GRAD),
    "a static one": ("@staticmethod\n    def hush():\n        return torch.no_grad()", "self.hush()", NO_GRAD),
    "one that chooses": ("def hush(self, on):\n        return torch.set_grad_enabled(on)", "self.hush(x)", UNSURE),
    "a manager": (
        "@contextmanager\n    def hush(self):\n        with torch.no_grad():\n            yield",
        "self.hush()",
        NO_GRAD,
    ),
    "a property": ("@property\n    def hush(self):\n        return torch.inference_mode()", "self.hush", INFERENCE),
    "one that returns something else": ("def hush(self):\n        return open(x)", "self.hush()", GRAD),
    "a method that is not called": ("def hush(self):\n        return torch.no_grad()", "self.hush", GRAD),
    "that of a base": ("", "self.inherited()", NO_GRAD),
}


@pytest.mark.parametrize(("method", "entered", "states"), METHODS.values(), ids=METHODS)
def test_a_method_guards_what_its_object_does_within(modes: Modes, method: str, entered: str, states: int) -> None:
    head = "import torch\nfrom contextlib import contextmanager\n"
    base = "class Base:\n    def inherited(self):\n        return torch.no_grad()\n"
    body = f"    def run(self, x):\n        with {entered}:\n            here()\n"
    assert modes(f"{head}{base}class A(Base):\n    {method}\n{body}") == names(states)


def test_a_method_that_a_subclass_replaces_guards_perhaps(modes: Modes) -> None:
    base = "import torch\nclass A:\n    def hush(self):\n        return open(x)\n"
    base += "    def run(self):\n        with self.hush():\n            here()\n"
    assert modes(base) == names(GRAD)
    assert modes(f"{base}class B(A):\n    def hush(self):\n        return torch.no_grad()\n") == names(UNSURE)


def test_configured_names_guard() -> None:
    text = "import far\nwith far.hush():\n    here()\n"
    project = Project([extract(Source("main.py", text))], Names(guards=frozenset({"far.hush"})))
    assert at_here(project) == names(NO_GRAD)
    assert at_here(Project([extract(Source("main.py", text))])) == names(GRAD)


# Decorators


@pytest.mark.parametrize(
    ("decorator", "states"),
    [
        ("torch.no_grad()", NO_GRAD),
        ("torch.no_grad", NO_GRAD),
        ("torch.inference_mode()", INFERENCE),
        ("torch.inference_mode", INFERENCE),
        ("torch.inference_mode(mode=False)", GRAD),
        ("torch.set_grad_enabled(False)", NO_GRAD),
        ("torch.enable_grad()", GRAD),
        ("torch.autograd.no_grad()", NO_GRAD),
        ("torch.jit.script", GRAD),
        ("functools.cache", GRAD),
        ("app.get('/')", GRAD),
    ],
)
def test_decorators_of_torch_guard_the_body(modes: Modes, decorator: str, states: int) -> None:
    assert modes(f"import torch, functools, app\n@{decorator}\ndef run():\n    here()\n") == names(states)


@pytest.mark.parametrize("order", [("torch.no_grad()", "staticmethod"), ("staticmethod", "torch.no_grad()")])
def test_other_decorators_do_not_hide_a_guard(modes: Modes, order: tuple[str, str]) -> None:
    first, second = order
    text = f"import torch\nclass A:\n    @{first}\n    @{second}\n    def run():\n        here()\n"
    assert modes(text) == names(NO_GRAD)


def test_the_innermost_of_several_decorators_decides(modes: Modes) -> None:
    text = "import torch\n@torch.no_grad()\n@torch.enable_grad()\ndef run():\n    here()\n"
    assert modes(text) == names(GRAD)


WRAPPERS = {
    "wraps": """
def quiet(fn):
    @functools.wraps(fn)
    def wrapper(*args, **kwargs):
        with torch.no_grad():
            return fn(*args, **kwargs)
    return wrapper
""",
    "guarded wrapper": """
def quiet(fn):
    @torch.no_grad()
    def wrapper(*args):
        return fn(*args)
    return wrapper
""",
    "applies": "def quiet(fn):\n    return torch.no_grad()(fn)",
    "applies bare": "def quiet(fn):\n    return torch.no_grad(fn)",
    "update_wrapper": """
def quiet(fn):
    @torch.no_grad()
    def wrapper(*args):
        return fn(*args)
    return functools.update_wrapper(wrapper, fn)
""",
    "wraps by hand": """
def quiet(fn):
    def wrapper(*args):
        with torch.no_grad():
            return fn(*args)
    return functools.wraps(fn)(wrapper)
""",
    "another wrapper": "def other(fn):\n    return torch.no_grad()(fn)\ndef quiet(fn):\n    return other(fn)",
    "alias": "quiet = torch.no_grad()",
    "alias of a factory's result": "def make():\n    return torch.no_grad()\nquiet = make()",
    "class that is a guard": "class quiet(torch.no_grad): ...",
}


@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS.keys())
def test_wrappers_of_the_project_guard(modes: Modes, wrapper: str) -> None:
    tools = f"import functools, torch\n{wrapper}\n"
    assert modes("from tools import quiet\n@quiet\ndef run():\n    here()\n", tools=tools) == names(NO_GRAD)


FACTORIES = {
    "one that may be left uncalled": """
def quiet(fn=None, *, amp=False):
    if fn is None:
        return functools.partial(quiet, amp=amp)
    @functools.wraps(fn)
    def inner(*a):
        with torch.no_grad():
            return fn(*a)
    return inner
""",
    "one that goes on with another": """
def hushed(fn, amp):
    return torch.no_grad()(fn)
def quiet(amp=False):
    return functools.partial(hushed, amp=amp)
""",
    "returns a guard": "def quiet():\n    return torch.no_grad()",
    "yolov5": """
def quiet(torch_1_9=True):
    def decorate(fn):
        return (torch.inference_mode if torch_1_9 else torch.no_grad)()(fn)
    return decorate
""",
    "ultralytics": """
def quiet():
    def decorate(fn):
        if TORCH_1_9 and torch.is_inference_mode_enabled():
            return fn
        else:
            return (torch.inference_mode if TORCH_1_10 else torch.no_grad)()(fn)
    return decorate
""",
    "wraps": """
def quiet(name):
    def decorate(fn):
        @functools.wraps(fn)
        def wrapper(*args):
            with torch.no_grad():
                return fn(*args)
        return wrapper
    return decorate
""",
    "generator": "@contextlib.contextmanager\ndef quiet():\n    with torch.no_grad():\n        yield",
}


@pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES.keys())
def test_decorator_factories_of_the_project_guard(modes: Modes, factory: str) -> None:
    tools = f"import contextlib, functools, torch\n{factory}\n"
    found = modes("from tools import quiet\n@quiet()\ndef run():\n    here()\n", tools=tools)
    assert found in (names(NO_GRAD), names(UNSURE))
    assert (found == names(NO_GRAD)) == ("return fn\n        else" not in factory)


@pytest.mark.parametrize(
    "wrapper",
    [
        "def timed(fn):\n    def wrapper(*a):\n        return fn(*a)\n    return wrapper",
        "def timed(fn):\n    def g(*a):\n        with torch.no_grad(): warm_up()\n        return fn(*a)\n    return g",
        "def timed(fn):\n    with torch.no_grad(): warm_up(fn)\n    return fn",
        "def timed(fn):\n    return fn",
        "def timed(fn):\n    return functools.lru_cache()(fn)",
    ],
)
def test_wrappers_without_a_guard_change_nothing(modes: Modes, wrapper: str) -> None:
    tools = f"import functools, torch\n{wrapper}\n"
    assert modes("from tools import timed\n@timed\ndef run():\n    here()\n", tools=tools) == names(GRAD)


def test_a_function_replaced_by_its_guarded_self_is_guarded(modes: Modes) -> None:
    assert modes("import torch\ndef run():\n    here()\nrun = torch.no_grad()(run)\n") == names(NO_GRAD)


def test_a_guard_from_a_file_that_was_not_given_may_be_one(modes: Modes) -> None:
    assert modes("from .utils import quiet\n@quiet()\ndef run():\n    here()\n") == names(UNSURE)


# What a guard does not reach


@pytest.mark.parametrize(
    "text",
    [
        "def run():\n    with torch.no_grad():\n        def inner():\n            here()\n    return inner",
        "@torch.no_grad()\ndef run():\n    def inner():\n        here()\n    return inner",
        "@torch.no_grad()\nasync def run():\n    here()",
        "@torch.no_grad()\nasync def run():\n    yield here()",
        "@torch.no_grad()\nclass A:\n    def run(self):\n        here()",
    ],
)
def test_a_guard_does_not_reach_code_that_runs_later(modes: Modes, text: str) -> None:
    assert modes(f"import torch\n{text}\n") == names(GRAD)


def test_a_guard_inside_an_async_function_holds(modes: Modes) -> None:
    assert modes("import torch\nasync def run():\n    with torch.no_grad():\n        await here()\n") == names(NO_GRAD)


@pytest.mark.parametrize(
    ("base", "method", "states"),
    [
        ("lightning.LightningModule", "validation_step", NO_GRAD),
        ("pl.LightningModule", "test_step", NO_GRAD),
        ("lightning.LightningModule", "predict_step", NO_GRAD),
        ("lightning.LightningModule", "on_validation_epoch_end", NO_GRAD),
        ("lightning.LightningModule", "training_step", GRAD),
        ("lightning.LightningModule", "forward", GRAD),
        ("lightning.LightningModule", "on_train_epoch_end", GRAD),
        ("pl.Callback", "on_validation_batch_end", NO_GRAD),
        ("pl.Callback", "on_train_batch_end", GRAD),
        ("torch.nn.Module", "validation_step", GRAD),
        ("object", "test_step", GRAD),
        ("mmdet.models.detectors.detr.DETR", "simple_test", NO_GRAD),
        ("mmdet.models.detectors.detr.DETR", "forward_train", GRAD),
        ("mmdetection.DETR", "simple_test", GRAD),
        ("fairseq.tasks.FairseqTask", "valid_step", NO_GRAD),
        ("fairseq.tasks.FairseqTask", "train_step", GRAD),
    ],
)
def test_hooks_that_a_framework_guards_are_guarded(modes: Modes, base: str, method: str, states: int) -> None:
    text = "import fairseq, lightning, mmdet, mmdetection, torch\nimport pytorch_lightning as pl\n"
    text += f"class Net({base}):\n    def {method}(self, batch):\n        here()\n"
    assert modes(text) == names(states)


def test_a_hook_is_guarded_through_a_base_in_another_file(modes: Modes) -> None:
    base = "import lightning\nclass Base(lightning.LightningModule): ...\n"
    text = "from base import Base\nclass Net(Base):\n    def validation_step(self, batch):\n        here()\n"
    assert modes(text, base=base) == names(NO_GRAD)


def test_what_a_guarded_hook_calls_is_guarded(modes: Modes) -> None:
    text = """
        import lightning
        class Net(lightning.LightningModule):
            def validation_step(self, batch):
                self.shared(batch)
            def shared(self, batch):
                here()
        """
    assert modes(text) == names(NO_GRAD)


# Effects


def test_effects_follow_one_another_and_join() -> None:
    assert apply(then(DISABLE, ENABLE), GRAD) == GRAD
    assert apply(then(ENABLE, DISABLE), GRAD) == NO_GRAD
    assert apply(then(TO_INFERENCE, ENABLE), GRAD) == INFERENCE
    assert apply(join(DISABLE, IDENTITY), GRAD) == GRAD | NO_GRAD
    assert apply(DISABLE, GRAD | INFERENCE) == NO_GRAD | INFERENCE
    assert then(IDENTITY, DISABLE) == then(DISABLE, IDENTITY) == DISABLE


def test_one_of_several_guards_is_certain_only_where_they_agree() -> None:
    assert either([]) is None
    assert either([None, None]) is None
    assert either([DISABLE, DISABLE]) == DISABLE
    assert either([DISABLE, TO_INFERENCE]) == DISABLE
    maybe = either([DISABLE, None])
    assert maybe is not None
    assert apply(maybe, GRAD) == UNSURE
    assert apply(maybe, NO_GRAD) == NO_GRAD
    choice = either([DISABLE, ENABLE])
    assert choice is not None
    assert apply(choice, NO_GRAD) == UNSURE
