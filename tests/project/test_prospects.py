"""Who has no prospect of running a module runs none."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from gradlint import registry
from gradlint.model.extract import extract
from gradlint.project import Project
from gradlint.rule import Rule
from gradlint.source import Source
from gradlint.testing import cases

FIXTURES = Path(__file__).parents[2] / "fixtures"


def missed(sources: Sequence[Source]) -> list[str]:
    """The functions that run a module against expectation."""
    project = Project(extract(source) for source in sources)
    return [
        f"{function} {event.name}"
        for function in project.functions()
        for event in project.flow(function).calls.values()
        if event.forward and not project.prospects.may_forward(function)
    ]


@pytest.mark.parametrize("rule", registry.load(), ids=lambda rule: rule.code)
def test_no_case_of_a_rule_runs_a_module_unexpectedly(rule: Rule) -> None:
    for case in cases(rule):
        assert not missed([Source(file.path, file.text) for file in case.files]), case


def test_no_fixture_runs_a_module_unexpectedly() -> None:
    paths = sorted(FIXTURES.rglob("*.py"))
    assert not missed([Source(path.as_posix(), path.read_text(encoding="utf-8")) for path in paths])


@pytest.mark.parametrize(
    "body",
    ["return text.split(sep)", "return len(text)", "self.count = compute(text)", "return torch.cat(text)"],
)
def test_everyday_code_has_no_prospect(body: str) -> None:
    text = f"import torch\ndef compute(x): return x + 1\nclass A:\n    def m(self, text, sep):\n        {body}\n"
    project = Project([extract(Source("a.py", text))])
    assert not any(map(project.prospects.may_forward, project.functions()))


PROJECT = """
def other(x): return net(x)
class A:
    def __init__(self, f, net): self.f, self.g = f, net
    def m(self, text, sep):
        {body}
"""


def has_prospect(body: str) -> bool:
    project = Project([extract(Source("a.py", PROJECT.format(body=body)))])
    return any(f.name == "A.m" and project.prospects.may_forward(f) for f in project.functions())


@pytest.mark.parametrize(
    "body",
    [
        "return model(text)",
        "return self.g(text)",
        "return self.nets[0](text)",
        "text.eval(); text(sep)",
        "text.part.eval(); text.part(sep)",
        "vae = load(sep); return vae.encode(text)",
        "return self.f(sep).predict(text)",
        "other(text)",
    ],
)
def test_what_may_be_a_module_is_a_prospect(body: str) -> None:
    assert has_prospect(body)


@pytest.mark.parametrize(
    "body",
    ["return self.f(text)", "return self.layers[0](text)", "return text(sep)", "return text.part(sep)"],
)
def test_what_nobody_treats_as_a_module_is_none(body: str) -> None:
    assert not has_prospect(body)
