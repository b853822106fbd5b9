"""A grad mode is made on a line of its own and thrown away: nothing is switched.

## Flagged

```python
import torch

def weight_norm(model):
    torch.no_grad()  # GL301
    norms = [weight.norm() for weight in model.parameters()]
    return torch.stack(norms).norm()

# run: norm = weight_norm(model)
# shows: norm.requires_grad
# keeps: > 0 bytes
```

## Instead

```python
import torch

@torch.no_grad()
def weight_norm(model):
    norms = [weight.norm() for weight in model.parameters()]
    return torch.stack(norms).norm()

# run: norm = weight_norm(model)
# shows: not norm.requires_grad
```

or `with torch.no_grad():` around the lines it is meant for.

## Why

`no_grad()`, `inference_mode()` and `enable_grad()` only make an object. The mode changes when that
object is entered by `with`, or when it decorates a function. On a line of its own it has no effect,
and PyTorch says nothing: the lines below record a graph as before, and what they save for backward
is kept as long as their result lives.

`torch.set_grad_enabled(False)` is the exception: it acts at once, also as a statement. Entering by
hand is none: `torch.inference_mode().__enter__()` ends with the object that was made, which nothing
holds, so it ends on the same line.
"""

from collections.abc import Iterator
from itertools import pairwise

from gradlint.rule import (
    Assign,
    Attribute,
    Call,
    DefineClass,
    DefineFunction,
    Edit,
    Evaluate,
    Expression,
    Finding,
    Fix,
    FunctionNode,
    Name,
    Project,
    Statement,
    rule,
    scope,
    statements,
)


@rule("GL301", severity="error", since="0.1.0")
def discarded_grad_mode(project: Project) -> Iterator[Finding]:
    """Find grad modes that are made in a statement of their own."""
    for function in filter(project.modes.mentioned, project.functions()):
        expected = scope.expected_to_fail(function)
        above_methods = frozenset(_above_methods(function))
        for statement in statements(function.facts.body):
            for value in _discarded(statement):
                if value.at not in expected and (mode := _idle(project, function, value)):
                    yield _finding(function, value, mode, statement.at in above_methods)


def _above_methods(function: FunctionNode) -> Iterator[int]:
    """The statements of class bodies that stand where a decorator of a method would."""
    for statement in statements(function.facts.body):
        for this, following in pairwise(statement.body if isinstance(statement, DefineClass) else ()):
            match following:
                case DefineFunction(function=index) if not function.module.functions[index].facts.decorators:
                    yield this.at
                case _:
                    pass


def _discarded(statement: Statement) -> Iterator[Expression]:
    match statement:
        case Evaluate(value=value, discarded=True) | Assign(targets=(Name(id="_"),), value=value):
            yield from scope.outcomes(value)
        case _:
            pass


def _idle(project: Project, function: FunctionNode, value: Expression) -> str | None:
    """The grad mode that an expression makes or names without any effect."""
    modes = project.modes
    match value:
        case Call(function=Attribute(value=Call() as made, name="__enter__")):
            # Torch's inference mode ends with the object that holds it, and nothing holds this one.
            return "inference_mode" if modes.made(function, made) == "inference_mode" else None
        case Call():
            mode = modes.made(function, value)
            return mode if mode != "set_grad_enabled" else None
        case _:
            return modes.mode(function, value)


def _finding(function: FunctionNode, value: Expression, mode: str, above_method: bool) -> Finding:
    arguments = "..." if mode == "set_grad_enabled" else ""
    return Finding(
        function.place(value.at),
        function.name,
        _message(value, mode),
        help="an `@` is missing, if it is meant for the method below"
        if above_method
        else f"put what it is meant for under `with torch.{mode}({arguments}):`",
        fix=_decorate(function, value) if above_method else None,
    )


def _message(value: Expression, mode: str) -> str:
    match value:
        case Call(function=Attribute(name="__enter__")):
            return f"`{mode}` ends with the object that was entered, and nothing holds it: at once"
        case Call():
            return f"`{mode}` is made and thrown away; the grad mode stays what it is"
        case _:
            return f"`{mode}` is named and nothing more; the grad mode stays what it is"


def _decorate(function: FunctionNode, value: Expression) -> Fix:
    return Fix("unsafe", "decorate the method below", (Edit(function.place(value.at), "before", "@"),))


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
weight = torch.ones(3, requires_grad=True)
```

## Flagged

### under another name
```python
from torch import no_grad as ng
from torch.autograd import grad_mode
import torch.autograd

def scaled(weight):
    ng()  # GL301
    return weight * 2

