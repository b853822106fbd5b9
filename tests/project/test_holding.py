"""Which names may hold a module, by how they are bound."""

from collections.abc import Callable, Mapping

import pytest

from gradlint.project import Project

Build = Callable[[Mapping[str, str]], Project]

MODULES = "import functools, math\nimport torch\nfrom torch import nn\nfrom torch.nn import functional as F\n"
OTHERS = "from torch import nn\nnet = nn.Linear(2, 2)\nsize = len('ab')\n"
CLASSES = """
class Net(nn.Module):
    def __init__(self): super().__init__(); self.layer = nn.Linear(2, 2)
    def forward(self, x): return self.layer(x)
class Table:
    def __getitem__(self, name): return nn.ReLU
    def __call__(self, x): return x
"""


def may_run_one(build: Build, code: str) -> bool:
    """Whether ``ask`` calls what may be a module."""
    project = build({"others.py": OTHERS, "a.py": f"{MODULES}from others import net, size\n{CLASSES}\n{code}"})
    (function,) = [f for f in project.functions() if f.facts.name == "ask"]
    return project.prospects.calls_like_a_module(function)


@pytest.mark.parametrize(
    "code",
    [
        "def ask(act, x): return act(x)",
        "def ask(act, x):\n    act = act or F.relu\n    return act(x)",
        "def ask(act, x):\n    act = F.relu if act is None else act\n    return act(x)",
        "def ask(make, x):\n    make = functools.partial(nn.LayerNorm, eps=1e-5)\n    return make(4)",
        "def ask(norm: type[nn.Module], x): return norm(4)",
        "def ask(make=None): return make(4)",
        "Layers = Table()\ndef ask(kind): return Layers[kind](4)",
        "def ask(kind): return Table[kind](4)",
        "def ask(x):\n    first = x.size(0)\n    return first(x)",
        "def ask(x): return size(x)",
        "def ask(x): return unheard_of(x)",
        "class A:\n    def __init__(self, act): self.act = act\n    def ask(self, x): return self.act(x)",
        "class A:\n    def ask(self, x): return self.resize(x)",
        "class A:\n    def __init__(self): self.table = Table()\n    def ask(self, x): return self.table(x)",
        "def around(act):\n    def ask(x): return act(x)\n    return ask",
        "def pairs(n):\n    def two(x): return tuple([x] * n)\n    return two\n"
        "pair = pairs(2)\ndef ask(x): return pair(x)",
        "def one(n): return other(n)\ndef other(n): return one(n) if n else 3\nf = one(2)\ndef ask(x): return f(x)",
        "def half(x): return len(x) / 2\ndef ask(x):\n    f = half\n    return f(x)",
        "def ask(x, names):\n    x.sizes[len(names)] = 1\n    return len(x)",
    ],
)
def test_what_is_no_module(build: Build, code: str) -> None:
    assert not may_run_one(build, code)


@pytest.mark.parametrize(
    "code",
    [
        "def ask(f, x):\n    f.eval()\n    return f(x)",
        "def ask(f, x):\n    g = f\n    g.train()\n    return f(x)",
        "def prepare(f): f.eval()\ndef ask(f, x):\n    prepare(f)\n    return f(x)",
        "def ask(f: nn.Module, x): return f(x)",
        "def ask(f: list[Net], x): return f[0](x)",
        "def ask(f: 'Net', x): return f(x)",
        "def ask(model, x):\n    f = model\n    return f(x)",
        "def ask(x):\n    f = Net()\n    return f(x)",
        "def ask(x):\n    f = torch.load('net.pt')\n    return f(x)",
        "def ask(make, x):\n    f = make(4)\n    return f(x)",
        "def ask(fs, x):\n    for f in fs: x = f(x)\n    return x",
        "def ask(fs, x): return [f(x) for f in fs]",
        "def model(x): return x\ndef ask(fs, x): return [model(x) for model in fs]",
        "def ask(pair, x):\n    f, g = pair\n    return f(x)",
        "def ask(x): return net(x)",
        "def make(n): return Net()\nf = make(2)\ndef ask(x): return f(x)",
        "def run(x): return net(x)\ndef make(n): return run\nf = make(2)\ndef ask(x): return f(x)",
        "def ask(x):\n    for name, *fs in x: fs(x)\n    return x",
        "def ask(x):\n    f = lambda y: Net()(y)\n    return f(x)",
        "def ask(x):\n    f = {'a': Net()}\n    return f['a'](x)",
        "f = Net()\ndef ask(x): return f(x)",
        "f = None\ndef load():\n    global f\n    f = Net()\ndef ask(x): return f(x)",
        "def around(f):\n    f.eval()\n    def ask(x): return f(x)\n    return ask",
        "class A:\n    def __init__(self): self.f = Net()\n    def ask(self, x): return self.f(x)",
        "class A:\n    def __init__(self, f): self.f = f; self.f.eval()\n    def ask(self, x): return self.f(x)",
        "class A:\n    def __init__(self, make): self.f, self.g = make()\n    def ask(self, x): return self.f(x)",
        "class A:\n    @property\n    def f(self): return Net()\n    def ask(self, x): return self.f(x)",
        "class A(nn.Module):\n    def __init__(self, module): self.module = module\n"
        "    def ask(self, x): return self.module(x)",
        "class A:\n    @classmethod\n    def set(cls, f): cls.f = f\n    def ask(self, x): return self.f(x)",
    ],
)
def test_what_may_be_one(build: Build, code: str) -> None:
    assert may_run_one(build, code)
