"""A tensor is made of tensors by `torch.tensor`, which copies their values and drops their graph.

## Flagged

```python
import torch

def total():
    weight = torch.ones(3, requires_grad=True)
    losses = torch.tensor([weight.square().sum(), weight.exp().sum()])  # GL211
    return losses.mean()

# run: loss = total()
# warns: UserWarning: Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.
# shows: not loss.requires_grad
```

## Instead

```python
import torch

def total():
    weight = torch.ones(3, requires_grad=True)
    losses = torch.stack([weight.square().sum(), weight.exp().sum()])
    return losses.mean()

# run: loss = total()
# shows: loss.requires_grad
```

## Why

`torch.tensor(...)` reads numbers and makes a new leaf of them. Of a list of tensors it takes each
value by itself, with one synchronisation per element on a GPU, and the graph behind them is gone: what
is trained on the result trains nothing. `torch.stack` and `torch.cat` keep it.

Of a single tensor it makes a detached copy and warns, ``UserWarning: To copy construct from a tensor,
it is recommended to use sourceTensor.detach().clone() ...``. Where no graph is lost that is advice,
off by default. `torch.as_tensor(t)` hands a tensor through as it is.
"""

import re
from collections.abc import Iterator

from gradlint.rule import (
    COMPUTED,
    GRAD,
    LEAF,
    PLAIN,
    Call,
    CallEvent,
    Edit,
    Finding,
    Fix,
    FunctionNode,
    Name,
    Project,
    Return,
    Value,
    all_of,
    dotted,
    gives_no_known_tensor,
    rule,
    statements,
    within,
)

_COPYING = frozenset({"torch.tensor"})
_OF_LISTS = _COPYING | {"torch.Tensor", "torch.FloatTensor", "torch.as_tensor", "torch.asarray"}

_LOSS = re.compile(r"(^|_)(loss(es)?|l\d)$")
_TRAINING = frozenset({"backward", "manual_backward"})


@rule("GL211", severity="warning", since="0.1.0")
def tensor_rebuilt_from_tensor(project: Project) -> Iterator[Finding]:
    """Find tensors that are made of tensors; advice where no graph is lost."""
    for function in project.functions():
        for call, name in project.modes.calls(function, _OF_LISTS):
            if call.arguments and _may_hold_tensors(project, function, call):
                event = project.flow(function).calls.get(call.at)
                if event is not None:
                    yield from _finding(project, function, call, event, name)


def _may_hold_tensors(project: Project, function: FunctionNode, call: Call) -> bool:
    """Whether it is worth running a function to see what its tensor is made of."""
    known = gives_no_known_tensor(function.facts, call.arguments[0].value)
    return not known or _is_handed_losses(project, function, call)


def _finding(project: Project, function: FunctionNode, call: Call, event: CallEvent, name: str) -> Iterator[Finding]:
    given = event.arguments[0].value
    trained = _in_training(project, function, call)
    loses = any(map(_has_graph, (*_held(given), *_held(trained)))) or _holds_losses(project, function, event)
    loses = loses or _is_handed_losses(project, function, call)
    if loses and _was_walked(project, function, event):
        return
    if loses:
        yield Finding(
            function.place(call.at),
            function.name,
            f"`{name}` takes the numbers out of these tensors: their graph is lost",
            help="use `torch.stack` or `torch.cat`",
        )
    elif name in _COPYING and len(call.arguments) == 1 and _is_tensor(project, function, given):
        yield Finding(
            function.place(call.at),
            function.name,
            f"`{name}` copies a tensor",
            help="write `.detach().clone()`",
            fix=_clone(function, call),
            severity=None if _has_graph(given) or _is_given_back(project, function, call, given) else "advice",
        )


def _in_training(project: Project, function: FunctionNode, call: Call) -> Value:
    """What goes into it in a ``forward`` while the module's own parameters are trained."""
    flow = project.gradients.trained(function)
    event = flow.calls.get(call.at) if flow is not None else None
    return event.arguments[0].value if event is not None else Value()


