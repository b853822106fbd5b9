"""What the abstract run says of tensors, held against torch: where it says something, torch must say the same."""

import random
import textwrap
import traceback
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from gradlint.model.extract import extract
from gradlint.project import Project
from gradlint.project.running.values import Value
from gradlint.source import Source

SETUP = """
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import Variable

leaf = torch.rand(3, 3, requires_grad=True)
data = torch.rand(3, 3)
computed = leaf * 2
made = nn.Parameter(torch.rand(3, 3))
whole = torch.randint(3, (3,))
mask = data > 0.5
layer = nn.Linear(3, 3)
frozen = nn.Linear(3, 3).requires_grad_(False)
flag = bool(torch.rand(()) > 2)
before = leaf.grad  # what calls do is followed only where gradients are spoken of
"""

# expression -> what must be known of it: "leaf", "plain" or "computed"; "" if the truth depends on more than we see
KNOWN = {
    # made by hand
    "torch.zeros(3)": "plain",
    "torch.zeros(3, requires_grad=True)": "leaf",
    "torch.zeros(3, requires_grad=False)": "plain",
    "torch.zeros(3, requires_grad=flag)": "",
    "torch.tensor([1.0], requires_grad=True)": "leaf",
    "torch.tensor(leaf[0, 0].item())": "plain",
    "torch.randn_like(leaf)": "plain",
    "torch.empty_like(leaf, requires_grad=True)": "leaf",
    "torch.from_numpy(data.numpy())": "plain",
    "torch.as_tensor(leaf)": "",
    "torch.as_tensor([1.0, 2.0])": "plain",
    "torch.normal(0.0, 1.0, (3,))": "plain",
    "leaf.new_zeros(3)": "plain",
    "leaf.new_ones(3, requires_grad=True)": "leaf",
    "nn.Parameter(computed)": "leaf",
    "nn.Parameter(data, requires_grad=False)": "plain",
    "Variable(data)": "plain",
    "Variable(computed)": "plain",
    "Variable(data, requires_grad=True)": "leaf",
    "layer.weight": "leaf",
    "frozen.weight": "plain",
    # computed
    "leaf * 2": "computed",
    "2 / leaf": "computed",
    "data @ leaf": "computed",
    "data @ data": "plain",
    "-leaf": "computed",
    "+leaf": "",
    "leaf ** 2": "computed",
    "made + data": "computed",
    "leaf.exp()": "computed",
    "data.exp()": "plain",
    "leaf.sum()": "computed",
    "leaf.mean(0, keepdim=True)": "computed",
    "leaf.clone()": "computed",
    "data.clone()": "plain",
    "leaf.norm()": "computed",
    "leaf.sign()": "computed",
    "leaf.masked_fill(mask, 0.0)": "computed",
    "leaf.pow(2).mean()": "computed",
    "torch.relu(leaf)": "computed",
    "torch.cat([data, leaf])": "computed",
    "torch.cat([data, data])": "plain",
    "torch.stack([computed, computed]).sum()": "computed",
    "torch.where(mask, leaf, data)": "computed",
    "torch.einsum('ij->i', leaf)": "computed",
    "torch.max(leaf)": "computed",
    "torch.max(leaf, data)": "computed",
    "torch.max(leaf, 0)[0]": "computed",
    "torch.max(leaf, 0)[1]": "plain",
    "leaf.topk(1)[1]": "plain",
    "leaf.max()": "computed",
    "torch.linalg.norm(leaf)": "computed",
    "F.softmax(leaf, -1)": "computed",
    "F.cross_entropy(leaf, whole)": "computed",
    "F.mse_loss(data, data)": "plain",
    "F.dropout(leaf, training=False)": "",
    "F.one_hot(whole)": "",
    "nn.CrossEntropyLoss()(leaf, whole)": "computed",
    "nn.MSELoss()(data, data)": "plain",
    "nn.Identity()(leaf)": "",
    "layer(data)": "",
    # views
    "leaf.view(-1)": "computed",
    "leaf.view(torch.int32)": "",
    "leaf.T": "computed",
    "leaf.t()": "computed",
    "leaf.unsqueeze(0)": "computed",
    "leaf.squeeze()": "computed",
    "leaf.expand(3, 3)": "computed",
    "leaf.reshape(3, 3)": "computed",
    "leaf.permute(1, 0)": "computed",
    "leaf[0]": "computed",
    "leaf[0, 1]": "computed",
    "leaf[:, :1]": "computed",
    "leaf[whole]": "computed",
    "leaf[mask]": "computed",
    "data[0]": "plain",
    # the same, a view or a copy
    "leaf.float()": "",
    "leaf.double()": "computed",
    "leaf.half()": "computed",
    "leaf.to('cpu')": "",
    "leaf.to(torch.int64)": "",
    "leaf.cpu()": "",
    "leaf.contiguous()": "",
    "leaf.flatten()": "",
    "leaf.type(torch.float32)": "",
    "computed.float()": "computed",
    "computed.contiguous()": "computed",
    "data.float()": "plain",
    "torch.zeros(3, dtype=torch.float64, requires_grad=True).double()": "",
    # without a graph
    "leaf.detach()": "plain",
    "torch.detach(leaf)": "plain",
    "leaf.data": "plain",
    "leaf.detach().clone()": "plain",
    "leaf.detach().requires_grad_()": "leaf",
    "leaf.detach().clone().requires_grad_(True)": "leaf",
    "leaf.requires_grad_(False)": "plain",
    "computed.requires_grad_()": "computed",
    "(data * 2).requires_grad_()": "leaf",
    "(data * 2).requires_grad_(flag)": "",
    "leaf.argmax()": "plain",
    "leaf.argmax().float()": "plain",
    "leaf == data": "plain",
    "(leaf > 0).float().mean()": "plain",
    "leaf.long()": "plain",
    "leaf.int().float()": "plain",
    "~(leaf > 0)": "plain",
    "torch.isnan(leaf)": "plain",
    # in place
    "data.add_(leaf)": "computed",
    "data.clone().copy_(leaf)": "computed",
    "computed.mul_(2)": "computed",
    "data.mul_(2)": "plain",
    # others
    "leaf if flag else data": "",
    "computed if flag else computed.exp()": "computed",
    "[leaf, data][0]": "leaf",
    "sum([leaf, leaf])": "",
    "abs(leaf)": "",
    "next(iter(leaf))": "",
    "next(layer.parameters())": "",
    "(lambda t: t)(leaf)": "",
}

