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

from gradlint.rule import Finding, Fix, FunctionNode, Moment, Note, Project, rewrites, rounds, rule, scope

_WALKING = frozenset({"backward", "manual_backward", "grad", "closure", "backward_step"})


@rule("GL405", severity="error", since="0.2.0")
def step_before_backward(project: Project) -> Iterator[Finding]:
    """Find steps that can only meet zeroed gradients, with ``backward()`` after them."""
    for function in project.functions():
        if not project.order.steps.may_step(function):
            continue
        silent = scope.expected_to_fail(function)
        for moment in project.order.moments(function):
            if (
                moment.act.kind == "step"
                and (moment.act.inside is None or (moment.act.path == moment.optimizer and not moment.walks))
                and moment.act.at not in silent
                and (moment.grads == {"none"} or _is_none_later(function, moment))
                and moment.before is None
            ):
                if moment.after is not None and _is_in_order(project, function, moment.act.at, moment.after):
                    yield _finding(function, moment, moment.after)
                elif (
                    moment.after is None
                    and moment.zeroed is not None
                    and _never_walks(project, function, moment.zeroed, moment.act.at)
                ):
                    yield _without(function, moment, moment.zeroed)


def _is_none_later(function: FunctionNode, moment: Moment) -> bool:
    """Whether a step meets what gradients held before the function began, once, and then never any."""
    if moment.grads != {"none", "earlier"} or moment.zeroed is None or moment.after is None:
        return False
    loop = rounds.innermost_loop(function, moment.act.at)
    return loop is not None and moment.zeroed in loop and moment.after in loop


def _is_in_order(project: Project, function: FunctionNode, step: int, backward: int) -> bool:
    """Whether a step belongs to the ``backward()`` after it; one before the loop contents schedulers."""
    if rounds.innermost_loop(function, step) == rounds.innermost_loop(function, backward):
        return True
    return any(event.forward and event.at < step for event in project.flow(function).calls.values())


def _never_walks(project: Project, function: FunctionNode, zeroed: int, step: int) -> bool:
    """Whether a forward runs between two places, and nothing there or elsewhere in the function computes gradients."""
    if not function.facts.words.isdisjoint(_WALKING):
        return False
    between = [event for event in project.flow(function).calls.values() if zeroed < event.at < step]
    seen = not any(event.opaque or any(project.order.steps.acts(t) for t in event.targets) for event in between)
    return seen and any(event.forward and not project.flow(function).derives for event in between)


def _without(function: FunctionNode, moment: Moment, zeroed: int) -> Finding:
    return Finding(
        function.place(moment.act.at),
        function.name,
        f"`{moment.name}.step()` does nothing: no `backward()` has run since the gradients were zeroed",
        (Note(function.place(zeroed), "the gradients are set to None here"),),
        help="call `backward()` on the loss before the step",
    )


