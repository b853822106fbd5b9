"""The gradients are zeroed between `backward()` and `step()`: the step does nothing.

## Flagged

```python
def train_step(model, criterion, optimizer, images, labels):
    loss = criterion(model(images), labels)
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()  # GL404

# run: train_step(model, criterion, optimizer, images, labels)
# shows: model.weight.tolist() == [[1.0, 1.0]]
```

## Instead

```python
def train_step(model, criterion, optimizer, images, labels):
    loss = criterion(model(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: train_step(model, criterion, optimizer, images, labels)
# shows: model.weight.tolist() != [[1.0, 1.0]]
```

## Fixed

```python
def train_step(model, criterion, optimizer, images, labels):
    loss = criterion(model(images), labels)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
```

## Why

`zero_grad()` sets each `.grad` to `None`, and `step()` passes over parameters whose gradient is `None`: no
update, no weight decay, no message. The loss is computed and printed as ever, and never falls.
"""

from collections.abc import Iterator

from gradlint.rule import Finding, Fix, FunctionNode, Moment, Note, Project, rewrites, rule, scope

_WALKING = frozenset({"backward", "manual_backward"})


@rule("GL404", severity="error", since="0.2.0")
def zeroed_before_step(project: Project) -> Iterator[Finding]:
    """Find steps that on every path come after ``backward()`` and then ``zero_grad()``."""
    for function in project.functions():
        if not project.order.steps.may_step(function):
            continue
        silent = scope.expected_to_fail(function)
        for moment in project.order.moments(function):
            if (
                moment.act.kind == "step"
                and (moment.act.inside is None or _zeroes_by_itself(moment) or _is_told_to_step(moment))
                and moment.act.at not in silent
                and moment.grads == {"none"}
                and moment.zeroed is not None
                and moment.before is not None
            ):
                yield _finding(function, moment, moment.zeroed, moment.before)


def _zeroes_by_itself(moment: Moment) -> bool:
    """Whether the step is made by a function that zeroes before it, and of which the caller runs ``backward()``."""
    callee = moment.act.inside[0] if moment.act.inside is not None else None
    own = callee is not None and callee.facts.words.isdisjoint(_WALKING)
    return own and moment.act.path == moment.optimizer and moment.zeroed == moment.act.at


def _is_told_to_step(moment: Moment) -> bool:
    """Whether a callee makes the step with the gradients that its caller has zeroed, or had zeroed."""
    return moment.act.path == moment.optimizer and moment.zeroed != moment.act.at and not moment.walks


def _finding(function: FunctionNode, moment: Moment, zeroed: int, backward: int) -> Finding:
    if moment.act.inside is not None and moment.zeroed == moment.act.at:
        return _by_callee(function, moment, backward)
    edits = rewrites.exchanged(function, zeroed, moment.act.at)
    return Finding(
        function.place(moment.act.at),
        function.name,
        f"`{moment.name}.step()` does nothing: the gradients were zeroed after `backward()`",
        (
            Note(function.place(backward), "`backward()` computes them here"),
            Note(function.place(zeroed), "they are set to None here"),
        ),
        help="zero them before `backward()`, or after the step",
        fix=Fix("unsafe", "zero them after the step", edits) if edits else None,
    )


def _by_callee(caller: FunctionNode, moment: Moment, backward: int) -> Finding:
    callee, at = moment.act.inside or (caller, moment.act.at)
    return Finding(
        callee.place(at),
        callee.name,
        "this step does nothing: the gradients are zeroed right before it",
        (Note(caller.place(backward), "`backward()` computes them here"),),
        help="zero them before `backward()`, or after the step",
    )


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Linear(2, 1, bias=False)
nn.init.ones_(model.weight)
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
images, labels = torch.ones(3, 2), torch.zeros(3, 1)
batches = [(images, labels)] * 2
```

## Flagged

### by a method of its own
```python
import torch

class Trainer:
    def __init__(self, model, optimizer):
        self.model = model
        self.optimizer = optimizer

    def update(self):
        self.optimizer.zero_grad()
        self.optimizer.step()  # GL404

    def fit(self, batches):
        for images in batches:
            loss = self.model(images).sum()
            loss.backward()
            self.update()

# run: net = torch.nn.Linear(2, 2); weight = net.weight.clone()
# run: Trainer(net, torch.optim.SGD(net.parameters(), lr=0.1)).fit([torch.ones(3, 2)] * 2)
# shows: net.weight.equal(weight)
```

### in a loop
```python
def train(model, criterion, optimizer, batches):
    for images, labels in batches:
        loss = criterion(model(images), labels)
        loss.backward()
        print(loss.item())
        optimizer.zero_grad()
        optimizer.step()  # GL404

# run: train(model, criterion, optimizer, batches)
# shows: model.weight.tolist() == [[1.0, 1.0]]
```

### through the model
```python
import torch

def train(model, criterion, batches):
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for images, labels in batches:
        criterion(model(images), labels).backward()
        model.zero_grad()
        optimizer.step()  # GL404

# run: train(model, criterion, batches)
# shows: model.weight.tolist() == [[1.0, 1.0]]
```

### by a helper
```python
def reset(optimizer):
    optimizer.zero_grad()