UNDER_NO_GRAD = {
    "leaf * 2": "plain",
    "computed.sum()": "plain",
    "computed.clone()": "plain",
    "layer(data)": "plain",
    "nn.MSELoss()(computed, data)": "plain",
    "F.mse_loss(computed, data)": "plain",
    "leaf.view(-1)": "leaf",  # sic: a view made under no_grad requires grad, and has no graph
    "computed.view(-1)": "leaf",
    "computed[0]": "",
    "leaf.T": "leaf",
    "computed.float()": "",
    "computed.double()": "",
    "leaf.reshape(-1)": "",
    "leaf.requires_grad_()": "leaf",
    "torch.zeros(3, requires_grad=True)": "leaf",
    "nn.Parameter(data)": "leaf",
    "data.add_(leaf)": "plain",
    "computed.mul_(2)": "computed",
    "leaf.mul_(2)": "leaf",
    "leaf.to('cpu')": "",
}

STATEMENTS = {
    "y = data\ny.requires_grad = True": "leaf",
    "y = leaf\ny.requires_grad = False": "plain",
    "y = data\nz = y\nz.requires_grad_()": "leaf",
    "y = data\ny += leaf": "computed",
    "y = leaf\nwith torch.no_grad():\n    y -= 0.1 * leaf": "leaf",
    "y = leaf\ny = y - 0.1 * y": "computed",
    "y = data\ny[0] = leaf[0]": "computed",
    "y = computed\ny.detach_()": "plain",
    "y = 0\nfor _ in range(3):\n    y = y + leaf.sum()": "",
    "y = 0.0\ny += computed.sum()": "computed",
    "y = torch.zeros(())\nfor _ in range(3):\n    y += leaf.sum()": "",
    "y = leaf\nfor _ in range(2):\n    y = y * 2": "",
    "y = data\nwhile True:\n    if flag:\n        y = leaf\n        break\n    y = computed\n    break": "",
    "y = data\nif flag:\n    y = y.exp()": "plain",
    "y = data\ntry:\n    y = leaf\nexcept ValueError:\n    y = computed": "",
    "with torch.no_grad():\n    y = leaf * 2\ny = y + data": "plain",
    "with torch.no_grad():\n    y = leaf * 2\ny = y + leaf": "computed",
    "with torch.no_grad():\n    with torch.enable_grad():\n        y = leaf * 2": "computed",
    "@torch.no_grad()\ndef half(t):\n    return t / 2\ny = half(leaf)": "plain",
    "def half(t):\n    return t / 2\ny = half(leaf)": "",
    "def half(t):\n    return t / 2\nwith torch.no_grad():\n    y = half(leaf)": "",
    "def same(t):\n    return t\ny = same(leaf)": "leaf",
    "def mark(t):\n    t.requires_grad_()\ny = data\nmark(y)": "",
    "def add(t, u):\n    t += u\ny = data\nadd(y, leaf)": "",
    "def mark():\n    y.requires_grad_()\ny = data\nmark()": "",
    "y = data\ndef swap():\n    global y\n    y = leaf\nswap()": "",
    "values, indices = leaf.max(0)\ny = indices": "plain",
    "values, indices = leaf.max(0)\ny = values": "computed",
    "y = [data, leaf][0]\ny.requires_grad_()": "leaf",
    "pair = (data, leaf)\ndata.requires_grad_()\ny = pair[0]": "leaf",
    "torch.set_grad_enabled(False)\ny = leaf * 2\ntorch.set_grad_enabled(True)": "plain",
    "y = layer(data).argmax(1) == whole\ny = y.float().mean()": "plain",
    "for y in layer.parameters():\n    y.requires_grad = False": "",
    "class Cut(nn.Module):\n    def forward(self, t):\n        return t.detach()\ny = Cut()(leaf)": "",
    "class Same(nn.Module):\n    def forward(self, t):\n        return t\ny = Same()(leaf)": "",
}