def _finding(function: FunctionNode, moment: Moment, backward: int) -> Finding:
    edits = rewrites.exchanged(function, moment.act.at, backward)
    notes = [Note(function.place(moment.zeroed), "the gradients are set to None here")] if moment.zeroed else []
    notes.append(Note(function.place(backward), "`backward()` comes after the step"))
    when = " from the second round on" if "earlier" in moment.grads else ""
    return Finding(
        function.place(moment.act.at),
        function.name,
        f"`{moment.name}.step()` does nothing{when}: no `backward()` has run since the gradients were zeroed",
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

### each of several optimizers
```python
def train(optimizers, batches):
    for images, labels in batches:
        loss = criterion(model(images), labels)
        for each in optimizers:
            each.zero_grad()
        for each in optimizers:
            each.step()  # GL405
        loss.backward()

# run: train([optimizer], batches)
# shows: torch.equal(model.weight.detach(), torch.ones(1, 2))
```

### a step that is given no closure
```python
def train_step(model, criterion, optimizer, images, labels):
    optimizer.zero_grad()
    loss = criterion(model(images), labels)
    optimizer.step(None)  # GL405
    loss.backward()

# run: train_step(model, criterion, optimizer, images, labels)
# shows: model.weight.tolist() == [[1.0, 1.0]]
```

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

### no backward at all
```python
def train_step(model, criterion, optimizer, images, labels):
    optimizer.zero_grad()
    loss = criterion(model(images), labels)
    optimizer.step()  # GL405
    return loss

# run: train_step(model, criterion, optimizer, images, labels)
# shows: model.weight.grad is None
```

### by a function that steps
```python
def update(optimizer):
    optimizer.step()

def train(model, criterion, optimizer, images, labels):
    for _ in range(2):
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        update(optimizer)  # GL405
        loss.backward()

# run: before = model.weight.tolist()
# run: train(model, criterion, optimizer, images, labels)
# shows: model.weight.tolist() == before
```

### the first step of a model just made
```python
import torch
from torch import nn

net = nn.Linear(2, 1)
before = net.weight.detach().clone()
sgd = torch.optim.SGD(net.parameters(), lr=0.1)
loss = criterion(net(images), labels)
sgd.step()  # GL405
loss.backward()
# shows: torch.equal(net.weight, before)
```

### once, though it is called twice in a round
```python
import torch

def step(model, optimizer, images):
    loss = model(images).sum()
    optimizer.zero_grad()
    optimizer.step()  # GL405
    loss.backward()

def fit(model, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for images in batches:
        step(model, optimizer, images)
        step(model, optimizer, -images)

# run: fit(model, [images])
# shows: model.weight.tolist() == [[1.0, 1.0]]
```

### with a model and an optimizer of the caller's
```python
def train(model, optimizer, batches):
    for images, labels in batches:
        loss = criterion(model(images), labels)
        optimizer.step()  # GL405
        loss.backward()
        optimizer.zero_grad()

# run: train(model, optimizer, batches)
# shows: model.weight.tolist() == [[1.0, 1.0]]
```

## Silent

### with what a round before has computed
```python
def train(model, optimizer, batches):
    for images, labels in batches:
        optimizer.step()
        optimizer.zero_grad()
        criterion(model(images), labels).backward()

def start(optimizer, model, fresh):
    if fresh:
        optimizer.zero_grad()
    optimizer.step()
    criterion(model(images), labels).backward()

# run: train(model, optimizer, batches)
# run: start(optimizer, model, False)
# shows: model.weight.tolist() != [[1.0, 1.0]]
```

### an optimizer of the project, which computes the gradients of what it is given
```python
import torch

class Newton(torch.optim.Optimizer):
    def __init__(self, parameters, lr=0.1):
        super().__init__(parameters, {"lr": lr})

    def step(self, images, labels):
        weights = self.param_groups[0]["params"]
        loss = (images @ weights[0].T - labels).square().mean()
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients):
                weight -= self.defaults["lr"] * gradient
        return loss

def make(model, name):
    made = {"newton": Newton, "sgd": torch.optim.SGD}[name]
    return made(model.parameters(), lr=0.1)

def train(model, criterion, name, batches):
    optimizer = make(model, name)
    for images, labels in batches:
        optimizer.zero_grad()
        if isinstance(optimizer, Newton):
            optimizer.step(images, labels)
        else:
            criterion(model(images), labels).backward()
            optimizer.step()

# run: before = model.weight.tolist()
# run: train(model, criterion, "newton", batches)
# shows: model.weight.tolist() != before
```

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

### gradients come from code we cannot see
```python
def train_step(model, criterion, optimizer, images, labels, engine):
    optimizer.zero_grad()
    loss = criterion(model(images), labels)
    engine.run(loss)
    optimizer.step()
    return loss
```

### gradients come from hooks, whose methods are chosen by name
```python
import torch

class Backward:
    def after_forward(self, trainer, loss):
        loss.backward()

class Trainer:
    def __init__(self, model, criterion, hooks):
        self.model, self.criterion, self.hooks = model, criterion, hooks
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def fit(self, images, labels):
        self.optimizer.zero_grad()
        self.call_hooks("after_forward", self.criterion(self.model(images), labels))
        self.optimizer.step()

    def call_hooks(self, name, loss):
        for hook in self.hooks:
            getattr(hook, name)(self, loss)

# run: Trainer(model, criterion, [Backward()]).fit(images, labels)
# shows: model.weight.grad is not None
```

### gradients come from a method that says it computes them
```python
import torch

class Architect:
    def __init__(self, model, criterion):
        self.model, self.criterion = model, criterion

    def unrolled_backward(self, images, labels):
        weights = list(self.model.parameters())
        gradients = torch.autograd.grad(self.criterion(self.model(images), labels), weights)
        for weight, gradient in zip(weights, gradients):
            weight.grad = gradient

def search(model, criterion, architect, optimizer, batches):
    for images, labels in batches:
        optimizer.zero_grad()
        architect.unrolled_backward(images, labels)
        optimizer.step()
        criterion(model(images), labels).backward()

# run: search(model, criterion, Architect(model, criterion), optimizer, batches)
```

### a learning rule that is no gradient descent, and puts its changes there
```python
import torch
from torch import nn

def put_gradient(layer, gradient):
    layer.weight.grad = gradient if layer.weight.grad is None else layer.weight.grad + gradient

class Hebb:
    def __init__(self, layer):
        self.layer, self.rate = layer, 0.1

    def step(self, pre, post):
        put_gradient(self.layer, -self.rate * post.T @ pre)

net = nn.Sequential(nn.Linear(2, 1, bias=False), nn.ReLU())
optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
learner = Hebb(net[0])
first = net[0].weight.detach().clone()
with torch.no_grad():
    for _ in range(3):
        optimizer.zero_grad()
        post = net(torch.ones(4, 2)) + 1
        learner.step(torch.ones(4, 2), post)
        optimizer.step()

# shows: not torch.equal(net[0].weight, first)
```

### the schedule of a pipeline walks the graph
```python
import torch

def train_stage(stage, optimizer, batches, runtime):
    total = 0.0
    for images, labels in batches:
        optimizer.zero_grad(set_to_none=True)
        losses = []
        runtime.schedule.step(images, target=labels, losses=losses)
        optimizer.step()
        total += torch.stack(losses).mean().detach()
    return total

def train_whole(model, criterion, optimizer, batches):
    for images, labels in batches:
        optimizer.zero_grad()
        criterion(model(images), labels).backward()
        optimizer.step()

def main(model, criterion, optimizer, batches, runtime=None):
    for _ in range(2):
        if runtime is not None:
            train_stage(model, optimizer, batches, runtime)
        else:
            train_whole(model, criterion, optimizer, batches)

# run: main(model, criterion, optimizer, batches)
```

### one step before the loop, for a scheduler
```python
def train(model, criterion, optimizer, images, labels):
    optimizer.zero_grad()
    optimizer.step()
    for _ in range(2):
        optimizer.zero_grad()
        criterion(model(images), labels).backward()
        optimizer.step()

# run: train(model, criterion, optimizer, images, labels)
```

### an optimizer that walks the loss that its closure gives
```python
# file: searching.py
import torch

class LineSearch(torch.optim.SGD):
    def step(self, closure=None):
        if closure is not None:
            closure().backward()
        return super().step()

# file: training.py
from searching import LineSearch

def train(model, criterion, optimizer, batches):
    for images, labels in batches:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        if isinstance(optimizer, LineSearch):
            def closure():
                return criterion(model(images), labels)
            optimizer.step(closure)
        else:
            loss.backward()
            optimizer.step()

# run: before = model.weight.tolist()
# run: train(model, criterion, LineSearch(model.parameters(), lr=0.1), batches)
# run: assert before != model.weight.tolist()
```

### a network chosen by its name, whose forward walks the loss itself
```python
import torch
from torch import nn

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, images, labels):
        loss = (self.layer(images) - labels).pow(2).mean()
        if self.training:
            loss.backward()
        return loss.detach()

def build(name):
    return {"network": Network}[name]

def train(name, images, labels):
    model = nn.DataParallel(build(name)())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(2):
        optimizer.zero_grad()
        loss = model(images, labels)
        optimizer.step()
        losses.append(loss.item())
    return losses

# run: losses = train("network", torch.ones(3, 2), torch.zeros(3, 1))
# shows: losses[0] != losses[1]
```
"""
