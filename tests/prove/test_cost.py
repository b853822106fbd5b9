"""When a run counts as better than another."""

import pytest

from gradlint.prove.cost import Cost, Difference

MIB = 1 << 20


@pytest.mark.parametrize(
    ("before", "after", "noise", "better", "text"),
    [
        (Cost(4 * MIB), Cost(MIB), Cost(), True, "4.0 MiB -> 1.0 MiB never used"),
        (Cost(4 * MIB), Cost(4 * MIB), Cost(), False, ""),
        (Cost(4 * MIB), Cost(5 * MIB), Cost(), False, "4.0 MiB -> 5.0 MiB never used"),
        (Cost(4 * MIB), Cost(3 * MIB), Cost(MIB), False, ""),
        (Cost(4 * MIB), Cost(3 * MIB), Cost(MIB - 1), True, "4.0 MiB -> 3.0 MiB never used"),
        (Cost(leaks=1), Cost(), Cost(), True, "1 -> 0 leaked modes"),
        (Cost(4 * MIB), Cost(leaks=1), Cost(), False, "4.0 MiB -> 0 B never used, 0 -> 1 leaked modes"),
        (Cost(0, 1, 0), Cost(), Cost(), True, "1 -> 0 lines that keep graphs"),
    ],
)
def test_something_must_fall_and_nothing_rise(before: Cost, after: Cost, noise: Cost, better: bool, text: str) -> None:
    difference = Difference(before, after, noise)
    assert (difference.better, difference.text) == (better, text)


def test_how_far_runs_lie_apart_has_no_sign() -> None:
    assert Cost(1, 2, 3, 4).apart(Cost(4, 3, 2, 1)) == Cost(3, 1, 1, 3)
