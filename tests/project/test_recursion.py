"""What leaned on an unfinished result is worked out again; nothing else is."""

from collections.abc import Callable, Mapping
from itertools import permutations

import pytest

from gradlint.project import Project
from gradlint.project.running.recursion import Recursion
from gradlint.project.running.values import LEAF, Origin

Build = Callable[[Mapping[str, str]], Project]


def test_what_leans_on_nothing_unfinished_is_kept() -> None:
    recursion: Recursion[str] = Recursion()
    recursion.begin("outer")
    recursion.begin("inner")
    assert list(recursion.end("inner")) == []
    recursion.lean("inner")
    assert list(recursion.end("outer")) == []


def test_what_leans_on_an_open_result_is_forgotten_when_that_is_there() -> None:
    recursion: Recursion[str] = Recursion()
    recursion.begin("even")
    recursion.begin("odd")
    assert recursion.is_open("even")
    assert list(recursion.end("odd")) == []
    assert list(recursion.end("even")) == ["odd"]


def test_who_uses_a_provisional_result_is_provisional_too() -> None:
    recursion: Recursion[str] = Recursion()
    recursion.begin("even")
    recursion.begin("odd")
    recursion.lean("even")
    list(recursion.end("odd"))
    recursion.begin("third")
    recursion.lean("odd")
    assert list(recursion.end("third")) == []
    assert list(recursion.end("even")) == ["odd", "third"]


def test_a_circle_within_a_circle_waits_for_the_outer_one() -> None:
    recursion: Recursion[str] = Recursion()
    for key in ("a", "b", "c"):
        recursion.begin(key)
    recursion.lean("b")
    assert list(recursion.end("c")) == []
    recursion.lean("a")
    assert list(recursion.end("b")) == []
    assert list(recursion.end("a")) == ["c", "b"]


def test_a_result_that_is_worked_out_twice_is_forgotten_once() -> None:
    recursion: Recursion[str] = Recursion()
    recursion.begin("outer")
    for _ in range(2):  # once for each way in which a function is called
        recursion.begin("inner")
        recursion.lean("outer")
        list(recursion.end("inner"))
    assert list(recursion.end("outer")) == ["inner"]


def test_a_function_that_is_run_with_a_flag_in_the_middle_of_itself(build: Build) -> None:
    project = build(
        {
            "main.py": """
        def attack(model, images, swap=False):
            for parameter in model.parameters():
                parameter.requires_grad = swap
            if swap:
                return attack(model, images, swap=False)
            return train(model, images, swap=True)

        def train(model, images, swap):
            attack(model, images, swap=True)
            attack(model, images, swap=False)
            return model(images)
        """
        }
    )
    assert all(project.flow(function) is not None for function in project.functions())


def test_what_went_without_something_leans_on_the_outermost() -> None:
    recursion: Recursion[str] = Recursion()
    for key in ("a", "b", "c"):
        recursion.begin(key)
    recursion.lean_on_all()
    assert [list(recursion.end(key)) for key in ("c", "b", "a")] == [[], [], ["c", "b"]]


def test_a_result_is_thrown_away_twice_at_most() -> None:
    recursion: Recursion[str] = Recursion()

    def turn() -> list[str]:
        recursion.begin("head")
        recursion.begin("member")
        recursion.lean("head")
        return [*recursion.end("member"), *recursion.end("head")]

    assert [turn() for _ in range(3)] == [["member"], ["member"], []]


CIRCLE = """
    import torch

    def first(x, n):
        if n:
            return second(x, n - 1)
        return [x.item()]

    def second(x, n):
        return third(x, n)

    def third(x, n):
        made = torch.ones(2)
        return made if n else first(x, n - 1)
"""


@pytest.mark.parametrize("order", [*permutations(["first", "second", "third"])])
def test_a_circle_of_functions_shows_the_same_whoever_is_asked_first(build: Build, order: tuple[str, ...]) -> None:
    project = build({"a.py": CIRCLE})
    functions = {function.name: function for function in project.functions()}
    for name in order:
        project.flow(functions[name])
    parameter = Origin(functions["second"], -1)
    uses = {use.detail for use in project.flow(functions["second"]).uses[parameter]}
    assert "item" in uses
    assert all(project.flow(functions[name]).returns is not None for name in order)


LAYERS = """
    import torch
    from torch import nn

    class Attention(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.queries = nn.Linear(width, width)
            self.keys = nn.Linear(width, width)
            self.values = nn.Linear(width, width)
            self.reset()

        def reset(self):
            self.queries.weight.data.zero_()
            self.keys.weight.data.zero_()
            self.values.weight.data.zero_()

        def forward(self, x):
            return self.queries(x) @ self.keys(x).T @ self.values(x)
"""


@pytest.mark.parametrize("order", [*permutations(["__init__", "reset", "forward"])])
def test_attributes_are_known_in_what_the_constructor_calls_whoever_is_asked_first(
    build: Build, order: tuple[str, ...]
) -> None:
    project = build({"a.py": LAYERS})
    methods = {function.facts.name: function for function in project.functions()}
    for name in order:
        project.flow(methods[name])
    read = [event for event in project.flow(methods["reset"]).attributes.values() if event.name == "data"]
    assert [event.owner.tensor for event in read] == [LEAF, LEAF, LEAF]


LEARNER = """
    import torch
    from torch import nn

    class Learner:
        def __init__(self, network):
            self.network = network
            self.old, self.seen = None, 0

        def remember(self):
            self.old = self.network.copy().freeze()
            self.seen = self.seen + 1

        def learn(self, loader):
            print(self.seen)
            self.network = self.network.grown()
            self.start(loader)

        def start(self, loader):
            self.network = nn.DataParallel(self.network)
            if self.old is not None:
                self.old.to("cpu")
            self.run(loader)

        def run(self, loader):
            self.network.train()
            for images in loader:
                self.old(images)
"""


@pytest.mark.parametrize("order", [*permutations(["remember", "learn", "start", "run"])])
def test_an_attribute_is_known_though_who_sets_it_is_being_run(build: Build, order: tuple[str, ...]) -> None:
    project = build({"a.py": LEARNER})
    methods = {function.facts.name: function for function in project.functions()}
    for name in order:
        project.flow(methods[name])
    called = [event.callee for event in project.flow(methods["run"]).calls.values() if event.name == "self.old"]
    assert [callee.frozen for callee in called] == [True]
