"""The pytest plugin: what it guards, what it measures, what its markers demand, and that it is off until asked."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import Protocol

import pytest
import torch

from tests.pytest_plugin.conftest import INSTALLED, NET, PLUGIN, QUIET

Run = Callable[..., pytest.RunResult]


class Snapshot(Protocol):
    """pytest-snapshot's fixture, which comes without types."""

    def assert_match(self, value: str, snapshot_name: str) -> None: ...


ALL = """
def test_passes(): evaluate()

def test_fails():
    evaluate()
    assert False

@pytest.fixture
def broken(): raise ValueError("broken")

def test_errors(broken): pass

@pytest.mark.skip
def test_skipped(): pass

@pytest.mark.xfail
def test_xfails(): assert False

@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.max_wasted("0B")
def test_parametrised(size):
    with torch.no_grad():
        evaluate()
"""
LEAKS = """
import unittest

modes = []

def test_leaves_it_off():
    torch.set_grad_enabled(False)

def test_is_not_poisoned():
    assert torch.is_grad_enabled()

class TestCase(unittest.TestCase):
    def setUp(self): torch.set_grad_enabled(False)
    def test_it(self): pass

def test_inference():
    modes.append(torch.inference_mode())
    modes[0].__enter__()

def test_not_inference():
    assert not torch.is_inference_mode_enabled()

@pytest.fixture
def switches(): torch.set_grad_enabled(False)

def test_with_it(switches): assert torch.is_grad_enabled()

@pytest.fixture(scope="module")
def forgets():
    torch.set_grad_enabled(False)
    yield

def test_of_module(forgets): pass
"""
HELD = """
@pytest.fixture(scope="module", params=[1, 2])
def held(request):
    with torch.no_grad():
        yield

@pytest.fixture(scope="class")
def inference():
    with torch.inference_mode():
        yield

@pytest.fixture
def finalised(request):
    torch.set_grad_enabled(False)
    request.addfinalizer(lambda: torch.set_grad_enabled(True))

class TestAll:
    def setup_method(self): self.mode = torch.no_grad(); self.mode.__enter__()
    def teardown_method(self): self.mode.__exit__(None, None, None)
    def test_one(self): assert not torch.is_grad_enabled()
    def test_two(self, inference): assert torch.is_inference_mode_enabled()

def test_finalised(finalised): assert not torch.is_grad_enabled()

def test_after(): assert torch.is_grad_enabled()

def test_held(held): assert not torch.is_grad_enabled()
"""
LIMITS = """
@pytest.mark.max_wasted("0B")
def test_wastes(): evaluate()

@pytest.mark.max_saved("100 KiB")
def test_saves(): model(torch.ones(256, 64)).sum().backward()

@pytest.mark.max_peak("1MB")
def test_peaks(): torch.ones(1 << 20)

@pytest.mark.grad_mode("inference")
def test_mode():
    with torch.no_grad():
        evaluate()

kept = []

@pytest.mark.no_graph_kept
def test_keeps(): kept.append(model(torch.ones(256, 64)))
"""


def test_every_outcome_is_as_without(run: Run) -> None:
    for plugin in ("", "--gradlint"):
        run(ALL, plugin=plugin).assert_outcomes(passed=3, failed=1, errors=1, skipped=1, xfailed=1)


def test_leaks_are_told_and_do_not_spread(run: Run) -> None:
    result = run(LEAKS)
    result.assert_outcomes(passed=7)
    said = [line.partition("leaked grad mode: ")[2] for line in result.outlines if "leaked grad mode" in line]
    assert sorted(said) == [
        "fixture `forgets` (test_it.py:37), torn down, left no_grad where it found grad",
        "fixture `switches` (test_it.py:32) left no_grad where it found grad",
        "test_it.py:16 left no_grad where it found grad",
        "test_it.py:22 left no_grad where it found grad",
        "test_it.py:27 left inference where it found grad",
    ]
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_strict_fails_what_leaks(run: Run) -> None:
    run(LEAKS, plugin="--gradlint-strict").assert_outcomes(passed=3, failed=3, errors=2)


