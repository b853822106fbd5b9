"""A tensor that requires grad is converted to NumPy: torch refuses.

## Flagged

```python
import torch

weight = torch.ones(3, requires_grad=True)
line = weight * 2
array = line.numpy()  # GL213
# raises: RuntimeError: Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.
```

## Instead

```python
import torch

weight = torch.ones(3, requires_grad=True)
line = weight * 2
array = line.detach().numpy()
# shows: array.tolist() == [2.0, 2.0, 2.0]
```

## Fixed

```python
import torch

weight = torch.ones(3, requires_grad=True)
line = weight * 2
array = line.detach().numpy()
```

## Why

An array shares the tensor's memory and knows nothing of its graph, so torch asks for the graph to be cut in so
many words: `RuntimeError: Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy()
instead.` NumPy's own functions (`np.asarray`, `np.stack`, `np.mean` of a list of losses) call the same method.
Under `no_grad()` there is no such check, and `.numpy(force=True)`, `.tolist()` and `.item()` never ask.
"""

from collections.abc import Iterator

from gradlint.rule import (
    COMPUTED,
    LEAF,
    Attribute,
    Call,
    CallEvent,
    Edit,
    Expression,
    Finding,
    Fix,
    FunctionNode,
    Name,
    Note,
    Project,
    Subscript,
    Value,
    all_of,
    called_name,
    gives_no_known_tensor,
    rule,
    scope,
)

_CONVERTING = frozenset({"numpy", "asarray", "array"})
_OF_NUMPY = frozenset({"numpy.asarray", "numpy.array"})


@rule("GL213", severity="error", since="0.2.0")
def numpy_on_grad_tensor(project: Project) -> Iterator[Finding]:
    """Find conversions to NumPy of tensors that are proved to require grad, where recording is on."""
    for function in project.functions():
        if not _may_convert(function) or not project.calls.records_somewhere(function):
            continue
        silent = scope.expected_to_fail(function) | scope.tried(function)
        for event in project.flow(function).calls.values():
            value = _converted(project, function, event)
            if value is None or event.at in silent or not _requires_grad(value):
                continue
            if project.certainly_records(function, event.at):
                yield _finding(function, event, value)


def _may_convert(function: FunctionNode) -> bool:
    """Whether a function spells a conversion of what may be a tensor with a graph."""
    if function.facts.words.isdisjoint(_CONVERTING):
        return False
    for call in all_of(Call, function.facts.body):
        given = call.arguments[0].value if call.arguments else getattr(call.function, "value", None)
        if called_name(call) not in _CONVERTING or given is None or _is_detached(given):
            continue
        if not gives_no_known_tensor(function.facts, given):
            return True
    return False


def _is_detached(given: Expression) -> bool:
    """``loss.detach().cpu()``."""
    while isinstance(given, Call) and isinstance(given.function, Attribute):
        if given.function.name == "detach":
            return True
        given = given.function.value
    return False


def _converted(project: Project, function: FunctionNode, event: CallEvent) -> Value | None:
    if event.method == "numpy" and event.receiver is not None and not event.arguments:
        return event.receiver
    if event.method in ("asarray", "array") and project.name_of(function, event.name) in _OF_NUMPY:
        return event.arguments[0].value if event.arguments else None
    return None


def _requires_grad(value: Value) -> bool:
    return value.kind == "tensor" and value.tensor in (LEAF, COMPUTED, LEAF | COMPUTED)


def _finding(function: FunctionNode, event: CallEvent, value: Value) -> Finding:
    made = value.made_at
    return Finding(
        function.place(event.at),
        function.name,
        f"`{event.name.removeprefix('?.')}(...)` raises: the tensor requires grad"
        if event.arguments
        else "`.numpy()` raises: the tensor requires grad",
        (Note(function.place(made), "it is made here"),) if made is not None else (),
        help="take it from `.detach()`",
        fix=_detached(function, event),
    )


def _detached(function: FunctionNode, event: CallEvent) -> Fix | None:
    call = scope.call_at(function, event.at)
    if call is None or not isinstance(call.function, Attribute) or event.arguments:
        return None
    if not isinstance(call.function.value, Name | Attribute | Call | Subscript):
        return None  # in parentheses
    return Fix("safe", "detach it first", (Edit(function.place(call.function.value.at), "after", ".detach()"),))


