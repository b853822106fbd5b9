"""A derivative of `torch.autograd.functional` is taken in inference mode: it is all zeros.

## Flagged

```python
import torch
from torch.autograd.functional import jacobian

@torch.inference_mode()
def sensitivity(model, image):
    return jacobian(model, image)  # GL318

# run: found = sensitivity(model, image)
# shows: found.abs().sum() == 0
```

## Instead

```python
import torch
from torch.func import jacrev

@torch.inference_mode()
def sensitivity(model, image):
    return jacrev(model)(image)

# run: found = sensitivity(model, image)
# shows: found.abs().sum() > 0
```

## Why

`jacobian`, `hessian`, `vjp`, `jvp` and the others of `torch.autograd.functional` switch grad on for
themselves, but that does not leave inference mode. Nothing is recorded, their output seems not to
depend on the input, and a derivative of zero is what they return for that, without a warning
(`strict=True` makes them raise).

Under `no_grad()` they are right. `torch.func.jacrev`, `hessian`, `vjp` and `jvp` are right in both.
"""

from collections.abc import Iterator

from gradlint.rule import INFERENCE, Call, Constant, Finding, FunctionNode, Project, rule

_DERIVATIVES = frozenset(
    f"torch.autograd.functional.{name}" for name in ("jacobian", "hessian", "vjp", "jvp", "vhp", "hvp")
)


@rule("GL318", severity="error", since="0.1.0")
def functional_derivative_in_inference_mode(project: Project) -> Iterator[Finding]:
    """Find calls of these functions that can only run in inference mode."""
    for function in project.functions():
        for call, name in project.modes.calls(function, _DERIVATIVES):
            if not _is_strict(call) and _in_inference(project, function, call):
                yield _finding(project, function, call, name.rpartition(".")[2])


def _is_strict(call: Call) -> bool:
    """A strict derivative raises by itself."""
    return any(a.keyword == "strict" and not _is_false(a.value) for a in call.arguments)


def _is_false(value: object) -> bool:
    return isinstance(value, Constant) and value.value is False


def _in_inference(project: Project, function: FunctionNode, call: Call) -> bool:
    """In inference mode by its own doing, or by that of every caller."""
    if project.calls.own_states(function, call.at) == INFERENCE:
        return True
    callers = project.calls.callers.get(function, ())
    known = bool(callers) and all(edge.certain for edge in callers)
    return known and project.calls.states_at(function, call.at) == INFERENCE


def _finding(project: Project, function: FunctionNode, call: Call, name: str) -> Finding:
    is_own = project.calls.own_states(function, call.at) == INFERENCE
    whose = "inference mode" if is_own else "the inference mode of its callers"
    return Finding(
        function.place(call.at),
        function.name,
        f"`{name}` gives zeros in {whose}",
        help="use `torch.no_grad()`, or the function of the same purpose in `torch.func`",
        severity=None if is_own else "warning",
    )


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Linear(3, 2)
image = torch.ones(3)
```

## Flagged

### each of them
```python
import torch
from torch.autograd import functional

def derivatives(model, image):
    ones = torch.ones(2)
    with torch.inference_mode():
        a = functional.jacobian(model, image)  # GL318
        b = torch.autograd.functional.vjp(model, image, ones)[1]  # GL318
        c = functional.jvp(model, image, torch.ones(3))[1]  # GL318
        d = functional.hessian(lambda x: (x**3).sum(), image)  # GL318
        e = functional.hvp(lambda x: (x**3).sum(), image, torch.ones(3))[1]  # GL318
        f = functional.vhp(lambda x: (x**3).sum(), image, torch.ones(3), strict=False)[1]  # GL318
    return a, b, c, d, e, f

# run: found = derivatives(model, image)
# shows: all(each.abs().sum() == 0 for each in found)
```

### every caller is in inference mode
```python
import torch
from torch.autograd.functional import jacobian as derivative

class Explainer:
    def __init__(self, model):
        self.model = model

    def row(self, image):
        return derivative(self.model, image)  # GL318

    @torch.inference_mode()
    def explain(self, images):
        return [self.row(image) for image in images]

# run: found = Explainer(model).explain([image])
# shows: found[0].abs().sum() == 0
```

## Silent

### under no_grad, or nothing
```python
import torch
from torch.autograd.functional import jacobian

@torch.no_grad()
def sensitivity(model, image):
    return jacobian(model, image)

# run: found = sensitivity(model, image), jacobian(model, image)
# shows: found[0].equal(found[1]) and found[0].abs().sum() > 0
```

### a strict one raises
```python
import torch
from torch.autograd.functional import jacobian

@torch.inference_mode()
def sensitivity(model, image):
    return jacobian(model, image, strict=True)

# run: import pytest
# run: with pytest.raises(RuntimeError): sensitivity(model, image)
```

### a caller outside inference mode
```python
import torch
from torch.autograd.functional import jacobian

def row(model, image):
    return jacobian(model, image)

@torch.inference_mode()
def quick(model, image):
    return row(model, image)

def exact(model, image):
    return row(model, image)

# run: found = exact(model, image)
# shows: found.abs().sum() > 0
```

### inference mode left
```python
import torch
from torch.autograd.functional import jacobian

@torch.inference_mode()
def sensitivity(model, image):
    with torch.inference_mode(False):
        return jacobian(model, image.clone())

# run: found = sensitivity(model, image)
# shows: found.abs().sum() > 0
```

### a function of the project
```python
import torch

def jacobian(model, image):
    return torch.func.jacrev(model)(image)

@torch.inference_mode()
def sensitivity(model, image):
    return jacobian(model, image)

# run: found = sensitivity(model, image)
# shows: found.abs().sum() > 0
```
"""
