"""The optimizer steps before `backward()` has computed the gradients it should use.

## Flagged

```python
def train(model, criterion, optimizer, batches):
    for images, labels in batches:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        optimizer.step()  # GL405
        loss.backward()

# run: train(model, criterion, optimizer, batches)
# shows: model.weight.tolist() == [[1.0, 1.0]]
```

## Instead

```python
def train(model, criterion, optimizer, batches):
    for images, labels in batches:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()

# run: train(model, criterion, optimizer, batches)
# shows: model.weight.tolist() != [[1.0, 1.0]]
```

## Fixed

```python
def train(model, criterion, optimizer, batches):
    for images, labels in batches:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()
```

## Why

At the step every `.grad` is `None`: it passes over all parameters and says nothing. `backward()` fills the
gradients afterwards, and the next round's `zero_grad()` throws them away. The network never learns.
"""

from collections.abc import Iterator

from gradlint.rule import Finding, Fix, FunctionNode, Moment, Note, Project, rewrites, rule, scope


@rule("GL405", severity="error", since="0.2.0")
def step_before_backward(project: Project) -> Iterator[Finding]:
    """Find steps that can only meet zeroed gradients, with ``backward()`` after them."""
    for function in project.functions():
        if not project.order.steps.acts(function):
            continue
        silent = scope.expected_to_fail(function)
        for moment in project.order.moments(function):
            if (
                moment.act.kind == "step"
                and moment.act.inside is None
                and moment.act.at not in silent
                and moment.grads == {"none"}
                and moment.before is None
                and moment.after is not None
            ):
                yield _finding(function, moment, moment.after)


def _finding(function: FunctionNode, moment: Moment, backward: int) -> Finding:
    edits = rewrites.exchanged(function, moment.act.at, backward)
    notes = [Note(function.place(moment.zeroed), "the gradients are set to None here")] if moment.zeroed else []
    notes.append(Note(function.place(backward), "`backward()` comes after the step"))
    return Finding(
        function.place(moment.act.at),
        function.name,
        f"`{moment.optimizer}.step()` does nothing: no `backward()` has run since the gradients were zeroed",
        tuple(notes),
        help="call `backward()` before the step",
        fix=Fix("unsafe", "step after `backward()`", edits) if edits else None,
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

### in one round
```python
def train_step(model, criterion, optimizer, images, labels):
    loss = criterion(model(images), labels)
    optimizer.zero_grad()
    optimizer.step()  # GL405
    loss.backward()

# run: train_step(model, criterion, optimizer, images, labels)
# shows: model.weight.tolist() == [[1.0, 1.0]]
```

### with a scaler
```python
import torch

def train(model, criterion, optimizer, batches):
    scaler = torch.amp.GradScaler(enabled=False)
    for images, labels in batches:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        scaler.step(optimizer)  # GL405
        scaler.scale(loss).backward()
        scaler.update()

# run: train(model, criterion, optimizer, batches)
# shows: model.weight.tolist() == [[1.0, 1.0]]
```

## Silent

### the step of the round before
```python
def train(model, criterion, optimizer, batches):
    for images, labels in batches:
        optimizer.step()
        optimizer.zero_grad()
        criterion(model(images), labels).backward()

# run: train(model, criterion, optimizer, batches)
```

### two optimizers
```python
def train(model, criterion, optimizer, other, batches):
    for images, labels in batches:
        optimizer.zero_grad()
        criterion(model(images), labels).backward()
        optimizer.step()
        other.zero_grad()
        criterion(model(images), labels).backward()
        other.step()

# run: train(model, criterion, optimizer, torch.optim.Adam(model.parameters()), batches)
```

### backward in a helper, or in a closure
```python
def gradients(model, criterion, images, labels):
    criterion(model(images), labels).backward()

def train_step(model, criterion, optimizer, images, labels):
    optimizer.zero_grad()
    gradients(model, criterion, images, labels)
    optimizer.step()
    gradients(model, criterion, images, labels)

def fit(model, criterion, optimizer, images, labels):
    def closure():
        loss = criterion(model(images), labels)
        loss.backward()
        return loss
    optimizer.zero_grad()
    optimizer.step(closure)
    criterion(model(images), labels).backward()

# run: train_step(model, criterion, optimizer, images, labels)
# run: fit(model, criterion, optimizer, images, labels)
```

### gradients set by hand
```python
import torch

def train_step(model, criterion, optimizer, images, labels):
    optimizer.zero_grad()
    gradients = torch.autograd.grad(criterion(model(images), labels), list(model.parameters()))
    for parameter, gradient in zip(model.parameters(), gradients):
        parameter.grad = gradient
    optimizer.step()
    criterion(model(images), labels).backward()

# run: train_step(model, criterion, optimizer, images, labels)
```
"""
