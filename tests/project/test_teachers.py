"""What is advised where ``backward()`` walks a teacher: a guard, unless what goes in needs the graph."""

from collections.abc import Callable, Mapping

import pytest

from gradlint import engine, registry
from gradlint.project import Project
from gradlint.source import Source

Build = Callable[[Mapping[str, str]], Project]
AGENT = """\
import copy
import torch

class Agent:
    def __init__(self):
        self.actor, self.critic = torch.nn.Linear(4, 4), torch.nn.Linear(4, 1)
        self.critic_target = copy.deepcopy(self.critic)
        self.optimizer = torch.optim.SGD(self.actor.parameters(), lr=0.1)

    def update(self, states):
        {statement}
        loss = self.critic(states).mean() - self.critic_target(actions).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
"""
FREEZE = "freeze it with `self.critic_target.requires_grad_(False)`: what goes in needs the graph"


@pytest.mark.parametrize(
    ("statement", "is_frozen"),
    [
        ("actions = self.actor(states)", True),
        ("actions = torch.distributions.Normal(self.actor(states), 1.0).rsample().tanh()", True),
        ("actions = torch.cat([states, self.actor(states)], 1)[:, :4]", True),
        ("actions = states * 2", False),
        ("actions = self.actor(states).detach()", False),
        ("with torch.no_grad():\n            actions = self.actor(states)", False),
    ],
)
def test_what_a_trained_network_gave_needs_the_graph_of_the_teacher(
    build: Build, statement: str, is_frozen: bool
) -> None:
    (rule,) = (rule for rule in registry.load() if rule.code == "GL106")
    found = [f for f in rule.check(build({"code.py": AGENT.format(statement=statement)})) if "critic" in f.message]
    assert [finding.help for finding in found] == [FREEZE if is_frozen else "run it under `torch.no_grad()`"]
    assert [finding.fix is None for finding in found] == [is_frozen]


@pytest.mark.parametrize("statement", ["actions = states * 2", "actions = self.actor(states)"])
def test_what_is_walked_alone_or_through_what_feeds_it_is_told_apart(build: Build, statement: str) -> None:
    text = AGENT.format(statement=statement).replace("self.critic(states).mean() - ", "-")
    (rule,) = (rule for rule in registry.load() if rule.code == "GL106")
    found = [f.help for f in rule.check(build({"code.py": text})) if "critic" in f.message]
    assert found == ([FREEZE] if "actor" in statement else [])  # under a guard ``backward()`` would raise


def test_the_note_of_a_target_points_at_the_detach_that_detaches() -> None:
    lines = ("values = self.critic_target(states)", "values.detach()", "values = (values * 2).detach()")
    text = AGENT.format(statement="\n        ".join(lines))
    text = text.replace("self.critic(states).mean() - self.critic_target(actions)", "(self.critic(states) - values)")
    (rule,) = (each for each in registry.load() if each.code == "GL106")
    (found,) = engine.run([Source("code.py", text)], [rule]).diagnostics
    told = [text.splitlines()[note.span.line - 1].strip() for note in found.notes]
    assert told == [lines[2]]
