"""What is said of wasteful forwards."""

from collections.abc import Callable, Mapping

import pytest

from gradlint.project import Project

Build = Callable[[Mapping[str, str]], Project]


def in_training(build: Build, text: str) -> dict[str, bool]:
    """The functions with wasteful forwards, and whether these stand in code that trains."""
    project = build({"main.py": text})
    found = ((f.name, project.inference.wasteful_forwards(f)) for f in project.functions())
    return {name: forwards[0].in_training for name, forwards in found if forwards}


def test_a_forward_for_the_log_of_a_training_step_stands_in_training_code(build: Build) -> None:
    text = """
        import torch

        def step(model, optimizer, images, labels):
            loss = model(images).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            print((model(images).argmax(1) == labels).sum().item())
        """
    assert in_training(build, text) == {"step": True}


def test_a_helper_that_a_training_step_calls_stands_in_training_code(build: Build) -> None:
    text = """
        import torch

        def hits(model, images, labels):
            return (model(images).argmax(1) == labels).sum().item()

        def step(model, optimizer, images, labels):
            loss = model(images).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            print(hits(model, images, labels))
        """
    assert in_training(build, text) == {"hits": True}


@pytest.mark.parametrize(
    "text",
    [
        """
        import torch

        def main(model, optimizer, batches, images):
            for batch in batches:
                optimizer.zero_grad()
                model(batch).square().mean().backward()
                optimizer.step()
            model.eval()
            print(model(images).argmax(1).tolist())
        """,
        """
        import torch

        def main(model, optimizer, batches, images):
            for epoch in range(3):
                for batch in batches:
                    optimizer.zero_grad()
                    model(batch).square().mean().backward()
                    optimizer.step()
                model.eval()
                shown = model(images).detach()
                print(shown.argmax(1))
        """,
        """
        import torch

        def evaluate(model, images):
            return model(images).argmax(1).tolist()

        def main(model, optimizer, batches, images):
            for batch in batches:
                optimizer.zero_grad()
                model(batch).square().mean().backward()
                optimizer.step()
                evaluate(model, images)
        """,
    ],
)
def test_what_evaluates_in_the_middle_of_training_stands_in_inference_code(build: Build, text: str) -> None:
    assert [*in_training(build, text).values()] == [False]


@pytest.mark.parametrize(
    ("call", "silent"),
    [
        ("learn2learn.algorithms.MAML(model, lr=0.1)", True),
        ("learn2learn.vision.datasets.Omniglot('.')", False),
        ("learn2learn.data.Taskset('.')", False),
        ("higher.patch.make_functional(model)", True),
    ],
)
def test_libraries_that_take_derivatives_are_told_from_the_data_they_come_with(
    build: Build, call: str, silent: bool
) -> None:
    text = f"""
        import higher, learn2learn, torch

        def evaluate(model, batches):
            tasks = {call}
            model.eval()
            return [model(batch).argmax(1).tolist() for batch in batches]
        """
    assert in_training(build, text) == ({} if silent else {"evaluate": False})


MANY = 13  # more methods of a name than are followed one by one
AGENT = "class Agent{n}:\n    def act(self, state):\n        return {given}\n"
ROLLING = """
import numpy as np
import torch

def evaluate(policy, env):
    policy.eval()
    total = 0.0
    for state in env:
        total += policy.act(state).sum().item()
    return total
"""


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("self.net(state)", {"evaluate"}),
        ("self.net(state).data.numpy()", set[str]()),
        ("np.zeros(3)", set[str]()),
    ],
)
def test_of_many_methods_of_a_name_it_counts_whether_they_give_a_graph(
    build: Build, given: str, found: set[str]
) -> None:
    agents = "".join(AGENT.format(n=n, given=given) for n in range(MANY))
    assert in_training(build, ROLLING + agents).keys() & {"evaluate"} == found


@pytest.mark.parametrize(("alike", "found"), [(3, set[str]()), (4, {"evaluate"})])
def test_methods_that_run_no_module_say_nothing_of_the_others(build: Build, alike: int, found: set[str]) -> None:
    numbers = [AGENT.format(n=n, given="self.stored[state]") for n in range(MANY)]
    arrays = [AGENT.format(n=MANY + n, given="self.net(state).data.numpy()") for n in range(9)]
    graphs = [AGENT.format(n=2 * MANY + n, given="self.net(state)") for n in range(alike)]
    text = ROLLING + "".join(numbers + arrays + graphs)
    assert in_training(build, text).keys() & {"evaluate"} == found
