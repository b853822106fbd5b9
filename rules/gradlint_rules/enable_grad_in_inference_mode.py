"""`enable_grad` is entered inside `inference_mode`, where it does not switch recording on.

## Flagged

```python
import torch

@torch.inference_mode()
def refine(model, image, steps):
    for _ in range(steps):
        with torch.enable_grad():  # GL315
            image = image.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(model(image).sum(), image)  # GL401
        image = image - 0.1 * gradient
    return image

# run: refine(model, image, 2)
# raises: RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn
```

## Instead

```python
import torch

@torch.no_grad()
def refine(model, image, steps):
    for _ in range(steps):
        with torch.enable_grad():
            image = image.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(model(image).sum(), image)
        image = image - 0.1 * gradient
    return image

# run: refined = refine(model, image, 2)
# shows: not refined.equal(image)
```

## Fixed

```python
import torch

@torch.inference_mode()
def refine(model, image, steps):
    for _ in range(steps):
        with torch.inference_mode(False):
            image = image.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(model(image).sum(), image)
        image = image - 0.1 * gradient
    return image
```

## Why

Inference mode is more than grad off: no operation inside it is recorded, whatever the grad mode
says. `torch.is_grad_enabled()` is even true under `enable_grad()` there, but results do not require
grad, and what is made there are inference tensors, which cannot be saved for backward later.

`torch.inference_mode(False)` does leave it, and switches grad on. Tensors made before, outside that
block, stay inference tensors: they need a `clone()` first. `no_grad()` has none of these limits.
"""

from collections.abc import Iterator

from gradlint.rule import (
    INFERENCE,
    Call,
    Constant,
    Edit,
    Expression,
    Finding,
    Fix,
    FunctionNode,
    Place,
    Project,
    all_of,
    dotted,
    rule,
    scope,
)


@rule("GL315", severity="error", since="0.1.0")
def enable_grad_in_inference_mode(project: Project) -> Iterator[Finding]:
    """Find what should switch grad on and stands where only inference mode can be left."""
    for function in filter(project.modes.involved, project.functions()):
        for expression in [*scope.with_items(function), *_statements(project, function)]:
            if _enables(project, function, expression) and _in_inference(project, function, expression.at):
                yield _finding(project, function, expression)


def _statements(project: Project, function: FunctionNode) -> Iterator[Call]:
    """``torch.set_grad_enabled(True)``, which acts without ``with``."""
    entered = {context.at for context in scope.with_items(function)}
    for expression in all_of(Call, function.facts.body):
        if expression.at not in entered and _sets(project, function, expression):
            yield expression


def _sets(project: Project, function: FunctionNode, call: Call) -> bool:
    return project.modes.made(function, call) == "set_grad_enabled"


def _enables(project: Project, function: FunctionNode, expression: Expression) -> bool:
    mode = project.modes.held(function, expression)
    if mode != "set_grad_enabled":
        return mode == "enable_grad"
    match expression:
        case Call(arguments=(argument,)):
            return isinstance(argument.value, Constant) and argument.value.value is True
        case _:
            return False


def _in_inference(project: Project, function: FunctionNode, at: int) -> bool:
    """In inference mode by its own doing, or by that of every caller."""
    if project.calls.own_states(function, at) == INFERENCE:
        return True
    callers = project.calls.callers.get(function, ())
    known = bool(callers) and all(edge.certain for edge in callers)
    return known and project.calls.states_at(function, at) == INFERENCE


def _finding(project: Project, function: FunctionNode, expression: Expression) -> Finding:
    is_own = project.calls.own_states(function, expression.at) == INFERENCE
    name = project.modes.held(function, expression)
    where = "inference mode" if is_own else "the inference mode of its callers"
    return Finding(
        function.place(expression.at),
        function.name,
        f"`{name}` does not leave {where}: nothing is recorded",
        help="use `no_grad` instead of `inference_mode`, or `inference_mode(False)` here",
        fix=_leave(function.place(expression.at), expression),
        severity=None if is_own else "warning",
    )


def _leave(place: Place, expression: Expression) -> Fix | None:
    name = dotted(expression.function) if isinstance(expression, Call) else None
    if name != "torch.enable_grad":
        return None
    text = "torch.inference_mode(False)"
    return Fix("unsafe", f"write `{text}`", (Edit(place, "replace", text),))


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Linear(8, 3)
image = torch.ones(4, 8)
```

## Flagged

### by a block, an alias, a flag
```python
import torch
from torch import enable_grad

on = torch.enable_grad()

def recorded(model, image):
    found = []
    with torch.inference_mode(), enable_grad():  # GL315
        found.append(model(image).requires_grad)
    with torch.inference_mode():
        with on:  # GL315
            found.append(model(image).requires_grad)
        with torch.set_grad_enabled(True):  # GL315
            found.append(model(image).requires_grad)
    return found

# run: found = recorded(model, image)
# shows: found == [False, False, False]
```

### a statement
```python
import torch

@torch.inference_mode()
def recorded(model, image):
    torch.set_grad_enabled(True)  # GL315
    return model(image).requires_grad, torch.is_grad_enabled()

# run: found = recorded(model, image)
# shows: found == (False, True)
```

### every caller is in inference mode
```python
import torch

def saliency(model, image):
    with torch.enable_grad():  # GL315
        image.requires_grad_()
        score = model(image).max()
        return torch.autograd.grad(score, image)[0]

def explain(model, images):
    with torch.inference_mode():
        return [saliency(model, image.clone()) for image in images]

# run: explain(model, [image])
# raises: RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn
```

## Silent

### inside no_grad
```python
import torch

@torch.no_grad()
def saliency(model, image):
    with torch.enable_grad():
        image.requires_grad_()
        return torch.autograd.grad(model(image).max(), image)[0]

# run: out = saliency(model, image)
# shows: out.abs().sum() > 0
```

### inference mode left
```python
import torch

def saliency(model, image):
    with torch.inference_mode():
        model(image)
        with torch.inference_mode(False):
            image = image.clone().requires_grad_()
            with torch.enable_grad():
                return torch.autograd.grad(model(image).max(), image)[0]

# run: out = saliency(model, image)
# shows: out.abs().sum() > 0
```

### one caller is not, or chooses
```python
import torch

def saliency(model, image):
    with torch.enable_grad():
        image.requires_grad_()
        return torch.autograd.grad(model(image).max(), image)[0]

def explain(model, image, fast):
    with torch.inference_mode(fast):
        return saliency(model, image)

@torch.inference_mode()
def warm_up(model, image):
    return saliency(model, image)

# run: out = explain(model, image, False)
# shows: out.abs().sum() > 0
```

### a name of the project
```python
import contextlib
import torch

@contextlib.contextmanager
def enable_grad():
    with torch.inference_mode(False):
        yield

def recorded(model, image):
    with torch.inference_mode():
        with enable_grad():
            return (image.clone() * model.weight[0]).requires_grad

# run: found = recorded(model, image)
# shows: found
```
"""
