"""`.grad` is read where no `backward()` can have run: it is `None`.

## Flagged

```python
import torch

x = torch.tensor(2.0, requires_grad=True)
y = x * x
print(x.grad)  # GL202
# shows: x.grad is None
```

```python
import torch

def fit(rows, targets, lr=0.1):
    weight = torch.zeros(4, requires_grad=True)
    for _ in range(100):
        loss = ((rows @ weight - targets) ** 2).mean()
        with torch.no_grad():
            weight -= lr * weight.grad  # GL202
    return weight

# run: fit(rows, targets)
# raises: TypeError: unsupported operand type(s) for *: 'float' and 'NoneType'
```

## Instead

```python
import torch

x = torch.tensor(2.0, requires_grad=True)
y = x * x
y.backward()
print(x.grad)
# shows: x.grad.item() == 4.0
```

## Why

A forward computes no gradient. `.grad` is `None` until `backward()` has run on something computed
from the tensor. Printed, it is `None` in silence. Used, it raises: `TypeError: unsupported operand
type(s) for *: 'float' and 'NoneType'`, `AttributeError: 'NoneType' object has no attribute
'zero_'`. The second is typical of loops that zero the gradient first: in the first round there is
none yet. Ask `if weight.grad is not None`, or zero it after the step.
"""

from collections.abc import Iterator

from gradlint.rule import PLAIN, AttributeEvent, Finding, FunctionNode, Note, Project, rule, scope


@rule("GL202", severity="warning", since="0.1.0")
def grad_read_before_backward(project: Project) -> Iterator[Finding]:
    """Find reads of ``.grad`` that no ``backward()`` can have preceded."""
    for function in project.functions():
        found = [event for event in project.gradients.reads(function) if _is_early(event)]
        if found:
            silent = scope.expected_to_fail(function) | scope.tried(function)
            yield from (_finding(function, event) for event in found if event.at not in silent)


def _is_early(event: AttributeEvent) -> bool:
    if not event.fresh or event.tested or event.guarded:
        return False
    # What does not require grad is often shown to have no gradient; to use one is another matter.
    return event.dereferenced or not (event.owner.is_tensor and event.owner.tensor == PLAIN)


def _finding(function: FunctionNode, event: AttributeEvent) -> Finding:
    name = (event.path or "").removesuffix(".grad")
    made = event.owner.made_at
    what, since = (f"`{name}.grad`", f"`{name}`") if name else ("`.grad`", "the tensor")
    then = f"{_when(function, event)}{' and using it raises' if event.dereferenced else ''}"
    return Finding(
        function.place(event.at),
        function.name,
        f"{what} is None {then}: no `backward()` can have run since {since} was made",
        (Note(function.place(made), "it is made here"),) if made is not None else (),
        help=f"read it after `backward()`, or ask `if {name or 'x'}.grad is not None`",
        severity="error" if event.dereferenced else None,
    )


def _when(function: FunctionNode, event: AttributeEvent) -> str:
    loop = scope.innermost_loop(function, event.at)
    return "here" if loop is None or event.owner.made_at in loop else "here in the first round"


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Linear(4, 1)
rows, targets = torch.randn(8, 4), torch.randn(8)
```

## Flagged

### zeroed in the first round of a loop
```python
import torch

