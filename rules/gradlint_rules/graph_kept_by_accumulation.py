"""A running sum of losses keeps the graph of every iteration.

## Flagged

```python
import torch

def train(model, criterion, optimizer, batches):
    total = 0.0
    for images, labels in batches:
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss  # GL102
    return total / len(batches)

# run: mean = train(model, criterion, optimizer, batches)
# shows: mean.requires_grad
```

## Instead

```python
import torch

def train(model, criterion, optimizer, batches):
    total = 0.0
    for images, labels in batches:
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(batches)

# run: mean = train(model, criterion, optimizer, batches)
# shows: isinstance(mean, float)
```

## Why

The sum is a computed tensor too: it holds on to the graph of every loss that went into it, even if it began as `0.0`.
What that costs depends on `backward()`. Where it never runs on these losses, as in an evaluation, all activations of
all batches stay in memory (a network of five layers and 1 MiB of input: 1.3 MB more with each batch). Where it runs,
it frees the activations, and only the nodes of the graphs stay: some kilobytes per iteration, 13 kB for those five
layers, until the sum is dropped. That does no harm in a short run and adds up in a long one.

`loss.item()` gives a Python number and waits for the GPU. `loss.detach()` gives a tensor without a graph, and does
not wait.
"""

from collections.abc import Iterator

from gradlint.rule import Edit, Finding, Fix, FunctionNode, Kept, Note, Project, rule


@rule("GL102", severity="warning", since="0.2.0", measures="growth")
def graph_kept_by_accumulation(project: Project) -> Iterator[Finding]:
    """Find sums, the program's own and those of its meters, that losses with a graph are added to."""
    for function in project.functions():
        if function.is_test:
            continue  # its rounds are few, and compared
        for kept in project.growths.kept(function):
            if kept.growth.how == "sum":
                yield _finding(function, kept)


def _finding(function: FunctionNode, kept: Kept) -> Finding:
    what = "the nodes of every iteration's graph" if kept.walked else "the activations of every iteration"
    own = kept.inside is function
    added = f" of `{kept.growth.summands[0][0]}`" if own and len(kept.growth.summands) == 1 else ""
    notes = [] if own else [Note(kept.inside.place(kept.growth.at), f"`{kept.growth.path}` adds it up here")]
    if kept.made_at is not None:
        notes.append(Note(function.place(kept.made_at), "this forward records the graph"))
    return Finding(
        function.place(kept.at),
        function.name,
        f"`{kept.growth.path}` keeps {what}: the sum has the graph{added}, and nothing trains on it",
        tuple(notes),
        help="add `.item()`, or `.detach()` where waiting for the GPU costs too much",
        fix=_detached(function, kept) if own else None,
    )


def _detached(function: FunctionNode, kept: Kept) -> Fix | None:
    if len(kept.growth.summands) != 1:
        return None
    ((name, at),) = kept.growth.summands
    return Fix("unsafe", f"add `{name}.detach()`", (Edit(function.place(at), "after", ".detach()"),))


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
batches = [(torch.randn(2, 4), torch.randn(2, 1)) for _ in range(3)]
```

## Flagged

### what an object of the project makes of a forward
```python
import torch

class Relative:
    def __call__(self, outputs, labels):
        return self.compare(outputs, labels)

    def compare(self, outputs, labels):
        return torch.mean((outputs - labels) ** 2) / (1 + torch.mean(labels ** 2))

def train(model, optimizer, batches):
    relative, total = Relative(), 0.0
    for images, labels in batches:
        part = relative(model(images), labels)
        optimizer.zero_grad()
        loss = part + part.square()
        loss.backward()
        optimizer.step()
        total += part  # GL102
    return total

# run: total = train(model, optimizer, batches)
# shows: total.requires_grad
```

### a sum spelt out, which no layer is given
```python
def losses_of(model, criterion, batches):
    model.eval()
    total = 0
    for images, labels in batches:
        outputs = model(images)  # GL101
        total = total + criterion(outputs, labels)  # GL102
    print(total.item() / len(batches))

# run: losses_of(model, criterion, batches)
# keeps: > 0 bytes
```

### the whole activations where backward never runs
```python
def losses_of(model, criterion, batches):
    model.eval()
    total = 0
    for images, labels in batches:
        loss = criterion(model(images), labels)  # GL101
        total += loss  # GL102
    print(total.item() / len(batches))

