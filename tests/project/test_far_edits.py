"""Edits far away: who uses what everybody uses hears of an edit only when what it comes to is another."""

import io

import pytest

from gradlint.model.extract import extract
from gradlint.project import Names, Project
from gradlint.project.grad_states.effects import GRAD, NO_GRAD
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.running.values import NO_CONSTANT
from gradlint.project.snapshot import restored, take
from gradlint.source import Source

MANY = 40
PARTS = {f"models/part{n}.py": f"def only{n}():\n    return {n}\n" for n in range(MANY)}
STARS = {"models/__init__.py": "".join(f"from .part{n} import *\n" for n in range(MANY))}
USER = {"use.py": "from models import only7, other\n\nonly7()\n"}

HELPERS = {f"helper{n}.py": f"def help{n}(loss):\n    return {n}\n" for n in range(MANY)}
HUB = {
    "hub.py": "".join(f"from helper{n} import help{n}\n" for n in range(MANY))
    + "\ndef hub(loss):\n"
    + "".join(f"    help{n}(loss)\n" for n in range(MANY))
    + "    return loss\n"
}
CALLER = {"call.py": "from hub import hub\n\ndef run(loss):\n    return hub(loss)\n"}


def linked(files: dict[str, str]) -> Project:
    return Project([extract(Source(path, text)) for path, text in files.items()])


def edited(project: Project, path: str, text: str) -> int:
    modules = [extract(Source(path, text)) if m.path == path else m.facts for m in project.modules]
    changed = project.update(modules)
    assert changed is not None
    return changed


def function(project: Project, name: str) -> FunctionNode:
    return next(found for found in project.functions() if found.name == name)


def test_a_submodule_is_found_behind_the_star_of_its_package() -> None:
    files = {
        "models/__init__.py": "",
        "models/part.py": "def run():\n    return 1\n",
        "use.py": "from models import *\n",
    }
    project = linked(files)
    target = project.linker.resolve(project.modules[-1].body, "part.run")
    assert target is function(project, "run")


@pytest.mark.parametrize(
    ("part", "text", "name", "is_new"),
    [
        ("models/part3.py", "def only3():\n    return 4\n", "only7", False),
        ("models/part3.py", "def only3():\n    return 3\ndef fresh():\n    return 3\n", "only7", False),
        ("models/part3.py", "def only3():\n    return 3\ndef only7():\n    return 3\n", "only7", True),
        ("models/part3.py", "def only3():\n    return 3\ndef fresh():\n    return 3\n", "other", False),
        ("models/part3.py", "def other():\n    return 3\n", "other", True),
        ("models/part7.py", "def only7():\n    return 8\n", "only7", True),
        ("models/part7.py", "def only8():\n    return 8\n", "only7", True),
    ],
)
def test_a_name_behind_stars_is_heard_of_only_when_it_means_something_else(
    part: str, text: str, name: str, is_new: bool
) -> None:
    project = linked({**PARTS, **STARS, **USER})
    linker, user = project.linker, project.modules[-1]
    _, bits = linker.dependencies.noted(lambda: linker.member(user, name), user.bit)
    assert bool(edited(project, part, text) & bits) == is_new
    fresh = linked({**PARTS, **STARS, **USER, part: text})
    found, expected = (each.linker.member(each.modules[-1], name) for each in (project, fresh))
    assert _spelt(found) == _spelt(expected)


def test_a_name_is_still_watched_after_it_has_become_easy_to_find() -> None:
    project = linked({**PARTS, **STARS, **USER})
    linker, user = project.linker, project.modules[-1]
    _, bits = linker.dependencies.noted(lambda: linker.member(user, "only7"), user.bit)
    few = "from .part7 import *\n"
    assert not edited(project, "models/__init__.py", few) & bits
    assert edited(project, "models/__init__.py", f"{few}def only7():\n    return 0\n") & bits


def _spelt(target: object) -> object:
    return (target.module.path, target.name) if isinstance(target, FunctionNode) else target