def _held(value: Value) -> Iterator[Value]:
    """What lists hold, and lists in them."""
    for item in value.items or ():
        yield item
        yield from _held(item)


def _was_walked(project: Project, function: FunctionNode, event: CallEvent) -> bool:
    """Whether ``backward()`` has run on the graph before its numbers are taken: to be written down, as a rule."""
    given = event.arguments[0].value
    origins = frozenset().union(given.origins, *(item.origins for item in given.items or ()))
    walks = (e.receiver for e in project.flow(function).calls.values() if e.method in _TRAINING and e.at < event.at)
    return any(walked is not None and walked.origins & origins for walked in walks)


def _holds_losses(project: Project, function: FunctionNode, event: CallEvent) -> bool:
    """Whether losses of forwards go into it, by their names, and ``backward()`` runs on what comes out."""
    given = event.arguments[0]
    if given.value.kind != "container" or not event.result.tensor & PLAIN:
        return False
    walks = (e.receiver for e in project.flow(function).calls.values() if e.method in _TRAINING and e.receiver)
    walked = [value for value in walks if value.shadow & given.value.origins]
    lost = any(value.tensor == PLAIN for value in walked)  # nothing else goes into it
    if not walked or not (lost or any(_LOSS.search(dotted(part) or "") for part in within(given.expression))):
        return False
    return _is_recorded(project, function, given.value)


def _is_handed_losses(project: Project, function: FunctionNode, call: Call) -> bool:
    """Whether a module is handed losses by who trains on what it gives, and takes nothing but their numbers."""
    name = dotted(call.arguments[0].value)
    if name is None or _LOSS.search(name) is None or not project.calls.modules.is_forward(function):
        return False
    if sum(each.id == name for each in all_of(Name, function.facts.body)) > 1:
        return False  # the numbers may be weights
    callers = [
        caller for caller, value in project.flows.handed_over(function, name) if _is_recorded(project, caller, value)
    ]
    return any(not _TRAINING.isdisjoint(caller.facts.words) for caller in callers)


def _is_recorded(project: Project, function: FunctionNode, losses: Value) -> bool:
    """Whether what is handed over holds what forwards have recorded."""
    calls = project.flow(function).calls
    forwards = (calls.get(o.at) for o in losses.origins if o.function is function)
    return any(e is not None and e.forward and project.calls.states_at(function, e.at) == GRAD for e in forwards)


def _is_given_back(project: Project, function: FunctionNode, call: Call, given: Value) -> bool:
    """Whether a module's ``forward`` returns a copy of what it computes from its inputs: a loss nobody can train on."""
    if not project.calls.modules.is_forward(function):
        return False
    returned = any(isinstance(s, Return) and s.value is call for s in statements(function.facts.body))
    from_inputs = any(o.function is function and o.at < 0 for o in given.origins)
    return returned and from_inputs and bool(given.tensor & COMPUTED)


def _is_tensor(project: Project, function: FunctionNode, value: Value) -> bool:
    """Whether a tensor is copied; the ``.data`` of what nobody knows may be a number: other libraries have it, too."""
    read = (project.flow(function).attributes.get((at, False)) for at in value.memory)
    unknown = any(
        e is not None and e.name == "data" and e.owner.kind == "unknown" and not e.owner.is_tensor for e in read
    )
    return value.kind == "tensor" and not unknown


def _has_graph(value: Value) -> bool:
    return value.kind == "tensor" and value.tensor in (COMPUTED, COMPUTED | LEAF)


def _clone(function: FunctionNode, call: Call) -> Fix | None:
    name = dotted(call.arguments[0].value)
    if name is None:
        return None
    text = f"{name}.detach().clone()"
    return Fix("unsafe", f"write `{text}`", (Edit(function.place(call.at), "replace", text),))


