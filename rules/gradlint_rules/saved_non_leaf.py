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

from gradlint.rule import COMPUTED, Edit, Finding, Fix, FunctionNode, Project, Value, dotted, rule

_SAVE = "torch.save"


@rule("GL214", severity="advice", since="0.1.0")
def saved_non_leaf(project: Project) -> Iterator[Finding]:
    """Find saves of tensors that are known to be computed."""
    for function in project.functions():
        if "save" not in function.facts.words:
            continue
        for event in project.flow(function).calls.values():
            if getattr(event.callee.target, "name", "") == _SAVE and event.arguments:
                first = event.arguments[0]
                if any(_is_computed(value) for value in (first.value, *(first.value.items or ()))):
                    yield Finding(
                        function.place(event.at),
                        function.name,
                        "a computed tensor is saved: it is loaded as a leaf that requires grad",
                        help="save `.detach()` of it",
                        fix=_detach(function, first.expression.at) if dotted(first.expression) else None,
                    )


def _is_computed(value: Value) -> bool:
    return value.kind == "tensor" and value.tensor == COMPUTED


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

## Silent

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
