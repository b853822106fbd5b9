"""In which grad state code runs, and what a function leaves behind."""

import pytest

from gradlint.model.extract import extract
from gradlint.project import Project
from gradlint.project.effects import GRAD, INFERENCE, NO_GRAD, apply, names
from gradlint.source import Source


def left_by(body: str) -> str:
    """The modes that a function with this body may leave behind when grad was on before."""
    lines = "".join(f"    {line}\n" for line in body.strip("\n").splitlines())
    text = f"import torch\nfrom torch import set_grad_enabled as switch\ndef run(model, x):\n{lines}"
    project = Project([extract(Source("run.py", text))])
    function = next(f for f in project.functions() if f.name == "run")
    return names(apply(project.states.effect_after(function), GRAD))


def test_a_statement_leaves_its_mode_behind() -> None:
    assert left_by("torch.set_grad_enabled(False)") == names(NO_GRAD)
    assert left_by("torch.no_grad().__enter__()") == names(NO_GRAD)
    assert left_by("guard = torch.inference_mode()\nguard.__enter__()") == names(INFERENCE)
    assert left_by("switch(False)") == names(NO_GRAD)


def test_an_inference_mode_that_nothing_holds_ends_at_once() -> None:
    assert left_by("torch.inference_mode().__enter__()") == names(GRAD)


@pytest.mark.parametrize("restoring", ["torch.set_grad_enabled(True)", "switch(before)"])
def test_finally_restores_on_every_way_out(restoring: str) -> None:
    body = f"""
before = torch.is_grad_enabled()
switch(False)
try:
    if x:
        return model(x)
    model(-x)
finally:
    {restoring}
"""
    assert left_by(body) == names(GRAD)


def test_with_restores_on_every_way_out() -> None:
    body = """
with torch.enable_grad():
    switch(False)
    if x:
        return x
    model(x)
"""
    assert left_by(body) == names(GRAD)
    assert left_by(body.replace("torch.enable_grad()", "open(x)")) == names(NO_GRAD)


def test_a_return_before_the_try_is_not_restored() -> None:
    body = """
switch(False)
if x:
    return x
try:
    return model(x)
finally:
    switch(True)
"""
    assert left_by(body) == names(GRAD | NO_GRAD)


def test_an_endless_loop_leaves_nothing_behind() -> None:
    assert left_by("switch(False)\nwhile True:\n    model(x)") == names(GRAD)
    assert left_by("switch(False)\nwhile True:\n    if model(x):\n        break") == names(NO_GRAD)
    assert left_by("switch(False)\nwhile True:\n    for y in x:\n        break") == names(GRAD)
    assert left_by("switch(False)\nwhile x:\n    model(x)") == names(NO_GRAD)
