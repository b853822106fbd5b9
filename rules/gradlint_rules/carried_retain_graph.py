"""`retain_graph=True` in a loop that carries state over: each round walks the graphs of all rounds before.

## Flagged

```python
def train(rnn, batches):
    hidden = None
    for batch in batches:
        output, hidden = rnn(batch, hidden)
        loss = output.pow(2).sum()
        loss.backward(retain_graph=True)  # GL108

# run: train(rnn, [images] * 3)
# keeps: > 0 bytes
```

## Instead

```python
def train(rnn, batches):
    hidden = None
    for batch in batches:
        output, hidden = rnn(batch, hidden)
        loss = output.pow(2).sum()
        loss.backward()
        hidden = hidden.detach()

# run: train(rnn, [images] * 3)
# keeps: > 0 bytes
```

## Why

The hidden state holds the graph of the round that made it, and that one the graph of the round before.
`retain_graph=True` silences `RuntimeError: Trying to backward through the graph a second time`, and from then
on every round keeps what it saved: 3, 7, 11, 15, 19, 23 saved tensors in the first six rounds of a small
network. Memory and time grow with the number of rounds, and each gradient is the sum over all of them. With an
optimizer's step in between, the weights that were saved have changed, and it raises after all.

`.detach()` what is carried over, then each round's graph is freed. With a fresh graph in each round
`retain_graph=True` costs nothing but until the loss is bound anew.
"""

from collections.abc import Iterator

from gradlint.rule import Finding, FunctionNode, Note, Project, SecondWalk, rule, scope


@rule("GL108", severity="warning", since="0.2.0")
def carried_retain_graph(project: Project) -> Iterator[Finding]:
    """Find such calls that meet, in a later round, a graph that they walked in an earlier one."""
    for function in project.functions():
        found = [walk for walk in project.walks.second(function) if walk.kept and walk.first is None]
        if found:
            silent = scope.expected_to_fail(function) | scope.tried(function)
            yield from (_finding(function, walk) for walk in found if walk.event.at not in silent)


def _finding(function: FunctionNode, walk: SecondWalk) -> Finding:
    return Finding(
        function.place(walk.event.at),
        function.name,
        "the graphs of all rounds are kept and walked again: something computed in the round before is carried over",
        (Note(function.place(walk.at), "what the round before computed comes in here, with its graph"),),
        help="detach what is carried over, and leave out `retain_graph=True`",
    )


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Linear(2, 2)
rnn = nn.RNN(2, 2)
images = torch.ones(3, 2)
```

## Flagged

### a sum that goes on
```python
def train(model, batches):
    total = 0
    for batch in batches:
        total = total + model(batch).pow(2).sum()
        total.backward(retain_graph=True)  # GL108

# run: train(model, [images] * 3)
# keeps: > 0 bytes
```

## Silent

### one graph, made before the loop, that is kept until the last round
```python
def per_task(model, image, targets):
    output = model(image)
    gradients = []
    for index, target in enumerate(targets):
        model.zero_grad()
        (output - target).pow(2).mean().backward(retain_graph=index < len(targets) - 1)
        gradients.append([p.grad.clone() for p in model.parameters()])
    return gradients

# run: per_task(model, images, [images] * 3)
```

### a fresh graph in each round
```python
def train(model, batches):
    for batch in batches:
        features = model(batch)
        first, second = features.pow(2).sum(), features.exp().sum()
        first.backward(retain_graph=True)
        second.backward()

# run: train(model, [images] * 3)
```

### one output after another
```python
def jacobian(model, image):
    image.requires_grad_()
    output = model(image)
    rows = []
    for index in range(2):
        output[0, index].backward(retain_graph=True)
        rows.append(image.grad.clone())
    return rows

# run: jacobian(model, images.clone())
```

### what is given to the model is kept, not what it computes
```python
class Gan:
    def __init__(self, critic):
        self.critic = critic
        self.optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)

    def step(self, batch):
        self.real = batch.to("cpu")
        self.optimizer.zero_grad()
        scores = self.critic(self.real)
        (-scores.mean()).backward(retain_graph=True)
        scores.square().mean().backward()
        self.optimizer.step()

# run: gan = Gan(model)
# run: for _ in range(3): gan.step(images)
# shows: model.weight.grad.isfinite().all()
```

### what an encoder computes is kept, and made anew in each step
```python
class Coder:
    def __init__(self, encoder, decoder):
        self.encoder, self.decoder = encoder, decoder

    def step(self, batch):
        self.code = self.encoder(batch)
        loss = self.decoder(self.code).square().mean()
        loss.backward(retain_graph=True)
        self.code.square().mean().backward()

# run: coder = Coder(model, nn.Linear(2, 2))
# run: for _ in range(3): coder.step(images)
# shows: model.weight.grad.isfinite().all()
```

### detached
```python
def train(rnn, batches):
    hidden = None
    for batch in batches:
        output, hidden = rnn(batch, hidden)
        hidden = hidden.detach()
        output.pow(2).sum().backward(retain_graph=True)

# run: train(rnn, [images] * 3)
```
"""
