"""A leaf that requires grad is changed in place while operations are recorded.

## Flagged

```python
import torch

weight = torch.ones(3, requires_grad=True)
weight.mul_(0.1)  # GL208
# raises: RuntimeError: a leaf Variable that requires grad is being used in an in-place operation.
```

## Instead

```python
import torch

weight = torch.ones(3, requires_grad=True)
with torch.no_grad():
    weight.mul_(0.1)
# shows: weight.is_leaf and weight.requires_grad
```

## Fixed

```python
import torch

weight = torch.ones(3, requires_grad=True)
with torch.no_grad():
    weight.mul_(0.1)
```

## Why

A leaf's gradient belongs to the value it has; an operation in place would make it a computed tensor and lose
the leaf. torch refuses: `RuntimeError: a leaf Variable that requires grad is being used in an in-place
operation.`, or for a part of it (`weight[0] = 0`) `RuntimeError: a view of a leaf Variable that requires grad
is being used in an in-place operation.` Under `no_grad()` the value changes and the leaf stays one. The
functions of `torch.nn.init` hold that guard themselves.
"""

from collections.abc import Iterator

from gradlint.rule import (
    COMPUTED,
    LEAF,
    Call,
    CallEvent,
    ChangeEvent,
    Constant,
    Display,
    Evaluate,
    Expression,
    Finding,
    Fix,
    Flow,
    FunctionNode,
    Note,
    Operation,
    Passed,
    Project,
    Subscript,
    Value,
    all_of,
    changes,
    dotted,
    expressions,
    gives_no_known_tensor,
    parameter_loops,
    rewrites,
    rule,
    scope,
    within,
)

_FACTORIES = frozenset("tensor rand randn zeros ones full empty eye".split())
_MAKING = frozenset({"Parameter", "parameters", "requires_grad", "requires_grad_"})


@rule("GL208", severity="error", since="0.2.0")
def in_place_on_leaf(project: Project) -> Iterator[Finding]:
    """Find changes in place of tensors that are proved to be leaves, where recording is on."""
    for function in project.functions():
        if not _may_make_leaf(function) or not _may_change_leaf(function):
            continue
        if not project.calls.records_somewhere(function):
            continue
        silent = scope.expected_to_fail(function) | scope.tried(function)
        updates, looped = changes.gradient_updates(function), frozenset(parameter_loops.looped_parameters(function))
        for event in project.flow(function).changes.values():
            if event.at in silent or event.at in updates:
                continue
            base = event.owner if _is_leaf(event, looped) else _leaf_below(project.flow(function), event.owner)
            if base is not None and project.certainly_records(function, event.at):
                yield _finding(function, event, base)
        for call in project.flow(function).calls.values():
            target = _written(call) if call.at not in silent else None
            if target is not None and project.certainly_records(function, call.at):
                change = ChangeEvent(call.at, call.method, dotted(target.expression), target.value)
                yield _finding(function, change, target.value)


def _may_make_leaf(function: FunctionNode) -> bool:
    """Whether a function spells how a leaf is made: by its flag, as a parameter, or as one of a new module's."""
    words = function.facts.words
    if not words.isdisjoint(_MAKING) or ("nn" in words and any(map(_is_class_name, words))):
        return True
    if words.isdisjoint(_FACTORIES):
        return False
    calls = all_of(Call, function.facts.body)
    return any(argument.keyword == "requires_grad" for call in calls for argument in call.arguments)


def _may_change_leaf(function: FunctionNode) -> bool:
    """Whether a function changes in place what is not seen to be no leaf: a count, a list, what it is handed."""
    return any(not gives_no_known_tensor(function.facts, changed) for changed in changes.changed_in_place(function))


def _is_class_name(word: str) -> bool:
    return word[:1].isupper() and not word.isupper()


def _written(call: CallEvent) -> Passed | None:
    """The leaf that a function of torch writes to: ``out=w``, or the first argument with ``inplace=True``."""
    for argument in call.arguments:
        in_place = argument.keyword == "inplace" and argument.value.constant is True
        target = argument if argument.keyword == "out" else call.arguments[0] if in_place else None
        name = getattr(call.callee.target, "name", "")
        if target is not None and name.startswith("torch.") and _leaf(target.value):
            return target
    return None


def _is_leaf(event: ChangeEvent, looped: frozenset[str]) -> bool:
    """Whether a leaf is changed, and not a list of parameters made longer."""
    if event.owner.kind == "parameters" and event.how.endswith("=") and event.path not in looped:
        return False
    return _leaf(event.owner)


def _leaf(value: Value) -> bool:
    return value.kind in ("tensor", "parameters") and value.tensor == LEAF and value.born is not None


def _leaf_below(flow: Flow, value: Value) -> Value | None:
    """The leaf that something is surely a view of: ``flat = weight.view(-1)``, ``weight[0]``."""
    while value.kind == "tensor" and value.tensor == COMPUTED and value.made_at in flow.views:
        if value.own_memory is not False and not _is_slice(flow.function, value.made_at):
            return None
        value = flow.views[value.made_at]
        if _leaf(value):
            return value
    return None


