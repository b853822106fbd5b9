"""Test a rule by its own text: every example in its page and its ``CASES`` is checked, and run on real torch.

For a rule pack, this is the whole test file::

    import pytest
    from gradlint.testing import Stage, cases, check_case, proofs, prove
    from my_pack.my_rule import my_rule

    @pytest.fixture(scope="session")
    def stage():
        with Stage() as stage:
            yield stage

    @pytest.mark.parametrize("case", cases(my_rule), ids=str)
    def test_finds_what_its_examples_mark(case):
        check_case(case, [my_rule])

    @pytest.mark.parametrize("case", proofs(my_rule), ids=str)
    def test_examples_do_what_they_claim(case, stage):
        prove(case, stage)

How examples are written stands in :mod:`gradlint.testing.cases`, what they can claim in
:mod:`gradlint.testing.claims`. Only the examples' own process, started by :class:`Stage`, imports torch.
"""

from gradlint.testing.cases import Case, CaseFailure, File, PageError, cases, proofs
from gradlint.testing.check import check_case
from gradlint.testing.proof import Stage, prove

__all__ = [
    "Case",
    "CaseFailure",
    "File",
    "PageError",
    "Stage",
    "cases",
    "check_case",
    "proofs",
    "prove",
]
