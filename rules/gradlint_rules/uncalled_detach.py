"""`item` or `detach` is named but not called, so that the method is kept and the tensor with it.

## Flagged

```python
def train(model, optimizer, loader):
    losses = []
    for images, labels in loader:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        losses.append(loss.item)  # GL105
        loss.backward()
        optimizer.step()
    return losses

# run: losses = train(model, optimizer, loader)
# shows: all(callable(loss) for loss in losses)
```

## Instead

```python
def train(model, optimizer, loader):
    losses = []
    for images, labels in loader:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    return losses

# run: losses = train(model, optimizer, loader)
# shows: all(isinstance(loss, float) for loss in losses)
```

## Fixed

```python
def train(model, optimizer, loader):
    losses = []
    for images, labels in loader:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    return losses
```

## Why

Without parentheses `loss.item` is a bound method, and a bound method holds its tensor. Kept in a
list it keeps the graph of every iteration: before `backward()` that is all the activations, after it
the nodes of the graph. In arithmetic it raises, `TypeError: unsupported operand type(s) for +:
'float' and 'builtin_function_or_method'`; printed or logged it shows `<built-in method item ...>`.
"""

from collections.abc import Iterator

from gradlint.rule import (
    Assign,
    Attribute,
    Augment,
    Call,
    Comprehension,
    Display,
    Edit,
    Expression,
    Finding,
    Fix,
    Formatted,
    FunctionNode,
    Operation,
    Project,
    Return,
    all_expressions,
    all_of,
    dotted,
    rule,
    scope,
    statements,
)

_METHODS = frozenset({"item", "detach", "tolist", "numpy", "cpu"})
_KEEPING = frozenset("append extend add insert put appendleft update add_scalar log write print float int str".split())
_ARITHMETIC = frozenset({"+", "-", "*", "/", "//", "%", "**", "<", ">", "<=", ">="})


@rule("GL105", severity="error", since="0.1.0")
def uncalled_detach(project: Project) -> Iterator[Finding]:
    """Find methods of tensors that are kept or calculated with instead of called."""
    for function in project.functions():
        if _METHODS.isdisjoint(function.facts.words):
            continue
        silent = scope.expected_to_fail(function) | scope.tried(function)
        for named in {value.at: value for value in _kept(function)}.values():
            if named.at not in silent and project.evidence.owned_by_tensor(function, named):
                yield _finding(function, named)


def _kept(function: FunctionNode) -> Iterator[Attribute]:
    """The methods that are stored, calculated with, or handed to what stores them."""
    called = {dotted(e.function) for e in all_of(Call, function.facts.body)}
    for statement in statements(function.facts.body):
        match statement:
            case Assign(targets=targets, value=value) if called.isdisjoint(map(dotted, targets)):
                yield from _methods(value)
            case Return(value=Attribute() | Display() as value) | Augment(value=value):
                yield from _methods(value)
            case _:
                pass
    for expression in all_expressions(function.facts.body):
        match expression:
            case Call(function=keeping, arguments=arguments) if _last(keeping) in _KEEPING:
                for argument in arguments:
                    yield from _methods(argument.value)
            case Operation(operator=operator, operands=operands) if operator in _ARITHMETIC:
                for operand in operands:
                    yield from _methods(operand)
            case Comprehension(element=element, kind="list" | "dict"):
                yield from (named for named in _methods(element) if isinstance(named.value, Call))
            case Formatted(values=values):
                for value in values:
                    yield from _methods(value)
            case _:
                pass


def _methods(value: Expression) -> Iterator[Attribute]:
    match value:
        case Attribute(name=name) if name in _METHODS:
            yield value
        case Display(items=items):
            for item in items:
                yield from _methods(item)
        case _:
            pass


def _last(called: Expression) -> str:
    return called.name if isinstance(called, Attribute) else (dotted(called) or "")


def _finding(function: FunctionNode, named: Attribute) -> Finding:
    return Finding(
        function.place(named.at),
        function.name,
        f"`{named.name}` is not called: this is the method, which holds the tensor and its graph",
        help=f"write `{named.name}()`",
        fix=Fix("safe", "call it", (Edit(function.place(named.at), "after", "()"),)),
    )


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Linear(8, 3)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loader = [(torch.randn(4, 8), torch.randint(3, (4,))) for _ in range(2)]
images, labels = loader[0]
```

## Flagged

### the graph of each iteration
```python
from torch import nn

