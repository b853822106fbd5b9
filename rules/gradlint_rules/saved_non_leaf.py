"""A computed tensor is saved: it comes back as a leaf, without its graph and still requiring grad.

## Flagged

```python
import torch

def save_scores(path):
    weight = torch.ones(3, requires_grad=True)
    scores = weight.exp()
    torch.save(scores, path)  # GL214

# run: save_scores("scores.pt")
# run: scores = torch.load("scores.pt")
# shows: scores.requires_grad and scores.is_leaf
```

## Instead

```python
import torch

def save_scores(path):
    weight = torch.ones(3, requires_grad=True)
    scores = weight.exp()
    torch.save(scores.detach(), path)

# run: save_scores("scores.pt")
# run: scores = torch.load("scores.pt")
# shows: not scores.requires_grad
```

## Why

A graph cannot be saved. `torch.save` writes the values and the flag, and says nothing: what is loaded
requires grad, has no `grad_fn`, and makes everything computed from it record a graph of its own.
"""

from collections.abc import Iterator

from gradlint.rule import (
    COMPUTED,
    CallEvent,
    Display,
    Edit,
    Expression,
    Finding,
    Fix,
    FunctionNode,
    Name,
    Project,
    Value,
    dotted,
    rule,
    scope,
)

_SAVE = "torch.save"


@rule("GL214", severity="advice", since="0.1.0")
def saved_non_leaf(project: Project) -> Iterator[Finding]:
    """Find saves of tensors that are known to be computed."""
    for function in project.functions():
        if "save" not in function.facts.words:
            continue
        for event in project.flow(function).calls.values():
            if getattr(event.callee.target, "name", "") == _SAVE and event.arguments:
                yield from _saved(project, function, event)


def _saved(project: Project, function: FunctionNode, event: CallEvent) -> Iterator[Finding]:
    first = event.arguments[0]
    if any(_is_computed(value) for value in (first.value, *(first.value.items or ()))):
        yield Finding(
            function.place(event.at),
            function.name,
            "a computed tensor is saved: it is loaded as a leaf that requires grad",
            help="save `.detach()` of it",
            fix=_detach(function, first.expression.at) if dotted(first.expression) else None,
        )
    env = project.flow(function).env
    for name in _in_dict(function, first.expression):
        if name.id in env and _is_computed(env[name.id]):
            yield Finding(
                function.place(name.at),
                function.name,
                f"`{name.id}` is saved, a computed tensor: it is loaded as a leaf that requires grad",
                help=f"save `{name.id}.detach()`, or `{name.id}.item()` if it is one number",
                fix=_detach(function, name.at),
            )


def _is_computed(value: Value) -> bool:
    return value.kind == "tensor" and value.tensor == COMPUTED


def _in_dict(function: FunctionNode, saved: Expression) -> Iterator[Name]:
    """The names among the values of ``{"epoch": epoch, "loss": loss}``, itself or by the one name it is given."""
    named = [value for name, value in scope.assigned(function) if name == dotted(saved)]
    match named[0] if len(named) == 1 else saved:
        case Display(kind="dict", items=items):
            yield from (item for item in items if isinstance(item, Name))
        case _:
            pass


def _detach(function: FunctionNode, at: int) -> Fix:
    return Fix("unsafe", "detach it", (Edit(function.place(at), "after", ".detach()"),))


CASES = r"""
```python setup
import torch
from torch import nn

weight = torch.ones(3, requires_grad=True)
model = nn.Linear(3, 1)
```

## Flagged

### among others
```python
import torch

def save(path):
    weight = torch.ones(3, requires_grad=True)
    scores, step = weight.exp(), 3
    torch.save([step, scores], path)  # GL214

# run: save("scores.pt")
# shows: torch.load("scores.pt")[1].requires_grad
```

### in the dict of a checkpoint
```python
import torch
from torch import nn

def train(model, batches, path):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch, (x, y) in enumerate(batches):
        loss = nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        torch.save({"epoch": epoch, "model": model.state_dict(), "loss": loss}, path)  # GL214
    checkpoint = {"model": model.state_dict(), "loss": loss}  # GL214
    torch.save(checkpoint, path)

# run: train(model, [(torch.ones(2, 3), torch.zeros(2, 1))], "checkpoint.pt")
# shows: torch.load("checkpoint.pt")["loss"].requires_grad
```

## Silent

### numbers in the dict of a checkpoint
```python
import torch
from torch import nn

def train(model, batches, path):
    total = 0.0
    for x, y in batches:
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        total += loss.item()
        torch.save({"loss": loss.item(), "total": total, "last": loss.detach()}, path)
        loss = loss.item()
    torch.save({"loss": loss}, path)

# run: train(model, [(torch.ones(2, 3), torch.zeros(2, 1))], "checkpoint.pt")
# shows: isinstance(torch.load("checkpoint.pt")["loss"], float)
```

### what has no graph
```python
import torch

def save(model, path):
    weight = torch.ones(3, requires_grad=True)
    torch.save(model.state_dict(), path)
    torch.save(weight.exp().detach(), path)
    torch.save(weight, path)
    with torch.no_grad():
        torch.save(weight.exp(), path)

# run: save(model, "scores.pt")
```

### another save
```python
import numpy as np

def save(scores, path):
    np.save(path, scores)

# run: save([1.0], "scores.npy")
```
"""
