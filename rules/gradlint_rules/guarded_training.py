"""A module that an optimizer is to train runs under `no_grad()` only: its parameters never get a gradient.

## Flagged

```python
import torch
from torch import nn

def train(model, head_model, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    other = torch.optim.SGD(head_model.parameters(), lr=0.1)
    for images, labels in batches:
        with torch.no_grad():
            features = model(images)  # GL411
        loss = nn.functional.mse_loss(head_model(features), labels)
        optimizer.zero_grad()
        other.zero_grad()
        loss.backward()
        optimizer.step()
        other.step()

# run: train(model, head_model, batches)
# shows: model.weight.grad is None and head_model.weight.grad is not None
```

## Instead

```python
import torch
from torch import nn

def train(model, head_model, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    other = torch.optim.SGD(head_model.parameters(), lr=0.1)
    for images, labels in batches:
        loss = nn.functional.mse_loss(head_model(model(images)), labels)
        optimizer.zero_grad()
        other.zero_grad()
        loss.backward()
        optimizer.step()
        other.step()

# run: train(model, head_model, batches)
# shows: model.weight.grad is not None
```

## Why

What runs under `no_grad()`, or in a `forward` that is decorated with it, is no part of the graph. If it is all
of the model, `backward()` raises `RuntimeError: element 0 of tensors does not require grad and does not have a
grad_fn`. If something that records comes after it, `backward()` runs, the first part gets no gradients, and the
optimizer passes over it: it stays as it was, and nothing says so. If that is the purpose, leave its parameters
out of the optimizer.
"""

from collections.abc import Iterator

from gradlint.rule import Finding, FunctionNode, GuardedModule, Note, Project, rule, scope


@rule("GL411", severity="warning", since="0.2.0")
def guarded_training(project: Project) -> Iterator[Finding]:
    """Find modules whose optimizer steps in a function that runs them under a guard only."""
    for function in project.functions():
        found = list(project.guarded_training.modules(function))
        if found:
            silent = scope.expected_to_fail(function)
            yield from (_finding(function, each) for each in found if each.at not in silent)


def _finding(function: FunctionNode, found: GuardedModule) -> Finding:
    notes = [Note(function.place(found.step_at), f"`{found.optimizer}` steps here, and passes over it")]
    if found.guard is not None:
        notes.append(Note(found.guard.place(found.guard.facts.at), "its `forward` is decorated"))
    return Finding(
        function.place(found.at),
        function.name,
        f"`{found.module}` gets no gradients: it only runs where nothing is recorded, and its optimizer does nothing",
        tuple(notes),
        help=f"run it with grad on, or leave `{found.module}` out of the optimizer",
    )


CASES = r"""
```python setup
import torch
from torch import nn

model, head_model = nn.Linear(2, 2), nn.Linear(2, 1)
batches = [(torch.ones(3, 2), torch.zeros(3, 1))] * 2
```

## Flagged

### a decorated forward
```python
import torch
from torch import nn

class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    @torch.no_grad()
    def forward(self, x):
        return self.layer(x)

def train(net, batches):
    encoder = Encoder()
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.1)
    optimizer_net = torch.optim.SGD(net.parameters(), lr=0.1)
    for images, labels in batches:
        loss = nn.functional.mse_loss(net(encoder(images)), labels)  # GL411
        optimizer.zero_grad()
        optimizer_net.zero_grad()
        loss.backward()
        optimizer.step()
        optimizer_net.step()
    return encoder

# run: encoder = train(head_model, batches)
# shows: encoder.layer.weight.grad is None
```

### one of two that an optimizer is given together
```python
import torch
from torch import nn

def train(batches):
    encoder, head = nn.Linear(2, 2), nn.Linear(2, 1)
    optimizer = torch.optim.SGD(list(encoder.parameters()) + list(head.parameters()), lr=0.1)
    for batch in batches:
        optimizer.zero_grad()
        with torch.no_grad():
            features = encoder(batch)  # GL411
        head(features).sum().backward()
        optimizer.step()
    return encoder

# run: encoder = train([torch.ones(3, 2)])
# shows: encoder.weight.grad is None
```

## Silent

### frozen, and left out of the optimizer
```python
import torch
from torch import nn

def train(model, head_model, batches):
    optimizer = torch.optim.SGD(head_model.parameters(), lr=0.1)
    for images, labels in batches:
        with torch.no_grad():
            features = model(images)
        loss = nn.functional.mse_loss(head_model(features), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

# run: train(model, head_model, batches)
```

### guarded here, trained there
```python
import torch
from torch import nn

def train(model, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for images, labels in batches:
        with torch.no_grad():
            before = model(images)
        loss = (model(images) - before - labels).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

# run: train(model, batches)
```

### run by a function that gets it
```python
import torch

def loss_of(model, images):
    return model(images).pow(2).mean()

def train(model, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for images, labels in batches:
        with torch.no_grad():
            print(model(images).mean())
        optimizer.zero_grad()
        loss_of(model, images).backward()
        optimizer.step()

# run: train(model, batches)
```

### training and validation in one loop, which switches by the phase
```python
import torch
from torch import nn

def fit(batches, epochs):
    network = nn.Linear(8, 3)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for epoch in range(epochs):
        for phase in ["train", "val"]:
            for inputs, labels in batches[phase]:
                optimizer.zero_grad()
                with torch.set_grad_enabled(phase == "train"):
                    loss = nn.functional.cross_entropy(network(inputs), labels)
                    if phase == "train":
                        loss.backward()
                        optimizer.step()

batch = (torch.ones(4, 8), torch.zeros(4, dtype=torch.long))
fit({"train": [batch], "val": [batch]}, 2)
```
"""