def validate(model, loader):
    return_losses = []
    for images, labels in loader:
        loss = nn.functional.cross_entropy(model(images), labels)
        return_losses.append(loss.detach)  # GL105
    return return_losses

# run: kept = validate(model, loader)
# leaves: > 0 bytes
```

### in arithmetic
```python
from torch import nn

def total(model, loader):
    total = 0.0
    for images, labels in loader:
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        total += loss.item  # GL105
    return total

def mean(model, images, labels):
    loss = nn.functional.cross_entropy(model(images), labels)
    loss.backward()
    return loss.item / len(images)  # GL105

# run: total(model, loader)
# run: mean(model, images, labels)
# raises: TypeError: unsupported operand type(s) for
```

### stored and returned
```python
def step(model, optimizer, images, labels):
    loss = criterion(model(images), labels)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    logs = {"loss": loss.item, "size": len(images)}  # GL105
    hidden = loss.detach  # GL105
    print(f"loss {loss.item}")  # GL105
    return logs, hidden

# run: logs, hidden = step(model, optimizer, images, labels)
# shows: callable(logs["loss"]) and callable(hidden)
```

### in a list comprehension
```python
def losses(model, criterion, loader):
    return [criterion(model(images), labels).item for images, labels in loader]  # GL105

# run: import torch
# run: found = losses(torch.nn.Linear(2, 1), torch.nn.MSELoss(), [(torch.ones(3, 2), torch.ones(3, 1))])
# shows: callable(found[0])
```

### of a tensor, where other objects have a property of that name
```python
class Average:
    def __init__(self):
        self.values = []

    @property
    def item(self):
        return sum(self.values) / len(self.values)

def train(model, optimizer, loader):
    losses = []
    for images, labels in loader:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        losses.append(loss.item)  # GL105
        loss.backward()
        optimizer.step()
    return losses

# run: losses = train(model, optimizer, loader)
# shows: all(callable(loss) for loss in losses)
```

## Silent

### called
```python
def step(model, optimizer, images, labels):
    loss = criterion(model(images), labels)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return {"loss": loss.item(), "hidden": loss.detach()}

# run: logs = step(model, optimizer, images, labels)
# shows: isinstance(logs["loss"], float)
```

### passed on to be called
```python
import torch

def numbers(tensors):
    read = tensors[0].exp().item
    return list(map(torch.Tensor.item, tensors)), read(), max(tensors, key=torch.Tensor.item)

# run: found = numbers([torch.ones(()), torch.zeros(())])
# shows: found[1] > 2
```

### settings that go by the name of a method
```python
import torch

def place(args, x):
    if not hasattr(args, "use_cpu"):
        args.use_cpu = args.cpu
    return x if args.use_cpu else x.cuda()

# run: import types
# run: out = place(types.SimpleNamespace(cpu=True), torch.ones(2))
```

### what is no tensor
```python
class Shop:
    def __init__(self, item, detach=False):
        self.item = item
        self.detach = detach

    def describe(self, basket):
        names = [self.item, basket.item]
        names.append(basket.item)
        return names, self.item + 1, self.detach

# run: import types
# run: found = Shop(1).describe(types.SimpleNamespace(item=2))
```

### a property of that name, of who knows which class
```python
class Average:
    def __init__(self):
        self.values = []

    def add(self, value):
        self.values.append(value)

    @property
    def item(self):
        return sum(self.values) / len(self.values)

def averages(loss, batches):
    kept = []
    for images, labels in batches:
        loss.add((images.sum() - labels.sum()).item())
        kept.append(loss.item)
    return kept

# run: import torch; found = averages(Average(), [(torch.ones(2), torch.zeros(2))])
# shows: found == [2.0]
```

### an attribute of that name, set by a method
```python
class Entry:
    def __init__(self, item):
        self.item = item

def names(losses):
    return [losses[0].item, *(loss.item for loss in losses)]

def collect(losses):
    found = []
    for loss in losses:
        found.append(loss.item)
    return found, names(losses)

# run: found = collect([Entry("mse"), Entry("kl")])
# shows: found[0] == ["mse", "kl"]
```
"""