def fit(rows, targets, lr=0.1):
    weight = torch.zeros(4, requires_grad=True)
    for _ in range(100):
        weight.grad.zero_()  # GL202
        loss = ((rows @ weight - targets) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            weight -= lr * weight.grad
    return weight

# run: fit(rows, targets)
# raises: AttributeError: 'NoneType' object has no attribute 'zero_'
```

### read too early, backward comes later
```python
import torch

x = torch.tensor([1.0, 2.0], requires_grad=True)
loss = (x**2).sum()
before = x.grad  # GL202
loss.backward()
# shows: before is None and x.grad is not None
```

### dereferenced
```python
import torch

def a():
    w = torch.ones(3, requires_grad=True)
    return w.grad.norm()  # GL202

def b():
    w = torch.ones(3, requires_grad=True)
    return w.grad[0]  # GL202

def c():
    w = torch.ones(3, requires_grad=True)
    return w.grad.data.clone()  # GL202

def d():
    w = torch.ones(3).requires_grad_()
    return w - 0.1 * w.grad  # GL202

# run: a()
# run: b()
# run: c()
# run: d()
# raises: AttributeError: 'NoneType' object, or TypeError
```

### a model that was just made
```python
from torch import nn

def first_slope(rows):
    net = nn.Linear(4, 1)
    out = net(rows).sum()
    return out, net.weight.grad  # GL202

# run: out, slope = first_slope(rows)
# shows: slope is None
```

### a variable made by name
```python
import torch
from torch.autograd import Variable

x = Variable(torch.ones(2, 2), requires_grad=True)
y = (x + 2).pow(2).mean()
print(x.grad)  # GL202
# shows: x.grad is None
```

### the flag set afterwards
```python
import torch

x = torch.tensor(2.0)
x.requires_grad = True
y = x * x
print(x.grad)  # GL202
print(y.grad)  # GL201 GL202
# shows: x.grad is None
# warns: UserWarning: The .grad attribute of a Tensor that is not a leaf Tensor is being accessed.
```

### named but not called
```python
import torch

x = torch.tensor(2.0, requires_grad=True)
y = x * x
y.backward  # GL408
print(x.grad)  # GL202
# shows: x.grad is None
```

### all parameters of a model that was just made
```python
from torch import nn

def first_norms(rows):
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    loss = net(rows).pow(2).mean()
    return [param.grad.norm() for param in net.parameters()], loss  # GL202

# run: first_norms(rows)
# raises: AttributeError: 'NoneType' object has no attribute 'norm'
```

### a function of the project that runs no backward
```python
import torch

def squared(tensor):
    return (tensor**2).sum()

x = torch.ones(3, requires_grad=True)
loss = squared(x)
print(x.grad)  # GL202
# shows: x.grad is None
```

### a copy of an argument, in the first round and at once
```python
import torch.nn.functional as F

def attack(model, x, y):
    x = x.clone().requires_grad_()
    logits = model(x)
    x.grad.zero_()  # GL202
    F.mse_loss(logits, y).backward()
    return x.grad

# run: attack(torch.nn.Linear(4, 1), rows, targets[:, None])
# raises: AttributeError: 'NoneType' object has no attribute 'zero_'
```

### a copy of an argument, asked for its gradient on another line
```python
def called(model, x):
    copy = x.clone()
    copy.requires_grad_()
    loss = model(copy).sum()
    return loss, copy.grad.sign()  # GL202

def assigned(model, x):
    copy = x.clone()
    copy.requires_grad = True
    loss = model(copy).sum()
    return loss, copy.grad.sign()  # GL202

# run: called(torch.nn.Linear(4, 1), rows)
# run: assigned(torch.nn.Linear(4, 1), rows)
# raises: AttributeError: 'NoneType' object has no attribute 'sign'
```

## Silent

### after backward, also of something else
```python
import torch

x = torch.tensor(2.0, requires_grad=True)
y = x * x
other = y + 1
other.backward()
print(x.grad)
# shows: x.grad is not None
```

### after backward in a function of the project
```python
# file: steps.py
def finish(loss):
    loss.backward()

# file: main.py
import torch
from steps import finish

x = torch.tensor(2.0, requires_grad=True)
finish(x * x)
print(x.grad)
# shows: x.grad is not None
```

### after a call that may run backward
```python
import torch

def fit(engine, rows, targets):
    weight = torch.zeros(4, requires_grad=True)
    loss = ((rows @ weight - targets) ** 2).mean()
    engine.step(loss)
    return weight.grad

# run: from types import SimpleNamespace as space
# run: grad = fit(space(step=torch.Tensor.backward), rows, targets)
# shows: grad is not None
```

### by other ways to run backward
```python
import torch

def a(x):
    x = x.clone().detach().requires_grad_()
    torch.autograd.backward((x * x).sum())
    return x.grad

def b(x, scaler):
    x = x.clone().detach().requires_grad_()
    scaler.scale((x * x).sum()).backward()
    return x.grad

# run: from types import SimpleNamespace as space
# run: grads = a(rows), b(rows, space(scale=torch.Tensor.double))
# shows: all(grad is not None for grad in grads)
```

### asked first
```python
import torch

def fit(rows, targets, lr=0.1):
    weight = torch.zeros(4, requires_grad=True)
    for _ in range(3):
        if weight.grad is not None:
            weight.grad.zero_()
        loss = ((rows @ weight - targets) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            weight -= lr * weight.grad
    return weight

# run: fit(rows, targets)
```

### asked in other words
```python
import torch

def a():
    w = torch.ones(3, requires_grad=True)
    return None if w.grad is None else w.grad.norm()

def b():
    w = torch.ones(3, requires_grad=True)
    if w.grad is None:
        w.grad = torch.zeros_like(w)
    return w.grad.norm()

def c():
    w = torch.ones(3, requires_grad=True)
    assert w.grad is None
    return w

# run: a(), b(), c()
```

### zeroed at the end of each round
```python
import torch

def fit(rows, targets, lr=0.1):
    weight = torch.zeros(4, requires_grad=True)
    for _ in range(3):
        loss = ((rows @ weight - targets) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            weight -= lr * weight.grad
        weight.grad.zero_()
    return weight

# run: fit(rows, targets)
```

### parameters of a model that is trained elsewhere
```python
import torch

def grad_norm(model):
    norms = [param.grad.norm() for param in model.parameters()]
    return torch.stack(norms).norm()

def clip(optimizer, limit):
    for group in optimizer.param_groups:
        for param in group["params"]:
            param.grad.clamp_(-limit, limit)

# run: model(rows).sum().backward()
# run: grad_norm(model)
```

### an argument
```python
def sgd(params, lr):
    for param in params:
        param.data -= lr * param.grad

# run: model(rows).sum().backward()
# run: sgd(list(model.parameters()), 0.1)
```

### written before it is read
```python
import torch

x = torch.ones(3, requires_grad=True)
x.grad = torch.zeros(3)
x.grad += 1
print(x.grad)
# shows: x.grad.tolist() == [1.0, 1.0, 1.0]
```

### filled by a closure or a hook
```python
import torch

def fit(rows, targets):
    weight = torch.zeros(4, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight])

    def closure():
        optimizer.zero_grad()
        loss = ((rows @ weight - targets) ** 2).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    return weight.grad

# run: grad = fit(rows, targets)
# shows: grad is not None
```

### only stored to None
```python
import torch

x = torch.ones(3, requires_grad=True)
x.grad = None
del x.grad
```

### not in the first round
```python
import torch

def fit(rows, targets, lr=0.1):
    weight = torch.zeros(4, requires_grad=True)
    for step in range(3):
        if step > 0:
            weight.grad.zero_()
        loss = ((rows @ weight - targets) ** 2).mean()
        loss.backward()
    return weight

def skip(rows, targets):
    weight = torch.zeros(4, requires_grad=True)
    for step in range(3):
        ((rows @ weight - targets) ** 2).mean().backward()
        if step == 0:
            continue
        weight.grad.zero_()

# run: fit(rows, targets)
# run: skip(rows, targets)
```

### tried
```python
import torch

def fit(rows, targets):
    weight = torch.zeros(4, requires_grad=True)
    for _ in range(3):
        try:
            weight.grad.zero_()
        except AttributeError:
            pass
        ((rows @ weight - targets) ** 2).mean().backward()

# run: fit(rows, targets)
```

### asked by another name
```python
import torch

def fit(rows, targets):
    weight = torch.zeros(4, requires_grad=True)
    for _ in range(3):
        slope = weight.grad
        if slope is not None:
            slope.zero_()
        ((rows @ weight - targets) ** 2).mean().backward()

# run: fit(rows, targets)
```

### trained by whoever gets the model
```python
from torch import nn

def report(trainer, rows):
    net = nn.Linear(4, 1)
    trainer.fit(net, rows)
    print(net.weight.grad)

# run: from types import SimpleNamespace as space
# run: report(space(fit=lambda net, rows: net(rows).sum().backward()), rows)
```

### by the consumer of a generator
```python
import torch

def losses(rows):
    weight = torch.zeros(4, requires_grad=True)
    yield (rows @ weight).sum()
    print(weight.grad.norm())

# run: for loss in losses(rows): loss.backward()
```

### of what needs no gradient
```python
import torch

x = torch.ones(3, requires_grad=True)
with torch.no_grad():
    y = x * 2
print(y.grad)
# shows: y.grad is None
```

### given by hand to all parameters
```python
import torch
from torch import nn

def start(rows):
    net = nn.Linear(4, 1)
    for param in net.parameters():
        param.grad = torch.zeros_like(param)
    for weight in net.parameters():
        weight.grad.add_(1)
    return net

# run: start(rows)
```

### a copy of an argument on another line, after backward, and a clone of a model
```python
import torch

def attack(model, x):
    copy = x.clone()
    copy.requires_grad_()
    for _ in range(2):
        model(copy).sum().backward()
        copy.requires_grad_()
        print(copy.grad.norm())
    return copy.grad

def adapt(learner, x):
    net = learner.clone()
    net.requires_grad_()
    net.eval()
    with torch.no_grad():
        return net(x)

# run: attack(torch.nn.Linear(4, 1), rows)
```

### a copy of an argument, after backward, and a copy that only looks like a tensor's
```python
import torch

class Batch:
    def __init__(self, rows):
        self.rows, self.grad = rows, torch.zeros(4)

    def clone(self):
        return Batch(self.rows.clone())

    def requires_grad_(self):
        self.rows.requires_grad_()
        return self

def attack(model, x):
    x = x.clone().requires_grad_()
    model(x).sum().backward()
    x.grad.zero_()
    return x

def perturb(batch):
    batch = batch.clone().requires_grad_()
    batch.grad.zero_()
    return batch

# run: attack(torch.nn.Linear(4, 1), rows), perturb(Batch(rows))
```
"""
