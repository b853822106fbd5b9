"""Notebooks made by nbformat, Jupyter's own library."""

import json
from collections.abc import Callable, Sequence

import nbformat
import pytest

MakeNotebook = Callable[..., bytes]


def notebook(cells: Sequence[str], *, language: str = "python", indent: int = 1) -> bytes:
    """A notebook's file as Jupyter writes it: with outputs, ids and metadata. Cells that begin with # are Markdown."""
    v4 = nbformat.v4
    made = v4.new_notebook(metadata={"kernelspec": {"name": "k", "display_name": "K", "language": language}})
    for number, text in enumerate(cells, 1):
        if text.startswith("# "):
            made.cells.append(v4.new_markdown_cell(text))
        else:
            output = v4.new_output("stream", text=f"out {number}: ü {1e-07} \u2028\n")
            made.cells.append(v4.new_code_cell(text, execution_count=number, outputs=[output]))
    nbformat.validate(made)
    text = json.dumps(json.loads(nbformat.writes(made)), indent=indent, ensure_ascii=False)
    return f"{text}\n".encode()


@pytest.fixture(name="notebook")
def _notebook() -> MakeNotebook:
    return notebook
