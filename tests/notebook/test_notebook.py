"""Notebooks are read cell by cell, in order, and written back with nothing changed but code."""

import ast
import difflib
import importlib
from collections.abc import Callable

import nbformat
import pytest

from gradlint.notebook import cells, decode, saved
from gradlint.source import Source, SourceError

MakeNotebook = Callable[..., bytes]


def program(notebook: MakeNotebook, *texts: str) -> Source:
    source = decode("n.ipynb", notebook(texts))
    ast.parse(source.text)
    return source


def test_cells_are_one_program_in_order(notebook: MakeNotebook) -> None:
    source = program(notebook, "# Title", "import torch\nx = 1", "", "y = x")
    assert [(cell.number, cell.text) for cell in cells(source)] == [(2, "import torch\nx = 1"), (3, ""), (4, "y = x")]
    lines = source.lines()
    assert [lines[cell.before] for cell in cells(source)] == ["import torch", "", "y = x"]
    namespace: dict[str, int] = {}
    exec(source.text.replace("import torch", ""), namespace)
    assert namespace["y"] == 1


MAGICS = [
    "%matplotlib inline\nx = 1",
    "!pip install -q torch  # noqa\nx = 1",
    "!pip install \\\n   torch \\\n   numpy\nx = 1",
    "if True:\n    !ls\nx = 1",
    "x = 1\nx?\nlen??\n?x",
    "files = !ls *.py\nx = 1",
    "a, b = %system ls\nx = 1",
    "%time x = 1",
    "%timeit -n 10 -r3 (\n    1 +\n    1)\nx = 1",
    "%%time\nx = 1",
    "%%capture out\n%cd ..\nx = 1",
    "x = '''\n%d items?\n''' and 1",
    "x = (7\n% 3)",
    "text = 'it\\'s' \"\"\"\n!no\n\"\"\"  # '''\n%pwd\nx = 1",
    "total = 1 + \\\n  2\n%pwd\nx = 1",
    "print('# items')\n!ls\nx = 1",
    "print('k = %d' % 1)\nx = 1",
    "cd ../my data\nx = 1",
    "if True:\n    pip install -q torch==2.0\nx = 1",
    "files['a'] = !ls\nx = 1",
    "ls = cat = 1\nx = cat in [1]\nls -cat\nls . is_integer",
    "x = await f()\nasync with g() as y:\n    !ls",
]
INDENTED = [
    "  x = 1\n  if x:\n    y = 2\n\n  z = 3",
    "\n \n    # note\n    for x in (1, 2):\n        y = x\n",
    "\tif True:\n\t\tx = 1\n\telse:\n\t    x = 2",
    "  %pwd\n  x = 1",
    "  x = (1,\n    2)\n\n  y = 3",
]


