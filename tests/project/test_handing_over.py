"""What calls do to the arguments of their callers, and in which places those arrive."""

from collections.abc import Callable, Mapping

import pytest

from gradlint.project import Project
from gradlint.project.running.values import Value

Build = Callable[[Mapping[str, str]], Project]
HEAD = """\
import torch
from torch import nn

class Preparation:
    def run(self, model, data):
        model.eval()

class Adversarial(Preparation):
    def run(self, noise, generator):
        generator.eval()

class Distance:
    def __call__(self, one, other):
        return torch.mean(one)

def noise(size):
    return torch.randn(size)

def freeze(*models):
    for model in models:
        model.requires_grad_(False)

def use(preparation: Preparation, generator, one, other):
"""


def held(build: Build, *statements: str) -> Mapping[str, Value]:
    project = build({"code.py": HEAD + "".join(f"    {each}\n" for each in statements)})
    return project.flow(next(f for f in project.functions() if f.facts.name == "use")).env


def test_a_function_is_no_model_though_another_method_has_one_in_its_place(build: Build) -> None:
    env = held(build, "made = noise", "preparation.run(made, generator)")
    assert (env["made"].kind, env["generator"].training) == ("callable", False)


def test_an_object_that_is_called_gets_its_arguments_in_their_places(build: Build) -> None:
    env = held(build, "distance = Distance()", "found = distance(nn.Linear(2, 2)(one), other)")
    made = {origin.at for origin in env["found"].origins if origin.at >= 0}
    assert len(made) == 2  # its own, and the forward's


@pytest.mark.parametrize(("name", "frozen"), [("first", True), ("second", True), ("third", None)])
def test_each_of_what_a_loop_freezes_is_frozen(build: Build, name: str, frozen: bool | None) -> None:
    layers = (f"{each} = nn.Linear(2, 2)" for each in ("first", "second", "third"))
    assert held(build, *layers, "freeze(first, second)")[name].frozen is frozen
