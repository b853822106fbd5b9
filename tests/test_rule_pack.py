"""The example of a rule pack: built, installed, found, selected, documented and tested as a stranger's would be."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACK = ROOT / "examples" / "rule_pack"
FLAGGED = "def train(loss):\n    loss.backward(retain_graph=True)\n"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the pack's wheel is installed in."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--target", str(folder), str(PACK)], check=True, capture_output=True, timeout=300)
    return folder


def run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(installed), str(ROOT), str(ROOT / "rules")])
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_what_is_installed_is_a_wheel(installed: Path) -> None:
    assert (installed / "house_rules" / "retained_graph.py").is_file()
    assert (installed / "house_rules-1.0.dist-info" / "entry_points.txt").is_file()


def test_its_rules_run_and_are_selected_like_any_other(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(FLAGGED)
    found = run(installed, tmp_path, "gradlint", "check", "--quiet", "--output-format", "concise")
    assert (found.returncode, found.stdout) == (1, "a.py:2:5: HSE101 the graph is retained\n"), found.stderr
    assert run(installed, tmp_path, "gradlint", "check", "--ignore", "HSE").returncode == 0
    assert run(installed, tmp_path, "gradlint", "check", "--select", "HSE101").returncode == 1
    (tmp_path / "a.py").write_text(FLAGGED.replace("True)", "True)  # gradlint: ignore[HSE101] needed"))
    assert run(installed, tmp_path, "gradlint", "check").returncode == 0


def test_its_pages_are_shown(installed: Path, tmp_path: Path) -> None:
    page = run(installed, tmp_path, "gradlint", "rule", "HSE101").stdout
    assert page.startswith("# HSE101 retained-graph\n")
    assert "# shows: y.grad_fn" in page


def test_the_rule_in_the_readme_works(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Rules of your own")[2]
    (tmp_path / "house.py").write_text(readme.partition("```python\n")[2].partition("```")[0])
    info = tmp_path / "house-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: house\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[gradlint.rules]\nhouse = house\n")
    (tmp_path / "a.py").write_text(FLAGGED)
    found = run(tmp_path, tmp_path, "gradlint", "check", "--quiet", "--output-format", "concise", "a.py")
    assert found.stdout == "a.py:2:5: HSE101 the graph is retained\n", found.stderr


def test_its_own_tests_pass(installed: Path) -> None:
    arguments = ("pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", str(PACK / "tests"))
    result = run(installed, PACK, *arguments, "-c", os.devnull, "--rootdir", str(PACK))
    assert result.returncode == 0, result.stdout
    assert "5 passed" in result.stdout
