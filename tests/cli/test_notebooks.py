"""``gradlint check`` on notebooks: findings by cell, in all formats; fixes; what cannot be read."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import nbformat
import pytest
from click.testing import Result

from gradlint.finding import Edit, Place
from gradlint.rule import Rule

Write = Callable[[Mapping[str, str]], None]
Gradlint = Callable[..., Result]


@pytest.fixture
def rules(flags: Callable[..., Rule]) -> list[Rule]:
    safe = Edit(Place("", 0), "replace", "mended()")
    return [flags("flag_me", edit=safe, notes="import_me"), flags("spare_me", "XY102")]


def notebook(*texts: str) -> str:
    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_code_cell(text, outputs=[nbformat.v4.new_output("stream")]) for text in texts]
    return f"{nbformat.writes(made)}\n"


def test_findings_are_told_by_cell_line_and_column(gradlint: Gradlint, write: Write) -> None:
    write({"a.ipynb": notebook("import_me()", "%pwd\nif 1:\n    flag_me()"), "b.py": "flag_me()\n"})
    result = gradlint("check", "--output-format", "concise")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[:2] == ["a.ipynb:cell 2:3:5: XY101 `flag_me` is called", "b.py:1:1: XY101 `flag_me` is called"]


def test_a_cell_indented_as_a_whole_keeps_its_columns_and_indentation(
    gradlint: Gradlint, write: Write, folder: Path
) -> None:
    write({"a.ipynb": notebook("import_me()", "   # note\n   if 1:\n       flag_me()")})
    result = gradlint("check", "--fix", "--output-format", "json")
    assert result.exit_code == 0
    assert json.loads((folder / "a.ipynb").read_text())["cells"][1]["source"] == [
        "   # note\n",
        "   if 1:\n",
        "       mended()",
    ]
    write({"a.ipynb": notebook("import_me()", "   # note\n   if 1:\n       flag_me()")})
    lines = gradlint("check", "--output-format", "concise").stdout.splitlines()
    assert lines[0] == "a.ipynb:cell 2:3:8: XY101 `flag_me` is called"


def test_the_excerpt_shows_the_cell_as_it_is_written(gradlint: Gradlint, write: Write) -> None:
    write({"a.ipynb": notebook("import_me()", "%time flag_me()")})
    shown = """\
a.ipynb:cell 2:1:7: warning XY101 flag-me: `flag_me` is called
  |
1 | %time flag_me()
  |       ^^^^^^^^^
  |
  ::: a.ipynb:cell 1:1:1
  |
1 | import_me()
  | ----------- `import_me` is here
  |
  = fix: mend it (safe)