def train_step(model, criterion, optimizer, images, labels):
    loss = criterion(model(images), labels)
    loss.backward()
    reset(optimizer)
    optimizer.step()  # GL404

# run: train_step(model, criterion, optimizer, images, labels)
# shows: model.weight.tolist() == [[1.0, 1.0]]
```

### by a method called backward
```python
class Trainer:
    def __init__(self, model, criterion, optimizer):
        self.model, self.criterion, self.optimizer = model, criterion, optimizer

    def backward(self, loss):
        loss.backward()
        self.optimizer.zero_grad()

    def step(self, images, labels):
        self.backward(self.criterion(self.model(images), labels))
        self.optimizer.step()  # GL404

# run: Trainer(model, criterion, optimizer).step(images, labels)
# shows: model.weight.tolist() == [[1.0, 1.0]]
```

### by one method, with the step in another
```python
import torch
from torch import nn

class Loop:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters(), 0.1)

    def clear(self):
        self.optimizer.zero_grad()

    def apply(self):
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()

    def step(self, images):
        self.model(images).sum().backward()
        self.clear()
        self.apply()  # GL404

    def fit(self, batches):
        for images, labels in batches:
            self.step(images)

# run: Loop(model).fit(batches)
# shows: model.weight.tolist() == [[1.0, 1.0]]
```

### optimizers that Lightning gives out
```python
# file: lightning_like.py
import torch
from torch import nn

def optimizers(self):
    return self.held

def manual_backward(self, loss):
    torch.autograd.backward(loss)

Base = type("LightningModule", (nn.Module,), {"optimizers": optimizers, "manual_" + "backward": manual_backward})
# file: example.py
import torch
from torch import nn
from lightning_like import Base

class Model(Base):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 1)
        self.held = [torch.optim.SGD(net.parameters(), lr=0.1) for net in (self.first, self.second)]

    def training_step(self, batch, index):
        a, b = self.optimizers()
        self.manual_backward(self.second(self.first(batch)).mean())
        a.zero_grad()
        a.step()  # GL404
        b.step()
        b.zero_grad()

# run: net = Model()
# run: before = net.first.weight.detach().clone()
# run: net.training_step(torch.ones(3, 2), 0)
# shows: net.first.weight.equal(before)
```

## Silent

### zeroed by the one method, with the step in the other
```python
import torch

class Trainer:
    def __init__(self, model, optimizer):
        self.model = model
        self.optimizer = optimizer

    def update(self):
        self.optimizer.step()
        self.optimizer.zero_grad()

    def fit(self, batches):
        for images in batches:
            loss = self.model(images).sum()
            loss.backward()
            self.update()

net = torch.nn.Linear(2, 2)
Trainer(net, torch.optim.SGD(net.parameters(), lr=0.1)).fit([torch.ones(3, 2)] * 2)
```

### zeroed before backward, or after the step
```python
def train(model, criterion, optimizer, batches):
    for images, labels in batches:
        optimizer.zero_grad()
        criterion(model(images), labels).backward()
        optimizer.step()

def other(model, criterion, optimizer, batches):
    for images, labels in batches:
        criterion(model(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

# run: train(model, criterion, optimizer, batches)
# run: other(model, criterion, optimizer, batches)
```

### gradients are gathered
```python
def train(model, criterion, optimizer, batches, every=2):
    for number, (images, labels) in enumerate(batches):
        if number % every == 0:
            optimizer.zero_grad()
        criterion(model(images), labels).backward()
        if number % every == every - 1:
            optimizer.step()

# run: train(model, criterion, optimizer, batches)
```

### those of another optimizer
```python
def train_step(model, criterion, optimizer, other, images, labels):
    criterion(model(images), labels).backward()
    other.zero_grad()
    optimizer.step()

# run: train_step(model, criterion, optimizer, torch.optim.SGD([torch.ones(1)]), images, labels)
```

### on one path only
```python
def train_step(model, criterion, optimizer, images, labels):
    loss = criterion(model(images), labels)
    loss.backward()
    if loss.isnan():
        optimizer.zero_grad()
    optimizer.step()

# run: train_step(model, criterion, optimizer, images, labels)
```

### by code we cannot see, or kept as zeros
```python
def train_step(model, criterion, optimizer, images, labels, engine):
    optimizer.zero_grad()
    engine.train_batch(model, images)
    optimizer.step()
    criterion(model(images), labels).backward()
    optimizer.zero_grad(set_to_none=False)
    optimizer.step()
```

### by a method that runs backward before the step, or before that
```python
import torch

class Loop:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def clear(self):
        self.optimizer.zero_grad()

    def apply(self, loss=None):
        if loss is not None:
            loss.backward()
        self.optimizer.step()

    def walk(self, images):
        self.model(images).sum().backward()
        self.optimizer.step()

    def step(self, images):
        self.clear()
        self.model(images).sum().backward()
        self.apply()
        self.clear()
        self.walk(images)

    def other(self, images):
        self.model(images).sum().backward()
        self.clear()
        self.apply(self.model(images).sum())

# run: Loop(model).step(images)
# run: Loop(model).other(images)
```
"""
