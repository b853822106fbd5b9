"""Every rule's examples: found where they are marked, silent elsewhere, true when run on real torch."""

from collections.abc import Iterator

import pytest

from gradlint import registry, suppress
from gradlint.rule import Rule
from gradlint.testing import Case, Stage, cases, check_case, proofs, prove

PACK = registry.load()
RULES = registry.load(suppress.RULES)
BY_CODE = {rule.code: rule for rule in RULES}
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


def _default_and(rule: Rule) -> tuple[Rule, ...]:
    return BY_DEFAULT if rule in BY_DEFAULT else (*BY_DEFAULT, rule)
