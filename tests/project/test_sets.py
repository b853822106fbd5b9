"""Sets are joined without another one where one of them is all there is."""

from itertools import product

from gradlint.project.running.sets import ALONE, NOTHING, joined, together

_SETS = [frozenset(numbers) for numbers in ((), (1,), (2,), (1, 2), (2, 3), (1, 2, 3), (4, 5, 6))]


def test_what_is_joined_is_in_one_or_the_other() -> None:
    for first, second in product(_SETS, repeat=2):
        both = joined(first, second)
        assert both == first | second
        if first >= second:
            assert both is first
        elif second > first:
            assert both is second


def test_what_is_together_is_in_any() -> None:
    assert together([]) is NOTHING
    for sets in product(_SETS, repeat=3):
        assert together(sets) == frozenset().union(*sets)


def test_alone_is_nothing_but_the_number() -> None:
    assert ALONE[500] == {500}
    assert ALONE[500] is ALONE[500]
