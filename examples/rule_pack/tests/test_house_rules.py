"""Each example in the rule's page and cases is checked, and run on PyTorch."""

from collections.abc import Iterator

import pytest
from house_rules.retained_graph import retained_graph

from gradlint.testing import Case, Stage, cases, check_case, proofs, prove


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


@pytest.mark.parametrize("case", cases(retained_graph), ids=str)
def test_finds_what_its_examples_mark(case: Case) -> None:
    check_case(case, [retained_graph])


@pytest.mark.parametrize("case", proofs(retained_graph), ids=str)
def test_examples_do_what_they_claim(case: Case, stage: Stage) -> None:
    prove(case, stage)
