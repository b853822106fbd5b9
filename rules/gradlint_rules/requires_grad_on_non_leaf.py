"""The flag `requires_grad` of a computed tensor is set: only leaves can be asked to.

## Flagged

```python
import torch

w = torch.ones(3, requires_grad=True)
y = w * 2
y.requires_grad = False  # GL206
# raises: RuntimeError: you can only change requires_grad flags of leaf variables.
```

## Instead

```python
import torch

w = torch.ones(3, requires_grad=True)
y = (w * 2).detach()
# shows: not y.requires_grad
```

## Why

A computed tensor requires grad because something it was computed from does; its flag cannot be changed.
`y.requires_grad = False` raises `RuntimeError: you can only change requires_grad flags of leaf variables. If
you want to use a computed variable in a subgraph that doesn't require differentiation use var_no_grad =
var.detach().` Setting it to `True` raises too, even though it is `True` already; the method
`y.requires_grad_(True)` lets that pass.
"""

from collections.abc import Iterator

from gradlint.rule import COMPUTED, AttributeEvent, Finding, FunctionNode, Note, Project, rule, scope


@rule("GL206", severity="error", since="0.2.0")
def requires_grad_on_non_leaf(project: Project) -> Iterator[Finding]:
    """Find the flag being set on tensors that are proved to be computed."""
    for function in project.functions():
        if "requires_grad" not in function.facts.words:
            continue
        silent = scope.expected_to_fail(function) | scope.tried(function)
        for event in project.flow(function).attributes.values():
            if (
                event.name == "requires_grad"
                and event.stored is not None
                and event.at not in silent
                and event.owner.is_tensor
                and event.owner.tensor == COMPUTED
            ):
                yield _finding(function, event)


def _finding(function: FunctionNode, event: AttributeEvent) -> Finding:
    name = (event.path or "").removesuffix(".requires_grad") or "the tensor"
    made = event.owner.made_at
    wanted = event.stored.constant if event.stored is not None else None
    remedy = f"`{name}.detach()` gives a tensor without the graph" if wanted is False else "set it on the leaf instead"
    return Finding(
        function.place(event.at),
        function.name,
        f"setting `requires_grad` raises: `{name}` was computed, and only the flags of leaves can be changed",
        (Note(function.place(made), "it is computed here"),) if made is not None else (),
        help=remedy,
    )


CASES = r"""
## Flagged

### set to what it is
```python
import torch

x = torch.ones(3, requires_grad=True)
hidden = torch.relu(x)
hidden.requires_grad = True  # GL206
# raises: RuntimeError: you can only change requires_grad flags of leaf variables.
```

### in a function
```python
import torch

def scaled(factor):
    weight = torch.ones(3, requires_grad=True)
    weight = weight / factor
    weight.requires_grad = True  # GL206
    return weight

# run: scaled(3)
# raises: RuntimeError: you can only change requires_grad flags of leaf variables.
```

## Silent

### leaves, data and what is detached
```python
import torch

x = torch.ones(3)
x.requires_grad = True
y = torch.rand(3) * 2
y.requires_grad = True
z = (x * y).detach()
z.requires_grad = True
# shows: x.is_leaf and y.is_leaf and z.is_leaf
```

### the method, which lets True pass
```python
import torch

x = torch.ones(3, requires_grad=True)
y = x * 2
y.requires_grad_(True)
# shows: y.requires_grad
```

### computed where nothing is recorded
```python
import torch

x = torch.ones(3, requires_grad=True)
with torch.no_grad():
    y = x * 2
y.requires_grad = True
# shows: y.is_leaf
```

### parameters
```python
from torch import nn

model = nn.Linear(2, 2)
for parameter in model.parameters():
    parameter.requires_grad = False
model.bias.requires_grad = True
# shows: not model.weight.requires_grad
```

### shown to raise
```python
import pytest
import torch

def test_flags_of_computed_tensors_are_fixed():
    y = torch.ones(3, requires_grad=True) * 2
    with pytest.raises(RuntimeError):
        y.requires_grad = False

# run: test_flags_of_computed_tensors_are_fixed()
```
"""