@pytest.mark.parametrize(
    ("line", "is_new"),
    [("return 4", False), ("print('loss')", False), ("loss.backward()", True), ("loss.add_(1)", True)],
)
def test_who_calls_what_looks_at_everything_depends_on_what_that_comes_to(line: str, is_new: bool) -> None:
    project = linked({**HELPERS, **HUB, **CALLER})
    hub, run = function(project, "hub"), function(project, "run")
    dependencies = project.linker.dependencies
    wide = dependencies.noted(lambda: project.flow(hub), 0)[1]
    before, bits = dependencies.noted(lambda: project.flows.effects(run), run.module.bit)
    text = f"def help3(loss):\n    {line}\n"
    changed = edited(project, "helper3.py", text)
    assert changed & wide
    assert bool(changed & bits) == is_new
    after = project.flows.effects(run)
    assert (after == before) != is_new
    fresh = linked({**HELPERS, **HUB, **CALLER, "helper3.py": text})
    assert after == fresh.flows.effects(function(fresh, "run"))


@pytest.mark.parametrize(("line", "is_new"), [("return 4", False), ("loss.backward()", True), ("loss.item()", True)])
def test_what_becomes_of_an_argument_is_heard_of_through_what_looks_at_everything(line: str, is_new: bool) -> None:
    project = linked({**HELPERS, **HUB, **CALLER})
    run = function(project, "run")
    dependencies = project.linker.dependencies
    before, bits = dependencies.noted(lambda: _uses(project), run.module.bit)
    text = f"def help3(loss):\n    {line}\n"
    changed = edited(project, "helper3.py", text)
    assert bool(changed & bits) == is_new
    assert (_uses(project) == before) != is_new
    assert _uses(project) == _uses(linked({**HELPERS, **HUB, **CALLER, "helper3.py": text}))


def _uses(project: Project) -> set[str]:
    """What becomes of all values in the function that calls the hub."""
    return {use.kind for uses in project.flow(function(project, "run")).uses.values() for use in uses}


def test_what_leans_on_an_unfinished_result_is_not_taken_for_its_outline() -> None:
    circle = {
        "hub.py": HUB["hub.py"].replace("def hub(loss):\n", "def hub(loss):\n    other(loss)\n    loss.backward()\n")
        + "\ndef other(loss):\n    hub(loss)\n"
        + "".join(f"    help{n}(loss)\n" for n in range(MANY))
    }
    kinds = []
    for first in ("hub", "other"):
        project = linked({**HELPERS, **circle})
        project.flows.outline(function(project, first))
        uses = project.flows.outline(function(project, "other")).uses.values()
        kinds.append({use.kind for found in uses for use in found})
    assert kinds == [{"trained"}, {"trained"}]


def test_another_process_knows_an_outline_with_all_that_it_holds() -> None:
    start = "(loss):\n    a, b, m = ..., 2j, nn.Linear(2, 2)\n"
    files = {**HELPERS, "hub.py": "from torch import nn\n" + HUB["hub.py"].replace("(loss):\n", start, 1)}
    project = linked(files)
    before = project.flows.outline(function(project, "hub")).env
    file = io.BytesIO()
    take(project, ["besides"], file)
    file.seek(0)
    again, besides = restored(file, [module.facts for module in project.modules], Names())
    assert besides == ["besides"]
    hub = function(again, "hub")
    assert hub in again.linker.dependencies.results.found.views["outlines"]
    env = again.flows.outline(hub).env
    assert [env[name].constant for name in "ab"] == [..., 2j]
    assert env["loss"].constant is NO_CONSTANT
    assert env["m"].born == before["m"].born
    assert (env["m"].born or 0) < 0  # no epoch of whoever calls it


def test_the_guard_of_who_hands_a_function_over_is_heard_of() -> None:
    text = "import torch\nfrom measure import measure\nfrom score import score\n\ndef run(x):\n{}"
    files = {
        "measure.py": "def measure(f, x):\n    return f(x)\n",
        "score.py": "def score(x):\n    return x\n",
        "main.py": text.format("    return measure(score, x)\n"),
    }
    project = linked(files)
    score = function(project, "score")

    def states() -> list[int]:
        return [project.calls.states_of_edge(edge) for edge in project.calls.callers.get(score, ())]

    found, bits = project.linker.dependencies.noted(states, 0)
    assert found == [GRAD]
    changed = edited(project, "main.py", text.format("    with torch.no_grad():\n        return measure(score, x)\n"))
    assert changed & bits
    assert states() == [NO_GRAD]
