"""GL403: which second walks are sure enough to be told by default, and which are advice."""

from collections.abc import Callable, Mapping

import pytest

from gradlint import registry
from gradlint.project import Project

Build = Callable[[Mapping[str, str]], Project]
HEAD = """\
import torch
from torch import nn
model, head, critic = nn.Linear(2, 2), nn.Linear(2, 1), nn.Linear(2, 1)
"""
IN_ONE_BLOCK = """\
def step(x):
    y = model(x)
    head(y).sum().backward()
    critic(y).sum().backward()
"""
STEPPED_BETWEEN = """\
def step(x):
    critic = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1))
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
    value = critic(x)
    value.pow(2).mean().backward(retain_graph=True)
    optimizer.step()
    (model(x) * value).mean().backward()
"""
ON_A_WAY = """\
def step(x, twice):
    y = model(x)
    if twice:
        head(y).sum().backward()
    critic(y).sum().backward()
"""
CARRIED = """\
def step(rows):
    h = torch.zeros(1, 2)
    for row in rows:
        h = model(row + h)
        h.sum().backward()
"""
CARRIED_BY_AN_UNKNOWN_ONE = CARRIED.replace("step(rows)", "step(model, rows)")
CARRIED_BY_WHAT_A_CALLER_HANDS_OVER = """\
class Language(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.out = nn.GRU(2, 4), nn.Linear(4, 1)
    def forward(self, x, h):
        out, h = self.rnn(x, h)
        return self.out(out), h
def step(model, rows):
    h = torch.zeros(1, 4)
    for row in rows:
        out, h = model(row, h)
        out.sum().backward()
def main(rows):
    step(Language(), rows)
"""
CARRIED_INTO_UNKNOWN_PARTS = """\
class Stack(nn.Module):
    def __init__(self, decoder):
        super().__init__()
        self.start, self.decoder = nn.Linear(2, 4), decoder
    def forward(self, x, h):
        out, h = self.decoder(self.start(x), h)
        return out, h
def step(decoder, rows):
    stack, h = Stack(decoder), torch.zeros(1, 4)
    for row in rows:
        out, h = stack(row, h)
        out.sum().backward()
"""


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        (IN_ONE_BLOCK, None),
        (STEPPED_BETWEEN, None),
        (ON_A_WAY, "advice"),
        (CARRIED, None),
        (CARRIED_BY_AN_UNKNOWN_ONE, "advice"),
        (CARRIED_BY_WHAT_A_CALLER_HANDS_OVER, None),
        (CARRIED_INTO_UNKNOWN_PARTS, "advice"),
    ],
    ids=[
        "in one block",
        "stepped between",
        "on a way",
        "carried",
        "carried by an unknown one",
        "by one handed over",
        "into unknown parts",
    ],
)
def test_only_what_follows_in_one_block_or_a_known_module_carries_is_sure(
    build: Build, text: str, severity: str | None
) -> None:
    (rule,) = (rule for rule in registry.load() if rule.code == "GL403")
    (found,) = rule.check(build({"code.py": HEAD + text}))
    assert (rule.severity, found.severity) == ("warning", severity)
