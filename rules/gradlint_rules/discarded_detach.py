"""`detach()` or `clone()` is called and its result dropped, or `requires_grad_` is named and not called.

## Flagged

```python
def roll_out(cell, inputs, hidden):
    outputs = []
    for step in inputs:
        hidden = cell(step, hidden)
        hidden.detach()  # GL415
        outputs.append(hidden.argmax(1))
    return outputs, hidden

# run: outputs, hidden = roll_out(cell, inputs, torch.zeros(4, 5))
# shows: hidden.requires_grad
# keeps: > 0 bytes
```

## Instead

```python
def roll_out(cell, inputs, hidden):
    outputs = []
    for step in inputs:
        hidden = cell(step, hidden).detach()
        outputs.append(hidden.argmax(1))
    return outputs, hidden

# run: outputs, hidden = roll_out(cell, inputs, torch.zeros(4, 5))
# shows: not hidden.requires_grad
# keeps: > 0 bytes
```

## Why

`x.detach()` returns a new tensor without a graph and leaves `x` as it is. On a line of its own its
result is gone, and `x` keeps its graph: memory grows with it, and a later `backward()` runs through
all of it or raises `RuntimeError: Trying to backward through the graph a second time`. The same goes
for `clone()`, and `x.requires_grad_` without parentheses only names the method.

Methods that change the tensor itself end in an underscore: `x.detach_()`, `x.requires_grad_()`.
"""

from collections.abc import Iterator

from gradlint.rule import (
    Attribute,
    Call,
    Display,
    Evaluate,
    Expression,
    Finding,
    FunctionNode,
    Name,
    Project,
    Subscript,
    rule,
    scope,
    statements,
)

_RETURNING = frozenset({"detach", "clone"})
_CHANGING = frozenset({"detach_", "requires_grad_", "retain_grad"})
_CONVERTING = _RETURNING | {"cpu", "cuda", "to", "float", "double", "half", "numpy", "contiguous"}
_WORDS = _RETURNING | _CHANGING


@rule("GL415", severity="error", since="0.1.0")
def discarded_detach(project: Project) -> Iterator[Finding]:
    """Find statements that make a tensor without a graph and drop it."""
    for function in project.functions():
        if _WORDS.isdisjoint(function.facts.words):
            continue
        silent = scope.tried(function) | scope.expected_to_fail(function)
        for statement in statements(function.facts.body):
            if isinstance(statement, Evaluate) and statement.discarded and statement.value.at not in silent:
                for value in _dropped(statement.value):
                    yield from _findings(project, function, value)


def _dropped(value: Expression) -> tuple[Expression, ...]:
    """What a statement evaluates for nothing: all parts of ``h.detach(), c.detach()``, or of such a list."""
    return value.items if isinstance(value, Display) and value.kind in ("tuple", "list") else (value,)


def _begun(value: Expression) -> Expression:
    """What a chain of conversions begins with: ``x.detach()`` of ``x.detach().cpu()``."""
    begun = value
    while (
        isinstance(begun, Call)
        and isinstance(begun.function, Attribute)
        and begun.function.name in _CONVERTING
        and isinstance(begun.function.value, Call)
    ):
        begun = begun.function.value
    return begun


def _findings(project: Project, function: FunctionNode, value: Expression) -> Iterator[Finding]:
    match _begun(value):
        case Call(function=Attribute(name=name, value=Name() | Attribute() | Subscript()) as named, arguments=()) if (
            name in _RETURNING  # of a tensor that nobody holds it would not matter
        ):
            message = f"the result of `{name}()` is lost, and the tensor stays as it is"
            help = "assign it, or write `detach_()`" if name == "detach" else "assign it"
        case Attribute(name=name) as named if name in _WORDS:
            message = f"`{name}` is named but not called: the tensor stays as it is"
            help = f"write `{name}()`"
        case _:
            return
    if named.name in _CHANGING or project.evidence.owned_by_tensor(function, named):  # those only tensors have
        yield Finding(function.place(value.at), function.name, message, help=help)


CASES = r"""
```python setup
import torch
from torch import nn

cell = nn.GRUCell(3, 5)
inputs = torch.randn(6, 4, 3)
```

## Flagged

### uncalled
```python
import torch

x = torch.zeros(3)
x.requires_grad_  # GL415
y = x.exp()
# shows: not x.requires_grad and not y.requires_grad
```

### a copy that nobody gets
```python
def noisy(x):
    x.clone()  # GL415
    x += 1
    return x * 2

# run: import torch
# run: x = torch.zeros(3)
# run: out = noisy(x)
# shows: x[0] == 1
```

### two states at once
```python
import torch
from torch import nn

def unroll(cell, inputs):
    hidden, memory = torch.zeros(4, 5), torch.zeros(4, 5)
    for x in inputs:
        hidden, memory = cell(x, (hidden, memory))
        hidden.detach(), memory.detach()  # GL415 GL415
    return hidden

# run: hidden = unroll(nn.LSTMCell(3, 5), inputs)
# shows: hidden.requires_grad
```

### before the next use of the hidden state
```python
import torch
from torch import nn

class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(3, 5)
        self.hidden = torch.zeros(4, 5)

    def forward(self, x):
        self.hidden = self.cell(x, self.hidden)
        return self.hidden

    def reset(self):
        self.hidden.detach()  # GL415

# run: agent = Agent()
# run: agent(inputs[0]).sum().backward()
# run: agent.reset()
# run: import pytest
# run: with pytest.raises(RuntimeError): agent(inputs[1]).sum().backward()
# shows: agent.hidden.requires_grad
```

### moved as well
```python
import torch

class Pool:
    def __init__(self):
        self.kept = []

    def push(self, features: torch.Tensor):
        features.detach().cpu()  # GL415
        self.kept.append(features)

# run: pool = Pool()
# run: pool.push(torch.ones(3, requires_grad=True) * 2)
# shows: pool.kept[0].requires_grad
```

## Silent

### assigned, returned, chained
```python
import torch

def carry(hidden):
    hidden = hidden.detach()
    hidden.clone().zero_()
    return hidden.clone()

# run: out = carry(torch.ones(2, requires_grad=True))
# shows: not out.requires_grad
```

### two states at once, assigned, or changed in place
```python
def cut(hidden, memory):
    hidden, memory = hidden.detach(), memory.detach()
    hidden.detach_(), memory.detach_()
    return hidden, memory

# run: import torch; hidden, memory = cut(torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True))
# shows: not hidden.requires_grad and not memory.requires_grad
```

### in place
```python
import torch

x = torch.ones(2, requires_grad=True).exp()
x.detach_()
x.requires_grad_()
# shows: x.is_leaf
```

### what is no tensor
```python
import io

class Process:
    def detach(self):
        self.running = True

    def clone(self):
        return Process()

def start(process, handle, text):
    process.detach()
    handle.detach()
    text.detach()

process = Process()
process.detach()
# run: start(process, process, io.TextIOWrapper(io.BytesIO()))
```

### of a result that nobody holds
```python
import torch

def warm_up(x):
    (x @ x.T).detach()
    torch.relu(x).clone()

# run: warm_up(torch.ones(2, 2))
```

### expected to raise
```python
import torch
import pytest

def test_no_detach():
    x = torch.ones(3) * 2
    with pytest.raises(RuntimeError):
        x.detach()
```
"""
