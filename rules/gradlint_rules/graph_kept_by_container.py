"""A list of losses or outputs keeps the graph of every iteration.

## Flagged

```python
import torch

def train(model, criterion, optimizer, batches):
    losses = []
    for images, labels in batches:
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss)  # GL103
    return losses

# run: losses = train(model, criterion, optimizer, batches)
# shows: all(loss.grad_fn is not None for loss in losses)
```

## Instead

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
    return losses

# run: losses = train(model, criterion, optimizer, batches)
# shows: all(isinstance(loss, float) for loss in losses)
```

## Why

A tensor in a list holds on to its graph as long as the list lives. Where `backward()` never runs on it, that is every
activation the forward saved, batch after batch. Where it runs, the activations are freed and the nodes of the graph
stay: kilobytes per iteration; an output of `softmax`, `sigmoid` or `exp` keeps a copy of itself besides.
`.cpu()` and `.clone()` change nothing, their result is part of the graph too; that of `.detach()`, `.item()` and
`.argmax()` is not.

A list that is trained on, as in `torch.stack(log_probs).sum().backward()`, needs its graphs.
"""

from collections.abc import Iterator

from gradlint.rule import Edit, Finding, Fix, FunctionNode, Kept, Note, Project, rule


@rule("GL103", severity="warning", since="0.2.0", measures="growth")
def graph_kept_by_container(project: Project) -> Iterator[Finding]:
    """Find containers that live longer than an iteration and are given tensors with a graph."""
    for function in project.functions():
        if function.is_test:
            continue  # its rounds are few, and compared
        for kept in project.growths.kept(function):
            if kept.growth.how == "container":
                yield _finding(function, kept)


def _finding(function: FunctionNode, kept: Kept) -> Finding:
    what = "the nodes of every iteration's graph" if kept.walked else "the activations of every iteration"
    own = kept.inside is function
    notes = [] if own else [Note(kept.inside.place(kept.growth.at), f"it is put into `{kept.growth.path}` here")]
    if kept.made_at is not None:
        notes.append(Note(function.place(kept.made_at), "this forward records the graph"))
    names = kept.growth.names if own else ()
    added = f"`{names[0][0]}`" if len(names) == 1 else "what is put into it"
    return Finding(
        function.place(kept.at),
        function.name,
        f"`{kept.growth.path}` keeps {what}: {added} has a graph, and nothing trains on the list",
        tuple(notes),
        help="put in `.item()` of a number, `.detach()` of a tensor",
        fix=_detached(function, kept) if own else None,
    )


def _detached(function: FunctionNode, kept: Kept) -> Fix | None:
    if len(kept.growth.names) != 1:
        return None
    ((name, at),) = kept.growth.names
    return Fix("unsafe", f"put in `{name}.detach()`", (Edit(function.place(at), "after", ".detach()"),))


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

### what an engine walks
```python
class Engine:
    def __init__(self, optimizer):
        self.optimizer = optimizer

    def backward(self, loss):
        loss.backward()

def train(engine, model, criterion, batches):
    losses = []
    for images, labels in batches:
        loss = criterion(model(images), labels)
        engine.backward(loss)
        losses.append(loss)  # GL103
    return losses

# run: losses = train(Engine(optimizer), model, criterion, batches)
# shows: losses[0].requires_grad
```

### the activations where backward never runs
```python
import torch

def predict(model, batches):
    model.eval()
    outputs = []
    for images, _ in batches:
        outputs.append(model(images).cpu())  # GL101 GL103
    print(torch.cat(outputs).argmax(1))

# run: predict(model, batches)
# keeps: > 0 bytes
```

### before backward, in a list in a dict
```python
def train(model, criterion, optimizer, batches):
    history = {"loss": []}
    for images, labels in batches:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        history["loss"].append(loss)  # GL103
        loss.backward()
        optimizer.step()
    return history

# run: history = train(model, criterion, optimizer, batches)
# shows: history["loss"][0].grad_fn is not None
```

### on an object
```python
class Trainer:
    def __init__(self, model, criterion, optimizer):
        self.model, self.criterion, self.optimizer = model, criterion, optimizer
        self.losses = []

    def step(self, images, labels):
        loss = self.criterion(self.model(images), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.losses.append(loss)  # GL103

# run: trainer = Trainer(model, criterion, optimizer)
# run: trainer.step(*batches[0])
# shows: trainer.losses[0].grad_fn is not None
```

