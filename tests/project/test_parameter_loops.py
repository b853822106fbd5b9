"""The names that loops give to the parameters of modules."""

from collections.abc import Callable, Mapping

import pytest

from gradlint.project import Project
from gradlint.project.linking.parameter_loops import looped_parameters

Build = Callable[[Mapping[str, str]], Project]


@pytest.mark.parametrize(
    ("loop", "expected"),
    [
        ("for p in model.parameters(): ...", ["p"]),
        ("for name, p in model.named_parameters(): ...", ["p"]),
        ("for both in model.named_parameters(): ...", []),
        ("for i, p in enumerate(model.parameters()): ...", ["p"]),
        ("for i, (name, p) in tqdm(enumerate(model.named_parameters())): ...", ["p"]),
        ("for e, p, x in zip(average.parameters(), model.parameters(), xs): ...", ["e", "p"]),
        ("for (_, e), p in zip(average.named_parameters(), model.parameters()): ...", ["e", "p"]),
        ("for i in range(len(list(model.parameters()))): ...", []),
        ("for p in itertools.chain(a.parameters(), b.parameters()): ...", ["p", "p"]),
        ("for p in list(a.parameters()) + list(b.parameters()): ...", ["p", "p"]),
        ("for p in filter(lambda p: p.requires_grad, model.parameters()): ...", ["p"]),
        ("for p in [q for q in model.parameters() if q.requires_grad]: ...", ["p"]),
        ("for n in [name for name, q in model.named_parameters()]: ...", []),
        ("for p in list(model.parameters())[:-1]: ...", ["p"]),
        ("live = list(model.parameters())\nfor p in live: ...", ["p"]),
        ("live = list(model.parameters())\nlive = names()\nfor p in live: ...", []),
        ("sizes = len(list(model.parameters()))\nfor p in sizes: ...", []),
        ("for p in model.buffers(): ...\nmodel.parameters()", []),
    ],
)
def test_loops_name_parameters(build: Build, loop: str, expected: list[str]) -> None:
    function = build({"code.py": loop}).modules[0].body
    assert list(looped_parameters(function)) == expected