# run: losses_of(model, criterion, batches)
# keeps: > 0 bytes
```

### weighted, spelt out, before backward
```python
def train(model, criterion, optimizer, batches):
    running = 0.0
    for images, labels in batches:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        running = running + loss * len(images)  # GL102
        loss.backward()
        optimizer.step()
    print(running)
    return running

# run: total = train(model, criterion, optimizer, batches)
# shows: total.requires_grad
```

### a moving average
```python
def train(model, criterion, optimizer, batches):
    average = None
    for images, labels in batches:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()
        average = loss if average is None else 0.9 * average + 0.1 * loss  # GL102
    return average

# run: average = train(model, criterion, optimizer, batches)
# shows: average.requires_grad
```

### by a meter in another file
```python
# file: meters.py
class AverageMeter:
    def __init__(self):
        self.sum = 0
        self.count = 0

    def update(self, value, n=1):
        self.sum += value * n
        self.count += n

# file: main.py
from meters import AverageMeter

def train(model, criterion, optimizer, batches):
    meter = AverageMeter()
    for images, labels in batches:
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        meter.update(loss, len(images))  # GL102
    return meter

# run: meter = train(model, criterion, optimizer, batches)
# shows: meter.sum.requires_grad
```

### by an attribute
```python
class Trainer:
    def __init__(self, model, criterion, optimizer):
        self.model, self.criterion, self.optimizer = model, criterion, optimizer
        self.total = 0

    def step(self, images, labels):
        loss = self.criterion(self.model(images), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.total += loss  # GL102

# run: trainer = Trainer(model, criterion, optimizer)
# run: trainer.step(*batches[0])
# shows: trainer.total.requires_grad
```

### by an attribute that is spelt out, of a part of the loss
```python
import torch
from torch import nn

class Trainer:
    def __init__(self, vae, optimizer):
        self.vae, self.optimizer = vae, optimizer
        self.kl_sum = torch.zeros(())

    def step(self, images):
        recovered, mean, log_variance = self.vae(images)
        kl = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()
        self.optimizer.zero_grad()
        (nn.functional.mse_loss(recovered, images) + kl).backward()
        self.optimizer.step()
        self.kl_sum = self.kl_sum + kl  # GL102

class Vae(nn.Linear):
    def forward(self, images):
        return [super(Vae, self).forward(images)] * 3

vae = Vae(4, 4)
# run: trainer = Trainer(vae, torch.optim.SGD(vae.parameters(), lr=0.1))
# run: trainer.step(batches[0][0])
# shows: trainer.kl_sum.requires_grad
```

### in the validation loop of a function that trains
```python
import torch
from torch import nn

def train(model, optimizer, criterion, train_loader, val_loader, epochs):
    for epoch in range(epochs):
        model.train()
        for images, labels in train_loader:
            loss = criterion(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        total = 0
        for images, labels in val_loader:
            loss = criterion(model(images), labels)  # GL101
            total += loss  # GL102
        print(epoch, total / len(val_loader))

data = [(torch.randn(4, 8), torch.randint(3, (4,))) for _ in range(3)]
net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
# run: train(net, torch.optim.SGD(net.parameters(), lr=0.1), nn.CrossEntropyLoss(), data, data, 1)
# keeps: > 0 bytes
```

## Silent

### a sum that a framework is given, and one that goes through layers
```python
import torch
from torch import nn
from transformers import Trainer

class PairTrainer(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False):
        rewards = model(**inputs)[0]
        loss = -nn.functional.logsigmoid(rewards[0] - rewards[1]).mean()
        for i in range(2, len(rewards)):
            loss = loss + -nn.functional.logsigmoid(rewards[0] - rewards[i]).mean()
        if return_outputs:
            return loss, {"rewards": rewards}
        return loss

def describe(layers, images):
    hidden = layers[0](images)
    for layer in layers[1:]:
        hidden += layer(hidden)
    print(hidden.shape)
```

### denoised from round to round
```python
import torch
from torch import nn

class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 32), nn.SiLU(), nn.Linear(32, 2))

    def forward(self, x, t):
        return self.layers(torch.cat([x, t[:, None]], 1))