FLAGS = {"plain": (True, False), "leaf": (True, True), "computed": (False, True), "": (None, None)}


@pytest.mark.parametrize("expression", KNOWN)
def test_expression(expression: str) -> None:
    check(f"y = {expression}", KNOWN[expression])


@pytest.mark.parametrize("expression", UNDER_NO_GRAD)
def test_expression_where_nothing_is_recorded(expression: str) -> None:
    check(f"with torch.no_grad():\n    y = {expression}", UNDER_NO_GRAD[expression])


@pytest.mark.parametrize("code", STATEMENTS)
def test_statements(code: str) -> None:
    check(code, STATEMENTS[code])


def check(code: str, known: str) -> None:
    """What is said of ``y`` must be true of it; what is to be known of it must be said."""
    text = SETUP + code + "\n"
    value, tensor = interpreted(text)["y"], executed(text)["y"]
    contradicts = contradiction(value, tensor)
    assert not contradicts, contradicts
    if known:
        assert (value.leaf, value.requires_grad) == FLAGS[known]


def contradiction(value: Value, tensor: Any) -> str:
    if value.kind not in ("tensor", "unknown", "parameters"):
        return ""
    said = (value.leaf, value.requires_grad)
    try:
        truth = (tensor.is_leaf, tensor.requires_grad)
    except RuntimeError:  # a view made under no_grad of what was changed since: torch itself does not say
        return ""
    true = all(a is None or a == b for a, b in zip(said, truth, strict=True))
    assert tensor.is_leaf == (tensor.grad_fn is None)
    return "" if true else f"said {said}, but it is {truth}"


def interpreted(text: str) -> dict[str, Value]:
    project = Project([extract(Source("code.py", text))])
    return project.flow(project.modules[0].body).env


def executed(text: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "code"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(text, "code.py", "exec"), names)
    return names


# Programs by chance

