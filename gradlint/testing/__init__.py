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

    @pytest.mark.parametrize(("flagged", "shown"), fixed_pairs(my_rule), ids=str)
    def test_fixes_make_what_the_page_shows(flagged, shown):
        check_fixed(flagged, shown, my_rule)

    @pytest.mark.parametrize("case", [case for case in proofs(my_rule) if case.kind == "flagged"], ids=str)
    def test_safe_fixes_change_no_value(case, stage):
        prove_safe_fixes(case, my_rule, stage)

How examples are written stands in :mod:`gradlint.testing.cases`, what they can claim in
:mod:`gradlint.testing.claims`. Only the examples' own process, started by :class:`Stage`, imports torch.
"""

from gradlint.testing.cases import Case, CaseFailure, File, PageError, cases, proofs
from gradlint.testing.check import check_case
from gradlint.testing.mending import check_fixed, fixed_pairs, prove_safe_fixes
from gradlint.testing.proof import Stage, prove

__all__ = [
    "Case",
    "CaseFailure",
    "File",
    "PageError",
    "Stage",
    "cases",
    "check_case",
    "check_fixed",
    "fixed_pairs",
    "proofs",
    "prove",
    "prove_safe_fixes",
]