def sample(model, count, steps, betas):
    kept = (1 - betas).cumprod(0)
    x = torch.randn(count, 2)
    for i in reversed(range(steps)):
        noise = model(x, torch.full((count,), i / steps))  # GL101
        x = (x - betas[i] / (1 - kept[i]).sqrt() * noise) / (1 - betas[i]).sqrt()
        if i:
            x = x + betas[i].sqrt() * torch.randn_like(x)
    return x

model = Denoiser()
model.load_state_dict(torch.load("denoiser.pt"))
torch.save(sample(model, 8, 4, torch.linspace(1e-4, 0.02, 4)).detach(), "points.pt")
```

### a number, or without a graph
```python
def train(model, criterion, optimizer, batches):
    total = shown = last = 0.0
    for images, labels in batches:
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
        shown += loss.detach()
        last += float(loss)
    return total, shown, last

# run: train(model, criterion, optimizer, batches)
```

### under no_grad
```python
import torch

def evaluate(model, criterion, batches):
    total = 0
    model.eval()
    with torch.no_grad():
        for images, labels in batches:
            total += criterion(model(images), labels)
    return total

# run: total = evaluate(model, criterion, batches)
# shows: not total.requires_grad
```

### the sum is what is trained on
```python
def train(model, criterion, optimizer, batches):
    loss = 0
    for images, labels in batches:
        loss = loss + criterion(model(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: train(model, criterion, optimizer, batches)
```

### returned to a caller that trains on it
```python
def loss_of(model, criterion, batches):
    total = 0
    for images, labels in batches:
        total += criterion(model(images), labels)
    return total

def train(model, criterion, optimizer, batches):
    loss = loss_of(model, criterion, batches)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: train(model, criterion, optimizer, batches)
```

### begun anew with each batch
```python
def train(model, criterion, optimizer, batches):
    for images, labels in batches:
        shown = 0
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        shown += loss
        print(shown)

# run: train(model, criterion, optimizer, batches)
```

### decisions are counted
```python
def accuracy(model, batches):
    right = 0
    for images, labels in batches:
        right += (model(images).argmax(1) == labels.argmax(1)).sum()  # GL101
    return right

# run: accuracy(model, batches)
```

### a meter that takes the number
```python
class AverageMeter:
    def __init__(self):
        self.sum = 0

    def update(self, value):
        if hasattr(value, "item"):
            value = value.item()
        self.sum += value

def train(model, criterion, optimizer, batches):
    meter = AverageMeter()
    for images, labels in batches:
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        meter.update(loss)
    return meter

# run: meter = train(model, criterion, optimizer, batches)
# shows: isinstance(meter.sum, float)
```

### a loss that a function made a number of
```python
class Meter:
    def __init__(self):
        self.sum = 0

    def update(self, value):
        self.sum += value

def reduced(values):
    for number in range(len(values)):
        values[number] = values[number].item()
    return values

def train(model, criterion, optimizer, batches):
    meter = Meter()
    for images, labels in batches:
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        [loss] = reduced([loss])
        loss = loss / 2
        meter.update(loss)
```

### summed up where nothing is recorded
```python
import torch

def train(model, criterion, optimizer, batches):
    total, summed = 0.0, torch.tensor([0.0])
    for images, labels in batches:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            total += loss
            summed += loss.float()
    return total, summed
```

### by a meter that is told where nothing is recorded
```python
import torch

class Meter:
    def __init__(self):
        self.sum = 0.0

    def update(self, value):
        self.sum += value

def train(model, criterion, optimizer, batches):
    meter = Meter()
    meter.update(0.0)
    for images, labels in batches:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            meter.update(loss)
    return meter.sum

# run: mean = train(model, criterion, optimizer, batches)
# shows: not mean.requires_grad
```

### a loss summed up over a network in evaluation mode, and trained on
```python
import torch
from torch import nn

def train(model, optimizer, criterion, tasks):
    for support, query in tasks:
        model.eval()
        total = 0
        for images, labels in query:
            total = total + criterion(model(images), labels)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        print(total.item())

data = [(torch.randn(4, 8), torch.randint(3, (4,))) for _ in range(3)]
net = nn.Linear(8, 3)
train(net, torch.optim.SGD(net.parameters(), lr=0.1), nn.CrossEntropyLoss(), [(data, data)])
```
"""
