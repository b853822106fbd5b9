"""Findings whose weight depends on the code: a warning where something is lost, advice where it only might be."""

import pytest

from gradlint import engine, registry
from gradlint.source import Source

BY_CODE = {rule.code: rule for rule in registry.load()}
HEAD = "import torch\nfrom torch import nn\n"


@pytest.mark.parametrize(
    ("code", "line", "severity"),
    [
        ("GL409", "(layer.weight * 2).data.fill_(1)", "warning"),
        ("GL409", "torch.exp(layer.weight)[0].data.fill_(1)", "warning"),
        ("GL409", "layer.weight[0].data.fill_(1)", "advice"),
        ("GL409", "layer.weight.data.fill_(1)", "advice"),
    ],
)
def test_severity(code: str, line: str, severity: str) -> None:
    text = f"{HEAD}layer = nn.Linear(2, 2)\n{line}\n"
    outcome = engine.run([Source("a.py", text)], [BY_CODE[code]], policy=engine.Policy(advised=frozenset({code})))
    assert [found.severity for found in outcome.diagnostics] == [severity]


@pytest.mark.parametrize("value", ["nn.Parameter(torch.ones(2))", "torch.ones(2)"])
def test_a_part_of_what_a_constructor_begins_is_changed_for_all(value: str) -> None:
    text = (
        f"{HEAD}class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        f"        self.scale = {value}\n        self.scale[1:].data.fill_(1)\n"
    )
    policy = engine.Policy(advised=frozenset({"GL409"}))
    outcome = engine.run([Source("a.py", text)], [BY_CODE["GL409"]], policy=policy)
    assert [found.severity for found in outcome.diagnostics] == ["advice"]
