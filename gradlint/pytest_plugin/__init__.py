"""The pytest plugin: options and markers; a plugin object only when asked for, so that it costs nothing else.

Nothing here imports torch, and nothing but this module is imported until ``--gradlint`` is given.
"""

import pytest

MARKERS = (
    'max_peak(size, device="cpu"): with --gradlint, fail if the test needs more memory than this at once ("200MB")',
    "max_saved(size): with --gradlint, fail if more bytes are saved for backward",
    "max_wasted(size): with --gradlint, fail if more bytes are saved for backward and never used",
    'grad_mode(mode): with --gradlint, fail if a module runs in another mode ("grad", "no_grad" or "inference")',
    "no_graph_kept: with --gradlint, fail if a graph that the test recorded is still alive when it ends",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options; all are off."""
    group = parser.getgroup("gradlint", "grad modes, graphs and memory (gradlint)")
    group.addoption("--gradlint", action="store_true", help="measure each test, and guard against leaked grad modes")
    group.addoption("--gradlint-strict", action="store_true", help="fail what leaves another grad mode than it found")
    group.addoption("--gradlint-report", metavar="FILE", help="write what was measured: a page (.html), or a trace")
    group.addoption(
        "--gradlint-check",
        metavar="PATH",
        action="append",
        default=[],
        help="check this code too, joined with what its tests measured",
    )
    parser.addini("gradlint", "measure each test, as --gradlint does", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Say which markers there are, and begin if asked to."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if wanted(config):
        from gradlint.pytest_plugin.plugin import Plugin

        config.pluginmanager.register(Plugin(config), "gradlint-active")


def wanted(config: pytest.Config) -> bool:
    """Whether the run is to be measured; an option that makes no sense otherwise asks for it too."""
    names = ("gradlint", "gradlint_strict", "gradlint_report", "gradlint_check")
    return bool(config.getini("gradlint")) or any(config.getoption(name) for name in names)


@pytest.fixture
def grad_trace(request: pytest.FixtureRequest) -> object:
    """What the running test has recorded so far, tensor by tensor: a `gradlint.trace.Trace`, new at each look."""
    plugin = request.config.pluginmanager.get_plugin("gradlint-active")
    if plugin is None:
        pytest.fail("the fixture `grad_trace` needs --gradlint, or `gradlint = true` in the settings", pytrace=False)
    return plugin.running(request.node)
