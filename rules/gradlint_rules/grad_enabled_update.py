"""A parameter is updated by hand, from its gradient, while operations are recorded.

## Flagged

```python
import torch

weight = torch.ones(3, requires_grad=True)
(weight**2).sum().backward()
weight -= 0.1 * weight.grad  # GL209
# raises: RuntimeError: a leaf Variable that requires grad is being used in an in-place operation.
```

## Instead

```python
import torch

weight = torch.ones(3, requires_grad=True)
(weight**2).sum().backward()
with torch.no_grad():
    weight -= 0.1 * weight.grad
# shows: weight.is_leaf and weight.requires_grad
```

## Fixed

```python
import torch

weight = torch.ones(3, requires_grad=True)
(weight**2).sum().backward()
with torch.no_grad():
    weight -= 0.1 * weight.grad
```

## Why

The update is no part of what is to be differentiated, but autograd cannot know that: it is an operation in
place on a leaf that requires grad, and raises `RuntimeError: a leaf Variable that requires grad is being used
in an in-place operation.` Under `no_grad()` it is not recorded. `weight = weight - 0.1 * weight.grad` there is
no way out: it makes another tensor, one that does not require grad.
"""

from collections.abc import Iterator

from gradlint.rule import (
    COMPUTED,
    LEAF,
    PLAIN,
    ChangeEvent,
    Finding,
    Fix,
    FunctionNode,
    Project,
    changes,
    rewrites,
    rule,
    scope,
)


@rule("GL209", severity="error", since="0.2.0")
def grad_enabled_update(project: Project) -> Iterator[Finding]:
    """Find updates in place of tensors by their own gradient, where recording is on."""
    for function in project.functions():
        if "grad" not in function.facts.words or not (updates := changes.gradient_updates(function)):
            continue
        silent = scope.expected_to_fail(function) | scope.tried(function)
        for event in project.flow(function).changes.values():
            if (
                event.at in updates
                and event.at not in silent
                and _may_be_leaf(function, event)
                and project.certainly_records(function, event.at)
            ):
                yield _finding(function, event)


def _may_be_leaf(function: FunctionNode, event: ChangeEvent) -> bool:
    if event.owner.kind == "parameters":
        return True
    return event.owner.tensor not in (PLAIN, COMPUTED) and scope.imports_torch(function)


def _finding(function: FunctionNode, event: ChangeEvent) -> Finding:
    name = event.path or "the tensor"
    return Finding(
        function.place(event.at),
        function.name,
        f"the update of `{name}` raises: it is an operation in place on a leaf, and operations are recorded here",
        help="make the update under `torch.no_grad()`",
        fix=_guarded(function, event),
    )


def _guarded(function: FunctionNode, event: ChangeEvent) -> Fix | None:
    edits = rewrites.under_no_grad(function, event.at)
    is_leaf = event.owner.kind == "parameters" or event.owner.tensor == LEAF
    return Fix("safe" if is_leaf else "unsafe", "put it under `torch.no_grad()`", edits) if edits else None


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Linear(2, 1)
model(torch.ones(3, 2)).sum().backward()
```

## Flagged

### all parameters of a model
```python
def step(model, lr):
    for parameter in model.parameters():
        parameter -= lr * parameter.grad  # GL209

# run: step(model, 0.1)
# raises: RuntimeError: a leaf Variable that requires grad is being used in an in-place operation.
```

### by methods
```python
import torch

def fit(rows, targets):
    weight = torch.zeros(2, requires_grad=True)
    ((rows @ weight - targets) ** 2).mean().backward()
    weight.sub_(0.1 * weight.grad)  # GL209
    return weight

# run: fit(torch.ones(3, 2), torch.ones(3))
# raises: RuntimeError: a leaf Variable that requires grad is being used in an in-place operation.
```

### of what is handed in
```python
import torch

def sgd(params, lr, batch_size):
    for param in params:
        param -= lr * param.grad / batch_size  # GL209
        param.grad.zero_()

# run: sgd(list(model.parameters()), 0.1, 3)
# raises: RuntimeError: a leaf Variable that requires grad is being used in an in-place operation.
```

## Silent

### guarded, in a function that every caller guards
```python
import torch

def step(model, lr):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= lr * parameter.grad

@torch.no_grad()
def other_step(model, lr):
    for parameter in model.parameters():
        parameter.add_(parameter.grad, alpha=-lr)

# run: step(model, 0.1)
# run: other_step(model, 0.1)
```

### by an optimizer of one's own, whose step somebody calls under a guard
```python
import torch

class Descent:
    def __init__(self, parameters, lr):
        self.parameters, self.lr = parameters, lr

    def step(self):
        for parameter in self.parameters:
            parameter -= self.lr * parameter.grad

def fit(model, rows, optimizer):
    loss = model(rows).square().mean()
    with torch.no_grad():
        loss.backward()
        optimizer.step()

# run: fit(model, torch.ones(3, 2), Descent([*model.parameters()], 0.1))
```

### of the gradient itself
```python
import torch

def clip(model, most):
    for parameter in model.parameters():
        parameter.grad *= min(1.0, most / parameter.grad.norm())

# run: clip(model, 0.1)
```

### of what is no tensor of torch
```python
class Scalar:
    def __init__(self, value):
        self.value, self.grad = value, 1.0

    def __isub__(self, step):
        self.value -= step
        return self

def step(scalars, lr):
    for scalar in scalars:
        scalar -= lr * scalar.grad

# run: step([Scalar(2.0)], 0.1)
```

### of data
```python
import torch

def step(weights, lr):
    for weight in weights:
        weight.data -= lr * weight.grad
        weight.detach().sub_(lr * weight.grad)

# run: step(list(model.parameters()), 0.1)
```

### of what is handed in, under a guard of the caller
```python
import torch

def sgd(params, lr):
    for param in params:
        param -= lr * param.grad

def train_step(model):
    with torch.no_grad():
        sgd(model.parameters(), 0.1)

# run: train_step(model)
```
"""
