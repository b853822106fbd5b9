"""Grad modes and their queries are known under whatever name code gives them."""

import pytest

from gradlint.model.code import Call, Evaluate, With
from gradlint.model.extract import extract
from gradlint.project import Project
from gradlint.project.linking.nodes import FunctionNode
from gradlint.source import Source


def project_of(files: dict[str, str]) -> Project:
    return Project([extract(Source(path, text)) for path, text in files.items()])


def last_mode(text: str, **others: str) -> str | None:
    """The grad mode that the last statement of a script names."""
    project = project_of({"main.py": text, **{f"{name}.py": other for name, other in others.items()}})
    body = next(module.body for module in project.modules if module.path == "main.py")
    statement = body.facts.body[-1]
    assert isinstance(statement, Evaluate)
    return project.modes.mode(body, statement.value)


@pytest.mark.parametrize(
    "text",
    [
        "import torch\ntorch.no_grad",
        "import torch as th\nth.autograd.no_grad",
        "from torch import no_grad as ng\nng",
        "from torch.autograd import grad_mode\ngrad_mode.no_grad",
        "import torch\nquiet = torch.no_grad\nstill = quiet\nstill",
        "from torch import *\nno_grad",
    ],
)
def test_imports_and_variables_are_followed(text: str) -> None:
    assert last_mode(text) == "no_grad"


def test_other_files_are_followed() -> None:
    assert last_mode("from tools import quiet\nquiet", tools="from torch import no_grad as quiet") == "no_grad"
    assert last_mode("import tools\ntools.quiet", tools="import torch\nquiet = torch.no_grad") == "no_grad"


@pytest.mark.parametrize(
    "text",
    [
        "no_grad = print\nno_grad",
        "def no_grad(): ...\nno_grad",
        "import torch\nno_grad = torch.no_grad()\nno_grad",
        "import torch\nmode = torch.no_grad\nmode = torch.enable_grad\nmode",
        "from jax import no_grad\nno_grad",
        "no_grad",
    ],
)
def test_what_only_looks_like_one_is_none(text: str) -> None:
    assert last_mode(text) is None


def test_a_function_that_names_none_costs_nothing() -> None:
    text = """
from torch import no_grad as ng
def loud(): return ng
def silent(): return no_gradient
"""
    modes = (project := project_of({"main.py": text})).modes
    functions: dict[str, FunctionNode] = {f.name: f for f in project.functions()}
    assert modes.mentioned(functions["loud"])
    assert not modes.mentioned(functions["silent"])


def test_objects_of_a_mode_are_known_where_they_are_used() -> None:
    text = "import torch\nquiet = torch.no_grad()\nfrozen = quiet\n"
    text += "def f():\n    with frozen: ...\ndef g():\n    with print: ..."
    project = project_of({"main.py": text})
    body, f, g = project.modules[0].functions
    assert [project.modes.involved(each) for each in (body, f, g)] == [True, True, False]
    assert not project.modes.mentioned(f)
    (statement,) = f.facts.body
    assert isinstance(statement, With)
    assert project.modes.held(f, statement.items[0].context) == "no_grad"
    assert project.modes.decorating(f, statement.items[0].context) == "no_grad"


def test_a_name_has_the_spellings_that_any_file_gives_to_it() -> None:
    project = project_of(
        {
            "a.py": "from torch import no_grad as quiet\nimport torch\n",
            "b.py": "from a import quiet as silent\nclass A:\n    def __init__(self): self.off = silent\n",
            "c.py": "loud = torch.enable_grad\nno_grad = no_grad\n",
        }
    )
    for _ in range(2):
        assert project.modes.spellings(["no_grad"]) == {"no_grad", "quiet", "silent", "off"}
        assert project.modes.spellings(["enable_grad", "silent"]) == {"enable_grad", "loud", "silent", "off"}


DROPOUT = frozenset({"torch.nn.functional.dropout"})


@pytest.mark.parametrize(
    "text",
    [
        "F.dropout(x)",
        "from torch.nn.functional import dropout as drop\ndrop(x)",
        "drop = F.dropout\ndrop(x)",
        "d = F.dropout\ndrop = d\ndrop(x)",
        "drop, act = F.dropout, F.relu\ndrop(x)",
        "[act, (drop, _)] = [F.relu, (F.dropout, 1)]\ndrop(x)",
        "if (drop := F.dropout):\n    drop(x)",
        "def run(x):\n    drop, act = F.dropout, F.relu\n    return drop(act(x))",
        "drop, act = F.dropout, F.relu\ndef run(x):\n    return drop(act(x))",
        "class Net:\n    def __init__(self):\n        self.act, self.drop = F.relu, F.dropout\n"
        "    def run(self, x):\n        return self.drop(self.act(x))",
    ],
)
def test_calls_are_found_by_all_names_that_what_they_call_is_given(text: str) -> None:
    project = project_of({"main.py": f"import torch.nn.functional as F\n{text}\n"})
    found = [name for function in project.functions() for _, name in project.modes.calls(function, DROPOUT)]
    assert found == [*DROPOUT]


@pytest.mark.parametrize("text", ["F.relu(x)", "drop = F.relu\ndrop(x)", "def dropout(x): ...\ndropout(x)"])
def test_calls_of_something_else_are_not_found(text: str) -> None:
    project = project_of({"main.py": f"import torch.nn.functional as F\n{text}\n"})
    assert not [found for function in project.functions() for found in project.modes.calls(function, DROPOUT)]


GENERATORS = {
    "stream": "def stream(xs):\n    yield xs\n",
    "lambda": "pieces = lambda xs: (yield xs)\n",
    "object": "class Stream:\n    def __call__(self, xs):\n        yield xs\n",
}


@pytest.mark.parametrize(
    ("kind", "call", "expected"),
    [
        ("stream", "stream(x)", True),
        ("stream", "data.stream(x)", True),
        ("stream", "first, second = stream, print\nfirst(x)", True),
        ("stream", "print(x)", False),
        ("stream", "table[x](x)", True),
        ("lambda", "pieces(x)", True),
        ("object", "pieces(x)", True),
    ],
)
def test_what_may_start_a_generator_is_told_by_its_name(kind: str, call: str, expected: bool) -> None:
    project = project_of({"main.py": f"{GENERATORS[kind]}{call}\n"})
    (body,) = (module.body for module in project.modules)
    *_, statement = body.facts.body
    assert isinstance(statement, Evaluate)
    assert isinstance(statement.value, Call)
    assert project.consumers.may_start(statement.value) is expected