### with its place in a tuple
```python
def train(model, criterion, optimizer, batches):
    losses = []
    for number, (images, labels) in enumerate(batches):
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses += [loss]  # GL103
    return losses

# run: losses = train(model, criterion, optimizer, batches)
# shows: losses[0].grad_fn is not None
```

### with a number, by a logger
```python
class Logger:
    def __init__(self):
        self.records = []

    def log(self, step, loss):
        self.records.append((step, loss))

def train(model, loader, criterion, optimizer):
    logger = Logger()
    for step, (images, labels) in enumerate(loader):
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        logger.log(step, loss)  # GL103
    return logger

# run: import torch; net = torch.nn.Linear(2, 1); data = [(torch.ones(3, 2), torch.ones(3, 1))] * 2
# run: logger = train(net, data, torch.nn.MSELoss(), torch.optim.SGD(net.parameters(), lr=0.1))
# shows: logger.records[0][1].grad_fn is not None
```

### a target network's value in a memory that is trained from
```python
import random
import torch
from torch import nn

class Agent:
    def __init__(self):
        self.net, self.target = nn.Linear(2, 2), nn.Linear(2, 2)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.1)
        self.memory = []

    def store(self, state, reward, next_state):
        value = reward + 0.9 * self.target(next_state).max()
        self.memory.append((state, value))  # GL103

    def learn(self, size):
        states, values = zip(*random.sample(self.memory, size))
        loss = nn.functional.mse_loss(self.net(torch.stack(states)).amax(1), torch.stack(values))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

# run: agent = Agent()
# run: agent.store(torch.ones(2), 1.0, torch.ones(2))
# run: agent.learn(1)
# shows: agent.target.weight.grad is not None
```

### in a dict that is filled item by item
```python
def train(model, criterion, optimizer, batches):
    history = []
    for images, labels in batches:
        metrics = {}
        loss = criterion(model(images), labels)
        metrics["loss"] = loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(metrics)  # GL103
    return history

# run: history = train(model, criterion, optimizer, batches)
# shows: history[0]["loss"].grad_fn is not None
```

### in a dict that comes back beside the loss
```python
class Trainer:
    def __init__(self, model, criterion, optimizer):
        self.model, self.criterion, self.optimizer = model, criterion, optimizer
        self.history, self.numbers = [], []

    def loss_and_metrics(self, images, labels):
        loss = self.criterion(self.model(images), labels)
        return loss, {"loss": loss.clone()}

    def loss_and_numbers(self, images, labels):
        loss = self.criterion(self.model(images), labels)
        return loss, {"loss": loss.item()}

    def train(self, batches):
        for images, labels in batches:
            loss, metrics = self.loss_and_metrics(images, labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.history.append(metrics)  # GL103

    def train_quietly(self, batches):
        for images, labels in batches:
            loss, metrics = self.loss_and_numbers(images, labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.numbers.append(metrics)

# run: trainer = Trainer(model, criterion, optimizer); trainer.train(batches); trainer.train_quietly(batches)
# shows: trainer.history[0]["loss"].grad_fn is not None and isinstance(trainer.numbers[0]["loss"], float)
```

### item by item, by a method
```python
from collections import defaultdict

class Trainer:
    def __init__(self, model, criterion, optimizer):
        self.model, self.criterion, self.optimizer = model, criterion, optimizer
        self.history = defaultdict(list)

    def store(self, metrics):
        for name, value in metrics.items():
            self.history[name].append(value)

    def train(self, batches):
        for images, labels in batches:
            loss = self.criterion(self.model(images), labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.store({"loss": loss})  # GL103

    def train_quietly(self, batches):
        for images, labels in batches:
            loss = self.criterion(self.model(images), labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.store({"loss": loss.item()})

# run: trainer = Trainer(model, criterion, optimizer); trainer.train(batches)
# shows: trainer.history["loss"][0].grad_fn is not None
# run: quiet = Trainer(model, criterion, optimizer); quiet.train_quietly(batches)
# shows: all(isinstance(loss, float) for loss in quiet.history["loss"])
```

