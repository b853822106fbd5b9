"""A loss without a graph is made to require grad: `backward()` runs, and trains nothing.

## Flagged

```python
import torch

def train_step(model, criterion, optimizer, images, labels):
    optimizer.zero_grad()
    loss = criterion(model(images).detach(), labels)
    loss.requires_grad = True  # GL402
    loss.backward()
    optimizer.step()

# run: train_step(model, criterion, optimizer, images, labels)
# shows: model.weight.grad is None
```

## Instead

```python
def train_step(model, criterion, optimizer, images, labels):
    optimizer.zero_grad()
    loss = criterion(model(images), labels)
    loss.backward()
    optimizer.step()

# run: train_step(model, criterion, optimizer, images, labels)
# shows: model.weight.grad is not None
```

## Why

`RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn` says that the way from
the loss back to the parameters is cut. Setting the flag, or wrapping the loss in `Variable(loss,
requires_grad=True)` or `torch.tensor(loss.item(), requires_grad=True)`, makes the loss a leaf of its own:
`backward()` computes its derivative with respect to itself, which is 1, and no parameter ever gets a gradient.
The error is gone, and so is the training.

If the loss has its graph, `loss.requires_grad = True` raises `RuntimeError: you can only change requires_grad
flags of leaf variables.`: the line is wrong in either case. Look for what cut the graph: `.detach()`, `.data`,
`.item()`, NumPy, `argmax`, `no_grad()`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from gradlint.rule import (
    COMPUTED,
    LABELS,
    LEAF,
    PLAIN,
    Attribute,
    AttributeEvent,
    Call,
    CallEvent,
    Expression,
    Finding,
    FunctionNode,
    Name,
    Note,
    Origin,
    Passed,
    Project,
    Value,
    dotted,
    rule,
    scope,
    within,
)

_LOSS = re.compile(r"(^|_)(loss(es)?|kl|nll)(_|$)")
_BACKWARD = frozenset({"backward", "manual_backward"})


@rule("GL402", severity="error", since="0.2.0")
def revived_loss(project: Project) -> Iterator[Finding]:
    """Find ``backward()`` on leaves that hold what was computed, and flags set on what it is called on."""
    for function in project.functions():
        if _BACKWARD.isdisjoint(function.facts.words):
            continue
        flow = project.flow(function)
        silent = scope.expected_to_fail(function) | scope.tried(function)
        starts = [event for event in flow.calls.values() if event.method in _BACKWARD and not event.arguments]
        flagged = {event.at: event for event in flow.attributes.values() if _sets_flag(event)}
        for start in starts:
            if start.at in silent or start.receiver is None:
                continue
            setting = _setting_before(function, start, flagged.values())
            if setting is not None:
                yield _set(function, setting, start)
            else:
                made = _made_a_leaf(flow.calls.values(), start, start.receiver)
                made = made if made is not None else _set_by_method(flow.calls.values(), start)
                made = made if made is not None else _walked_as_made(function, flow.calls, start)
                if made is not None or _is_revived(start.receiver):
                    yield _wrapped(function, start, made if made is not None else start.at)


def _sets_flag(event: AttributeEvent) -> bool:
    return event.name == "requires_grad" and event.stored is not None and event.stored.constant is True


def _setting_before(
    function: FunctionNode, start: CallEvent, flagged: Iterable[AttributeEvent]
) -> AttributeEvent | None:
    """``loss.requires_grad = True`` before ``loss.backward()``, with nothing assigned to the name in between."""
    name = _owner(start)
    for event in flagged if name else ():
        if event.path == f"{name}.requires_grad" and event.at < start.at:
            if _is_data(event.owner) and not _is_computed_loss(function, name, event.at):
                continue
            bound = (value.at for path, value in scope.assigned(function) if path == name)
            if not any(event.at < at < start.at for at in bound):
                return event
    return None


def _owner(start: CallEvent) -> str:
    """The name of what ``backward()`` is called on; nothing where that is computed: no two such are the same."""
    name = start.name.rpartition(".")[0]
    return "" if "?" in name else name


def _is_data(value: Value) -> bool:
    """Whether a tensor was made of numbers: a leaf like any other."""
    return value.lost is not None and value.lost.how.startswith("torch.") and not value.shadow


def _is_computed_loss(function: FunctionNode, name: str, at: int) -> bool:
    """``loss = torch.tensor(losses).mean()`` in a function that steps: of numbers, but not of spelt out ones."""
    made = [value for path, value in scope.assigned(function) if path == name and value.at < at][-1:]
    computed = any(isinstance(part, Call | Name) for value in made for part in _numbers(value))
    return _LOSS.search(name) is not None and "step" in function.facts.words and computed


def _is_revived(value: Value) -> bool:
    return value.kind == "tensor" and value.tensor == LEAF and bool(value.shadow)


def _made_a_leaf(calls: Iterable[CallEvent], start: CallEvent, value: Value) -> int | None:
    """Where the loss was made a leaf: a call, in the function, whose result it is, or a mean of which it is."""
    made = (e for e in calls if e.at < start.at and e.result.tensor == LEAF and _asks_for_gradient(e))
    if _is_revived(value):
        same = [event.at for event in made if event.result.shadow == value.shadow]
    elif value.kind == "tensor" and value.tensor == COMPUTED and not value.origins:
        same = [e.at for e in made if e.result.shadow == value.shadow and any(map(_is_loss, e.arguments))]
    else:
        same = []
    return max(same, default=None)


def _set_by_method(calls: Iterable[CallEvent], start: CallEvent) -> int | None:
    """``loss.requires_grad_()``, where nothing has a graph that the loss was computed from, as far as labels go."""
    name = _owner(start)
    for event in calls if name else ():
        owner = event.receiver
        if owner is None or event.method != "requires_grad_" or event.name != f"{name}.requires_grad_":
            continue
        guarded = owner.tensor == PLAIN  # whatever it was computed from
        given = [] if guarded else [origin for origin in owner.origins if not _is_label(origin)]
        forward = any(origin.at >= 0 for origin in (owner.traces if guarded else owner.shadow))
        if event.at < start.at and forward and not given and owner.tensor & PLAIN and not _is_off(event):
            return event.at
    return None


def _walked_as_made(function: FunctionNode, calls: Mapping[int, CallEvent], start: CallEvent) -> int | None:
    """``loss = torch.tensor(sum(losses), requires_grad=True)``: walked from the leaf that it is, before a step."""
    name, value = start.name.rpartition(".")[0], start.receiver
    if value is None or value.kind != "tensor" or value.tensor != LEAF or not _LOSS.search(name):
        return None
    if "step" not in function.facts.words:
        return None
    given = [each for path, each in scope.assigned(function) if path == name]
    last = [each for each in given if each.at < start.at][-1:]
    wraps = any(dotted(part) == name for each in last for part in within(each))  # ``loss = torch.tensor(loss, ..)``
    made = calls.get(last[0].at) if last and (len(given) == 1 or wraps) else None
    if made is None or not _asks_for_gradient(made) or _is_off(made):
        return None
    return made.at if any(isinstance(part, Call | Name) for part in _numbers(last[0])) else None


def _numbers(made: Expression) -> Iterator[Expression]:
    """What goes into a tensor that is made of data, settings left out."""
    match made:
        case Call(function=Attribute(value=Call() as owner, name="requires_grad_" | "mean" | "sum")):
            yield from _numbers(owner)
        case Call(arguments=(first, *_)):
            yield from within(first.value)
        case _:
            pass


def _is_off(event: CallEvent) -> bool:
    return any(argument.value.constant is False for argument in event.arguments)


def _is_label(origin: Origin) -> bool:
    """Whether it is a parameter called like what a loss compares with."""
    parameters = origin.function.facts.parameters
    return origin.at < 0 and LABELS.search(parameters[-origin.at - 1].name) is not None


def _asks_for_gradient(event: CallEvent) -> bool:
    return event.method == "requires_grad_" or any(a.keyword == "requires_grad" for a in event.arguments)


def _is_loss(argument: Passed) -> bool:
    return _LOSS.search(dotted(argument.expression) or "") is not None


def _set(function: FunctionNode, setting: AttributeEvent, start: CallEvent) -> Finding:
    name = start.name.rpartition(".")[0]
    return Finding(
        function.place(setting.at),
        function.name,
        f"with `requires_grad` set on it `{name}` is a leaf of its own: `{name}.backward()` runs and trains nothing",
        (Note(function.place(start.at), "no gradient reaches a parameter from here"),),
        help=f"look for what cut the graph of `{name}`; if nothing did, this line raises",
    )


def _wrapped(function: FunctionNode, start: CallEvent, made: int) -> Finding:
    name = start.name.rpartition(".")[0]
    what = f"`{name}`" if name and not name.startswith("?") else "the tensor"
    return Finding(
        function.place(made),
        function.name,
        f"{what} is a leaf of its own, without the graph it was computed with: `backward()` runs and trains nothing",
        (Note(function.place(start.at), "no gradient reaches a parameter from here"),),
        help="call `backward()` on the loss itself",
    )


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Linear(2, 1)
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
images, labels = torch.ones(3, 2), torch.zeros(3, 1)
```

## Flagged

### of numbers that were gathered, or of what NumPy made of them
```python
import torch

def train_step(model, optimizer, batches):
    numbers = []
    for images in batches:
        numbers.append(model(images).mean().item())  # GL101
    loss = torch.tensor(sum(numbers) / len(numbers), requires_grad=True)  # GL402
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: net = torch.nn.Linear(2, 2); train_step(net, torch.optim.SGD(net.parameters(), lr=0.1), [torch.ones(3, 2)])
# shows: net.weight.grad is None
```

### the mean of the numbers of many, flagged or made a leaf in the end
```python
import torch

def train(model, criterion, images, labels, optimizer):
    losses = []
    for image, label in zip(images, labels):
        losses.append(criterion(model(image), label).item())  # GL101
    loss = torch.tensor(losses).mean()
    loss.requires_grad = True  # GL402
    loss.backward()
    optimizer.step()

def train_by_sum(losses, optimizer):
    loss = torch.tensor(losses).sum().requires_grad_()  # GL402
    loss.backward()
    optimizer.step()

# run: train(model, criterion, images, labels, optimizer)
# run: train_by_sum([criterion(model(images), labels).item()], optimizer)
# shows: model.weight.grad is None
```

### made of its number
```python
import torch

def train_step(model, criterion, optimizer, images, labels):
    optimizer.zero_grad()
    loss = torch.tensor(criterion(model(images), labels).item(), requires_grad=True)  # GL402
    loss.backward()
    optimizer.step()

# run: train_step(model, criterion, optimizer, images, labels)
# shows: model.weight.grad is None
```

### wrapped, or detached first
```python
import torch
from torch.autograd import Variable

def train_step(model, criterion, optimizer, images, labels):
    optimizer.zero_grad()
    loss = criterion(model(images), labels)
    wrapped = Variable(loss, requires_grad=True)  # GL402
    wrapped.backward()
    revived = criterion(model(images), labels).detach().requires_grad_()  # GL402
    revived.backward()
    optimizer.step()

# run: train_step(model, criterion, optimizer, images, labels)
# shows: model.weight.grad is None
```

### a loss of unknown origin
```python
def backprop(loss):
    loss.requires_grad = True  # GL402
    loss.backward()

# run: backprop(torch.ones(()))
# shows: model.weight.grad is None
```

### a method on the name, and the numbers of many
```python
import torch

def train_step(model, criterion, optimizer, images, labels):
    loss = criterion(model(images).argmax(1, keepdim=True).float(), labels)
    loss.requires_grad_(True)  # GL402
    loss.backward()
    optimizer.step()

def train_on_all(model, criterion, optimizer, images, labels):
    losses = []
    for image, label in zip(images, labels):
        losses.append(float(criterion(model(image), label)))  # GL101
    loss = torch.tensor(losses, requires_grad=True).mean()  # GL402
    loss.backward()
    optimizer.step()

# run: train_step(model, criterion, optimizer, images, labels)
# run: train_on_all(model, criterion, optimizer, images, labels)
# shows: model.weight.grad is None
```

### a sum of numbers that keeps its name
```python
import torch

def train_step(model, criterion, optimizer, images, labels):
    loss = sum(criterion(model(images), labels).item() for _ in range(2))  # GL101
    loss = torch.tensor(loss, requires_grad=True)  # GL402
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: train_step(model, criterion, optimizer, images, labels)
# shows: model.weight.grad is None
```

### a method on what was computed under a guard
```python
import torch

def train_step(model, criterion, optimizer, images, labels):
    with torch.no_grad():
        loss = criterion(model(images), labels)
        loss.requires_grad_()  # GL402
        loss.backward()
        optimizer.step()

# run: train_step(model, criterion, optimizer, images, labels)
# shows: model.weight.grad is None
```

### a method on the loss of what was counted
```python
def train_step(model, optimizer, images, labels):
    predicted = model(images).argmax(1).float()
    loss = (predicted - labels.squeeze(1)).square().mean()
    loss.requires_grad_(True)  # GL402
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: train_step(model, optimizer, images, labels)
# shows: all(parameter.grad is None for parameter in model.parameters())
```

## Silent

### a leaf that a loss is computed from
```python
import torch

def fit(numbers):
    margin = torch.tensor(sum(numbers) / len(numbers), requires_grad=True)
    optimizer = torch.optim.SGD([margin], lr=0.1)
    loss = (margin - 1) ** 2
    loss.backward()
    optimizer.step()

fit([1.0, 2.0])
```

### the input is to have a gradient
```python
import torch

def saliency(model, image):
    image = image.clone().detach()
    image.requires_grad = True
    model(image).sum().backward()
    return image.grad

# run: saliency(model, images)
```

### harmless where the graph is there
```python
def train_step(model, criterion, images, labels):
    loss = criterion(model(images), labels)
    loss.requires_grad_(True)
    loss.backward()

# run: train_step(model, criterion, images, labels)
# shows: model.weight.grad is not None
```

### of numbers that are spelt out
```python
import torch

def show(optimizer):
    loss = torch.tensor([1.0, 2.0]).mean()
    loss.requires_grad = True
    loss.backward()
    optimizer.step()
    return loss.grad

# run: gradient = show(optimizer)
# shows: gradient.item() == 1.0
```

### a leaf of one's own
```python
import torch

x = torch.tensor(2.0)
x.requires_grad = True
x.backward()
# shows: x.grad.item() == 1.0
```

### assigned anew in between
```python
def train_step(model, criterion, images, labels):
    loss = labels.mean()
    loss.requires_grad = True
    loss = loss * criterion(model(images), labels)
    loss.backward()

# run: train_step(model, criterion, images, labels)
# shows: model.weight.grad is not None
```

### numbers that are to have a gradient
```python
import torch

def weights(scores):
    found = torch.tensor([score.sum().item() for score in scores], requires_grad=True)
    found.exp().mean().backward()
    return found.grad

# run: weights(images)
```

### a leaf for the input of something else that walks backwards
```python
import torch
from torch import nn

layer = nn.Linear(2, 2)

class Scored:
    def __init__(self, weight):
        self.weight = weight

    def score(self, x):
        return (self.weight * x).sum()

def compare(x):
    output = layer(x)
    output.sum().backward()
    eta = output.detach().clone().requires_grad_(True)
    Scored(eta).score(x).squeeze().backward()
    return eta.grad

# run: found = compare(torch.ones(2))
# shows: found is not None
```
"""