"""
    assert gradlint("check", "--quiet").stdout.split() == shown.split()


def test_programs_are_told_the_cell(gradlint: Gradlint, write: Write) -> None:
    file = notebook("import_me()", "\nflag_me()")
    write({"a.ipynb": file})

    def document(name: str) -> str:
        return gradlint("check", "--output-format", name).stdout

    [finding] = json.loads(document("json"))["findings"]
    assert (finding["path"], finding["cell"], finding["line"]) == ("a.ipynb", 2, 2)
    assert (finding["notes"][0]["cell"], finding["fix"]["edits"][0]["cell"]) == (1, 2)
    [result] = json.loads(document("sarif"))["runs"][0]["results"]
    assert result["message"]["text"] == "`flag_me` is called (cell 2, line 2)"
    [line] = [number for number, text in enumerate(file.splitlines(), 1) if "flag_me" in text]
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": line, "endLine": line}
    assert "fixes" not in result
    [issue] = json.loads(document("gitlab"))
    assert issue["location"]["lines"] == {"begin": line, "end": line}
    properties = f"title=XY101 flag-me,file=a.ipynb,line={line},endLine={line}"
    assert document("github").startswith(f"::warning {properties}::a.ipynb:cell 2:2:1: XY101")
    assert f'file="a.ipynb" line="{line}"' in document("junit")


def test_a_name_from_an_earlier_cell_is_known(gradlint: Gradlint, write: Write) -> None:
    write({"a.ipynb": notebook("from m import flag_me as f", "spare_me()  # noqa: XY102", "def g():\n    f()")})
    assert gradlint("check").stdout == "No findings in 1 file (1 suppressed).\n"


def test_fixes_change_the_cell_alone(gradlint: Gradlint, write: Write, folder: Path) -> None:
    write({"a.ipynb": notebook("import_me()", "!ls\nx = flag_me()")})
    before = json.loads((folder / "a.ipynb").read_text())
    diff = gradlint("check", "--diff").stdout
    assert '-    "x = flag_me()"\n+    "x = mended()"\n' in diff
    gradlint("check", "--fix")
    after = json.loads((folder / "a.ipynb").read_text())
    assert after["cells"][1]["source"] == ["!ls\n", "x = mended()"]
    after["cells"][1]["source"] = before["cells"][1]["source"]
    assert after == before


def test_a_broken_cell_is_named_and_the_run_fails(gradlint: Gradlint, write: Write) -> None:
    write({"a.ipynb": notebook("x = 1", "y = 2\nwith a:\nx"), "b.ipynb": "{", "c.py": "spare_me()\n"})
    result = gradlint("check", "--output-format", "concise")
    assert result.exit_code == 2
    assert "c.py:1:1: XY102" in result.stdout
    assert "a.ipynb:cell 2:3:1: failed syntax error: expected an indented block after 'with' statement on line 2" in (
        result.stdout
    )
    assert "b.ipynb:1:2: failed not a notebook" in result.stdout
    assert "a.ipynb:cell 2:3:1: syntax error" in gradlint("check", "--diff").stderr


def test_cells_beside_broken_ones_are_checked_as_ever(gradlint: Gradlint, write: Write) -> None:
    files = {
        "a.ipynb": notebook("print 'old'", "def flag(:\n    pass", "%pwd\nflag_me()", "if True:", "from b import x")
    }
    write({**files, "b.py": "x = 1\n"})
    for _ in range(2):  # with facts that are kept, too
        result = gradlint("check", "--output-format", "concise")
        assert result.exit_code == 2
        places = [line.split(": ")[0] for line in result.stdout.splitlines() if line.startswith("a.ipynb")]
        assert places == [
            "a.ipynb:cell 3:2:1",
            "a.ipynb:cell 1:1:1",
            "a.ipynb:cell 2:1:10",
            "a.ipynb:cell 4:1:9",
        ]
        write({"b.py": "x = 2\n"})


def test_a_fix_beside_a_broken_cell_leaves_that_as_it_is(gradlint: Gradlint, write: Write, folder: Path) -> None:
    before = notebook("%time print 'old'\n!ls", "flag_me()", "def (:\n\tpass  # ü")
    write({"a.ipynb": before})
    assert gradlint("check", "--fix").exit_code == 2
    assert (folder / "a.ipynb").read_text(encoding="utf-8") == before.replace("flag_me()", "mended()")


def test_comments_are_judged_beside_a_broken_cell(gradlint: Gradlint, write: Write) -> None:
    write({"a.ipynb": notebook("print 'old'", "flag_me()  # gradlint: ignore[XY101]")})
    result = gradlint("check", "--output-format", "concise")
    assert "XY101" not in result.stdout
    assert "(1 suppressed)" in result.stdout


def test_standard_input_can_be_a_notebook(gradlint: Gradlint) -> None:
    result = gradlint("check", "-", "--stdin-filename", "n.ipynb", input=notebook("spare_me()").encode())
    assert result.stdout.startswith("n.ipynb:cell 1:1:1: ")


def test_baselines_and_comments_know_cells_by_their_text(gradlint: Gradlint, write: Write, folder: Path) -> None:
    write({"a.ipynb": notebook("flag_me()", "%time spare_me()")})
    gradlint("baseline")
    write({"a.ipynb": notebook("", "x = 1", "flag_me()", "%time spare_me()")})
    assert gradlint("check", "--baseline", ".gradlint-baseline.json").exit_code == 0
    gradlint("check", "--add-ignores", "why")
    cells = json.loads((folder / "a.ipynb").read_text())["cells"]
    assert cells[3]["source"] == ["%time spare_me()  # gradlint: ignore[XY102] why"]
    assert gradlint("check").exit_code == 0