def test_modes_held_on_purpose_are_legal(run: Run) -> None:
    result = run(HELD, plugin="--gradlint-strict")
    result.assert_outcomes(passed=6)
    assert "leaked" not in result.stdout.str()


def test_an_import_that_leaks_is_told_and_undone(run: Run) -> None:
    text = "\ntorch.set_grad_enabled(False)\n\ndef test_it(): assert torch.is_grad_enabled()\n"
    result = run(text)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["leaked grad mode: importing test_it.py:11 left no_grad where it found grad"])
    assert run(text, plugin="--gradlint-strict").parseoutcomes() == {"errors": 1}


def test_limits_hold_and_break(run: Run) -> None:
    run(LIMITS).assert_outcomes(failed=5)
    guarded = LIMITS.replace("def test_keeps(): kept", "def test_keeps():\n    with torch.no_grad(): kept")
    guarded = guarded.replace("test_wastes(): ev", "test_wastes():\n    with torch.inference_mode(): ev")
    guarded = guarded.replace("100 KiB", "100MB").replace('"1MB"', '"8 MiB"').replace('"inference"', '"no_grad"')
    run(guarded).assert_outcomes(passed=5)


def test_the_whole_output(run: Run, snapshot: Snapshot) -> None:
    text = run(LIMITS + LEAKS).stdout.str()
    text = text[text.index("collected") :]
    text = re.sub(r"in [\d.]+s", "in 1.00s", text)
    snapshot.assert_match(re.sub(r"=+ *", "== ", text) + "\n", "output.txt")


def test_a_marker_that_makes_no_sense_says_so(run: Run) -> None:
    result = run('@pytest.mark.max_peak("much")\ndef test_it(): pass\n')
    assert result.ret != 0
    result.stdout.fnmatch_lines(['*\'much\' is no size: write it like "200MB" or "1.5 MiB"*'])


def test_the_fixture_shows_what_happens_so_far(run: Run) -> None:
    text = """
def test_it(grad_trace):
    assert grad_trace.wasted == 0
    evaluate()
    [line] = [line for line in grad_trace.lines if line.calls]
    assert (line.wasted_calls, line.function) == (1, "evaluate")
    assert grad_trace.wasted >= 256 * 512 * 4
"""
    run(text).assert_outcomes(passed=1)
    result = run(text, plugin="")
    result.stdout.fnmatch_lines(["*the fixture `grad_trace` needs --gradlint*"])


def test_async_tests_are_measured(run: Run) -> None:
    text = """
@pytest.mark.asyncio
@pytest.mark.max_wasted("0B")
async def test_it(): evaluate()
"""
    result = run(text)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*wasted by test_it.py:9 evaluate*"])


def test_a_test_that_is_run_again_counts_once(run: Run) -> None:
    text = """
runs = []

def test_it():
    evaluate()
    runs.append(1)
    torch.set_grad_enabled(False)
    assert len(runs) == 3
"""
    result = run(text, "--reruns", "2")
    assert result.parseoutcomes() == {"passed": 1, "rerun": 2}
    assert result.stdout.str().count("leaked grad mode") == 1
    result.stdout.fnmatch_lines(["saved for backward and never used: * in 1 test"])


def test_workers_hand_over_what_they_measured(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=NET + LIMITS + LEAKS)
    result = pytester.runpytest_inprocess(*QUIET, *PLUGIN, "--gradlint", "-n", "2")
    result.assert_outcomes(passed=7, failed=5)
    assert result.stdout.str().count("leaked grad mode") == 5
    result.stdout.fnmatch_lines(["saved for backward and never used: *"])


def test_collecting_measures_no_test(run: Run) -> None:
    result = run(LIMITS, "--collect-only", "-q")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["nothing was measured*"])


