"""Every rule's examples: found where they are marked, silent elsewhere, true when run on real torch."""

from collections.abc import Iterator

import pytest

from gradlint import engine, registry, suppress
from gradlint.engine.policy import Policy
from gradlint.rule import Rule
from gradlint.source import Source
from gradlint.testing import Case, Stage, cases, check_case, check_fixed, fixed_pairs, proofs, prove, prove_safe_fixes
from gradlint.testing.mending import mended

PACK = registry.load()
RULES = registry.load(suppress.RULES)
BY_CODE = {rule.code: rule for rule in RULES}
# Their safe fixes add a call: what it does is the difference that is wanted.
CALL_WHAT_WAS_NOT = frozenset({"GL105", "GL408"})
BY_DEFAULT = tuple(rule for rule in RULES if rule.severity != "advice")


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


@pytest.mark.parametrize("case", [case for rule in RULES for case in cases(rule)], ids=str)
def test_finds_what_is_marked_and_nothing_else(case: Case) -> None:
    check_case(case, _default_and(BY_CODE[case.code]))


@pytest.mark.parametrize("case", [case for rule in PACK for case in proofs(rule)], ids=str)
def test_example_does_what_it_claims(case: Case, stage: Stage) -> None:
    prove(case, stage)


@pytest.mark.parametrize(
    ("rule", "flagged", "shown"),
    [(rule, *pair) for rule in PACK for pair in fixed_pairs(rule)],
    ids=lambda value: value.code if isinstance(value, Rule) else str(value),
)
def test_fixes_make_what_the_page_shows(rule: Rule, flagged: Case, shown: Case) -> None:
    check_fixed(flagged, shown, rule)


@pytest.mark.parametrize(
    ("rule", "case"),
    [(rule, case) for rule in PACK for case in proofs(rule) if case.kind == "flagged"],
    ids=lambda value: value.code if isinstance(value, Rule) else str(value),
)
def test_fixes_keep_their_promise_and_safe_ones_the_values(rule: Rule, case: Case, stage: Stage) -> None:
    mended(case, rule)
    prove_safe_fixes(case, rule, stage, same_values=rule.code not in CALL_WHAT_WAS_NOT)


def _default_and(rule: Rule) -> tuple[Rule, ...]:
    return BY_DEFAULT if rule in BY_DEFAULT else (*BY_DEFAULT, rule)


def test_what_is_added_through_data_is_advice_and_other_changes_are_not() -> None:
    computed = "import torch\nw = torch.ones(3, requires_grad=True)\ny = torch.exp(w)\n"
    source = Source("a.py", f"{computed}y.data += 1\ny.data.sub_(1)\ny.data *= 2\n")
    policy = Policy(advised=frozenset({"GL409"}))
    found = engine.run([source], [BY_CODE["GL409"]], policy=policy).diagnostics
    assert [diagnostic.severity for diagnostic in found] == ["advice", "advice", "warning"]


def test_what_a_forward_changes_through_data_is_advice_unless_its_operation_saved_it() -> None:
    text = """\
import torch
from torch import nn

class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.bias = nn.Parameter(torch.zeros(1, 4))

    def forward(self, x, mask):
        self.bias.squeeze().data.copy_(x.mean(0))
        scores = self.layer(x) * 2 + self.bias
        scores.data.masked_fill_(mask, -1e9)
        weights = scores.softmax(-1)
        weights.data.masked_fill_(mask, 0.0)
        return weights
"""
    policy = Policy(advised=frozenset({"GL409"}))
    found = engine.run([Source("a.py", text)], [BY_CODE["GL409"]], policy=policy).diagnostics
    assert [diagnostic.severity for diagnostic in found] == ["advice", "advice", "warning"]
