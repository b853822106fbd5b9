"""The generated parts of the documentation: what is written, and that they are current."""

import importlib
import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from gradlint import docs, join, registry, suppress
from gradlint.rule import Rule
from gradlint.testing import Stage, cases, check_case, proofs, prove

ROOT = Path(__file__).parent.parent
PAGE = """\
`a | b` is lost.

## Flagged

```python
# a comment is no heading
x = 1
## nor this
```

## Why

Because.
"""


def rule(code: str = "XY101", page: str = PAGE) -> Rule:
    return Rule(code, "lost-thing", "advice", "0.1.0", page, __name__, lambda project: iter(()))


def test_generated_parts_are_current(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    status = docs.main(["--check"])
    assert status == 0, f"run `python -m gradlint.docs`\n{capsys.readouterr().out}"


def test_every_rule_is_in_table_and_catalogue() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    catalogue = (ROOT / docs.CATALOGUE).read_text(encoding="utf-8")
    for known in registry.load((*suppress.RULES, *join.RULES)):
        anchor = f"{known.code.lower()}-{known.name}"
        assert f"[{known.code}]({docs.CATALOGUE}#{anchor})" in readme
        assert f"\n## {known.code} {known.name}\n" in catalogue


def test_table_escapes_what_would_end_a_cell() -> None:
    row = docs.table([rule()]).splitlines()[-1]
    assert row == "| [XY101](#xy101-lost-thing) | lost-thing | advice | `a \\| b` is lost |"


def test_headings_move_down_and_code_does_not() -> None:
    assert docs.demoted(PAGE).splitlines() == [
        line.replace("## ", "### ") if re.match("## [A-Z]", line) else line for line in PAGE.splitlines()
    ]


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    readme = f"before\n{docs.START}\nold\n{docs.END}\nafter\n"
    written = docs.generated([rule()], {"README.md": readme})
    assert written["README.md"] == f"before\n{docs.START}\n{docs.table([rule()], docs.CATALOGUE)}{docs.END}\nafter\n"
    assert docs.generated([rule()], written) == written


@pytest.mark.parametrize("readme", ["", docs.START, f"{docs.END} {docs.START}"])
def test_missing_markers_are_an_error(readme: str) -> None:
    with pytest.raises(docs.DocsError, match="lacks the markers"):
        docs.generated([rule()], {"README.md": readme})


def test_check_shows_what_differs_and_writing_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "README.md").write_text(f"{docs.START}\n{docs.END}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(docs, "_source", lambda known: tmp_path / "rule.py")

    assert docs.main(["--check"]) == 1
    assert "+| [GL101](rules/README.md#gl101-grad-enabled-inference)" in capsys.readouterr().out
    assert not (tmp_path / docs.CATALOGUE).exists()
    assert docs.main([]) == 0
    assert docs.main(["--check"]) == 0


def test_a_folder_without_rules_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(docs.DocsError, match="no rule"):
        docs.main([])


def test_the_rule_that_contributing_shows_passes_its_own_examples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (shown,) = (token.content for token in MarkdownIt().parse(text) if token.markup == "````")
    (tmp_path / "called_requires_grad.py").write_text(shown, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    shown_rule = importlib.import_module("called_requires_grad").called_requires_grad

    for case in cases(shown_rule):
        check_case(case, [shown_rule])
    with Stage() as stage:
        for case in proofs(shown_rule):
            prove(case, stage)
