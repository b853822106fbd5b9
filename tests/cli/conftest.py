"""The command line, run in this process on a folder of its own with rules of the tests."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gradlint import registry, suppress
from gradlint.cli import cli
from gradlint.rule import Rule

Write = Callable[[Mapping[str, str]], None]
Gradlint = Callable[..., Result]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def write(folder: Path) -> Write:
    """Writes files below the current folder."""

    def write_files(files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write_files


@pytest.fixture
def rules(flags: Callable[..., Rule]) -> list[Rule]:
    return [
        flags("flag_me", help="do not call it"),
        flags("spare_me", "XY102", "error"),
        flags("advise", "XY201", "advice"),
        *suppress.RULES,
    ]


@pytest.fixture
def gradlint(folder: Path, rules: list[Rule], monkeypatch: pytest.MonkeyPatch) -> Gradlint:
    """Runs ``gradlint`` with arguments; ``input`` is what standard input holds."""
    monkeypatch.setattr(registry, "load", lambda builtin=(): tuple(rules))

    def run(*arguments: str | os.PathLike[str], input: bytes = b"") -> Result:
        result = CliRunner().invoke(cli, [os.fspath(argument) for argument in arguments], input=input)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run
