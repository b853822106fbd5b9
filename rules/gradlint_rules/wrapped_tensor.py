"""A tensor is wrapped in `Variable`, which does nothing for data and cuts the graph off a result.

## Flagged

```python
import torch
from torch.autograd import Variable

def penalty(model, images):
    scores = model(images)
    return Variable(scores).norm()  # GL413

# run: loss = penalty(model, images)
# shows: not loss.requires_grad
```

## Instead

```python
import torch

def penalty(model, images):
    scores = model(images)
    return scores.norm()

# run: loss = penalty(model, images)
# shows: loss.requires_grad
```

or `scores.detach()` where the graph is to be cut.

## Why

Since PyTorch 0.4 every tensor is what a `Variable` used to be, and `Variable(x)` makes a new tensor
of the same data: a leaf without a graph, which requires no grad unless `requires_grad=True` is given.
Around data that is merely superfluous (advice, off by default). Around something computed it drops
the graph without a word, and what is trained on the result trains nothing behind it.
"""

from collections.abc import Iterator

from gradlint.rule import (
    COMPUTED,
    GRAD,
    Argument,
    Call,
    CallEvent,
    Edit,
    Finding,
    Fix,
    FunctionNode,
    Project,
    Value,
    dotted,
    rule,
    scope,
)

_VARIABLES = frozenset({"torch.autograd.Variable", "torch.autograd.variable.Variable"})
_FIRST = frozenset({None, "data"})


@rule("GL413", severity="warning", since="0.1.0")
def wrapped_tensor(project: Project) -> Iterator[Finding]:
    """Find calls of ``Variable``; those around data are advice."""
    for function in project.functions():
        for call, _ in project.modes.calls(function, _VARIABLES):
            yield from _finding(project, function, call)


def _finding(project: Project, function: FunctionNode, call: Call) -> Iterator[Finding]:
    first = call.arguments[0] if call.arguments else None
    if first is None or first.stars or first.keyword not in _FIRST or _is_volatile(call):
        return
    event = project.flow(function).calls.get(call.at)
    cut = event is not None and _cuts(project, function, event)
    yield Finding(
        function.place(call.at),
        function.name,
        "`Variable` cuts the graph off what was computed" if cut else "every tensor is a `Variable` by itself",
        help="leave it out, or write `detach()` where the graph is to be cut" if cut else "leave it out",
        fix=_unwrap(function, call, first),
        severity=None if cut else "advice",
    )


def _is_volatile(call: Call) -> bool:
    """That flag is gone, and a rule of its own says so."""
    return any(argument.keyword == "volatile" for argument in call.arguments)


def _cuts(project: Project, function: FunctionNode, event: CallEvent) -> bool:
    """Whether what is wrapped has a graph, which is then lost; who sets the flag means to make a new leaf."""
    if len(event.arguments) != 1:
        return False
    value = event.arguments[0].value
    if value.kind == "tensor" and value.tensor == COMPUTED:
        return True
    if value.kind not in ("tensor", "unknown") or value.lost is not None:
        return False
    return any(_is_forward(project, value, function, at) for where, at in value.origins if where is function)


def _is_forward(project: Project, value: Value, function: FunctionNode, at: int) -> bool:
    """Whether a value is the result of a module that runs with grad on, and nothing else."""
    made = project.flow(function).calls.get(at)
    return (
        made is not None
        and made.forward
        and made.result == value
        and made.callee.frozen is not True
        and project.calls.states_at(function, at) == GRAD
    )


def _unwrap(function: FunctionNode, call: Call, first: Argument) -> Fix | None:
    name = dotted(first.value)
    if len(call.arguments) != 1 or name is None or (name, call.at) in {(n, v.at) for n, v in scope.assigned(function)}:
        return None  # ``x = x`` is nothing to write
    return Fix("unsafe", f"write `{name}`", (Edit(function.place(call.at), "replace", name),))


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Linear(8, 3)
images = torch.randn(4, 8)
```

## Flagged

### data, under every name
```python
import torch
import torch.autograd as autograd
from torch.autograd import Variable as V

def prepare(images, labels):
    images, labels = V(images), autograd.Variable(labels)  # GL413 GL413
    weight = torch.autograd.Variable(torch.ones(3), requires_grad=True)  # GL413
    return images, labels, weight

# run: found = prepare(images, torch.zeros(4))
# shows: found[0].data_ptr() == images.data_ptr() and found[2].requires_grad
```

### a computed tensor
```python
import torch
from torch.autograd import Variable

weight = torch.ones(3, requires_grad=True)
loss = Variable((weight * 2).sum())  # GL413
# shows: not loss.requires_grad
```

### a new leaf made of one on purpose
```python
import torch
from torch.autograd import Variable

def attack(images, noise):
    delta = torch.zeros(4, 8, requires_grad=True)
    adversarial = Variable(torch.clamp(images + delta, 0, 1), requires_grad=True)  # GL413
    return adversarial + noise

# run: out = attack(images, 0.1)
# shows: out.requires_grad
```

## Silent

### another Variable
```python
class Variable:
    def __init__(self, name):
        self.name = name

x = Variable("x")
```

### what a torch symbol of that name is asked for
```python
from torch.autograd import Variable

def is_tensor(x):
    return isinstance(x, Variable)

# shows: is_tensor(images)
```

### tensors as they are
```python
import torch

def prepare(images):
    images = images.detach()
    return images.requires_grad_()

# run: out = prepare(images)
# shows: out.is_leaf
```
"""
