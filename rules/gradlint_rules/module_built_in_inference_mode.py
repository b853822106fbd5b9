"""A module is built under `inference_mode()` and trained outside: its parameters cannot be updated.

## Flagged

```python
import torch
from torch import nn

def train(images):
    with torch.inference_mode():
        model = nn.Linear(2, 1)  # GL317
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(images).sum().backward()
    optimizer.step()

# run: train(images)
# raises: RuntimeError: Inplace update to inference tensor outside InferenceMode is not allowed.
```

## Instead

```python
import torch
from torch import nn

def train(images):
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(images).sum().backward()
    optimizer.step()

# run: train(images)
```

## Fixed

```python
import torch
from torch import nn

def train(images):
    with torch.no_grad():
        model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(images).sum().backward()
    optimizer.step()
```

## Why

Parameters made under `inference_mode()` are inference tensors, for good. A network of one layer runs forward
and backward, and the optimizer's step raises `RuntimeError: Inplace update to inference tensor outside
InferenceMode is not allowed.` One of several layers raises before that: `RuntimeError: Inference tensors cannot
be saved for backward.` Moving a module to another device or type there, and the first forward of a lazy one,
make such parameters too; loading a `state_dict` does not.
"""

import re
from collections.abc import Iterator

from gradlint.rule import (
    INFERENCE,
    Call,
    CallEvent,
    Expression,
    Finding,
    FunctionNode,
    Note,
    Optimizer,
    Passed,
    Project,
    dotted,
    rewrites,
    rule,
    scope,
)

_DTYPE = re.compile(r"(^|[._])(dtype|float\d*|double|half|bfloat16)$")


@rule("GL317", severity="warning", since="0.2.0")
def module_built_in_inference_mode(project: Project) -> Iterator[Finding]:
    """Find modules that are made under a function's own ``inference_mode()`` and given to an optimizer outside."""
    for function in project.functions():
        optimizers = {each.parameters.value.of: each for each in project.optimizers.made(function)}
        silent = scope.expected_to_fail(function) if optimizers else frozenset()
        for path, value in scope.assigned(function) if optimizers else ():
            optimizer = optimizers.get(path)
            if (
                optimizer is not None
                and value.at not in silent
                and _is_built_there(project, function, value)
                and not project.calls.states_at(function, optimizer.event.at) & INFERENCE
            ):
                yield _finding(function, path, value, optimizer)


def _is_built_there(project: Project, function: FunctionNode, value: Expression) -> bool:
    event = project.flow(function).calls.get(value.at) if isinstance(value, Call) else None
    if event is None or not (event.result.kind == "module" or _is_converted(project, event)):
        return False
    return project.inference_tensors.builds(function, event)


def _is_converted(project: Project, event: CallEvent) -> bool:
    """``model.to(torch.float64)``, ``model.double()``: other parameters, as a rule."""
    match event:
        case CallEvent(method="half" | "double" | "bfloat16" | "float"):
            pass
        case CallEvent(method="to", arguments=arguments) if any(_DTYPE.search(_spelt(a)) for a in arguments):
            pass
        case _:
            return False
    owner = event.name.rpartition(".")[0]
    return event.receiver is not None and event.receiver.kind in ("unknown", "module") and bool(owner)


def _spelt(argument: Passed) -> str:
    return dotted(argument.expression) or ""


def _finding(function: FunctionNode, path: str, value: Expression, optimizer: Optimizer) -> Finding:
    return Finding(
        function.place(value.at),
        function.name,
        f"`{path}` cannot be trained: its parameters are inference tensors, made under `inference_mode()`",
        (Note(function.place(optimizer.event.at), "an optimizer is to change them"),),
        help="build the module outside, or use `torch.no_grad()`",
        fix=rewrites.without_inference_mode(function, value.at),
    )


CASES = r"""
```python setup
import torch
images = torch.ones(3, 2)
```

## Flagged

### moved there
```python
import torch
from torch import nn

def train(images):
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    with torch.inference_mode():
        model = model.double()  # GL317
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(images.double()).sum().backward()
    optimizer.step()

# run: train(images)
# raises: RuntimeError: Inference tensors cannot be saved for backward.
```

### by a function, and converted
```python
import torch
from torch import nn

@torch.inference_mode()
def build():
    return nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))

def train(images):
    model = build()  # GL317
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(images).sum().backward()
    optimizer.step()

def tune(model, images):
    with torch.inference_mode():
        model = model.to(torch.float64)  # GL317
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(images.double()).sum().backward()
    optimizer.step()

# run: train(images)
# run: tune(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)), images)
# raises: RuntimeError: In
```

### in a block of the function that builds it
```python
import torch
from torch import nn

def build(width):
    with torch.inference_mode():
        net = nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, 1))
    return net

def train(images):
    model = build(4)  # GL317
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(images).sum().backward()
    optimizer.step()

# run: train(images)
# raises: RuntimeError: In
```

## Silent

### built under no_grad, or never trained
```python
import torch
from torch import nn

def train(images):
    with torch.no_grad():
        model = nn.Linear(2, 1)
    with torch.inference_mode():
        teacher = nn.Linear(2, 1)
        print(teacher(images).mean())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(images).sum().backward()
    optimizer.step()

# run: train(images)
```

### measured there, and built outside
```python
import torch
from torch import nn

def build(images):
    net = nn.Linear(2, 1)
    with torch.inference_mode():
        print(net(images).mean())
    return net

def train(images):
    model = build(images)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(images).sum().backward()
    optimizer.step()

# run: train(images)
```
"""