HEAD = """
import torch

def twice(t):
    return t * 2

def same(t):
    return t

def mark(t):
    t.requires_grad_()
    return t

def walk(t):
    t.sum().backward()

def add(t, u):
    t += u

@torch.no_grad()
def cut(t):
    return t * 2

class Box:
    def __init__(self, t):
        self.t = t

    def put(self, t):
        self.t = t

    def mark(self):
        self.t.requires_grad_()

    def get(self):
        return self.t

def reset():
    global d
    d = torch.rand(3, requires_grad=True)

torch.manual_seed(0)
seen = []
a = torch.rand(3, requires_grad=True)
b = torch.rand(3)
c = a * 2
d = torch.rand(3)
o = Box(d)
"""
SIMPLE = """
{r} = {s} * {t}
{r} = {s} + 1.0
{r} = {s}
{r} = {s}.view(-1)
{r} = {s}[0:3]
{r} = {s}.detach()
{r} = {s}.clone()
{r} = {s}.float()
{r} = {s}.double()
{r} = torch.relu({s})
{r} = torch.zeros(3, requires_grad=True)
{r} = torch.ones(3)
{r} = (torch.ones(3) * 2).requires_grad_()
{r} = twice({s})
{r} = same({s})
{r} = cut({s})
{r} = mark({s})
{r}, {s} = {s}, {t}
{r} = [{s}, {t}][{n} % 2]
{r} = {s} if {flag} else {t}
held = [{s}]; held.append({t}); {r} = held[{n} % 2]
for t in ({s}, {t}): {r} = t
held = {{"s": {s}, "t": {t}}}; {r} = held["st"[{n} % 2]]
o.t = {s}
o.put({s})
o = Box({s})
{r} = o.t
{r} = o.get()
o.mark()
reset()
{s}.requires_grad_()
{s}.retain_grad()
{s}.grad = None
{s} += {t}
{s}.mul_(2.0)
add({s}, {t})
walk({s})
{s}.sum().backward(retain_graph=True)
({s} * {t}).sum().backward(retain_graph=True)
seen.append(({line}, {s}.grad))
seen.append(({line}, {t}.grad))
""".strip().splitlines()
COMPOUND = r"""
if {flag}:\n{body}
if {flag}:\n{body}\nelse:\n{body}
for _ in range({n}):\n{body}
for k in range(3):\n{body}\n    if k >= {n}:\n        break\n{body}
for k in range(3):\n    if k < {n}:\n        continue\n{body}
while True:\n{body}\n    break
with torch.no_grad():\n{body}
try:\n{body}\nfinally:\n{body}
""".strip().splitlines()


@pytest.mark.parametrize("seed", range(120))
def test_program_by_chance(seed: int) -> None:
    text = program(random.Random(seed))
    said = interpreted(text)
    truth = executed(text)
    for name in "abcd":
        contradicts = contradiction(said[name], truth[name])
        assert not contradicts, f"{name}: {contradicts}\n{text}"
    reads: dict[int, list[bool]] = {}
    for line, gradient in truth["seen"]:
        reads.setdefault(line, []).append(gradient is None)
    for code, line in findings(text):
        if code in ("GL201", "GL202") and line in reads:
            assert any(reads[line]), f"{code} in line {line}, but there was a gradient\n{text}"


@pytest.mark.parametrize("seed", range(60))
def test_no_backward_that_works_is_flagged(seed: int) -> None:
    text = program(random.Random(seed), size=8)
    for name in "abcd":
        last = f"{text}{name}.sum().backward()\n"
        line = last.count("\n")
        if ("GL401", line) in findings(last):  # other lines may never be reached
            assert failing_line(last) == line, last


def program(random: random.Random, size: int = 14) -> str:
    """A program that runs: each statement is tried before it is kept."""
    text = HEAD
    for _ in range(size):
        longer = text + "".join(f"{line}\n" for line in statement(random, text.count("\n") + 1))
        if failing_line(longer) is None:
            text = longer
    return text


def statement(random: random.Random, line: int) -> Iterator[str]:
    if random.random() < 0.7:
        yield simple(random, line)
        return
    for part in random.choice(COMPOUND).replace("\\n", "\n").split("\n"):
        if part == "{body}":
            for _ in range(random.randint(1, 2)):
                yield "    " + simple(random, line)
                line += 1
        else:
            yield part.format(flag=random.choice(("len(seen) > 1", "d.sum() > 1")), n=random.randint(0, 3))
            line += 1


def simple(random: random.Random, line: int) -> str:
    names = dict(zip("rst", random.choices("abcd", k=3), strict=True))
    flag = random.choice(("len(seen) > 1", "len(seen) < 9"))
    return random.choice(SIMPLE).format(**names, line=line, n=random.randint(0, 3), flag=flag)


def failing_line(text: str) -> int | None:
    """The line of a program at which it raises."""
    try:
        executed(text)
    except Exception as error:  # noqa: BLE001 whatever it raises
        return next(f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == "code.py")
    return None


def findings(text: str) -> list[tuple[str, int]]:
    from gradlint import registry
    from gradlint.engine import run

    rules = [rule for rule in registry.load() if rule.code in ("GL201", "GL202", "GL401")]
    outcome = run([Source("code.py", text)], rules)
    assert not outcome.failures
    return [(found.code, found.span.line) for found in outcome.diagnostics]


def test_programs_by_chance_are_not_all_the_same() -> None:
    texts = [program(random.Random(seed)) for seed in range(3)]
    assert len(set(texts)) == 3
    assert all(textwrap.dedent(text) == text for text in texts)
