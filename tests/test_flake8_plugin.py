"""The plugin, in flake8 itself: the findings are those of ``gradlint check``."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLUGIN = "gradlint.flake8_plugin:Plugin"
HELPERS = "def predict(model, images):\n    return model(images)\n"
CALLER = """\
from helpers import predict


def evaluate(model, loader):
    model.eval()
    return sum(predict(model, images).argmax(1).sum().item() for images in loader)
"""


@pytest.fixture
def environment() -> dict[str, str]:
    """The installation that the tests run in; one from before the plugin knows nothing of it."""
    installed = [point for point in entry_points(group="flake8.extension") if point.value == PLUGIN]
    assert installed, "install the project again: pip install -e '.[test]'"
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "rules")])}


def run(folder: Path, environment: dict[str, str], *command: str, input: str = "") -> list[str]:
    result = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True, input=input
    )
    assert result.stderr == ""
    return result.stdout.splitlines()


def test_flake8_reports_what_gradlint_does(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "helpers.py").write_text(HELPERS)
    (tmp_path / "evaluation.py").write_text(CALLER + "\n\nmodel.requires_grad = False  # gradlint: ignore[GL502]\n")
    theirs = run(tmp_path, environment, "flake8", "--select", "GL", "--jobs", "1", ".")
    ours = run(tmp_path, environment, "gradlint", "check", "--no-cache", "--quiet", "--output-format", "concise", ".")
    assert theirs
    assert [line.removeprefix("./") for line in theirs] == ours
    assert [line.split()[1] for line in ours] == ["GL101"]


def test_standard_input_is_checked_alone(tmp_path: Path, environment: dict[str, str]) -> None:
    text = "import torch\ntorch.no_grad()\n"
    [line] = run(tmp_path, environment, "flake8", "--select", "GL", "-", input=text)
    assert line.startswith("stdin:2:1: GL301 ")