### what a framework walks
```python setup
# file: pytorch_lightning.py
import torch

class LightningModule(torch.nn.Module):
    def fit(self, batches):
        for number, batch in enumerate(batches):
            self.training_step(batch, number)["loss"].backward()
```
```python
from pytorch_lightning import LightningModule
from torch import nn

class Net(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 1)
        self.losses, self.outputs = [], []

    def training_step(self, batch, batch_idx):
        images, labels = batch
        out = self.layer(images)
        loss = nn.functional.mse_loss(out, labels)
        self.losses.append(loss)  # GL103
        self.outputs.append(out)  # GL103
        return {"loss": loss, "size": len(images)}

# run: net = Net(); net.fit(batches)
# shows: net.losses[0].grad_fn is not None and net.outputs[0].grad_fn is not None
```

### what a trainer walks
```python setup
# file: transformers.py
class Trainer:
    def training_step(self, model, inputs):
        loss = self.compute_loss(model, inputs)
        loss.backward()
        return loss.detach()
```
```python
from transformers import Trainer

class Weighted(Trainer):
    history = []

    def compute_loss(self, model, inputs, return_outputs=False):
        outputs = model(inputs)
        loss = outputs.square().mean()
        self.history.append(loss)  # GL103
        if return_outputs:
            return loss, outputs
        return loss.clone()

# run: import torch; trainer = Weighted(); trainer.training_step(torch.nn.Linear(4, 1), torch.ones(2, 4))
# shows: trainer.history[0].grad_fn is not None
```

## Silent

### summed up for Lightning, which trains on what it is given
```python setup
# file: pytorch_lightning.py
import torch

class LightningModule(torch.nn.Module):
    def fit(self, batches):
        for number, batch in enumerate(batches):
            self.training_step(batch, number)["loss"].backward()
```
```python
from pytorch_lightning import LightningModule
from torch import nn

class Net(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        images, labels = batch
        losses = []
        for image, label in zip(images, labels):
            loss = nn.functional.mse_loss(self.layer(image), label)
            losses.append(loss)
        loss = sum(losses)
        return {"loss": loss}

# run: net = Net(); net.fit(batches)
# shows: net.layer.weight.grad is not None
```

### what a layer written by hand gives, and is given to go backwards
```python
import torch
from layers import Downsample

def compare(factors, batches):
    forwards, backwards = [], []
    for factor, images in zip(factors, batches):
        layer = Downsample(factor)
        forward = layer.forward(images)
        backward = layer.backward(forward)
        forwards.append(forward)
        backwards.append(backward)
    return forwards, backwards
```

### trained on by a closure that another method makes
```python
import torch

class Inversion:
    def __init__(self, model, generator):
        self.model, self.generator = model, generator

    def draw(self, z):
        return self.generator(z)

    def reconstruct(self, labels, rounds):
        self.model.eval()
        starts = [torch.randn(1, 4, requires_grad=True) for _ in range(2)]
        images = [None for _ in range(2)]
        optimizers = [torch.optim.SGD([z], lr=0.1) for z in starts]
        for _ in range(rounds):
            for trial in range(2):
                images[trial] = self.draw(starts[trial])
                loss = optimizers[trial].step(self.closure(optimizers[trial], images[trial], labels))
                print(loss.item())
        return images[0].detach()

    def closure(self, optimizer, image, labels):
        def walk():
            optimizer.zero_grad()
            loss = (self.model(image) - labels).square().sum()
            loss.backward()
            return loss
        return walk

# run: found = Inversion(torch.nn.Linear(3, 2), torch.nn.Linear(4, 3)).reconstruct(torch.ones(1, 2), 2)
# shows: not found.requires_grad
```

### items that are replaced by numbers
```python
def train(model, criterion, optimizer, batches):
    history = []
    for images, labels in batches:
        metrics, parts = {}, {}
        loss = criterion(model(images), labels)
        metrics["loss"] = loss
        parts["loss"] = loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        metrics["loss"] = metrics["loss"].item()
        for name, value in parts.items():
            parts[name] = float(value)
        history.append(metrics)
        history.append(parts)
    return history

# run: history = train(model, criterion, optimizer, batches)
# shows: all(isinstance(metrics["loss"], float) for metrics in history)
```

