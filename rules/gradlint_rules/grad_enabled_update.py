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
        found = {**dict(_by_gradients(project, function)), **dict(_by_steps(project, function))}
        silent = scope.expected_to_fail(function) | scope.tried(function) if found else frozenset[int]()
        for at in sorted(found):
            if at not in silent and project.certainly_records(function, at):
                yield _finding(function, at, *found[at])


def _by_gradients(project: Project, function: FunctionNode) -> Iterator[tuple[int, tuple[str, bool]]]:
    """What is changed by its own gradient: the place, the name, and whether it is proved to be a leaf."""
    if "grad" not in function.facts.words or not (updates := changes.gradient_updates(function)):
        return
    for event in project.flow(function).changes.values():
        if event.at in updates and _may_be_leaf(function, event):
            is_leaf = event.owner.kind == "parameters" or event.owner.tensor == LEAF
            yield event.at, (event.path or "the tensor", is_leaf)


def _by_steps(project: Project, function: FunctionNode) -> Iterator[tuple[int, tuple[str, bool]]]:
    """The parameters that an optimizer of one's own changes by whatever its step computes."""
    for at, name in project.optimizer_updates.in_place(function):
        yield at, (name, True)


def _may_be_leaf(function: FunctionNode, event: ChangeEvent) -> bool:
    if event.owner.kind == "parameters":
        return True
    return event.owner.tensor not in (PLAIN, COMPUTED) and scope.imports_torch(function)


def _finding(function: FunctionNode, at: int, name: str, is_leaf: bool) -> Finding:
    edits = rewrites.under_no_grad(function, at)
    return Finding(
        function.place(at),
        function.name,
        f"the update of `{name}` raises: it is an operation in place on a leaf, and operations are recorded here",
        help="make the update under `torch.no_grad()`",
        fix=Fix("safe" if is_leaf else "unsafe", "put it under `torch.no_grad()`", edits) if edits else None,
    )


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

### by the step of an optimizer of one's own
```python
import torch

class Momentum(torch.optim.Optimizer):
    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr})

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.add_(p.grad, alpha=-group["lr"])  # GL209

class Scaled(torch.optim.Optimizer):
    def __init__(self, parameters, lr, decay=0.0):
        super().__init__(parameters, {"lr": lr, "decay": decay})

    def step(self, closure=None):
        for group in self.param_groups:
            for number, p in enumerate(group["params"]):
                if p.grad is None:
                    continue
                gradient = p.grad
                if group["decay"]:
                    p.mul_(1 - group["lr"] * group["decay"])  # GL209
                p.addcdiv_(gradient, gradient.abs() + 1e-8, value=-group["lr"])  # GL209

class Signed(torch.optim.Optimizer):
    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr})

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                direction = p.grad.sign()
                p -= group["lr"] * direction  # GL209

# run: Momentum(model.parameters(), 0.1).step()
# run: Scaled(model.parameters(), 0.1).step()
# run: Scaled(model.parameters(), 0.1, decay=0.5).step()
# run: Signed(model.parameters(), 0.1).step()
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

### by the step of an optimizer of one's own, guarded, of data, or of what has no gradient
```python
import torch
from torch.optim.optimizer import _use_grad_for_differentiable

class Guarded(torch.optim.Optimizer):
    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr, "differentiable": False})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.add_(p.grad, alpha=-group["lr"])

class Inside(Guarded):
    def step(self, closure=None):
        with torch.enable_grad():
            loss = closure() if closure is not None else None
        for group in self.param_groups:
            for p in group["params"]:
                with torch.no_grad():
                    p.mul_(0.9).add_(p.grad, alpha=-group["lr"])
        return loss

class ByTorch(Guarded):
    @_use_grad_for_differentiable
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.mul_(0.9)

class OfData(Guarded):
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.data.add_(p.grad, alpha=-group["lr"])
            for p in group["params"]:
                p = p.data
                p.mul_(0.9)

class Settled(Guarded):
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    p.mul_(0.9)
                else:
                    p.data.add_(p.grad, alpha=-group["lr"])

class Unfrozen(Guarded):
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if not p.requires_grad:
                    p.mul_(0.9)

for kind in (Guarded, Inside, ByTorch, OfData, Settled, Unfrozen):
    kind(model.parameters(), 0.1).step()
```

### by the step of an optimizer of one's own, which a training loop guards
```python
import torch

class Descent(torch.optim.Optimizer):
    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr})

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(group["lr"] * p.grad)

def fit(model, rows, optimizer):
    model(rows).square().mean().backward()
    with torch.no_grad():
        optimizer.step()

# run: fit(model, torch.ones(3, 2), Descent(model.parameters(), 0.1))
```

### by the step of what is no optimizer of torch's
```python
class Halving:
    def __init__(self, groups):
        self.param_groups = groups

    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.mul_(0.5)

# run: Halving([{"params": [model.weight.detach()]}]).step()
```
"""