def halved(weight):
    torch.autograd.no_grad()  # GL301
    return weight / 2

def squared(weight):
    grad_mode.no_grad()  # GL301
    return weight**2

# run: outs = [scaled(weight), halved(weight), squared(weight)]
# shows: all(out.requires_grad for out in outs)
```

### inference mode and its argument
```python
import torch

def scaled(weight):
    torch.inference_mode()  # GL301
    torch.inference_mode(True)  # GL301
    torch.inference_mode(mode=False)  # GL301
    return weight * 2

# run: out = scaled(weight)
# shows: out.requires_grad and not out.is_inference()
```

### enable_grad does not bring the graph back
```python
import torch

@torch.no_grad()
def penalty(weight):
    torch.enable_grad()  # GL301
    return (weight**2).sum()

# run: out = penalty(weight)
# shows: not out.requires_grad
```

### not even called
```python
import torch

def scaled(weight):
    torch.no_grad  # GL301
    return weight * 2

# run: out = scaled(weight)
# shows: out.requires_grad
```

### at the top of a script
```python
import torch

weight = torch.ones(3, requires_grad=True)
torch.no_grad()  # GL301
doubled = weight * 2
# shows: doubled.requires_grad
```

### a decorator that lost its sign
```python
import torch
from torch import nn

class Scaler(nn.Module):
    torch.no_grad()  # GL301
    def forward(self, weight):
        return weight * 2

# run: out = Scaler()(weight)
# shows: out.requires_grad
```

### in a branch, a loop and a method
```python
import torch

class Scaler:
    def __init__(self, weight):
        self.weight = weight

    def scaled(self, frozen):
        if frozen:
            torch.no_grad()  # GL301
        for _ in range(2):
            torch.no_grad()  # GL301
        return self.weight * 2

# run: out = Scaler(weight).scaled(True)
# shows: out.requires_grad
```

### assigned to the throw-away name
```python
import torch

def scaled(weight):
    _ = torch.no_grad()  # GL301
    return weight * 2

# run: out = scaled(weight)
# shows: out.requires_grad
```

### an inference mode that dies at the end of the line
```python
import torch

def scaled(weight):
    torch.inference_mode().__enter__()  # GL301
    return weight * 2

# run: out = scaled(weight)
# shows: out.requires_grad
```

### two statements on one line
```python
import torch

def scaled(weight):
    torch.no_grad(); doubled = weight * 2  # GL301
    return doubled

# run: out = scaled(weight)
# shows: out.requires_grad
```

## Silent

### the statement that does act
```python
import torch

torch.set_grad_enabled(False)
# shows: not torch.is_grad_enabled()
```

### entered by with, alone and with others
```python
import torch

def scaled(weight):
    with torch.no_grad():
        doubled = weight * 2
    with torch.inference_mode(), open("log.txt", "w") as log:
        log.write(str(doubled))
    return doubled

# run: out = scaled(weight)
# shows: not out.requires_grad
```

### kept and entered later
```python
import torch

def scaled(weight, frozen):
    mode = torch.no_grad() if frozen else torch.enable_grad()
    with mode:
        return weight * 2

# run: out = scaled(weight, True)
# shows: not out.requires_grad
```

### used as a decorator, and called on a function
```python
import torch

@torch.no_grad()
def scaled(weight):
    return weight * 2

def halved(weight):
    return weight / 2

halved = torch.inference_mode()(halved)
torch.no_grad()(scaled)(torch.ones(2))
# run: out = halved(weight)
# shows: out.is_inference()
```

### entered by hand, or by an exit stack
```python
import torch
from contextlib import ExitStack

def scaled(weight):
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        return weight * 2

# run: out = scaled(weight)
# shows: not out.requires_grad
```

### handed on or returned
```python
import torch

def quiet():
    return torch.no_grad()

def scaled(weight):
    with quiet():
        return weight * 2

# run: out = scaled(weight)
# shows: not out.requires_grad
```

### another library's name
```python
class Tape:
    def no_grad(self):
        self.recording = False

def scaled(tape, weight):
    tape.no_grad()
    return weight * 2

# run: out = scaled(Tape(), weight)
```

### a project's own function of that name
```python
# file: tape.py
STOPPED = []

def no_grad():
    STOPPED.append(True)

# file: main.py
from tape import STOPPED, no_grad

no_grad()
# shows: STOPPED == [True]
```

### said in words only
```python
def scaled(weight):
    '''Call this under torch.no_grad().'''
    # torch.no_grad()
    return weight * 2

# run: out = scaled(weight)
```
"""
