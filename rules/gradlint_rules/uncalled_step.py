"""`loss.backward`, `optimizer.step`, `zero_grad` or `model.eval` stands on a line without being called.

## Flagged

```python
def train(model, optimizer, loader):
    for images, labels in loader:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step  # GL408

# run: before = model.weight.clone()
# run: train(model, optimizer, loader)
# shows: model.weight.equal(before)
```

## Instead

```python
def train(model, optimizer, loader):
    for images, labels in loader:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()

# run: before = model.weight.clone()
# run: train(model, optimizer, loader)
# shows: not model.weight.equal(before)
```

## Fixed

```python
def train(model, optimizer, loader):
    for images, labels in loader:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()
```

## Why

A method's name without parentheses looks the method up and does nothing with it. Python says
nothing, nor does PyTorch, and the loop runs on: without `backward()` every `.grad` stays what it
was, without `step()` the weights never change, without `zero_grad()` gradients add up over the
iterations.
"""

import re
from collections.abc import Iterator

from gradlint.rule import (
    Attribute,
    Edit,
    Evaluate,
    Expression,
    Finding,
    Fix,
    FunctionNode,
    Project,
    dotted,
    rule,
    scope,
    statements,
)

_SWITCHES = frozenset({"eval", "train"})
_WORDS = frozenset({"backward", "step", "zero_grad", "update"}) | _SWITCHES
_LOST = {
    "backward": "no gradient is computed",
    "step": "nothing is updated",
    "zero_grad": "gradients add up over the iterations",
    "update": "the scale stays what it was",
    "eval": "the module stays in training mode",
    "train": "the module stays in evaluation mode",
}
_STEPPING = re.compile(r"(^|[._])(opt|optim\w*|\w*optimizer\w*|sched\w*|\w*scheduler\w*|\w*scaler)(\d|_\w+)?$", re.I)

_SCALER = re.compile(r"(^|[._])(\w*_)?scaler\w*$", re.I)


@rule("GL408", severity="error", since="0.1.0")
def uncalled_step(project: Project) -> Iterator[Finding]:
    """Find statements that only name one of the methods a training step is made of."""
    for function in project.functions():
        if _WORDS.isdisjoint(function.facts.words):
            continue
        silent = scope.tried(function) | scope.expected_to_fail(function)
        for statement in statements(function.facts.body):
            match statement:
                case Evaluate(value=Attribute(name=name, value=owner) as named, discarded=True):
                    if name in _WORDS and named.at not in silent and _steps(project, function, named, owner):
                        yield _finding(function, named)
                case _:
                    pass


def _steps(project: Project, function: FunctionNode, named: Attribute, owner: Expression) -> bool:
    """Whether the method is what its name says; many things have a ``step``."""
    if named.name in _SWITCHES:
        return project.evidence.owned_by_module(function, named)
    if named.name == "update":
        return _SCALER.search(dotted(owner) or "") is not None
    if named.name != "step":
        return True
    event = project.flow(function).attributes.get((named.at, False))
    is_optimizer = event is not None and event.owner.kind == "optimizer"
    return is_optimizer or _STEPPING.search(dotted(owner) or "") is not None


def _finding(function: FunctionNode, named: Attribute) -> Finding:
    return Finding(
        function.place(named.at),
        function.name,
        f"`{named.name}` is named but not called: {_LOST[named.name]}",
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
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
loader = [(torch.randn(4, 8), torch.randint(3, (4,))) for _ in range(2)]
```

## Flagged

### each of them
```python
import torch
from torch import nn

model = nn.Linear(8, 3)
sgd = torch.optim.SGD(model.parameters(), lr=0.1)
for images, labels in loader:
    sgd.zero_grad  # GL408
    criterion(model(images), labels).backward  # GL408
    sgd.step  # GL408
# shows: model.weight.grad is None
```

### of a loss that is printed: nobody is told to record no graph
```python
def train(model, loader, criterion):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for images, labels in loader:
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward  # GL408
        optimizer.step()
        print(loss.item())

# run: train(model, loader, criterion)
# shows: model.weight.grad is None
```

### held by an object
```python
class Trainer:
    def __init__(self, model, optimizer, lr_scheduler):
        self.model = model
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler

    def step(self, loss):
        loss.backward()
        self.optimizer.step()
        self.lr_scheduler.step  # GL408
        self.model.zero_grad  # GL408

# run: trainer = Trainer(model, optimizer, scheduler)
# run: trainer.step(criterion(model(loader[0][0]), loader[0][1]))
# shows: scheduler.get_last_lr() == [0.1] and model.weight.grad is not None
```

### the mode of a module, the update of a scaler
```python
import torch

@torch.no_grad()
def evaluate(model, images):
    model.eval  # GL408
    return model(images).argmax(1).tolist()

class Trainer:
    def __init__(self, model, scaler):
        self.model, self.scaler = model, scaler

    def step(self, loss):
        self.model.train  # GL408
        self.scaler.scale(loss).backward()
        self.scaler.update  # GL408

# run: model.train()
# run: found = evaluate(model, loader[0][0])
# run: Trainer(model, torch.amp.GradScaler("cpu", enabled=False)).step(model(loader[0][0]).sum())
# shows: model.training
```

## Silent

### called
```python
for images, labels in loader:
    optimizer.zero_grad()
    loss = criterion(model(images), labels)
    loss.backward()
    optimizer.step()
    scheduler.step()
# shows: model.weight.grad is not None
```

### handed on to be called
```python
def train(model, optimizer, loader, every):
    steps = [optimizer.zero_grad, optimizer.step]
    for images, labels in loader:
        loss = criterion(model(images), labels)
        loss.backward()
        every(steps[1])
        every(steps[0])

# run: train(model, optimizer, loader, lambda step: step())
```

### a number called step
```python
class Counter:
    def __init__(self, log):
        self.step = 0
        self.log = log

    def tick(self):
        self.step += 1
        self.step
        self.log.step

# run: import types
# run: counter = Counter(types.SimpleNamespace(step=1))
# run: counter.tick()
```

### asked whether it exists
```python
def can_step(optimizer):
    try:
        optimizer.step
    except AttributeError:
        return False
    return True

# run: answer = can_step(optimizer)
# shows: answer
```

### other things that evaluate and update
```python
class Expression:
    def __init__(self, text, meter):
        self.text, self.meter = text, meter
        self.eval = len(text)

    def show(self):
        self.eval
        self.meter.update
        return self.text

# run: import types
# run: shown = Expression("1 + 1", types.SimpleNamespace(update=1)).show()
```
"""
