"""Grad modes and their queries are known under whatever name code gives them."""

import pytest

from gradlint.model.code import Evaluate, With
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
