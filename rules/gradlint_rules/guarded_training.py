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

from gradlint.rule import Finding, FunctionNode, GuardedModule, GuardedPart, Note, Project, rule, scope


@rule("GL411", severity="warning", since="0.2.0")
def guarded_training(project: Project) -> Iterator[Finding]:
    """Find modules whose optimizer steps in a function that runs them under a guard only."""
    for function in project.functions():
        found = list(project.guarded_training.modules(function))
        if found:
            silent = scope.expected_to_fail(function)
            yield from (_finding(function, each) for each in found if each.at not in silent)
        for part in project.guarded_parts.of(function):
            yield _of_part(function, part)


def _finding(function: FunctionNode, found: GuardedModule) -> Finding:
    notes = [Note(function.place(found.step_at), f"`{found.optimizer}` steps here, and passes over it")]
    if found.guard is not None:
        notes.append(Note(found.guard.place(found.guard.facts.at), f"its `{found.guard.facts.name}` is decorated"))
    return Finding(
        function.place(found.at),
        function.name,
        f"`{found.module}` gets no gradients: it only runs where nothing is recorded, and its optimizer does nothing",
        tuple(notes),
        help=f"run it with grad on, or leave `{found.module}` out of the optimizer",
    )


def _of_part(function: FunctionNode, found: GuardedPart) -> Finding:
    return Finding(
        function.place(found.at),
        function.name,
        f"`{found.part}` gets no gradients: it only runs where nothing is recorded, and stays as it was made",
        (Note(found.optimizer, "an optimizer is made for all of the module here, and passes over it"),),
        help=f"run it with grad on, or freeze `{found.part}` and say so: `requires_grad_(False)`",
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

### a part of a model, by a method of its own
```python
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(2, 2), nn.Linear(2, 1)

    @torch.no_grad()
    def encode(self, x):
        return self.body(x)  # GL411

    def forward(self, x):
        return self.head(self.encode(x))

def train(batches):
    net = Model()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for images, labels in batches:
        optimizer.zero_grad()
        nn.functional.mse_loss(net(images), labels).backward()
        optimizer.step()
    return net

# run: net = train(batches)
# shows: net.body.weight.grad is None and net.head.weight.grad is not None
```

### a layer whose forward is decorated, in a model whose optimizer is made by another function
```python
import torch
from torch import nn

class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.score = nn.Linear(2, 2)

    @torch.no_grad()
    def forward(self, x):
        return self.score(x).sigmoid() * x  # GL411

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate, self.head = Gate(), nn.Linear(2, 1)

    def forward(self, x):
        return self.head(self.gate(x))

def made(net):
    return torch.optim.SGD(net.parameters(), lr=0.1)

def main():
    net = Model()
    return net, made(net)

# run: net, optimizer = main()
# run: net(batches[0][0]).sum().backward()
# shows: net.gate.score.weight.grad is None and net.head.weight.grad is not None
```

### an actor that the object got from elsewhere
```python
import torch
from torch import nn

class Actor(nn.Linear):
    def sample(self, states):
        return self(states).tanh()

class Agent:
    def __init__(self, actor, critic):
        self.actor, self.critic = actor, critic
        self.optimizer = torch.optim.SGD(actor.parameters(), lr=0.1)

    def improve(self, states):
        with torch.no_grad():
            actions = self.actor.sample(states)  # GL411
        loss = -self.critic(actions).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

# run: agent = Agent(Actor(2, 2), head_model)
# run: agent.improve(batches[0][0])
# shows: agent.actor.weight.grad is None
```

### a generator whose other samples are detached
```python
import torch

def play(generator, discriminator, noise, real):
    first = torch.optim.SGD(generator.parameters(), lr=0.1)
    second = torch.optim.SGD(discriminator.parameters(), lr=0.1)
    second.zero_grad()
    with torch.no_grad():
        fake = generator(noise)  # GL411
    (discriminator(fake).mean() - discriminator(real).mean()).backward()
    second.step()
    first.zero_grad()
    with torch.no_grad():
        fake = generator(noise)
    loss = -discriminator(fake).mean()
    loss.backward()
    first.step()

# run: play(model, head_model, torch.ones(3, 2), torch.zeros(3, 2))
# shows: model.weight.grad is None
```

### one of two that the constructor gives an optimizer together
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

class Trainer:
    def __init__(self):
        self.encoder, self.head = Encoder(), nn.Linear(2, 1)
        both = [*self.encoder.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.SGD(both, lr=0.1)

    def step(self, images, labels):
        found = self.head(self.encoder(images))  # GL411
        loss = (found - labels).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

# run: trainer = Trainer()
# run: trainer.step(*batches[0])
# shows: trainer.encoder.layer.weight.grad is None and trainer.head.weight.grad is not None
```

### a decorated method that the loss is computed from
```python
import torch
from torch import nn

class Coder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    @torch.no_grad()
    def encode(self, x):
        return self.layer(x)

def train(batches):
    coder, head = Coder(), nn.Linear(2, 1)
    optimizer = torch.optim.SGD(list(coder.parameters()) + list(head.parameters()), lr=0.1)
    for images, labels in batches:
        loss = (head(coder.encode(images)) - labels).square().mean()  # GL411
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return coder

# run: coder = train(batches)
# shows: coder.layer.weight.grad is None
```

### a critic that the constructor is given, and an actor with it
```python
import torch

class Agent:
    def __init__(self, actor, critic):
        self.actor, self.critic = actor, critic
        self.optimizer = torch.optim.SGD(list(actor.parameters()) + list(critic.parameters()), lr=0.1)

    def update(self, states, returns):
        with torch.no_grad():
            values = self.critic(states)  # GL411
        chosen = self.actor(states).log_softmax(-1)[:, 0]
        loss = -(chosen * (returns - values)).mean() + (values - returns).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

# run: agent = Agent(model, head_model)
# run: agent.update(*batches[0])
# shows: head_model.weight.grad is None and model.weight.grad is not None
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

### a part that is frozen, loaded, or run with grad on somewhere
```python
import torch
from torch import nn

class Probe(nn.Module):
    def __init__(self, state):
        super().__init__()
        self.body, self.head = nn.Linear(2, 2), nn.Linear(2, 1)
        self.body.load_state_dict(state)

    def forward(self, x):
        with torch.no_grad():
            features = self.body(x)
        return self.head(features)

class Stopping(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(2, 2), nn.Linear(2, 1)

    def forward(self, x):
        with torch.no_grad():
            before = self.body(x)
        return self.head(self.body(x) - before)

class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(2, 2)
        self.head = nn.Linear(2, 1)

    def forward(self, x):
        with torch.no_grad():
            x = self.net(x)
        return self.head(x)

def main(state):
    for model in (Probe(state), Stopping()):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    frozen = Frozen()
    frozen.net.requires_grad_(False)
    return optimizer, torch.optim.SGD(frozen.parameters(), lr=0.1)

# run: optimizers = main(model.state_dict())
```

### a part that methods of the object run with grad on, and an optimizer of another part
```python
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(2, 2), nn.Linear(2, 1)

    @torch.no_grad()
    def encode(self, x):
        return self.body(x)

    def forward(self, x):
        return self.head(self.encode(x))

def train(batches):
    net = Model()
    optimizer = torch.optim.SGD(net.head.parameters(), lr=0.1)
    for images, labels in batches:
        optimizer.zero_grad()
        nn.functional.mse_loss(net(images), labels).backward()
        optimizer.step()

# run: train(batches)
```

### acting under a guard, and learning by another method
```python
import torch
from torch import nn

class Agent:
    def __init__(self, actor, critic):
        self.actor, self.critic = actor, critic
        self.optimizer = torch.optim.SGD(actor.parameters(), lr=0.1)

    def learn(self, states):
        return -self.critic(self.actor(states)).mean()

    def play(self, states):
        with torch.no_grad():
            states = states + self.actor(states)
        self.optimizer.zero_grad()
        self.learn(states).backward()
        self.optimizer.step()

# run: Agent(nn.Linear(2, 2), nn.Linear(2, 1)).play(torch.ones(3, 2))
```

### a loss module that is asked for something else under a guard
```python
import torch

class Loss(torch.nn.Module):
    def __init__(self, actor):
        super().__init__()
        self.actor = actor

    def advantage(self, data):
        return data - self.actor(data)

    def forward(self, data):
        return {"actor": self.actor(data).mean(), "entropy": self.actor(data).std()}

def train(make_loss, actor, batches):
    loss_module = make_loss(actor)
    optimizer = torch.optim.SGD(loss_module.parameters(), lr=0.1)
    for data in batches:
        with torch.no_grad():
            data = loss_module.advantage(data)
        losses = loss_module(data)
        optimizer.zero_grad()
        (losses["actor"] + losses["entropy"]).backward()
        optimizer.step()

# run: train(Loss, torch.nn.Linear(2, 2), [torch.ones(3, 2)])
```

### one of two, which another method trains with the same optimizer, or that is sampled from besides
```python
import torch
from torch import nn

class Halves:
    def __init__(self):
        self.body, self.head = nn.Linear(2, 2), nn.Linear(2, 1)
        both = list(self.body.parameters()) + list(self.head.parameters())
        self.optimizer = torch.optim.SGD(both, lr=0.1)

    def warm_up(self, images, labels):
        with torch.no_grad():
            features = self.body(images)
        loss = (self.head(features) - labels).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def step(self, images, labels):
        loss = (self.head(self.body(images)) - labels).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

class Sampler(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    @torch.no_grad()
    def sample(self, x):
        return self.layer(x)

    def forward(self, x):
        return self.layer(x)

def train(batches):
    model, head = Sampler(), nn.Linear(2, 1)
    optimizer = torch.optim.SGD([*model.parameters(), *head.parameters()], lr=0.1)
    for images, labels in batches:
        drawn = model.sample(images)
        loss = (head(model(drawn)) - labels).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model

# run: halves = Halves(); halves.warm_up(*batches[0]); halves.step(*batches[0])
# shows: halves.body.weight.grad is not None
# run: model = train(batches)
# shows: model.layer.weight.grad is not None
```
"""
