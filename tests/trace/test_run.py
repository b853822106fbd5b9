"""``gradlint trace SCRIPT``: the script runs as it would have, and the report comes after."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gradlint.trace import Mode
from tests.trace.conftest import ROOT, Run


def test_output_arguments_and_exit_status_are_the_scripts_own(run: Run) -> None:
    ran = run(
        """
        import sys
        import torch

        with torch.no_grad():
            print(torch.is_grad_enabled(), sys.argv, __name__, __file__.endswith("script.py"), sys.path[0])
        print("to err", file=sys.stderr)
        sys.exit(7)
        """,
        "--epochs",
        "2",
        "-o",
    )
    assert ran.status == 7
    words, _, folder = ran.out.strip().rpartition(" ")
    assert words == "False ['script.py', '--epochs', '2', '-o'] __main__ True"
    assert Path(folder).name
    assert ran.err.startswith("to err\n")
    assert "script.py:5 <module>: no_grad 1 time" in ran.err
    assert [region.mode for region in ran.trace.regions] == [Mode.NO_GRAD]
    assert ran.trace.processes[0].complete


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGABRT])
def test_a_script_that_dies_of_a_signal_is_reported_and_died_of(run: Run, number: signal.Signals) -> None:
    ran = run(
        f"""
        import os
        import torch

        for _ in range(200):
            with torch.no_grad():
                pass
        os.kill(os.getpid(), {int(number)})
        """
    )
    assert ran.status == -number
    assert len(ran.trace.regions) == 200
    assert not ran.trace.processes[0].complete
    assert "no_grad 200 times" in ran.err


def test_a_script_that_leaves_at_once(run: Run) -> None:
    ran = run("import os, torch\nwith torch.no_grad(): os._exit(4)")
    assert ran.status == 4
    (region,) = ran.trace.regions
    assert region.end is None
    assert "1 never left" in ran.err


def test_an_exception_looks_as_it_does_without_us(run: Run) -> None:
    ran = run("import torch\nwith torch.no_grad():\n    raise ValueError('mine')")
    assert ran.status == 1
    assert "gradlint" not in ran.err[: ran.err.index("ValueError: mine")]
    assert len(ran.trace.regions) == 1


def test_a_script_without_torch(run: Run) -> None:
    ran = run("import sys\nprint('torch' in sys.modules, 'torch' in str(sys.meta_path))")
    assert (ran.status, ran.out) == (0, "False False\n")
    assert "nothing was recorded" in ran.err


def test_torch_imported_late_and_a_module_run_by_name(run: Run) -> None:
    ran = run(
        """
        import sys
        before = list(sys.meta_path)
        import torch
        assert len(sys.meta_path) == len(before) - 1
        assert "exec_module" not in vars(torch.__spec__.loader)
        torch.set_grad_enabled(False)
        """,
        options=(),
    )
    assert ran.status == 0, ran.err
    assert "MainThread: no_grad, left so by script.py:7" in ran.err


def test_a_module_is_run_by_name(run: Run) -> None:
    ran = run("", options=("-m",), script="this")
    assert ran.status == 0
    assert "Beautiful is better than ugly." in ran.out


def test_a_folder_that_holds_other_things_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("all of it")
    ran = run("print('never')")
    assert (ran.status, ran.out) == (2, "")
    assert "thesis.tex" in ran.err
    assert (tmp_path / "out" / "thesis.tex").read_text() == "all of it"


def test_importing_the_tracer_imports_no_torch() -> None:
    code = "import sys, gradlint.trace; gradlint.trace.load, gradlint.trace.trace; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
