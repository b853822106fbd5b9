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
`y.requires_grad_(True)` lets that pass, and `y.requires_grad_(False)` raises as well.
"""

from collections.abc import Iterator

from gradlint.rule import COMPUTED, CallEvent, Finding, Flow, FunctionNode, Note, Project, Value, rule, scope

_SETTING = frozenset({"requires_grad", "requires_grad_"})


@rule("GL206", severity="error", since="0.2.0")
def requires_grad_on_non_leaf(project: Project) -> Iterator[Finding]:
    """Find the flag being set on tensors that are proved to be computed."""
    for function in project.functions():
        if _SETTING.isdisjoint(function.facts.words):
            continue
        silent = scope.expected_to_fail(function) | scope.tried(function)
        for at, path, owner, wanted in _set(project.flow(function)):
            if at not in silent and owner.is_tensor and owner.tensor == COMPUTED:
                yield _finding(function, at, path, owner, wanted)


def _set(flow: Flow) -> Iterator[tuple[int, str, Value, object]]:
    """Where the flag is set so that only a leaf allows it: by what name, of what, and to what."""
    for event in flow.attributes.values():
        if event.name == "requires_grad" and event.stored is not None:
            yield event.at, (event.path or "").removesuffix(".requires_grad"), event.owner, event.stored.constant
    for call in flow.calls.values():
        if call.method == "requires_grad_" and call.receiver is not None and _turns_off(call):
            yield call.at, call.name.removesuffix(".requires_grad_"), call.receiver, False


def _turns_off(call: CallEvent) -> bool:
    """Whether ``requires_grad_`` is called with False: what is computed lets True pass."""
    return [argument.value.constant for argument in call.arguments] == [False]


def _finding(function: FunctionNode, at: int, path: str, owner: Value, wanted: object) -> Finding:
    name = "the tensor" if path in ("", "?") else f"`{path}`"
    remedy = f"{name.strip('`')}.detach()" if path not in ("", "?") else ".detach()"
    made = owner.made_at
    return Finding(
        function.place(at),
        function.name,
        f"setting `requires_grad` raises: {name} was computed, and only the flags of leaves can be changed",
        (Note(function.place(made), "it is computed here"),) if made is not None else (),
        help=f"`{remedy}` gives a tensor without the graph" if wanted is False else "set it on the leaf instead",
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

### by the method, with False
```python
import torch
from torch import nn

def features(x):
    layer = nn.Linear(3, 3)
    hidden = layer(x).relu()
    hidden.requires_grad_(False)  # GL206
    return hidden

# run: features(torch.ones(3))
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

### the method, with False, on leaves and what has no graph
```python
import torch
from torch import nn

def frozen(x, wanted):
    layer = nn.Linear(3, 3).requires_grad_(False)
    hidden = layer(x).relu()
    hidden.requires_grad_(False)
    x = x.requires_grad_(False)
    hidden.detach().requires_grad_(wanted)
    return hidden

# run: hidden = frozen(torch.ones(3), False)
# shows: not hidden.requires_grad
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