@pytest.mark.parametrize("text", MAGICS + INDENTED)
def test_what_is_for_ipython_is_put_away_and_comes_back(notebook: MakeNotebook, text: str) -> None:
    data = notebook([text, "z = 1"])
    source = decode("n.ipynb", data)
    module = ast.parse(source.text)
    bound = {node.id for node in ast.walk(module) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    assert {"x", "z"} <= bound
    assert source.text.count("\n") == text.count("\n") + 4
    assert next(cells(source)).text == text
    assert saved(source).encode() == data


@pytest.mark.parametrize("text", INDENTED)
def test_an_indented_cell_is_the_program_that_ipython_makes_of_it(notebook: MakeNotebook, text: str) -> None:
    code = text.replace("%pwd", "pass")
    ipython = importlib.import_module("IPython.core.inputtransformer2")  # which has no types
    source = program(notebook, code)
    assert ast.dump(ast.parse(source.text)) == ast.dump(ast.parse(ipython.TransformerManager().transform_cell(code)))
    for line, given in zip(source.text.split("\n")[1:], code.split("\n"), strict=False):
        assert (len(line), line.strip()) == (len(given), given.strip())


def test_a_form_feed_of_its_own_is_left_to_a_cell(notebook: MakeNotebook) -> None:
    data = notebook(["\fx = 1", "  \fy = 1"])
    source = decode("n.ipynb", data)
    assert [cell.text for cell in cells(source)] == ["\fx = 1", "  \fy = 1"]
    assert saved(source).encode() == data


def test_code_behind_a_magic_keeps_its_column(notebook: MakeNotebook) -> None:
    source = program(notebook, "%time x = f(1)")
    assert source.lines()[1].index("f(1)") == len("%time x = ")


@pytest.mark.parametrize("magic", ["bash", "html", "writefile a.py", "script perl", "R", "javascript"])
def test_cells_in_other_languages_are_left_out(notebook: MakeNotebook, magic: str) -> None:
    source = program(notebook, f"%%{magic}\necho 1 | grep", "x = 1")
    assert [cell.number for cell in cells(source)] == [2]


def test_a_cell_that_an_editor_marks_as_another_kernels_is_left_out() -> None:
    made = nbformat.v4.new_notebook()
    made.cells.append(nbformat.v4.new_code_cell("SELECT *", metadata={"vscode": {"languageId": "sql"}}))
    assert decode("n.ipynb", nbformat.writes(made).encode()).text == ""


@pytest.mark.parametrize("language", ["R", "julia"])
def test_notebooks_of_other_kernels_hold_nothing_for_us(notebook: MakeNotebook, language: str) -> None:
    assert decode("n.ipynb", notebook(["x <- 1"], language=language)).text == ""


@pytest.mark.parametrize("indent", [1, 2, 4])
def test_only_the_changed_cell_changes(notebook: MakeNotebook, indent: int) -> None:
    data = notebook(["a = 1\nb = 'ü'", "%pwd\nc = 3\n", "d = 4"], indent=indent)
    source = decode("n.ipynb", data)
    after = saved(source.with_text(source.text.replace("c = 3\n", "e = '日'\nc = 3\n")))
    old, new = data.decode().split("\n"), after.split("\n")
    [added] = [line for line in difflib.ndiff(old, new) if not line.startswith(" ")]
    assert added == f"+ {' ' * 4 * indent}\"e = '日'\\n\","
    nbformat.validate(nbformat.reads(after, as_version=4))


def test_a_source_that_is_one_string_stays_one() -> None:
    raw = '{"cells":[{"cell_type":"code","source":"a = 1\\nb = \\u00fc","outputs":[1.0,1e5]}],"nbformat":4}'
    source = decode("n.ipynb", raw.encode())
    assert saved(source) == raw
    mended = source.with_text(source.text.replace("a = 1", "a = 2"))
    assert saved(mended) == raw.replace("a = 1", "a = 2")


@pytest.mark.parametrize(
    ("raw", "message", "line"),
    [
        ('{\n "cells": [\n  }', "not a notebook: Expecting value", 3),
        ("", "not a notebook: Expecting value", 1),
        ("[]", "not a notebook: it has no `nbformat`", 1),
        ('{"nbformat": 3, "worksheets": []}', "notebooks of format 3 are not read; save it in format 4", 1),
        ('{"nbformat": 4}', "not a notebook: it has no list of `cells`", 1),
        ('{"nbformat": 4, "cells": [{"cell_type": "code", "source": [1]}]}', "the source of cell 1 is no text", 1),
        ('{"nbformat": 4, "cells": [{"cell_type": "code", "source": "\ue001"}]}', "cell 1 holds a character", 1),
        ("[" * 100_000, "not a notebook", 1),
    ],
)
def test_what_is_no_notebook_is_refused(raw: str, message: str, line: int) -> None:
    with pytest.raises(SourceError) as refused:
        decode("n.ipynb", raw.encode())
    assert message in refused.value.message
    assert refused.value.line == line


def test_odd_members_are_passed_over() -> None:
    raw = '{"nbformat": 4, "cells": [7, {"cell_type": "raw"}, {"cell_type": "code", "source": []}, {"source": "x"}]}'
    source = decode("n.ipynb", raw.encode())
    assert saved(source) == raw
    assert [cell.number for cell in cells(source)] == [3]


def test_a_byte_order_mark_is_kept(notebook: MakeNotebook) -> None:
    source = decode("n.ipynb", b"\xef\xbb\xbf" + notebook(["x = 1"]))
    assert source.bom
    assert source.encoding == "utf-8"
