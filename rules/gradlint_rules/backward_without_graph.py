"""`backward()` is called on something that has no graph.

## Flagged

```python
import torch

def train_step(model, criterion, optimizer, images, labels):
    with torch.no_grad():
        loss = criterion(model(images), labels)
    optimizer.zero_grad()
    loss.backward()  # GL401
    optimizer.step()

# run: train_step(model, criterion, optimizer, images, labels)
# raises: RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn
```

## Instead

```python
def train_step(model, criterion, optimizer, images, labels):
    loss = criterion(model(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: train_step(model, criterion, optimizer, images, labels)
# shows: model.weight.grad is not None
```

## Why

`backward()` walks the graph that the forward recorded. What is computed under `no_grad()` or
`inference_mode()`, and what comes from `.detach()`, `.data`, a comparison or `argmax`, has none:
`RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn`. `.item()`
and `.tolist()` give Python numbers: `AttributeError: 'float' object has no attribute 'backward'`.

The mode counts where the loss is computed, not where `backward()` is called: `loss.backward()`
inside `no_grad()` works on a graph that was recorded outside.

Setting `loss.requires_grad = True` silences the error, and then trains nothing.
"""

from collections.abc import Iterator

from gradlint.rule import PLAIN, CallEvent, Finding, FunctionNode, Loss, Note, Project, Value, rule, scope


@rule("GL401", severity="error", since="0.1.0")
def backward_without_graph(project: Project) -> Iterator[Finding]:
    """Find ``backward()`` on values that are proved to carry no graph."""
    for function in project.functions():
        found = {event.at: (event, value) for event, value in project.gradients.walks(function) if _is_bare(value)}
        if found:
            silent = scope.expected_to_fail(function) | scope.tried(function)
            yield from (_finding(function, *each) for at, each in found.items() if at not in silent)


def _is_bare(value: Value) -> bool:
    if value.lost is None:
        return False
    return value.kind in ("number", "array") or (value.is_tensor and value.tensor == PLAIN)


def _finding(function: FunctionNode, event: CallEvent, value: Value) -> Finding:
    lost = value.lost
    assert lost is not None
    name = event.name.removesuffix(".backward") if value is event.receiver else ""
    what = f"`{name}`" if name and not name.startswith("?") else "the tensor it starts from"
    call = f"{event.name.removeprefix('?.')}({'...' if event.arguments else ''})"
    reason, place, remedy = _explained(lost, value, what)
    return Finding(
        function.place(event.at),
        function.name,
        f"`{call}` raises: {reason}",
        (Note(lost.place, place),),
        help=remedy,
    )


def _explained(lost: Loss, value: Value, what: str) -> tuple[str, str, str]:
    """What is wrong, what happened at the place of the loss, and what to do."""
    if lost.how == "data":
        lost = Loss(".data", lost.place)
    how = f"`{lost.how}`" if lost.how in _BARE or not lost.how.isidentifier() else f"`.{lost.how}()`"
    before = "call `backward()` on what still has its graph"
    if lost.how in ("no_grad", "inference_mode"):
        reason = f"{what} was computed under {how}, so it has no graph"
        return reason, "nothing is recorded here", f"compute it outside of {how}"
    if value.kind in ("number", "array"):
        kind = "a Python number" if value.kind == "number" else "an array"
        return f"{what} is {kind}, from {how}", f"{how} takes the values alone", before
    if lost.how in ("detach", "detach_", ".data"):
        return f"{what} was cut off its graph by {how}", f"{how} leaves the graph behind", before
    if lost.how.startswith("torch."):
        reason = f"{what} was computed from data alone, nothing of it requires grad"
        return reason, f"{how} makes plain data", "compute it from parameters, or from leaves with `requires_grad=True`"
    reason = f"{what} comes from {how}, which has no derivative"
    return reason, "no graph leads through here", "compute a loss from the scores, not from what was decided by them"


_BARE = frozenset({"no_grad", "inference_mode", "float", "int", "bool"})


