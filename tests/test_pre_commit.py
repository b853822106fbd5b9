"""The hooks, run by pre-commit itself in a repository made for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HELPERS = """\
import torch


def predict(model, images):
    return model(images)


def guarded(model, images):
    with torch.no_grad():
        return predict(model, images)
"""
EVALUATION = """\
from helpers import guarded, predict


def evaluate(model, loader):
    model.eval()
    return sum({call}(model, images).argmax(1).sum().item() for images in loader)
"""
FIXABLE = """\
import torch

x = torch.ones(3)
x.requires_grad(True)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pre-commit keeps the environment it installs us in."""
    return tmp_path_factory.mktemp("pre-commit")


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    return tmp_path


def commit(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    git(folder, "add", ".")
    git(folder, "-c", "user.name=n", "-c", "user.email=e@e", "commit", "-qm", "m")


def hook(folder: Path, home: Path, name: str, *files: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "PYTHON"))}
    return subprocess.run(
        [sys.executable, "-m", "pre_commit", "try-repo", str(ROOT), name, "--verbose", "--files", *files],
        cwd=folder,
        env={**environment, "PRE_COMMIT_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_only_changed_files_are_reported_and_the_rest_is_known(repository: Path, home: Path) -> None:
    commit(repository, helpers=HELPERS, evaluation=EVALUATION.format(call="guarded"), other=FIXABLE)
    clean = hook(repository, home, "gradlint", "evaluation.py")
    assert clean.returncode == 0, clean.stdout + clean.stderr
    assert "No findings in 1 file." in clean.stdout
    (repository / "evaluation.py").write_text(EVALUATION.format(call="predict"))
    wrong = hook(repository, home, "gradlint", "helpers.py")
    assert wrong.returncode == 1, wrong.stdout + wrong.stderr
    assert "helpers.py:5:12: warning GL101" in wrong.stdout
    assert "evaluation.py:6" in wrong.stdout
    assert "other.py" not in wrong.stdout


def test_the_other_hook_mends(repository: Path, home: Path) -> None:
    commit(repository, a=FIXABLE, b=FIXABLE)
    result = hook(repository, home, "gradlint-fix", "a.py")
    assert result.returncode == 1, result.stdout + result.stderr
    assert "files were modified by this hook" in result.stdout
    assert (repository / "a.py").read_text() == FIXABLE.replace("requires_grad(", "requires_grad_(")
    assert (repository / "b.py").read_text() == FIXABLE
    assert hook(repository, home, "gradlint-fix", "a.py").returncode == 0