def _is_slice(function: FunctionNode, at: int) -> bool:
    """Whether a part is taken by numbers and slices, and so shares memory: a list or a mask makes a copy."""
    return any(part.at == at and _is_basic(part.index) for part in all_of(Subscript, function.facts.body))


def _is_basic(index: Expression) -> bool:
    match index:
        case Constant(value=value):
            return value is None or value is Ellipsis or type(value) is int
        case Operation(operator=":") | Operation(operator="-", operands=(Constant(),)):
            return True
        case Display(kind="tuple", items=items):
            return all(map(_is_basic, items))
        case _:
            return False


def _finding(function: FunctionNode, event: ChangeEvent, base: Value) -> Finding:
    name = event.path or "it"
    what = {"[]=": f"assigning to items of `{name}`"}.get(event.how, f"`{name}.{event.how}()`")
    if event.how != "[]=" and event.how.endswith("="):
        what = f"`{name} {event.how} ...`"
    made = base.made_at
    whole = "a leaf" if base is event.owner else "a view of a leaf"
    return Finding(
        function.place(event.at),
        function.name,
        f"{what} raises: it changes {whole} that requires grad, and operations are recorded here",
        (Note(function.place(made), "the leaf is made here"),) if made is not None else (),
        help="change it under `torch.no_grad()`",
        fix=_guarded(function, event),
    )


def _guarded(function: FunctionNode, event: ChangeEvent) -> Fix | None:
    """The guard, unless the statement calls what may want to record, or keeps a result."""
    edits = rewrites.under_no_grad(function, event.at)
    statement = rewrites.simple_statement(function, event.at)
    if not edits or statement is None or (isinstance(statement, Evaluate) and statement.value.at != event.at):
        return None
    found = (part for expression in expressions(statement) for part in within(expression))
    calls = [part for part in found if isinstance(part, Call) and part.at != event.at]
    own = all((dotted(call.function) or "").startswith("torch.") for call in calls)  # others may want to record
    return Fix("safe" if own else "unsafe", "put it under `torch.no_grad()`", edits)


