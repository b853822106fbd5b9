"""Small projects made of text."""

from collections.abc import Callable, Mapping
from textwrap import dedent

import pytest

from gradlint.model.extract import extract
from gradlint.project import Project
from gradlint.source import Source


def build(files: Mapping[str, str]) -> Project:
    """The project that files make, given as path -> text; texts may be indented."""
    return Project([extract(Source(path, dedent(text))) for path, text in files.items()])


@pytest.fixture(name="build", scope="session")
def _build() -> Callable[[Mapping[str, str]], Project]:
    return build