CASES = r"""
```python setup
import torch

weight = torch.ones(3, requires_grad=True)
```

## Flagged

### losses that nobody has trained on yet
```python
import torch

def losses():
    weight = torch.ones(3, requires_grad=True)
    first, second = weight.exp().sum(), weight.log().sum()
    both = torch.tensor([first, second])  # GL211
    first.backward()
    return both

# run: both = losses()
# shows: not both.requires_grad
```

### other constructors of lists
```python
import torch
from torch import FloatTensor

def losses():
    weight = torch.ones(3, requires_grad=True)
    first, second = weight.exp().sum(), weight.log().sum()
    third = torch.Tensor((first, second))  # GL211
    return torch.as_tensor([first, second]), FloatTensor([first, second]), third  # GL211 GL211

# run: found = losses()
# shows: not any(loss.requires_grad for loss in found)
```

### a copy of one tensor
```python
import torch

def copies():
    weight = torch.ones(3, requires_grad=True)
    data = torch.zeros(3)
    scores = weight * 2
    return torch.tensor(data), torch.tensor(scores)  # GL211 GL211

# run: found = copies()
# warns: UserWarning: To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone()
# shows: not found[1].requires_grad
```

### of losses that were gathered
```python
import torch

def train_step(model, criterion, optimizer, batches):
    losses = []
    for images, labels in batches:
        losses.append(criterion(model(images), labels))
    loss = torch.tensor(losses).mean()  # GL211
    optimizer.zero_grad()
    loss.backward()  # GL401
    optimizer.step()

# run: net = torch.nn.Linear(2, 2); train_step(net, torch.nn.MSELoss(), net, [(torch.ones(3, 2), torch.ones(3, 2))])
# raises: RuntimeError: element 0 of tensors does not require grad
```

### a loss that its module gives back as a copy
```python
import torch
from torch import nn

class Weighted(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def forward(self, first, second):
        distance = torch.norm(first - second)
        return torch.tensor(self.weight * distance)  # GL211

# run: loss = Weighted(0.5)(torch.ones(2, requires_grad=True), torch.zeros(2))
# shows: not loss.requires_grad
```

### of parameters, and of what layers compute
```python
import torch
from torch import nn

class Rotation(nn.Module):
    def __init__(self):
        super().__init__()
        self.angle = nn.Parameter(torch.zeros(()))
        self.value, self.policy = nn.Linear(2, 1), nn.Linear(2, 1)

    def forward(self, x):
        cosine, sine = torch.cos(self.angle), self.angle.sin()
        turned = x @ torch.tensor([[cosine, -sine], [sine, cosine]])  # GL211
        return turned, torch.FloatTensor([self.value(x).mean(), self.policy(x).mean()]).sum()  # GL211

# run: turned, total = Rotation()(torch.ones(3, 2))
# shows: not turned.requires_grad and not total.requires_grad
```

### the losses that a module is to weigh
```python
import torch
from torch import nn
from torch.nn import functional as F

class Weighing(nn.Module):
    def __init__(self):
        super().__init__()
        self.scales = nn.Parameter(torch.zeros(2))

    def forward(self, losses):
        stacked = torch.tensor(losses)  # GL211
        return (torch.exp(-self.scales) * stacked + self.scales).sum()

def train(model, batches):
    weighing = Weighing()
    for images, labels in batches:
        found = model(images)
        losses = [F.mse_loss(found, labels), F.l1_loss(found, labels)]
        weighing(losses).backward()

# run: model = nn.Linear(2, 2); train(model, [(torch.ones(3, 2), torch.zeros(3, 2))])
# shows: model.weight.grad is None
```

### a list that is made on the spot, of outputs
```python
import torch

def step(model, batches):
    loss = torch.tensor([model(batch).square().mean() for batch in batches]).sum()  # GL211
    loss.backward()  # GL401

# run: step(torch.nn.Linear(2, 2), [torch.ones(3, 2)])
# raises: RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn
```

## Silent

### losses that are written down once they were trained on
```python
import torch
from torch import nn

def train(images, labels):
    model, totals = nn.Linear(2, 2), torch.zeros(2)
    optimizer = torch.optim.SGD(model.parameters())
    for _ in range(3):
        outputs = model(images)
        first, second = nn.functional.mse_loss(outputs, labels), outputs.square().mean()
        optimizer.zero_grad()
        (first + second).backward()
        optimizer.step()
        totals += torch.tensor([first, second])
    return totals

# run: totals = train(torch.ones(3, 2), torch.ones(3, 2))
# shows: not totals.requires_grad
```

### of parameters that are no longer to be trained, or never were
```python
import torch
from torch import nn

class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.angle = nn.Parameter(torch.zeros(()), requires_grad=False)
        self.size = torch.ones(())

    def forward(self, x):
        return x @ torch.tensor([[torch.cos(self.angle), torch.sin(self.size)]])

class Thawing(nn.Module):
    def __init__(self):
        super().__init__()
        self.angle = nn.Parameter(torch.zeros(()))
        self.requires_grad_(False)

    def forward(self, x):
        return x @ torch.tensor([[torch.cos(self.angle), torch.sin(self.angle)]])

class Shown(nn.Module):
    def __init__(self):
        super().__init__()
        self.angle = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        angle = self.angle.detach()
        with torch.no_grad():
            self.shown = torch.tensor([torch.cos(self.angle), torch.sin(self.angle)])
        return x * self.angle, torch.tensor([torch.cos(angle), torch.sin(angle)])

# run: Frozen()(torch.ones(1, 1)), Thawing()(torch.ones(1, 1))
# run: turned, angles = Shown()(torch.ones(2))
# shows: turned.requires_grad
```

### python numbers
```python
import torch

def losses():
    weight = torch.ones(3, requires_grad=True)
    first, second = weight.exp().sum(), weight.log().sum()
    return torch.tensor([first.item(), second.item()]), torch.tensor([1.0, 2.0]), torch.tensor(3)

# run: found = losses()
```

### graphs kept
```python
import torch

def losses():
    weight = torch.ones(3, requires_grad=True)
    first, second = weight.exp().sum(), weight.log().sum()
    return torch.stack([first, second]), torch.as_tensor(first), first.detach().clone()

# run: found = losses()
# shows: found[0].requires_grad
```

### under no_grad
```python
import torch

@torch.no_grad()
def losses():
    weight = torch.ones(3, requires_grad=True)
    first, second = weight.exp().sum(), weight.log().sum()
    return torch.tensor([first, second])

# run: found = losses()
```

### numbers that are shown
```python
import torch

def train(model, criterion, optimizer, batches):
    losses = []
    for images, labels in batches:
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return torch.tensor(losses).mean()
```

### the `data` of objects that are no tensors
```python
import torch

class Value:
    def __init__(self, data):
        self.data = data

    def __add__(self, other):
        return Value(self.data + other.data)

def compare(value):
    both = value + value
    return torch.tensor(both.data), torch.tensor(value.data)

# run: found = compare(Value(2.0))
# shows: found[0] == 4
```

### losses whose numbers are weights of themselves, and numbers that are handed in
```python
import torch
from torch import nn
from torch.nn import functional as F

class Balancing(nn.Module):
    def forward(self, losses):
        weights = torch.tensor([float(loss) for loss in losses]).softmax(0)
        return (weights * torch.stack(losses)).sum()

class Showing(nn.Module):
    def forward(self, losses):
        numbers = torch.tensor(losses)
        return numbers.mean()

def train(model, batches):
    balancing, showing = Balancing(), Showing()
    for images, labels in batches:
        found = model(images)
        losses = [F.mse_loss(found, labels), F.l1_loss(found, labels)]
        balancing(losses).backward()
        print(showing([loss.item() for loss in losses]))

# run: model = nn.Linear(2, 2); train(model, [(torch.ones(3, 2), torch.zeros(3, 2))])
# shows: model.weight.grad is not None
```

### targets made of outputs, beside a prediction
```python
import torch
from torch.nn import functional as F

def step(model, teacher, batches):
    for batch in batches:
        wanted = torch.tensor([teacher(row).mean().item() for row in batch])
        F.mse_loss(model(batch).mean(-1), wanted).backward()

# run: model = torch.nn.Linear(2, 2); step(model, torch.nn.Linear(2, 2), [torch.ones(3, 2)])
# shows: model.weight.grad is not None
```
"""
