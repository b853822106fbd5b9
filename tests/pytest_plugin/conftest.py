"""Test files that are run by pytest with our plugin."""

from collections.abc import Callable
from importlib.metadata import entry_points

import pytest

INSTALLED = any(point.value == "gradlint.pytest_plugin" for point in entry_points(group="pytest11"))
PLUGIN = () if INSTALLED else ("-p", "gradlint.pytest_plugin")
QUIET = ("-p", "no:cacheprovider", "-p", "no:randomly", "-o", "asyncio_default_fixture_loop_scope=function")
Run = Callable[..., pytest.RunResult]

NET = """
import pytest
import torch
from torch import nn

model = nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 1))


def evaluate():
    return model(torch.ones(256, 64)).sum().item()
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a test file in this process; torch is there already. What pytest writes is the same on every machine."""
    for name in ("CI", "BUILD_NUMBER"):  # there pytest shortens no line
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")

    def run_text(text: str, *options: str, plugin: str = "--gradlint") -> pytest.RunResult:
        pytester.makepyfile(test_it=NET + text)
        return pytester.runpytest_inprocess(*QUIET, *PLUGIN, *filter(None, [plugin]), *options)

    return run_text
