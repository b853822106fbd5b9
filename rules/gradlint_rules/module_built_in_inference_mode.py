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
    Passed,
    Place,
    Project,
    dotted,
    is_bound,
    matched,
    rewrites,
    rule,
    scope,
)

_DTYPE = re.compile(r"(^|[._])(dtype|float\d*|double|half|bfloat16)$")


@rule("GL317", severity="warning", since="0.2.0")
def module_built_in_inference_mode(project: Project) -> Iterator[Finding]:
    """Find modules that are made under a function's own ``inference_mode()`` and given to an optimizer outside."""
    for function in project.functions():
        if not project.inference_tensors.are_near(function):
            continue
        silent = scope.expected_to_fail(function)
        for path, value in scope.assigned(function):
            there = value.at not in silent and _is_built_there(project, function, value)
            if there and (place := _given_to_optimizer(project, function, path)) is not None:
                yield _finding(function, path, value, place)


def _given_to_optimizer(project: Project, function: FunctionNode, path: str) -> Place | None:
    """Where an optimizer is given a module's parameters, outside: by the function, or by one that gets the module."""
    for optimizer in project.optimizers.made(function):
        if optimizer.parameters.value.of == path and _is_outside(project, function, optimizer.event.at):
            return function.place(optimizer.event.at)
    if [name for name, _ in scope.assigned(function)].count(path) != 1:
        return None  # another module may be handed over
    for event in project.flow(function).calls.values():
        handed = [argument.value for argument in event.arguments if dotted(argument.expression) == path]
        if len(event.targets) != 1 or len(handed) != 1:
            continue
        callee = event.targets[0]
        passed = matched(event.arguments, callee, bound=is_bound(event, callee))
        names = [name for name, value in passed.items() if value is handed[0]]
        for optimizer in project.optimizers.made(callee) if len(names) == 1 else ():
            again = any(name == names[0] for name, _ in scope.assigned(callee))
            own = optimizer.parameters.value.of == names[0] and not again
            if own and _is_outside(project, callee, optimizer.event.at):
                return callee.place(optimizer.event.at)
    return None


def _is_outside(project: Project, function: FunctionNode, at: int) -> bool:
    return not project.calls.states_at(function, at) & INFERENCE


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


def _finding(function: FunctionNode, path: str, value: Expression, optimizer: Place) -> Finding:
    return Finding(
        function.place(value.at),
        function.name,
        f"`{path}` cannot be trained: its parameters are inference tensors, made under `inference_mode()`",
        (Note(optimizer, "an optimizer is to change them"),),
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

### handed to the function that trains it
```python
import torch
from torch import nn

@torch.inference_mode()
def load_head(state=None):
    head = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    if state is not None:
        head.load_state_dict(state)
    return head

def fit(net, images):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net(images).sum().backward()
    optimizer.step()

def main(images):
    with torch.inference_mode():
        probe = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))  # GL317
    head = load_head()  # GL317
    fit(probe, images)
    fit(head, images)

# run: main(images)
# run: fit(load_head(), images)
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

### only put into evaluation mode there, replaced, or handed to what does not train it
```python
import torch
from torch import nn

@torch.inference_mode()
def measured(model, images):
    print(model(images).mean())
    return model.eval()

def fit(net, images):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net(images).sum().backward()
    optimizer.step()

def renewed(net, images):
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net(images).sum().backward()
    optimizer.step()

def predict(net, images):
    with torch.no_grad():
        return net(images)

def main(images):
    model = measured(nn.Linear(2, 1), images)
    fit(model, images)
    with torch.inference_mode():
        probe = nn.Linear(2, 1)
        other = nn.Linear(2, 1)
    predict(probe, images)
    renewed(probe, images)
    other = nn.Linear(2, 1)
    fit(other, images)

# run: main(images)
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
