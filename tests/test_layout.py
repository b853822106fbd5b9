"""How rule files must look, so that one of them can be read without having read another."""

import ast
import re
from itertools import groupby, pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from gradlint import registry, suppress
from gradlint.rule import Rule
from gradlint.testing import cases

ROOT = Path(__file__).parent.parent
PACK = ROOT / "rules" / "gradlint_rules"
FILES = sorted(file for file in PACK.glob("*.py") if file.name != "__init__.py")
RULES = registry.load(suppress.RULES)
ORDER = ["Flagged", "Instead", "Fixed", "Why"]
IN_PACK = [rule for rule in RULES if rule.module.startswith("gradlint_rules.")]


def headings(markdown: str) -> list[str]:
    tokens = MarkdownIt().parse(markdown)
    return [b.content for a, b in pairwise(tokens) if (a.type, a.tag) == ("heading_open", "h2")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_file_is_one_rule_of_its_name(file: Path) -> None:
    defined = [rule for rule in RULES if rule.module == f"gradlint_rules.{file.stem}"]
    assert [rule.name for rule in defined] == [file.stem.replace("_", "-")]
    public = [
        node.name
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    assert public == [file.stem]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_rule_can_be_read_without_scrolling_past_its_cases(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 600, f"move CASES to {file.stem}.cases.md"


def test_codes_and_names_are_unique() -> None:
    assert len({rule.code for rule in RULES}) == len(RULES)
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(re.fullmatch(r"GL\d{3}", rule.code) for rule in RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_page_is_complete_and_in_order(rule: Rule) -> None:
    summary, blank, *_ = rule.page.splitlines()
    assert re.fullmatch(r"[A-Z`].+\.", summary)
    assert len(summary) <= 110
    assert blank == ""
    found = headings(rule.page)
    assert found == [name for name in ORDER if name in found]
    assert {"Flagged", "Instead", "Why"} <= set(found)


@pytest.mark.parametrize("rule", IN_PACK, ids=lambda rule: rule.code)
def test_both_sides_are_shown(rule: Rule) -> None:
    assert {"flagged", "instead", "silent"} <= {case.kind for case in cases(rule)}
    page = [case.kind for case in cases(rule) if case.title.startswith("page")]
    assert page.count("fixed") in {0, page.count("flagged")}


@pytest.mark.parametrize("rule", IN_PACK, ids=lambda rule: rule.code)
def test_cases_say_what_they_are_about(rule: Rule) -> None:
    assert headings(rule.cases) == ["Flagged", "Silent"]
    more = [case for case in cases(rule) if not case.title.startswith("page")]
    titles = [f"{case.kind} {case.title}" for case in more]
    assert all(len(list(same)) == 1 for _, same in groupby(sorted(titles)))


def test_examples_have_distinct_ids() -> None:
    names = [str(case) for rule in RULES for case in cases(rule)]
    assert len(set(names)) == len(names)


def test_ci_runs_the_tests_as_the_readme_says() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    (command,) = (line.replace(".ci-venv/", ".venv/") for line in ci if " -m pytest" in line)
    assert command in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_page_does_not_scare(rule: Rule) -> None:
    words = re.findall(r"\w+", rule.page.lower())
    assert not {"dangerous", "catastrophic", "critical", "never ever", "disaster"} & set(words)
