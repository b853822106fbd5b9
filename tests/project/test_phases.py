"""In which phases a function evaluates, and what its names hold then."""

from collections.abc import Callable, Mapping

import pytest

from gradlint.project import Project
from gradlint.project.questions.phases import Phases

Build = Callable[[Mapping[str, str]], Project]


def phases(build: Build, text: str, name: str = "fit") -> list[tuple[dict[str, object], str]]:
    """What is known of a function in each phase in which it evaluates, and when it trains, as code says it."""
    project = build({"main.py": text})
    function = next(f for f in project.functions() if f.name == name)
    asked = Phases(project.bindings, project.calls, project.flows)
    return [(dict(phase.known), phase.trains) for phase in asked.of(function)]


@pytest.mark.parametrize(
    ("loop", "known", "trains"),
    [
        ('phase in ("train", "val")', {"phase": "val"}, 'phase == "train"'),
        ('phase in tqdm(["trn", "dev"])', {"phase": "dev"}, 'phase == "trn"'),
        ("train in (True, False)", {"train": False}, "train"),
        ("is_test in [False, True]", {"is_test": True}, "not is_test"),
        ('phase, loader in [("train", one), ("test", other)]', {"phase": "test"}, 'phase == "train"'),
        ('i, phase in enumerate(["train", "eval"])', {"phase": "eval"}, 'phase == "train"'),
        ('loader, phase in zip(loaders, ["train", "eval"])', {"phase": "eval"}, 'phase == "train"'),
        ('phase in {"train": one, "val": other}', {"phase": "val"}, 'phase == "train"'),
    ],
)
def test_a_loop_over_phases_says_which_of_them_evaluates(
    build: Build, loop: str, known: dict[str, object], trains: str
) -> None:
    assert phases(build, f"def fit(one, other, loaders):\n    for {loop}:\n        pass") == [(known, trains)]


@pytest.mark.parametrize(
    "loop",
    [
        'phase in ("critic", "generator")',
        'phase in ("val", "test")',
        'phase in ("train",)',
        "flag in (True, False)",
        "phase in phases",
        "train in range(2)",
    ],
)
def test_a_loop_over_other_things_has_no_phases(build: Build, loop: str) -> None:
    assert phases(build, f"def fit(phases):\n    for {loop}:\n        print({loop.split()[0]})") == []


def test_a_name_that_two_loops_bind_stands_for_no_phase(build: Build) -> None:
    loops = '    for phase in ("train", "val"):\n        pass\n'
    assert phases(build, f"def fit():\n{loops}{loops}") == []


def test_what_is_asked_of_a_name_says_what_it_may_be(build: Build) -> None:
    text = """
        def fit(loaders):
            for phase in loaders:
                if phase != "train":
                    continue
        """
    assert phases(build, text) == [({"phase": "val"}, 'phase == "train"')]


def test_what_follows_from_a_phase_is_known_too(build: Build) -> None:
    text = """
        def fit(loaders):
            for phase in ("train", "val"):
                training = phase == "train"
                name = "on" if training else "off"
                quiet = not training
                count = 0
                count += 1
                which = phase
                which = "train"
        """
    known = {"phase": "val", "training": False, "name": "off", "quiet": True}
    assert phases(build, text) == [(known, 'phase == "train"')]


def test_callers_choose_a_phase_and_so_do_theirs(build: Build) -> None:
    text = """
        def step(x, train=True, name=None):
            pass

        def fit(x):
            for phase in ("train", "val"):
                step(x, train=phase == "train")

        def fit_too(x):
            step(x, False, name="last")
        """
    assert [known for known, _ in phases(build, text, "step")] == [
        {"name": None},
        {"train": False, "name": None},
        {"train": False, "name": "last"},
    ]
