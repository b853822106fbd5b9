"""A program on the disk, run under the tracer and checked with what the run measured."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
Gradlint = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def gradlint(tmp_path: Path) -> Gradlint:
    """Runs ``gradlint`` in a folder of its own."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "rules")]), "NO_COLOR": "1"}
        command = [sys.executable, "-m", "gradlint", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)

    return run


@pytest.fixture(scope="session")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where traces are kept that other tests made of the same program: what ran where does not matter."""
    return tmp_path_factory.mktemp("traces")


@pytest.fixture
def joined(tmp_path: Path, gradlint: Gradlint, traces: Path) -> Callable[..., list[dict[str, Any]]]:
    """The findings of a program, as JSON, joined with a trace of it. ``options`` are the tracer's."""

    def check(text: str, *options: str) -> list[dict[str, Any]]:
        (tmp_path / "script.py").write_text(text)
        kept = traces / hashlib.sha256(repr((text, options)).encode()).hexdigest()
        if not kept.exists():
            traced = gradlint("trace", "-o", str(kept), *options, "script.py")
            assert traced.returncode == 0, traced.stderr
        shutil.copytree(kept, tmp_path / "run", dirs_exist_ok=True)
        done = gradlint("check", "--trace", "run", "--output-format", "json", "script.py")
        findings: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
        assert done.returncode == any((found["measured"] or {}).get("verdict") != "refuted" for found in findings)
        return findings

    return check