### what a framework walks, detached, or emptied after each epoch
```python
from pytorch_lightning import LightningModule
from torch import nn

class Net(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer, self.probe = nn.Linear(4, 1), nn.Linear(4, 1)
        self.losses, self.outputs, self.features = [], [], []

    def training_step(self, batch, batch_idx):
        images, labels = batch
        loss = nn.functional.mse_loss(self.layer(images), labels)
        self.losses.append(loss.detach())
        self.outputs.append(loss)
        self.features.append(self.probe(images))
        return loss

    def on_train_epoch_end(self):
        self.outputs.clear()
```

### what is returned beside the loss that a trainer walks
```python
from transformers import Trainer

class Weighted(Trainer):
    history = []

    def losses(self, model, inputs):
        outputs = model(inputs)
        loss = outputs.square().mean()
        return loss, {"loss": loss.item(), "size": len(outputs)}

    def compute_loss(self, model, inputs, return_outputs=False):
        loss, metrics = self.losses(model, inputs)
        self.history.append(metrics)
        return (loss, metrics) if return_outputs else loss
```

### numbers, decisions, detached
```python
def train(model, criterion, optimizer, batches):
    losses, outputs, best = [], [], []
    for images, labels in batches:
        out = model(images)
        loss = criterion(out, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        outputs.append(out.detach().cpu())
        best.append(out.argmax(1))
    return losses, outputs, best

# run: train(model, criterion, optimizer, batches)
```

### the list is trained on
```python
import torch

def reinforce(policy, optimizer, states):
    log_probs = []
    for state, _ in states:
        probabilities = torch.softmax(policy(state), dim=0)
        log_probs.append(probabilities.log().sum())
    loss = -torch.stack(log_probs).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: reinforce(model, optimizer, batches)
```

### begun anew with each batch
```python
def train(model, criterion, optimizer, batches):
    for images, labels in batches:
        parts = []
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        parts.append(loss)
        print(len(parts))

# run: train(model, criterion, optimizer, batches)
```

### a part of a result, of which nobody knows whether it has a graph
```python
def decisions(classifier, batches):
    kept = []
    for images, _ in batches:
        scores, decided = classifier(images)
        print(scores.mean())
        kept.append(decided)
    return kept

# run: decisions(lambda images: (images, images.argmax(1)), batches)
```

### detached where it was walked
```python
def losses_of(model, criterion, batches, with_backward):
    losses = []
    for images, labels in batches:
        loss = criterion(model(images), labels)
        if with_backward:
            loss.backward()
            loss = loss.detach()
        losses.append(loss)
    return sum(losses)

# run: losses_of(model, criterion, batches, True)
# run: losses_of(model, criterion, batches, False).backward()
```

### under no_grad
```python
import torch

def predict(model, batches):
    outputs = []
    with torch.no_grad():
        for images, _ in batches:
            outputs.append(model(images))
    return torch.cat(outputs)

# run: out = predict(model.eval(), batches)
# shows: not out.requires_grad
```

### returned to a caller that trains on it
```python
import torch

def outputs_of(model, batches):
    outputs = []
    for images, _ in batches:
        outputs.append(model(images))
    return outputs

def train(model, criterion, optimizer, batches):
    out = torch.cat(outputs_of(model, batches))
    loss = criterion(out, torch.cat([labels for _, labels in batches]))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: train(model, criterion, optimizer, batches)
```

### parts of what a `forward` gives, which derives another part itself
```python
import torch
from torch import nn

def forces_of(energy, positions, training):
    return -torch.autograd.grad(energy, positions, create_graph=training, retain_graph=training)[0]

class Forces(nn.Module):
    def __init__(self):
        super().__init__()
        self.readouts = nn.ModuleList([nn.Linear(3, 3) for _ in range(2)])

    def forward(self, positions):
        positions.requires_grad_()
        energies, dipoles = [], []
        for readout in self.readouts:
            out = readout(positions).squeeze(-1)
            energies.append(out[:, 0])
            dipole = out[:, 1:]
            dipoles.append(dipole)
        energy = torch.stack(energies, dim=-1).sum()
        forces = forces_of(energy, positions, self.training)
        return {"energy": energy, "forces": forces, "dipole": torch.stack(dipoles, dim=-1).sum(-1)}

# run: Forces()(torch.ones(2, 3))["dipole"].sum().backward()
```