def test_it_can_be_shut_out(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(): pass")
    name = "no:gradlint" if not PLUGIN else "no:gradlint.pytest_plugin"
    result = pytester.runpytest_subprocess(*QUIET, "-p", name)
    result.assert_outcomes(passed=1)


def test_what_is_installed_is_found(pytester: pytest.Pytester) -> None:
    """Through the entry point, in a process of its own: pytest is told nothing but `--gradlint`."""
    assert INSTALLED, "install the project again: pip install -e '.[test]'"
    pytester.makepyfile(test_it=NET + "def test_it():\n    evaluate()\n    torch.set_grad_enabled(False)\n")
    result = pytester.runpytest_subprocess(*QUIET, "--gradlint")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "leaked grad mode: test_it.py:12 left no_grad where it found grad",
            "saved for backward and never used: * in 1 test",
        ]
    )


def test_what_fixtures_cost_is_not_the_tests(run: Run) -> None:
    text = """
@pytest.fixture
def costly():
    evaluate()
    yield model(torch.ones(256, 64))
    evaluate()

@pytest.mark.max_wasted("0B")
def test_function(costly): costly.sum().backward()

@pytest.fixture(scope="module")
def of_module(): return evaluate()

class TestClass:
    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def of_class(cls): evaluate()

    @pytest.mark.max_saved("0B")
    def test_method(self, of_module): pass
"""
    result = run(text)
    result.assert_outcomes(passed=2)
    assert "never used" not in result.stdout.str()


def test_unittest_counts_what_it_sets_up(run: Run) -> None:
    text = """
import unittest

class TestCase(unittest.TestCase):
    def setUp(self): evaluate()
    def tearDown(self): evaluate()
    def test_it(self): evaluate()
    @pytest.mark.max_wasted("600 KiB")
    def test_limited(self): pass
"""
    result = run(text)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["  1.1 MiB wasted by test_it.py:9 evaluate, under grad, 2 forwards"])


def test_off_it_says_nothing_and_knows_its_markers(run: Run) -> None:
    result = run(LIMITS, "--strict-markers", plugin="")
    result.assert_outcomes(passed=5)
    assert "gradlint" not in result.stdout.str().partition("collected")[2]
    assert "max_wasted(size)" in run("", "--markers", plugin="").stdout.str()


@pytest.mark.parametrize("plugin", ["", "--gradlint"])
@pytest.mark.parametrize("missing", [False, True])
def test_torch_is_never_imported_by_us(pytester: pytest.Pytester, plugin: str, missing: bool) -> None:
    pytester.makeconftest(
        f"""
import sys
if {missing}:
    sys.modules["torch"] = None
def pytest_unconfigure(config):
    loaded = [name for name in sys.modules if name.startswith(("torch.", "gradlint.trace", "libcst"))]
    print("LOADED", sys.modules.get("torch"), loaded if not {bool(plugin)} else [n for n in loaded if n[0] == "t"])
"""
    )
    pytester.makepyfile("import pytest\n@pytest.mark.max_wasted(0)\ndef test_it(): pass\n")
    result = pytester.runpytest_subprocess(*QUIET, *PLUGIN, *filter(None, [plugin]))
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["LOADED None []"])
    assert ("nothing was measured: the tests did not import torch" in result.stdout.str()) == bool(plugin)


def test_junit_has_the_figures(run: Run, pytester: pytest.Pytester) -> None:
    run("def test_it(): evaluate()\n", "--junit-xml", "out.xml")
    names = [found.get("name") for found in ElementTree.parse(pytester.path / "out.xml").iter("property")]
    assert names == ["gradlint_peak", "gradlint_saved", "gradlint_wasted"]


def test_a_report_is_written(run: Run, pytester: pytest.Pytester) -> None:
    result = run("def test_it(): evaluate()\n", "--gradlint-report", "out")
    result.stdout.fnmatch_lines(["what was measured: out"])
    assert [*(pytester.path / "out").glob("*.log")]


def test_code_is_checked_with_what_its_tests_measured(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        code="def answer(model, batch):\n    model.eval()\n    return model(batch).argmax(1).tolist()\n",
    )
    text = "\nfrom code_ import answer\n\ndef test_it(): answer(model, torch.ones(256, 64))\n"
    (pytester.path / "code.py").rename(pytester.path / "code_.py")
    pytester.syspathinsert()
    result = run(text, "--gradlint-check", "code_.py")
    result.stdout.fnmatch_lines(["code_.py:3:12: GL101 *the run confirms it: about * in 1 of 1 forward*"])