CASES = r"""
## Flagged

### a leaf, and what is computed from it
```python
import torch

def plot(points):
    weight = torch.randn(3, requires_grad=True)
    line = torch.relu(points @ weight)
    return line.cpu().numpy()  # GL213

# run: plot(torch.randn(4, 3))
# raises: RuntimeError: Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.
```

### by numpy's functions
```python
import numpy as np
import torch

weight = torch.randn(3, requires_grad=True)
print(np.asarray(weight.exp()))  # GL213
# raises: RuntimeError: Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.
```

### a parameter
```python
from torch import nn

layer = nn.Linear(2, 2)
print(layer.weight.numpy())  # GL213
# raises: RuntimeError: Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.
```

### what `backward()` has run on
```python
def train_step(model, criterion, images, labels):
    loss = criterion(model(images), labels)
    loss.backward()
    return loss.numpy()  # GL213

# run: import torch; train_step(torch.nn.Linear(2, 1), torch.nn.MSELoss(), torch.ones(3, 2), torch.ones(3, 1))
# raises: RuntimeError: Can't call numpy() on Tensor that requires grad.
```

### what a layer or a module gives that was just made
```python
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(2, 4)
        self.layers = nn.Sequential(nn.ReLU(), nn.Linear(4, 1))

    def forward(self, x):
        return self.layers(self.hidden(x))

def plot():
    net = Net()
    net.eval()
    return net(torch.ones(3, 2)).squeeze().numpy()  # GL213

layer = nn.Linear(2, 2)

def show():
    print(layer(torch.ones(1, 2)).numpy())  # GL213

# run: show()
# raises: RuntimeError: Can't call numpy() on Tensor that requires grad.
# run: plot()
# raises: RuntimeError: Can't call numpy() on Tensor that requires grad.
```

## Silent

### in a method that somebody calls by its name, under a guard
```python
import torch
from torch import nn

class Scorer:
    def __init__(self, size):
        self.size = size

    def get(self):
        layer = nn.Linear(self.size, 1)
        return layer(torch.ones(3, self.size)).numpy()

def report(scorer):
    with torch.no_grad():
        return scorer.get().mean()

# run: report(Scorer(2))
```

### detached, forced, or looked at
```python
import torch

weight = torch.randn(3, requires_grad=True)
line = weight * 2
print(line.detach().numpy(), line.numpy(force=True), line.tolist(), line.data.numpy())
```

### where nothing is recorded
```python
import torch
from torch import nn

layer = nn.Linear(2, 2)

@torch.no_grad()
def weights(layer):
    return layer.weight.cpu().numpy()

with torch.inference_mode():
    print(nn.Linear(2, 2).weight.numpy())
# run: weights(layer)
```

### data
```python
import torch

x = torch.randn(3)
y = (x > 0).numpy(), (x * 2).numpy()
z = torch.randn(3, requires_grad=True).argmax().numpy()
```

### integers of what requires grad
```python
import torch

x = torch.randn(3, requires_grad=True)
print((x * 10).long().numpy(), (x > 0).sum().numpy())
```

### a model's output, of which nobody knows
```python
def features(model, images):
    return model(images).numpy()
```

### what a module gives that is frozen, or cuts its graph
```python
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, trains=True):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x, trains=False):
        x = self.layer(x)
        return x if trains else x.detach()

class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        for parameter in self.parameters():
            parameter.requires_grad = False

    def forward(self, x):
        return self.layer(x)

def plot(x):
    by_hand, at_once = nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2)).requires_grad_(False)
    for parameter in by_hand.parameters():
        parameter.requires_grad_(False)
    return [net(x).numpy() for net in (by_hand, at_once, Net(), Frozen())]

def predict(layer, x):
    return layer(x).numpy()

@torch.no_grad()
def main():
    return predict(nn.Linear(2, 2), torch.ones(1, 2))

# run: plot(torch.ones(1, 2))
# run: main()
```

### what others may have frozen
```python
import torch
from torch import nn

class Extractor:
    def __init__(self):
        self.layer = nn.Linear(2, 2)

    def features(self, x):
        return self.layer(x).numpy()

extractor = Extractor()
for parameter in vars(extractor)["layer"].parameters():
    parameter.requires_grad = False
# run: extractor.features(torch.ones(1, 2))
```

### frozen where we cannot see it
```python
from torch import nn
from toolbox import without_training

def features(x):
    layer = nn.Linear(2, 2)
    freeze = without_training()
    freeze.apply_to(vars())
    return layer(x).numpy()
```

### parameters of another module, which a helper has replaced or frozen
```python
import torch
from torch import nn

class Reader(nn.Module):
    def __init__(self, vectors=None):
        super().__init__()
        self.words, self.head = self.build(vectors)
        self.places = self.frozen()

    def build(self, vectors):
        words = nn.Embedding(2, 2)
        if vectors is not None:
            words.weight = nn.Parameter(vectors, requires_grad=False)
        return words, nn.Linear(2, 2)

    def frozen(self):
        places = nn.Embedding(2, 2)
        places.weight.requires_grad = False
        return places

def table(vectors):
    reader = Reader(vectors)
    return reader.words.weight.numpy(), reader.places.weight.numpy()

# run: table(torch.ones(2, 2))
```
"""