### features of what has no graph: `numpy()` says so
```python
import torch

def features(model, batches):
    kept = []
    for batch in batches:
        kept.append(model(batch).cpu())
    return torch.cat(kept).numpy()
```

### numbers by a function, a meter of a library, results that numpy takes
```python
import numpy as np
from monai.metrics import CumulativeAverage

def measure(model, images):
    loss = model(images).sum()
    return loss, {"loss": float(loss)}

def train(model, criterion, optimizer, batches):
    history, average = [], CumulativeAverage()
    for images, labels in batches:
        optimizer.zero_grad()
        loss, metrics = measure(model, images)
        loss.backward()
        optimizer.step()
        history.append({"step": len(history), **metrics})
        average.append(loss)
    return history

def predict(models, x):
    found = []
    for model in models:
        found.append(model(x))
    return np.array(found)
```

### a queue that is emptied
```python
from queue import Queue

class Events:
    def __init__(self):
        self.queue = Queue()

    def dispatch(self, name, loss):
        self.queue.put((name, loss))
        while not self.queue.empty():
            print(self.queue.get())

def train(model, criterion, optimizer, batches):
    events = Events()
    for images, labels in batches:
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        events.dispatch("loss", loss)
```

### arrays are made of it by the caller, which would raise if there were graphs
```python
import torch

def features(model, loader):
    found = []
    for images in loader:
        found.append(model(images))
    return found

def table(model, loader):
    return torch.cat(features(model, loader)).numpy()
```

### what a derivative with a graph of its own keeps anyway
```python
import torch

def unroll(layer, batches, rate=0.1):
    losses, weights = [], dict(layer.named_parameters())
    for images, labels in batches:
        loss = (layer(images, weights) - labels).pow(2).mean()
        losses.append(loss)
        gradients = torch.autograd.grad(loss, weights.values(), create_graph=True)
        weights = {name: w - rate * g for (name, w), g in zip(weights.items(), gradients)}
    return losses, weights
```

### a list of gates that modules are given, and use
```python
import torch
from torch import nn

class Explainer:
    def __init__(self, model):
        self.model = model
        self.gates = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
        self.optimizer = torch.optim.SGD(self.gates.parameters(), lr=0.1)

    def inject(self, model, scales):
        for layer, scale in zip(model.layers, scales):
            layer.message_scale = scale

    def step(self, features):
        scales, penalty = [], 0.0
        for gate in self.gates:
            scale = gate(features).sigmoid()
            scales.append(scale)
            penalty = penalty + scale.mean()
        self.inject(self.model, scales)
        loss = self.model(features).mean() + penalty
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
```

### a function that is handed over, and gives one-hot vectors
```python
import torch
from torch import nn

class Sorter(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(4, 3)

    def classify(self, images):
        scores = self.encoder(images)  # GL101
        _, best = torch.topk(scores, 1)
        return torch.zeros(len(images), 3).scatter_(1, best, 1.0)

def get_accuracy(loader, classifier_fn):
    predictions, wanted = [], []
    for images, labels in loader:
        predictions.append(classifier_fn(images))
        wanted.append(labels)
    return sum((p == w).all(1).sum().item() for p, w in zip(predictions, wanted))

def main(loader):
    sorter = Sorter()
    return get_accuracy(loader, sorter.classify)

# run: main([(torch.ones(2, 4), torch.ones(2, 3))])
```

### whose loss was detached before
```python
def train(model, optimizer, batches):
    outputs = []
    for images in batches:
        optimizer.zero_grad()
        output = model(images)
        output["loss"].backward()
        optimizer.step()
        output["loss"] = output["loss"].detach()
        outputs.append(output)
    return outputs
```

### losses that a test compares
```python
# file: tests/test_training.py
import pytest
import torch
from networks import Net

def test_training_lowers_the_loss():
    net, losses = Net(), []
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        loss = net(torch.ones(2, 8)).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss)
    assert losses[-1] < losses[0]
```
"""