CASES = r"""
```python setup
import torch
from torch import nn

model, criterion = nn.Linear(8, 3), nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
images, labels = torch.randn(4, 8), torch.randint(3, (4,))
```

## Flagged

### the whole step under the guard
```python
import torch

@torch.no_grad()
def train_step(model, criterion, images, labels):
    loss = criterion(model(images), labels)
    loss.backward()  # GL401

def other_step(model, criterion, images, labels):
    with torch.inference_mode():
        loss = criterion(model(images), labels)
        loss.backward()  # GL401

# run: train_step(model, criterion, images, labels)
# run: other_step(model, criterion, images, labels)
# raises: RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn
```

### a Python number
```python
def a(model, criterion, images, labels):
    loss = criterion(model(images), labels).item()
    loss.backward()  # GL401

def b(model, criterion, images, labels):
    criterion(model(images), labels).tolist().backward()  # GL401

def c(model, criterion, images, labels):
    loss = float(criterion(model(images), labels))
    loss.backward()  # GL401

# run: a(model, criterion, images, labels)
# run: b(model, criterion, images, labels)
# run: c(model, criterion, images, labels)
# raises: AttributeError: 'float' object has no attribute 'backward'
```

### detached
```python
import torch

def a(model, criterion, images, labels):
    loss = criterion(model(images), labels).detach()
    loss.backward()  # GL401

def b(model, criterion, images, labels):
    loss = criterion(model(images), labels).data
    loss.mean().backward()  # GL401

def c(model, criterion, images, labels):
    loss = torch.tensor(criterion(model(images), labels).item())
    loss.backward()  # GL401

# run: a(model, criterion, images, labels)
# run: b(model, criterion, images, labels)
# run: c(model, criterion, images, labels)
# raises: RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn
```

### an array
```python
def train_step(model, criterion, images, labels):
    loss = criterion(model(images), labels).detach().numpy()
    loss.backward()  # GL401

# run: train_step(model, criterion, images, labels)
# raises: AttributeError: 'numpy.ndarray' object has no attribute 'backward'
```

### a step that has no slope
```python
def a(model, images, labels):
    accuracy = (model(images).argmax(1) == labels).float().mean()
    (1 - accuracy).backward()  # GL401

def b(model, images):
    model(images).argmax(1).float().sum().backward()  # GL401

# run: a(model, images, labels)
# run: b(model, images)
# raises: RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn
```

### computed by a guarded function in another file
```python
# file: losses.py
import torch

@torch.no_grad()
def eval_loss(model, criterion, images, labels):
    return criterion(model(images), labels)

# file: train.py
from losses import eval_loss

def train_step(model, criterion, images, labels):
    loss = eval_loss(model, criterion, images, labels)
    loss.backward()  # GL401

# run: train_step(model, criterion, images, labels)
# raises: RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn
```

### by the functions of torch.autograd
```python
import torch

def a(model, images):
    loss = model(images).sum().detach()
    torch.autograd.backward(loss)  # GL401

def b(model, images):
    with torch.no_grad():
        loss = model(images).sum()
    return torch.autograd.grad(loss, model.weight)  # GL401

# run: a(model, images)
# run: b(model, images)
# raises: RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn
```

### from the second round on
```python
import torch

loss = torch.ones(3, requires_grad=True).sum()
for step in range(2):
    loss.backward()  # GL401
    loss = loss.detach()
# raises: RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn
```

### the loss of a decision
```python
from torch import nn
from torch.nn import functional as F

loss_fn = nn.L1Loss()

def a(model, images, labels):
    decided = model(images).softmax(1).argmax(1).float()
    loss = loss_fn(decided, labels)
    loss.backward()  # GL401

def b(model, images, labels):
    F.mse_loss(model(images).argmax(1).float(), labels.float()).backward()  # GL401

# run: a(model, images, labels)
# run: b(model, images, labels)
# raises: RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn
```

### of data alone
```python
import torch

def penalty(size):
    total = torch.zeros(size)
    return (total**2).mean()

penalty(3).backward()  # GL401
# raises: RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn
```

### a loss of what has no graph any more
```python
import torch

@torch.no_grad()
def embed(model, images):
    return model(images)

def detached(model, criterion, images, labels):
    loss = criterion(model(images).detach(), labels)
    loss.backward()  # GL401

def embedded(model, criterion, images, labels, optimizer):
    loss = criterion(embed(model, images), labels)
    optimizer.zero_grad()
    loss.backward()  # GL401
    optimizer.step()

def scaled(model, criterion, images, labels, scaler):
    loss = criterion(model(images).data, labels)
    scaler.scale(loss).backward()  # GL401

# run: detached(model, criterion, images, labels)
# run: embedded(model, criterion, images, labels, optimizer)
# run: scaled(model, criterion, images, labels, torch.amp.GradScaler("cpu", enabled=False))
# raises: RuntimeError: element 0 of tensors does not require grad
```

### through an accelerator
```python
import torch

class Accelerator:
    def __getattr__(self, name):
        return lambda loss: loss.backward()

def train_step(accelerator, model, criterion, images, labels):
    with torch.inference_mode():
        loss = criterion(model(images), labels)
    accelerator.backward(loss)  # GL401

# run: train_step(Accelerator(), model, criterion, images, labels)
# raises: RuntimeError: element 0 of tensors does not require grad
```

### a forward that guards itself
```python
import torch
from torch import nn

class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 3)

    @torch.no_grad()
    def forward(self, images):
        return self.layer(images)

def train_step(criterion, images, labels):
    loss = criterion(Frozen()(images), labels)
    loss.backward()  # GL401

# run: train_step(criterion, images, labels)
# raises: RuntimeError: element 0 of tensors does not require grad
```

## Silent

### backward inside no_grad on a graph recorded outside
```python
import torch

def train_step(model, criterion, images, labels):
    loss = criterion(model(images), labels)
    with torch.no_grad():
        loss.backward()

# run: train_step(model, criterion, images, labels)
# shows: model.weight.grad is not None
```

### switched on again inside
```python
import torch

@torch.no_grad()
def train_step(model, criterion, images, labels):
    with torch.enable_grad():
        loss = criterion(model(images), labels)
    loss.backward()

# run: train_step(model, criterion, images, labels)
# shows: model.weight.grad is not None
```

### one part has a graph
```python
import torch

def distil(student, teacher, images):
    with torch.no_grad():
        target = teacher(images)
    loss = (student(images) - target).pow(2).mean() + target.mean()
    loss.backward()

# run: distil(model, nn.Linear(8, 3), images)
# shows: model.weight.grad is not None
```

### the number is another name
```python
def train_step(model, criterion, images, labels):
    loss = criterion(model(images), labels)
    value = loss.item()
    print(value, loss.detach(), loss.data)
    loss.backward()
    return float(loss)

# run: train_step(model, criterion, images, labels)
```

### guarded on the evaluating path only
```python
import torch

def run(model, criterion, images, labels, training):
    with torch.set_grad_enabled(training):
        loss = criterion(model(images), labels)
    if training:
        loss.backward()
    return loss.item()

def run_too(model, criterion, images, labels, optimizer=None):
    if optimizer is None:
        with torch.no_grad():
            loss = criterion(model(images), labels)
    else:
        loss = criterion(model(images), labels)
    if optimizer is not None:
        loss.backward()
    return loss.item()

# run: run(model, criterion, images, labels, True)
# run: run_too(model, criterion, images, labels, optimizer)
```

### switched by an expression that chooses
```python
import torch

def run_epoch(model, optimizer, batches, phase):
    model.train() if phase == "train" else model.eval()
    torch.set_grad_enabled(True) if phase == "train" else torch.set_grad_enabled(False)
    for images, labels in batches:
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        if phase == "train":
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

def run_quietly(model, optimizer, batches, evaluating):
    evaluating and torch.set_grad_enabled(False)
    for images, labels in batches:
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        if not evaluating:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

model = torch.nn.Linear(2, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
batches = [(torch.ones(1, 2), torch.tensor([1]))]
run_epoch(model, optimizer, batches, "train")
run_quietly(model, optimizer, batches, False)
# shows: model.weight.grad is not None
```

### a leaf made under the guard
```python
import torch

with torch.no_grad():
    x = torch.ones((), requires_grad=True)
    w = torch.nn.Parameter(torch.ones(()))
x.backward()
(w * 2).backward()
# shows: x.grad.item() == 1.0 and w.grad.item() == 2.0
```

### an update under the guard, then the next step
```python
import torch

def fit(rows, targets, lr=0.1):
    weight = torch.zeros(8, requires_grad=True)
    for _ in range(3):
        loss = ((rows @ weight - targets) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            weight -= lr * weight.grad
            weight.grad.zero_()
    return weight

# run: fit(images, torch.ones(4))
```

### the backward of something else
```python
import torch

class Engine:
    def backward(self, loss):
        print("scaled", loss)

def train_step(engine, model, images):
    with torch.no_grad():
        loss = model(images).sum()
    engine.backward(loss)

# run: train_step(Engine(), model, images)
```

### a model that switches grad on for itself
```python
# file: net.py
import torch

class Energy(torch.nn.Module):
    @torch.enable_grad()
    def forward(self, x):
        x = x.detach().requires_grad_()
        return (x**2).sum()

# file: main.py
import torch
from net import Energy

with torch.no_grad():
    energy = Energy()(torch.ones(3))
energy.backward()
# shows: energy.requires_grad
```

### of unknown origin
```python
def finish(loss, batch):
    loss.backward()
    batch["loss"].backward()

# run: finish(model(images).sum(), {"loss": model(images).mean()})
```

### summed up in place
```python
import torch

def add(total, part):
    total += part

def a(model, images):
    total = torch.zeros(())
    for image in images:
        total += model(image).sum()
    total.backward()

def b(model, images):
    total = torch.zeros(())
    add(total, model(images).sum())
    total.backward()

def c(model, images, terms):
    total = torch.zeros(())
    for term in terms:
        total = total + term(model, images)
    total.backward()

# run: a(model, images)
# run: b(model, images)
# run: c(model, images, [lambda model, images: model(images).sum()])
```

### a number until the loop has run
```python
def train_step(model, criterion, images, labels):
    loss = 0.0
    for image, label in zip(images, labels):
        loss += criterion(model(image), label)
    loss.backward()

# run: train_step(model, criterion, images, labels)
```

### replaced by a subclass
```python
import torch

class Objective:
    def loss(self, model, images):
        return torch.zeros(())

    def step(self, model, images):
        self.loss(model, images).backward()

class Sum(Objective):
    def loss(self, model, images):
        return model(images).sum()

# run: Sum().step(model, images)
```

### meant to fail
```python
import pytest
import torch

def test_no_graph_no_backward():
    x = torch.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError):
        x.sum().detach().backward()

# run: test_no_graph_no_backward()
```

### a leaf again
```python
import torch

def attack(model, images):
    images = images.detach().clone()
    for tensor in (images,):
        tensor.requires_grad_()
    model(images).sum().backward()
    images.sum().backward()
    return images.grad

# run: attack(model, images)
```

### data of another kind
```python
from torch.nn.utils import rnn

def flat(model, rows, lengths):
    packed = rnn.pack_padded_sequence(model(rows), lengths, batch_first=True)
    packed.data.sum().backward()

# run: flat(model, torch.randn(2, 3, 8), torch.tensor([3, 2]))
```

### an attribute that a method computes again
```python
import torch

class Trainer:
    def __init__(self, model):
        self.model = model

    def compute(self, images):
        self.loss = self.model(images).sum()

    def step(self, images):
        with torch.no_grad():
            self.loss = self.model(images).sum()
        self.compute(images)
        self.loss.backward()

# run: Trainer(model).step(images)
```

### a loss with parameters of its own
```python
import torch
from torch import nn

class Centers(nn.Module):
    def __init__(self):
        super().__init__()
        self.centers = nn.Parameter(torch.zeros(3, 3))

    def forward(self, features, labels):
        return (features - self.centers[labels]).square().mean()

def train_step(model, centers, criterion, images, labels):
    centers(model(images).detach(), labels).backward()
    optimizer = torch.optim.SGD(criterion.parameters(), lr=0.1)
    loss = criterion(model(images).detach(), labels)
    loss.backward()
    optimizer.step()

# run: train_step(model, Centers(), Centers(), images, labels)
```

### a property
```python
import torch

class Agent:
    def __init__(self):
        self.log_alpha = torch.zeros((), requires_grad=True)

    @property
    def alpha(self):
        return self.log_alpha.exp()

    def step(self, log_prob):
        loss = (self.alpha * (-log_prob - 1.0).detach()).mean()
        loss.backward()
        return self.log_alpha.grad

# run: Agent().step(torch.ones(3))
```

### zeros whose elements are computed, one by one
```python
import torch

x = torch.randn(2, 2, requires_grad=True)
y = torch.zeros_like(x)
for i in range(2):
    for j in range(2):
        y[i][j] = x[i][j].exp()
y.sum().backward()
```

### the target is made on a device that the caller chose
```python
import torch
from torch import nn

class Scaled(nn.Linear):
    def scale(self):
        return self.weight.norm()

def train(device):
    layer = Scaled(8, 3)
    x, target = torch.randn(4, 8, device=device), torch.zeros(4, 3, device=device)
    y = layer(x)
    loss = nn.functional.mse_loss(y, target)
    loss.backward()

train("cpu")
```
"""