CASES = r"""
## Flagged

### one of several modules that a function does not freeze
```python
import torch
from torch import nn

def set_requires_grad(flag, *models):
    for model in models:
        if isinstance(model, nn.Module):
            for parameter in model.parameters():
                parameter.requires_grad = flag
        elif isinstance(model, (nn.Parameter, torch.Tensor)):
            model.requires_grad = flag

def make():
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    set_requires_grad(False, first)
    set_requires_grad(True, second)
    first.bias[...] = 0
    second.bias[...] = 0  # GL208

# run: make()
# raises: RuntimeError: a leaf Variable that requires grad is being used in an in-place operation
```

### items, operators and methods
```python
import torch

def reset():
    weight = torch.randn(3, requires_grad=True)
    weight[0] = 0  # GL208
    return weight

def shrink():
    weight = torch.randn(3, requires_grad=True)
    weight *= 0.1  # GL208
    return weight

def clear():
    weight = torch.randn(3).requires_grad_()
    weight.zero_()  # GL208
    return weight

# run: reset()
# run: shrink()
# run: clear()
# raises: RuntimeError: a view of a leaf Variable that requires, or RuntimeError: a leaf Variable that requires grad
```

### a parameter just made
```python
import torch
from torch import nn

def build():
    layer = nn.Linear(2, 2)
    layer.bias.zero_()  # GL208
    scale = nn.Parameter(torch.ones(2))
    scale.fill_(2.0)  # GL208
    return layer, scale

# run: build()
# raises: RuntimeError: a leaf Variable that requires grad is being used in an in-place operation.
```

### given to be written to
```python
import torch

def double():
    weight = torch.ones(3, requires_grad=True)
    torch.mul(weight, 2, out=weight)  # GL208

def clip():
    weight = torch.ones(3, requires_grad=True)
    return torch.nn.functional.relu(weight, inplace=True)  # GL208

# run: double()
# run: clip()
# raises: RuntimeError: mul(): functions with out=..., or RuntimeError: a leaf Variable that requires grad
```

### each parameter of a module just made
```python
import torch
from torch import nn

model = nn.Linear(2, 2)
for parameter in model.parameters():
    parameter.add_(torch.randn_like(parameter))  # GL208
# raises: RuntimeError: a leaf Variable that requires grad is being used in an in-place operation.
```

### a view, or a slice, of a leaf
```python
import torch
from torch import nn

def flat():
    weight = torch.ones(2, 3, requires_grad=True)
    values = weight.view(-1)
    values.add_(1.0)  # GL208

def row():
    layer = nn.Linear(2, 2)
    first = layer.weight[0]
    first += 1.0  # GL208

def column():
    layer = nn.Linear(2, 2)
    layer.weight[:, 0].fill_(0.0)  # GL208

def turned():
    weight = nn.Parameter(torch.ones(2, 3))
    turned = weight.t()
    turned[0, 0] = 0.0  # GL208

class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2, 2))
        self.scale[-1].mul_(0.5)  # GL208

# run: flat()
# run: row()
# run: column()
# run: turned()
# run: Norm()
# raises: RuntimeError: a view of a leaf Variable that requires grad is being used in an in-place operation.
```

## Silent

### copies, views of what is computed or has no graph, and views under no_grad
```python
import torch
from torch import nn

def parts():
    weight = torch.ones(3, 3, requires_grad=True)
    weight[[0, 1]].add_(1.0)
    weight[weight > 0].add_(1.0)
    weight.view(-1).clone().add_(1.0)
    weight.flatten().mul(2.0).view(-1).add_(1.0)
    doubled = weight * 2.0
    doubled.view(-1).add_(1.0)
    doubled[0] += 1.0
    weight.detach().view(-1).add_(1.0)
    weight.data[0].add_(1.0)
    flat = weight.view(-1)
    with torch.no_grad():
        flat.add_(1.0)
        weight[0].fill_(0.0)
    return doubled

def frozen():
    layer = nn.Linear(2, 2).requires_grad_(False)
    first = layer.weight[0]
    first += 1.0
    return layer

def one_of(layer, index, weight=None):
    weight = torch.zeros(2, 2) if weight is None else weight
    picked = weight[index]
    picked += 1.0
    return picked

# run: parts().sum().backward()
# run: frozen()
# run: one_of(None, 0)
```

### all of several modules that a function freezes
```python
import torch
from torch import nn

class Maker:
    def freeze(self, *models):
        for model in models:
            for parameter in model.parameters():
                parameter.requires_grad = False

    def make(self, mean):
        first, second = nn.Linear(2, 2), nn.Linear(2, 2)
        self.freeze(first, second)
        first.bias[...] = mean
        second.weight[...] = torch.eye(2)
        return first, second

# run: first, second = Maker().make(1.0)
# shows: second.weight.tolist() == [[1.0, 0.0], [0.0, 1.0]]
```

### under no_grad, by nn.init, through data
```python
import torch
from torch import nn

weight = torch.randn(3, 3, requires_grad=True)
with torch.no_grad():
    weight[0] = 0
    weight *= 0.1
nn.init.normal_(weight)
layer = nn.Linear(2, 2)
nn.init.zeros_(layer.bias)
layer.weight.detach().zero_()
# shows: weight.is_leaf
```

### before it is a leaf
```python
import torch

x = torch.zeros(3)
x[0] = 1
x += 1
x.requires_grad_()
# shows: x.is_leaf
```

### a computed tensor
```python
import torch

x = torch.randn(3, requires_grad=True)
y = x * 2
y[0] = 0
y += 1
y.sum().backward()
# shows: x.grad.tolist() == [0.0, 2.0, 2.0]
```

### guarded by every caller
```python
import torch

def shrink(scale=0.5):
    weight = torch.randn(3, requires_grad=True)
    weight *= scale
    return weight

with torch.no_grad():
    w = shrink()
```

### looked up in a table, by somebody who holds a guard
```python
import torch
from torch import nn

def narrowed(layer, kept):
    new = nn.Linear(len(kept), layer.out_features, bias=False)
    new.weight.copy_(layer.weight[:, kept])
    return new

NARROWING = {"Linear": lambda layer, kept: narrowed(layer, kept)}

class Narrowing:
    def __init__(self, ways):
        self.ways = ways

    def narrow(self, layer, kept):
        with torch.no_grad():
            return self.ways.get(type(layer).__name__)(layer, kept)

# run: Narrowing(NARROWING).narrow(nn.Linear(4, 3, bias=False), [0, 2])
```

### a gradient that somebody keeps beside a parameter
```python
import torch

def accumulate(rows):
    model = torch.nn.Linear(2, 1)
    for parameter in model.parameters():
        parameter.main_grad = torch.zeros_like(parameter)
    model(rows).sum().backward()
    for name, parameter in model.named_parameters():
        parameter.main_grad.add_(parameter.grad)
    return model

accumulate(torch.ones(3, 2))
```

### shown to raise
```python
import pytest
import torch

def test_leaves_are_protected():
    x = torch.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError):
        x += 1

# run: test_leaves_are_protected()
```

### switched off for the while
```python
from torch import nn

def pruned(layer, index):
    kept = layer.weight[index].clone().detach()
    new = nn.Linear(layer.in_features, len(index)).to(layer.weight.device)
    new.weight.requires_grad = False
    new.weight.copy_(kept.contiguous())
    new.weight.requires_grad = True
    return new

# run: pruned(nn.Linear(3, 3), [0, 1])
```

### a list of parameters made longer
```python
from torch import nn

model, head = nn.Linear(2, 2), nn.Linear(2, 1)
parameters = list(model.parameters())
parameters += list(head.parameters())
# shows: len(parameters) == 4
```

### each parameter of a module that is frozen, or of which nobody knows
```python
import torch
from torch import nn

def perturb(model, scale):
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter), alpha=scale)

member = nn.Linear(2, 2).requires_grad_(False)
for parameter in member.parameters():
    parameter.mul_(2.0)
# run: perturb(member, 0.1)
```
"""
