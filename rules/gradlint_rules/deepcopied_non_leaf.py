"""`copy.deepcopy` of a computed tensor: only leaves can be copied so.

## Flagged

```python
import copy

import torch

weight = torch.ones(3, requires_grad=True)
best = copy.deepcopy(weight * 2)  # GL212
# raises: RuntimeError: Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol
```

## Instead

```python
import copy

import torch

weight = torch.ones(3, requires_grad=True)
best = (weight * 2).detach().clone()
# shows: best.tolist() == [2.0, 2.0, 2.0]
```

## Why

A deep copy would have to copy the tensor's graph, down to the leaves. torch refuses: `RuntimeError: Only
Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.` `.clone()`
gives a copy within the graph, `.detach().clone()` one without. `copy.copy`, `pickle` and `torch.save` let it
pass, and give back a leaf that requires grad and knows nothing of its graph.
"""

from collections.abc import Iterator

from gradlint.rule import COMPUTED, CallEvent, External, Finding, FunctionNode, Note, Project, Value, rule, scope


@rule("GL212", severity="warning", since="0.2.0")
def deepcopied_non_leaf(project: Project) -> Iterator[Finding]:
    """Find deep copies of tensors, or of lists of tensors, that are proved to be computed."""
    for function in project.functions():
        if "deepcopy" not in function.facts.words:
            continue
        silent = scope.expected_to_fail(function) | scope.tried(function)
        for event in project.flow(function).calls.values():
            if event.method == "deepcopy" and event.at not in silent and event.arguments:
                value = _computed(event.arguments[0].value)
                if value is not None and event.callee.target == External("copy.deepcopy"):
                    yield _finding(function, event, value)


def _computed(value: Value) -> Value | None:
    for item in (value, *(value.items or ())):
        if item.kind == "tensor" and item.tensor == COMPUTED:
            return item
    return None


def _finding(function: FunctionNode, event: CallEvent, value: Value) -> Finding:
    return Finding(
        function.place(event.at),
        function.name,
        "`deepcopy` raises: it is given a computed tensor, and only leaves can be copied",
        (Note(function.place(value.made_at), "it is computed here"),) if value.made_at is not None else (),
        help="`.detach().clone()` copies the values, `.clone()` keeps the graph",
    )


CASES = r"""
## Flagged

### in a list
```python
from copy import deepcopy

import torch

def best(points):
    weight = torch.ones(3, requires_grad=True)
    scores = [weight * 2, weight.sum()]
    return deepcopy(scores)  # GL212

# run: best(None)
# raises: RuntimeError: Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol
```

## Silent

### leaves, data, modules
```python
import copy

import torch
from torch import nn

weight = torch.ones(3, requires_grad=True)
kept = copy.deepcopy(weight), copy.deepcopy((weight * 2).detach()), copy.deepcopy(nn.Linear(2, 2))
with torch.no_grad():
    y = weight * 2
kept = copy.deepcopy(y), copy.copy(weight * 2)
```
"""
