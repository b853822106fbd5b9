"""`backward(create_graph=True)` makes parameters and gradients hold each other: memory is never freed.

## Flagged

```python
def penalty_step(model, images):
    loss = model(images).pow(2).sum()
    loss.backward(create_graph=True)  # GL109
    return sum(parameter.grad.pow(2).sum() for parameter in model.parameters())

# run: penalty_step(model, images)
# warns: UserWarning: Using backward() with create_graph=True will create a reference cycle between the parameter
```

## Instead

```python
import torch

def penalty_step(model, images):
    loss = model(images).pow(2).sum()
    gradients = torch.autograd.grad(loss, list(model.parameters()), create_graph=True)
    return sum(gradient.pow(2).sum() for gradient in gradients)

# run: penalty_step(model, images)
```

## Why

The gradients get a graph of their own, which holds the parameters, which hold the gradients: a cycle that
neither reference counting nor Python's collector can break. `UserWarning: Using backward() with
create_graph=True will create a reference cycle between the parameter and its gradient which can cause a memory
leak.` Thirty steps with a parameter of 1 MB left 95 MB behind. `torch.autograd.grad(..., create_graph=True)`
stores nothing in `.grad`; where `backward()` is needed, set the gradients to `None` afterwards (`zero_grad()`
does).
"""

from collections.abc import Iterator

from gradlint.rule import Act, Finding, FunctionNode, Project, acts_of, rule, scope


@rule("GL109", severity="warning", since="0.2.0")
def create_graph_backward(project: Project) -> Iterator[Finding]:
    """Find such calls where nothing in the function, nor in those that call it, sets gradients to None."""
    for function in project.functions():
        if "backward" not in function.facts.words:
            continue
        acts = list(acts_of(project.order.steps.script(function)))
        found = [act for act in acts if act.kind == "backward" and act.inside is None and _creates(act)]
        if found and not _clears(acts) and not any(_clears_above(project, function)):
            silent = scope.expected_to_fail(function)
            yield from (_finding(function, act) for act in found if act.at not in silent)


def _creates(act: Act) -> bool:
    return act.option("create_graph") is True


def _clears(acts: list[Act]) -> bool:
    return any(act.kind in ("zero", "anything") for act in acts)


def _clears_above(project: Project, function: FunctionNode) -> Iterator[bool]:
    for edge in project.calls.callers.get(function, ()):
        yield _clears(list(acts_of(project.order.steps.script(edge.caller))))


def _finding(function: FunctionNode, act: Act) -> Finding:
    name = f"{act.path}.backward" if act.path else "backward"
    return Finding(
        function.place(act.at),
        function.name,
        f"`{name}(create_graph=True)` leaves a cycle of parameters and gradients: their memory is never freed",
        help="use `torch.autograd.grad(..., create_graph=True)`, or set the gradients to None afterwards",
    )


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Linear(2, 1)
images = torch.ones(3, 2)
```

## Flagged

### hand-made second derivatives
```python
import torch

def curvature(x):
    y = (x**3).sum()
    y.backward(create_graph=True)  # GL109
    return x.grad.sum()

# run: curvature(torch.ones(2, requires_grad=True))
# warns: UserWarning: Using backward() with create_graph=True will create a reference cycle between the parameter
```

### by the function, and the second derivatives by another
```python
import torch

def curvature(model, images):
    loss = model(images).square().mean()
    torch.autograd.backward(loss, create_graph=True)  # GL109
    return [torch.autograd.grad(p.grad.sum(), p, retain_graph=True)[0] for p in model.parameters()]

# run: curvature(model, images)
# warns: UserWarning: Using backward() with create_graph=True will create a reference cycle between the parameter
```

## Silent

### cleared afterwards, or by the caller
```python
import torch

def step(model, images, optimizer):
    model(images).pow(2).sum().backward(create_graph=True)
    optimizer.step()
    optimizer.zero_grad()

def gradients(model, images):
    model(images).pow(2).sum().backward(create_graph=True)
    return [parameter.grad for parameter in model.parameters()]

def hessian_step(model, images):
    found = gradients(model, images)
    for parameter in model.parameters():
        parameter.grad = None
    return found

# run: step(model, images, torch.optim.SGD(model.parameters()))
# run: hessian_step(model, images)
```

### no graph is made
```python
import torch

def step(model, images):
    model(images).sum().backward(create_graph=False)
    loss = model(images).pow(2).sum()
    return torch.autograd.grad(loss, list(model.parameters()), create_graph=True)

# run: step(model, images)
```
"""
