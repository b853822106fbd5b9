"""Where the lines of cells stand in the file, however that is laid out."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlint.notebook import file_lines

PIECES = st.lists(st.text(alphabet="ab\n", max_size=5), max_size=4)


def test_each_line_of_a_cell_has_its_line_of_the_file(notebook: Callable[..., bytes]) -> None:
    raw = notebook(["# Title", "one\ntwo\n\nfour", "five"]).decode()
    lines = raw.split("\n")
    found = file_lines(raw)
    assert [lines[number - 1].strip().rstrip(",") for number in found[2]] == [
        json.dumps(text) for text in ("one\n", "two\n", "\n", "four")
    ]
    assert [lines[number - 1].strip() for number in found[3]] == ['"five"']


@pytest.mark.parametrize("indent", [None, 2])
@given(sources=st.lists(st.one_of(PIECES, st.text(alphabet="ab\n\u2028", max_size=9)), max_size=3))
def test_as_many_as_the_cell_has(sources: list[list[str] | str], indent: int | None) -> None:
    raw = json.dumps({"cells": [{"source": source} for source in sources]}, indent=indent)
    for source, found in zip(sources, file_lines(raw).values(), strict=True):
        assert len(found) == len("".join(source).split("\n"))
        assert found == sorted(found)
        assert found[-1] <= raw.count("\n") + 1
