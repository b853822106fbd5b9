"""Edits that bring a guard spell it as the file does, and import torch where it is not there."""

import pytest

from gradlint import registry
from gradlint.engine import mend
from gradlint.source import Source

RULES = [rule for rule in registry.load() if rule.code == "GL107"]
UPDATE = """def update(average, model):
    for kept, live in zip(average.parameters(), model.parameters()):
        kept.add_(live)
"""
GUARDED = """def update(average, model):
    for kept, live in zip(average.parameters(), model.parameters()):
        with {}:
            kept.add_(live)
"""


def mended(text: str) -> str:
    found = mend([Source("a.py", text)], RULES, allowed=("safe", "unsafe"))
    return found.sources["a.py"].text


@pytest.mark.parametrize(
    ("imports", "spelt"),
    [
        ("import torch", "torch.no_grad()"),
        ("import torch as th", "th.no_grad()"),
        ("import torch.nn", "torch.no_grad()"),
        ("from torch import nn, no_grad", "no_grad()"),
        ("from torch.autograd import no_grad as quiet", "quiet()"),
    ],
)
def test_the_name_that_is_there_is_used(imports: str, spelt: str) -> None:
    assert mended(f"{imports}\n\n{UPDATE}") == f"{imports}\n\n{GUARDED.format(spelt)}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"""Doc."""\n\n', '"""Doc."""\n\nimport torch\n\n'),
        ("from __future__ import annotations\n", "from __future__ import annotations\nimport torch\n\n"),
        ("import os\nfrom torch import nn\n", "import os\nimport torch\nfrom torch import nn\n"),
        ("import os\nimport torch.nn as nn\n", "import os\nimport torch\nimport torch.nn as nn\n"),
        ("import os  # first\n", "import torch\nimport os  # first\n"),
        ("", "import torch\n\n"),
    ],
)
def test_torch_is_imported_where_it_is_not(before: str, after: str) -> None:
    assert mended(before + UPDATE) == after + GUARDED.format("torch.no_grad()")


def test_a_torch_that_is_something_else_is_left_alone() -> None:
    text = f"import lamp as torch\n\n{UPDATE}"
    assert mended(text) == text
