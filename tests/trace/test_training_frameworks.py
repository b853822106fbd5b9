"""Programs whose loops are a framework's: their lines are theirs, the framework's guards are named as such.

The framework is a stand-in with the patterns of Lightning, accelerate and transformers, which were tried for real.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trace.conftest import ROOT, Run

FRAMEWORK = """
import contextlib, functools
import torch

def guarded(loop):
    @functools.wraps(loop)
    def run(self, *arguments):
        with (torch.inference_mode if self.inference else torch.no_grad)():
            return loop(self, *arguments)
    return run

class Quietly(contextlib.ContextDecorator):
    def __enter__(self): pass
    def __exit__(self, *error): pass

class Trainer:
    inference = False

    def fit(self, module, data):
        self.validate(module, data)
        module.train()
        optimizer = module.configure_optimizers()
        for number, batch in enumerate(data):
            def closure():
                with torch.enable_grad():
                    optimizer.zero_grad()
                    loss = module.training_step(batch, number)
                    loss.backward()
                    torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
                    return loss
            optimizer.step(closure)
        self.inference = True
        self.validate(module, data)

    @guarded
    def validate(self, module, data):
        module.eval()
        for number, batch in enumerate(data):
            module.validation_step(batch, number)

@torch.no_grad()
@Quietly()
def generate(module, batch):
    return module(batch)
"""
SCRIPT = """
import torch
from torch import nn
from framework.loop import Trainer, generate

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 2))

    def forward(self, x):
        return self.body(x)

    def training_step(self, batch, number):
        return self(batch).square().mean()

    def validation_step(self, batch, number):
        self(batch)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters())

def evaluate(net, data):
    net.eval()
    return sum(net(batch).argmax(1).sum().item() for batch in data)

torch.manual_seed(0)
data = [torch.randn(8, 16) for _ in range(4)]
net = Net()
Trainer().fit(net, data)
print(generate(net, data[0]).sum().item().hex(), evaluate(net, data))
print([parameter.sum().item().hex() for parameter in net.parameters()])
"""


@pytest.fixture
def packages(tmp_path: Path) -> str:
    """A path for PYTHONPATH, where the framework is installed."""
    folder = tmp_path / "lib" / "site-packages"
    (folder / "framework").mkdir(parents=True)
    (folder / "framework" / "__init__.py").touch()
    (folder / "framework" / "loop.py").write_text(FRAMEWORK)
    return os.pathsep.join([str(ROOT), str(ROOT / "rules"), str(folder)])


def line_with(text: str) -> int:
    """The number of the framework's first line that has this in it."""
    return next(number for number, line in enumerate(FRAMEWORK.splitlines(), 1) if text in line)


@pytest.mark.parametrize("options", [(), ("--deep",)])
def test_a_frameworks_guards_and_the_programs_lines_are_told_apart(
    run: Run, packages: str, tmp_path: Path, options: tuple[str, ...]
) -> None:
    ran = run(SCRIPT, options=options, PYTHONPATH=packages)
    env = {**os.environ, "PYTHONPATH": packages}
    alone = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, env=env, capture_output=True, check=True)
    assert (ran.status, ran.out) == (0, alone.stdout.decode())
    assert not ran.trace.leaks
    report = ran.err
    assert "Where grad modes were entered" not in report
    told = report[report.index("Where installed packages entered them") : report.index("Saved for backward")]
    ways = sorted(
        line.partition(" times, ")[0].partition(" time, ")[0].strip() for line in told.splitlines()[1:] if line
    )
    assert ways == sorted(
        f"framework/loop.py:{line_with(text)} {what}"
        for text, what in (
            ("enable_grad()", "Trainer.fit.<locals>.closure: grad 4"),
            ("inference_mode if", "guarded.<locals>.run: inference 1"),
            ("inference_mode if", "guarded.<locals>.run: no_grad 1"),
            ("@torch.no_grad()", "generate: no_grad 1"),
        )
    )
    wasted = [line for line in ran.trace.lines if line.wasted]
    assert [(Path(line.file).name, line.function.partition(".")[0]) for line in wasted] == [("script.py", "evaluate")]
    assert wasted[0].wasted_calls == 4


CELLS = """
import torch
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
for cell in (
    "model = torch.nn.Linear(4, 1000)",
    "def evaluate(x):\\n    return model(x).argmax(1)",
    "with torch.no_grad():\\n    evaluate(torch.ones(8, 4))",
    "for _ in range(3):\\n    evaluate(torch.ones(8, 4)).sum()",
):
    shell.user_ns["torch"] = torch
    shell.run_cell(cell, store_history=True).raise_error()
"""


def test_cells_are_named_as_ipython_names_them(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("IPython")
    ran = run(CELLS, IPYTHONDIR=str(tmp_path))
    assert ran.status == 0, ran.err
    assert "In[3]:1 <module>: no_grad 1 time" in ran.err
    (line,) = (line for line in ran.trace.lines if line.wasted_calls)
    assert (line.file, line.line, line.function, line.wasted_calls) == ("In[2]", 2, "evaluate", 3)
