"""`.grad` is read after `zero_grad()` has set it to `None`.

## Flagged

```python
import torch

def train_step(model, criterion, optimizer, images, labels):
    criterion(model(images), labels).backward()
    optimizer.step()
    optimizer.zero_grad()
    for parameter in model.parameters():
        print(parameter.grad)  # GL203

# run: train_step(model, criterion, optimizer, images, labels)
# shows: all(parameter.grad is None for parameter in model.parameters())
```

## Instead

```python
import torch

def train_step(model, criterion, optimizer, images, labels):
    criterion(model(images), labels).backward()
    optimizer.step()
    for parameter in model.parameters():
        print(parameter.grad)
    optimizer.zero_grad()

# run: train_step(model, criterion, optimizer, images, labels)
```

## Why

Since torch 2.0 `zero_grad()` does not fill gradients with zeros, it removes them: `set_to_none=True` is the
default, of optimizers and of modules. What is read afterwards is `None`, and using it raises `AttributeError:
'NoneType' object has no attribute 'norm'`. `zero_grad(set_to_none=False)` keeps tensors of zeros.
"""

from collections.abc import Iterator

from gradlint.rule import AttributeEvent, Finding, FunctionNode, Moment, Note, Operation, Project, all_of, rule, scope


@rule("GL203", severity="warning", since="0.2.0")
def grad_read_after_zero_grad(project: Project) -> Iterator[Finding]:
    """Find reads of parameters' gradients that on every path come after they were zeroed."""
    for function in project.functions():
        if function.facts.words.isdisjoint(("zero_grad",)) or "grad" not in function.facts.words:
            continue
        silent = scope.expected_to_fail(function) | scope.tried(function)
        events = {event.at: event for event in project.gradients.reads(function)}
        for moment in project.order.moments(function):
            event = events.get(moment.act.at) if moment.act.kind == "read" and moment.grads == {"none"} else None
            if event is None or event.tested or event.guarded or _is_compared(function, event.at):
                continue
            if event.at not in silent:
                yield _finding(function, event, moment)


def _is_compared(function: FunctionNode, at: int) -> bool:
    """``return p.grad is None``: whoever asks knows that there may be none."""
    asked = (o.operands for o in all_of(Operation, function.facts.body) if o.operator in ("is", "is not"))
    return any(operand.at == at for operands in asked for operand in operands)


def _finding(function: FunctionNode, event: AttributeEvent, moment: Moment) -> Finding:
    path = event.path or (f"{moment.act.path}.grad" if moment.act.option("one") else ".grad")
    raises = ", and what is done with it raises" if event.dereferenced else ""
    return Finding(
        function.place(event.at),
        function.name,
        f"`{path}` is None here{raises}: the gradients were zeroed, and no `backward()` has run since",
        (Note(function.place(moment.zeroed), "they are set to None here"),) if moment.zeroed is not None else (),
        help="read it before `zero_grad()`",
        severity="error" if event.dereferenced else None,
    )


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Linear(2, 1, bias=False)
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
images, labels = torch.ones(3, 2), torch.zeros(3, 1)
```

## Flagged

### used at once
```python
import torch

def norms(model, criterion, images, labels):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    criterion(model(images), labels).backward()
    optimizer.step()
    optimizer.zero_grad()
    return [parameter.grad.norm() for parameter in model.parameters()]  # GL203

# run: norms(model, criterion, images, labels)
# raises: AttributeError: 'NoneType' object has no attribute 'norm'
```

### zeroed by the module, or one of the tensors an optimizer was given
```python
import torch
from torch import nn

def first_layer(model, images):
    model(images).sum().backward()
    model.zero_grad()
    return model.weight.grad.norm()  # GL203

point = torch.ones(3, requires_grad=True)
descent = torch.optim.SGD([point], lr=0.1)
point.square().sum().backward()
descent.step()
descent.zero_grad()
print(point.grad)  # GL203
# shows: point.grad is None
# run: first_layer(model, images)
# raises: AttributeError: 'NoneType' object has no attribute 'norm'
```

### of all parameters of a module that zeroes them itself, before anything else
```python
def gather(model, images, optimizer):
    model.zero_grad(set_to_none=True)
    gradients = [p.grad.clone() for p in model.parameters()]  # GL203
    model(images).sum().backward()
    optimizer.step()
    return gradients

# run: gather(model, images, optimizer)
# raises: AttributeError: 'NoneType' object has no attribute 'clone'
```

### of a layer of a container
```python
import torch
from torch import nn

def last_norm(images):
    net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    optimizer = torch.optim.Adam(net.parameters())
    net(images).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return net[0].weight.grad.norm()  # GL203

# run: last_norm(images)
# raises: AttributeError: 'NoneType' object has no attribute 'norm'
```

## Silent

### of all parameters of a module, after another walk, and by who asks first
```python
def gather(model, images):
    model.zero_grad()
    model(images).sum().backward()
    return [p.grad.clone() for p in model.parameters()]

def zeroed(model):
    model.zero_grad()
    return all(p.grad is None for p in model.parameters())

def kept(model):
    model.zero_grad(set_to_none=False)
    return [p.grad.clone() for p in model.parameters()]

# run: gather(model, images), zeroed(model)
```

### asked in a generator expression
```python
import torch

def train_step(model, criterion, images, labels):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.zero_grad()
    criterion(model(images), labels).backward()
    optimizer.step()
    optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())

# run: train_step(model, criterion, images, labels)
```

### asked first, kept as zeros, or read before
```python
import torch

def train_step(model, criterion, images, labels):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    criterion(model(images), labels).backward()
    norms = [parameter.grad.norm() for parameter in model.parameters()]
    optimizer.step()
    optimizer.zero_grad()
    for parameter in model.parameters():
        if parameter.grad is not None:
            print(parameter.grad)
    return norms

def zeros(model, criterion, images, labels):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    criterion(model(images), labels).backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    return [parameter.grad.norm() for parameter in model.parameters()]

# run: train_step(model, criterion, images, labels)
# run: zeros(model, criterion, images, labels)
```

### after the next backward
```python
import torch

def train(model, criterion, images, labels):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        criterion(model(images), labels).backward()
        print([parameter.grad.norm() for parameter in model.parameters()])
        optimizer.step()

# run: train(model, criterion, images, labels)
```

### of another model
```python
import torch

def compare(model, other, images):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(other(images)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return [parameter.grad.norm() for parameter in other.parameters()]

# run: compare(model, torch.nn.Linear(2, 2), images)
```

### of an input, which no optimizer has
```python
import torch

def sensitivity(model, images):
    images = images.clone().requires_grad_()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(images).sum().backward()
    optimizer.zero_grad()
    model.zero_grad()
    return images.grad.abs()

# run: sensitivity(model, images)
```

### of a layer of a container, asked first, or before it is zeroed
```python
import torch
from torch import nn

def norms(images):
    net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    optimizer = torch.optim.Adam(net.parameters())
    if net[0].weight.grad is not None:
        net[0].weight.grad.zero_()
    net(images).sum().backward()
    optimizer.step()
    norm = net[2].weight.grad.norm()
    optimizer.zero_grad()
    return norm if net[0].weight.grad is None else net[0].weight.grad.norm()

# run: norms(images)
```
"""
