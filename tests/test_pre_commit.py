"""The hooks, run by pre-commit itself in a repository made for it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HELPERS = """\
import torch


def predict(model, images):
    return model(images)
"""
EVALUATION = """\
import torch
from helpers import predict


def evaluate(model, loader):
    model.eval()
    return sum(predict(model, images).argmax(1).sum().item() for images in loader)
"""
FIXABLE = """\
import torch

x = torch.ones(3)
x.requires_grad(True)
"""


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of this project as it is now, which pre-commit installs once."""
    folder = tmp_path_factory.mktemp("ours")
    for name in ("gradlint", "rules"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml"):
        shutil.copy(ROOT / name, folder)
    git(folder, "init", "-q")
    commit(folder)
    return folder


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


def run(folder: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "PYTHON"))}
    return subprocess.run(
        [sys.executable, "-m", "pre_commit", *arguments],
        cwd=folder,
        env={**environment, "PRE_COMMIT_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_the_hook_can_be_tried_and_gets_only_the_changed_files(repository: Path, ours: Path, home: Path) -> None:
    commit(repository, a=FIXABLE, b=FIXABLE)
    result = run(repository, home, "try-repo", str(ours), "gradlint", "--files", "a.py")
    assert result.returncode == 1, result.stdout + result.stderr
    assert "a.py:4:1: error GL503" in result.stdout
    assert "1 error in 1 file." in result.stdout


def test_installed_hooks_know_the_rest_of_the_project(repository: Path, ours: Path, home: Path) -> None:
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ours, check=True, capture_output=True, text=True).stdout
    hooks = f"repos: [{{repo: {ours}, rev: {head.strip()}, hooks: [{{id: gradlint}}, {{id: gradlint-fix}}]}}]"
    (repository / ".pre-commit-config.yaml").write_text(hooks)
    commit(repository, helpers=HELPERS, evaluation=EVALUATION, other=FIXABLE)

    wrong = run(repository, home, "run", "gradlint", "--verbose", "--files", "helpers.py")
    assert wrong.returncode == 1, wrong.stdout + wrong.stderr
    assert "helpers.py:5:12: warning GL101" in wrong.stdout
    assert "1 warning in 1 file." in wrong.stdout

    (repository / "evaluation.py").write_text(EVALUATION.replace("def", "@torch.no_grad()\ndef", 1))
    clean = run(repository, home, "run", "gradlint", "--verbose", "--files", "helpers.py")
    assert clean.returncode == 0, clean.stdout + clean.stderr
    assert "No findings in 1 file." in clean.stdout

    mended = run(repository, home, "run", "gradlint-fix", "--files", "helpers.py", "other.py")
    assert mended.returncode == 1
    assert "files were modified by this hook" in mended.stdout
    assert (repository / "other.py").read_text() == FIXABLE.replace("requires_grad(", "requires_grad_(")
    assert run(repository, home, "run", "gradlint-fix", "--files", "other.py").returncode == 0
