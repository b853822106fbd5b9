"""A training loop steps without ever zeroing the gradients: each step is made with the sum of all so far.

## Flagged

```python
import torch

def train(model, criterion, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for images, labels in batches:
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()  # GL406

# run: train(model, criterion, batches[:1] * 2)
# shows: model.weight.grad.abs().sum() > 0
```

## Instead

```python
import torch

def train(model, criterion, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for images, labels in batches:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()

# run: train(model, criterion, batches[:1] * 2)
```

## Why

`backward()` adds to `.grad`, and `step()` leaves it there. Without `zero_grad()` the second step goes along the
sum of two gradients, the hundredth along the sum of a hundred: the effective learning rate grows, momentum is
added to momentum, and the loss swings instead of settling. Nothing raises.

Zeroing once before the loop is not enough, nor is zeroing another optimizer: in a GAN the generator's
`backward()` leaves gradients in the discriminator too.

`LBFGS` makes a loop of its own: one `step(closure)` runs the closure up to `max_iter` times, so the closure has to
zero the gradients.

Steps in every few rounds only, with `zero_grad()` behind the same `if`, are gradient accumulation, and fine.
"""

from collections.abc import Iterator

from gradlint.rule import Act, Finding, FunctionNode, Note, Place, Project, rule


@rule("GL406", severity="warning", since="0.2.0")
def unzeroed_grad(project: Project) -> Iterator[Finding]:
    """Find loops that run ``backward()`` and step with an optimizer whose gradients nothing in the loop zeroes."""
    for function in project.functions():
        if project.order.steps.acts(function):
            found = [*project.order.unzeroed(function)]
            yield from (_finding(function, step, backward) for step, backward in found)
            for at, name, backward in project.order.updated_by_hand(function):
                yield _by_hand(function, at, name, backward)
            places = {step.at for step, _ in found}
            for at, name, closure, backward in project.order.unzeroed_closures(function):
                if at not in places:
                    yield _by_closure(function, at, name, closure.place(backward.at))


def _finding(function: FunctionNode, step: Act, backward: Act) -> Finding:
    notes = [Note(function.place(backward.at), "`backward()` adds to the gradients")]
    if step.inside is not None:
        inner, at = step.inside
        notes.append(Note(inner.place(at), "the step is made here"))
    return Finding(
        function.place(step.at),
        function.name,
        f"`{step.path}` steps with the sum of the gradients of all rounds: nothing in the loop zeroes them",
        tuple(notes),
        help=f"call `{step.path}.zero_grad()` in the loop, before `backward()`",
    )


def _by_hand(function: FunctionNode, at: int, name: str, backward: Act) -> Finding:
    return Finding(
        function.place(at),
        function.name,
        f"`{name}` is changed by the sum of the gradients of all rounds: nothing in the loop zeroes them",
        (Note(function.place(backward.at), "`backward()` adds to the gradients"),),
        help=f"set `{name}.grad = None` after the update",
    )


def _by_closure(function: FunctionNode, at: int, name: str, backward: Place) -> Finding:
    return Finding(
        function.place(at),
        function.name,
        f"`{name}` runs the closure many times in one step, and goes along the sum of all gradients so far",
        (Note(backward, "`backward()` adds to the gradients"),),
        help=f"call `{name}.zero_grad()` in the closure, before `backward()`",
    )


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Linear(4, 1)
generator, discriminator = nn.Linear(2, 4), nn.Linear(4, 1)
criterion = nn.MSELoss()
batches = [(torch.randn(2, 4), torch.randn(2, 1)) for _ in range(3)]
```

## Flagged

### whose step is given nothing to compute
```python
import torch

def train(model, criterion, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for images, labels in batches:
        criterion(model(images), labels).backward()
        optimizer.step(closure=None)  # GL406

# run: train(model, criterion, batches[:1])
# run: first = model.weight.grad.clone()
# run: train(model, criterion, batches[1:2])
# run: both = model.weight.grad.clone()
# run: model.zero_grad()
# run: criterion(model(batches[1][0]), batches[1][1]).backward()
# shows: not torch.allclose(both, model.weight.grad)
```

### zeroed once, before the loop
```python
import torch

def train(model, criterion, batches, epochs=2):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    for epoch in range(epochs):
        optimizer.zero_grad()
        for images, labels in batches:
            criterion(model(images), labels).backward()
            optimizer.step()  # GL406
            scheduler.step()

# run: train(model, criterion, batches)
# shows: model.weight.grad.abs().sum() > 0
```

### the discriminator of a GAN
```python
import torch

def train(generator, discriminator, batches):
    optimizer_g = torch.optim.SGD(generator.parameters(), lr=0.1)
    optimizer_d = torch.optim.SGD(discriminator.parameters(), lr=0.1)
    for images, _ in batches:
        fake = generator(torch.randn(2, 2))
        loss_d = discriminator(fake.detach()).mean() - discriminator(images).mean()
        loss_d.backward()
        optimizer_d.step()  # GL406
        optimizer_g.zero_grad()
        loss_g = -discriminator(fake).mean()
        loss_g.backward()
        optimizer_g.step()

# run: train(generator, discriminator, batches)
# shows: discriminator.weight.grad.abs().sum() > 0
```

### in methods of a trainer
```python
import torch

class Trainer:
    def __init__(self, model, criterion):
        self.model, self.criterion = model, criterion
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(self, images, labels):
        loss = self.criterion(self.model(images), labels)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def fit(self, batches):
        for images, labels in batches:
            print(self.step(images, labels))  # GL406

# run: Trainer(model, criterion).fit(batches)
# shows: model.weight.grad.abs().sum() > 0
```

### an optimizer that is handed in
```python
def train(model, criterion, optimizer, batches, epochs=2):
    for epoch in range(epochs):
        optimizer.zero_grad()
        for images, labels in batches:
            criterion(model(images), labels).backward()
            optimizer.step()  # GL406

def mixed(model, criterion, optimizer, scaler, batches):
    for images, labels in batches:
        scaler.scale(criterion(model(images), labels)).backward()
        scaler.step(optimizer)  # GL406
        scaler.update()

# run: train(model, criterion, torch.optim.SGD(model.parameters(), lr=0.1), batches)
# shows: model.weight.grad.abs().sum() > 0
```

### zeroed before the loop, and another module in it
```python
import torch

def train(generator, discriminator, batches):
    optimizer_g = torch.optim.SGD(generator.parameters(), lr=0.1)
    optimizer_d = torch.optim.SGD(discriminator.parameters(), lr=0.1)
    optimizer_d.zero_grad()
    for images, _ in batches:
        fake = generator(torch.randn(2, 2))
        (discriminator(fake.detach()).mean() - discriminator(images).mean()).backward()
        optimizer_d.step()  # GL406
        generator.zero_grad()
        (-discriminator(fake).mean()).backward()
        optimizer_g.step()

# run: train(generator, discriminator, batches)
# shows: discriminator.weight.grad.abs().sum() > 0
```

### updated by hand
```python
import torch

def fit(rows, targets):
    weight = torch.zeros(3, requires_grad=True)
    for _ in range(3):
        (rows @ weight - targets).square().mean().backward()
        with torch.no_grad():
            weight -= 0.1 * weight.grad  # GL406
    return weight

def fit_all(model, rows, targets):
    for _ in range(3):
        (model(rows) - targets).square().mean().backward()
        for parameter in model.parameters():
            parameter.data.sub_(0.1 * parameter.grad)  # GL406
# run: found = fit(torch.ones(4, 3), torch.ones(4))
# shows: found[0] != 0.1
```

### the generator of a GAN, with other names
```python
import torch

def train(G, D, loader, bce):
    oG = torch.optim.SGD(G.parameters(), lr=0.1)
    oD = torch.optim.SGD(D.parameters(), lr=0.1)
    for real, ones in loader:
        fake = G(torch.randn(2, 2))
        loss = bce(D(real), ones) + bce(D(fake.detach()), 0 * ones)
        oD.zero_grad()
        loss.backward()
        oD.step()
        bce(D(fake), ones).backward()
        oG.step()  # GL406
    return [parameter.grad.abs().sum() for parameter in G.parameters()]

# run: train(generator, discriminator, batches, criterion)
# shows: generator.weight.grad is not None
```

### modes of parts are switched in between
```python
import torch

def train(G, D, loader, bce):
    optimizer_g = torch.optim.SGD(G.stem.parameters(), lr=0.1)
    optimizer_d = torch.optim.SGD(D.stem.parameters(), lr=0.1)
    for real, ones in loader:
        G.stem.train()
        fake = G.stem(torch.randn(2, 2))
        loss = bce(D.stem(real), ones) + bce(D.stem(fake.detach()), 0 * ones)
        loss.backward()
        optimizer_d.step()  # GL406
        optimizer_g.zero_grad()
        bce(D.stem(fake), ones).backward()
        optimizer_g.step()

# run: from types import SimpleNamespace as Wrapped
# run: train(Wrapped(stem=generator), Wrapped(stem=discriminator), batches, criterion)
# shows: discriminator.weight.grad is not None
```

### modes are switched in a method of that name
```python
import torch

class Fit:
    def __init__(self, stem, bce):
        self.stem, self.bce = stem, bce
        self.optimizer = torch.optim.SGD(stem.parameters(), lr=0.1)

    def train(self, loader):
        for real, ones in loader:
            self.stem.train()
            self.bce(self.stem(real), ones).backward()
            self.optimizer.step()  # GL406

# run: Fit(model, criterion).train(batches)
# shows: model.weight.grad is not None
```

### a closure that L-BFGS runs again and again
```python
import torch

def calibrate(temperature, logits, labels):
    optimizer = torch.optim.LBFGS([temperature], lr=0.01, max_iter=5)
    def closure():
        loss = torch.nn.functional.cross_entropy(logits / temperature, labels)
        loss.backward()
        calls.append(temperature.grad.item())
        return loss
    optimizer.step(closure)  # GL406

# run: calls = []
# run: calibrate(torch.ones(1, requires_grad=True), torch.randn(4, 3), torch.tensor([0, 1, 2, 0]))
# shows: len(calls) > 1
```

### a closure of an object, and an L-BFGS that its constructor makes
```python
import torch

class Solver:
    def __init__(self, net, points):
        self.net, self.points, self.losses = net, points, []
        self.optimizer = torch.optim.LBFGS(self.net.parameters(), max_iter=5)

    def loss(self):
        loss = self.net(self.points).square().mean()
        loss.backward()
        self.losses.append(loss.item())
        return loss

    def solve(self):
        self.optimizer.step(self.loss)  # GL406

# run: solver = Solver(torch.nn.Linear(2, 1), torch.randn(4, 2)); solver.solve()
# shows: len(solver.losses) > 1
```

### once, though its caller has a loop as well
```python
import torch

def epoch(model, optimizer, batches):
    for images, labels in batches:
        model(images).sum().backward()
        optimizer.step()  # GL406

def train(model, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        epoch(model, optimizer, batches)

# run: train(model, batches)
# shows: model.weight.grad is not None
```

### by a method that has no loop, in the loop of its caller
```python
import torch

def step(model, optimizer, images):
    model(images).sum().backward()
    optimizer.step()

def train(model, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for images, labels in batches:
        step(model, optimizer, images)  # GL406

# run: train(model, batches)
# shows: model.weight.grad is not None
```

## Silent

### a step that is given the loss, or the context in which gradients are gathered
```python
import torch
from torch.distributed import autograd as distributed
from torch.distributed.optim import DistributedOptimizer

def adapt(model, criterion, functional, batches):
    inner = torch.optim.SGD(model.parameters(), lr=0.1)
    with functional.loop(model, inner) as (copied, inner_optimizer):
        for images, labels in batches:
            inner_optimizer.step(criterion(copied(images), labels))
            criterion(copied(images), labels).backward()

def train(model, criterion, remote, batches):
    optimizer = DistributedOptimizer(torch.optim.SGD, remote, lr=0.1)
    for images, labels in batches:
        with distributed.context() as context:
            distributed.backward(context, [criterion(model(images), labels)])
            optimizer.step(context)
```

### a closure of an object that zeroes, or that another optimizer runs once
```python
import torch

class Solver:
    def __init__(self, net, points, quick):
        self.net, self.points, self.losses = net, points, []
        self.optimizer = torch.optim.LBFGS(self.net.parameters(), max_iter=5)
        if quick:
            self.either = torch.optim.SGD(self.net.parameters(), lr=0.1)
        else:
            self.either = torch.optim.LBFGS(self.net.parameters())

    def loss(self):
        self.optimizer.zero_grad()
        return self.plain_loss()

    def plain_loss(self):
        loss = self.net(self.points).square().mean()
        loss.backward()
        return loss

    def solve(self):
        self.optimizer.step(self.loss)
        self.either.step(self.plain_loss)

# run: Solver(torch.nn.Linear(2, 1), torch.randn(4, 2), True).solve()
```

### by filling the gradients with zeros
```python
def fit(model, criterion, batches, rate=0.1):
    for images, labels in batches:
        criterion(model(images), labels).backward()
        model.weight.data -= rate * model.weight.grad
        model.bias.data -= rate * model.bias.grad
        model.weight.grad.fill_(0)
        model.bias.grad[:] = 0

# run: fit(model, criterion, batches)
# shows: not model.weight.grad.any() and not model.bias.grad.any()
```

### closures that zero, or that are run once
```python
import torch

def calibrate(temperature, logits, labels):
    optimizer = torch.optim.LBFGS([temperature], lr=0.01)
    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(logits / temperature, labels)
        loss.backward()
        return loss
    optimizer.step(closure)

def calibrate_once(temperature, logits, labels):
    optimizer = torch.optim.LBFGS([temperature], lr=0.01, max_iter=1)
    def closure():
        loss = torch.nn.functional.cross_entropy(logits / temperature, labels)
        loss.backward()
        return loss
    optimizer.step(closure)

# run: calibrate(torch.ones(1, requires_grad=True), torch.randn(4, 3), torch.tensor([0, 1, 2, 0]))
# run: calibrate_once(torch.ones(1, requires_grad=True), torch.randn(4, 3), torch.tensor([0, 1, 2, 0]))
```

### zeroed by the optimizer that wraps the one that steps
```python
import torch
from torch import nn

class Sharp(torch.optim.Optimizer):
    def __init__(self, params, base_optimizer):
        super().__init__(params, {})
        self.base_optimizer = base_optimizer(self.param_groups, lr=0.1)
        self.param_groups = self.base_optimizer.param_groups

    @torch.no_grad()
    def second_step(self):
        self.base_optimizer.step()

class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 1)
        self.optimizer = Sharp(self.parameters(), torch.optim.SGD)

    def training_step(self, images, labels):
        for _ in range(2):
            loss = (self.net(images) - labels).square().mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.second_step()

# run: Detector().training_step(*batches[0])
```

### zeroed by another method, by hand, or by the model
```python
import torch

class Trainer:
    def __init__(self, model, criterion):
        self.model, self.criterion = model, criterion
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def begin(self):
        self.optimizer.zero_grad()

    def fit(self, batches):
        for images, labels in batches:
            self.begin()
            self.criterion(self.model(images), labels).backward()
            self.optimizer.step()

def by_hand(model, criterion, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for images, labels in batches:
        for parameter in model.parameters():
            parameter.grad = None
        criterion(model(images), labels).backward()
        optimizer.step()

def by_model(model, criterion, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for images, labels in batches:
        model.zero_grad()
        criterion(model(images), labels).backward()
        optimizer.step()

# run: Trainer(model, criterion).fit(batches)
# run: by_hand(model, criterion, batches)
# run: by_model(model, criterion, batches)
```

### by a function of the project
```python
import torch

def clear(model):
    for parameter in model.parameters():
        parameter.grad = None

def train(model, criterion, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for images, labels in batches:
        clear(model)
        criterion(model(images), labels).backward()
        optimizer.step()

# run: train(model, criterion, batches)
```

### gradients are gathered
```python
import torch

def train(model, criterion, batches, every=2):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for number, (images, labels) in enumerate(batches):
        (criterion(model(images), labels) / every).backward()
        if (number + 1) % every == 0:
            optimizer.step()
            optimizer.zero_grad()

# run: train(model, criterion, batches)
```

### gathered in an inner loop
```python
import torch

def train(model, criterion, batches, epochs=2):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(epochs):
        optimizer.zero_grad()
        for images, labels in batches:
            criterion(model(images), labels).backward()
        optimizer.step()

# run: train(model, criterion, batches)
```

### in a closure
```python
import torch

def fit(model, criterion, batches):
    optimizer = torch.optim.LBFGS(model.parameters())
    for images, labels in batches:
        def closure():
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            return loss
        optimizer.step(closure)

# run: fit(model, criterion, batches)
```

### an optimizer of the project zeroes by itself
```python
import torch

class Optimizer:
    def __init__(self, parameters):
        self.inner = torch.optim.SGD(parameters, lr=0.1)

    def step(self):
        self.inner.step()
        self.inner.zero_grad()

def train(model, criterion, batches):
    optimizer = Optimizer(model.parameters())
    for images, labels in batches:
        criterion(model(images), labels).backward()
        optimizer.step()

# run: train(model, criterion, batches)
```

### an optimizer for each round
```python
import torch
from torch import nn

def check(sizes):
    for size in sizes:
        model = nn.Linear(size, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model(torch.ones(2, size)).sum().backward()
        optimizer.step()

# run: check([1, 2])
```

### one step
```python
import torch

def step(model, criterion, images, labels):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    criterion(model(images), labels).backward()
    optimizer.step()

# run: step(model, criterion, *batches[0])
```

### an optimizer of the project is handed in
```python
import torch

class Warmup:
    def __init__(self, optimizer):
        self.optimizer = optimizer

    def step(self):
        self.optimizer.step()
        self.optimizer.zero_grad()

def train(model, criterion, optimizer, batches):
    for images, labels in batches:
        criterion(model(images), labels).backward()
        optimizer.step()

def main(model, criterion, batches):
    train(model, criterion, Warmup(torch.optim.SGD(model.parameters(), lr=0.1)), batches)

# run: main(model, criterion, batches)
```

### both halves again, whose own optimizers zero
```python
import itertools
import torch

class Gan:
    def __init__(self, generator, discriminator):
        self.generator, self.discriminator = generator, discriminator
        self.g_optimizer = torch.optim.SGD(generator.parameters(), lr=0.1)
        self.d_optimizer = torch.optim.SGD(discriminator.parameters(), lr=0.1)
        both = itertools.chain(generator.parameters(), discriminator.parameters())
        self.info_optimizer = torch.optim.SGD(both, lr=0.1)

    def train(self, noise):
        for z in noise:
            self.g_optimizer.zero_grad()
            self.d_optimizer.zero_grad()
            self.discriminator(self.generator(z)).mean().backward()
            self.g_optimizer.step()
            self.info_optimizer.step()

# run: Gan(generator, discriminator).train([torch.ones(1, 2)])
```

### two optimizers of one module
```python
import torch

def train(model, criterion, batches):
    optimizer_a = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer_b = torch.optim.SGD(model.parameters(), lr=0.01)
    for images, labels in batches:
        optimizer_a.zero_grad()
        criterion(model(images), labels).backward()
        optimizer_a.step()
        optimizer_b.step()

# run: train(model, criterion, batches)
```

### an average of the project's own that steps like an optimizer
```python
import torch

class Average:
    def __init__(self, model, average):
        self.pairs = list(zip(model.parameters(), average.parameters()))

    def step(self):
        with torch.no_grad():
            for parameter, average in self.pairs:
                average.lerp_(parameter, 0.1)

def train_epoch(model, optimizer, ema_optimizer, criterion, batches):
    for images, labels in batches:
        optimizer.zero_grad()
        criterion(model(images), labels).backward()
        optimizer.step()
        ema_optimizer.step()

def main(model, average, criterion, batches, epochs=2):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ema_optimizer = Average(model, average)
    for _ in range(epochs):
        train_epoch(model, optimizer, ema_optimizer, criterion, batches)

# run: main(model, nn.Linear(4, 1), criterion, batches)
```

### a model that a method makes anew in each round
```python
import torch
from torch import nn

class Checks:
    def make(self):
        self.model = nn.Linear(4, 1)

    def walk(self, model):
        loss = model(torch.ones(2, 4)).square().mean()
        loss.backward()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        optimizer.step()

    def check(self, kinds):
        for kind in kinds:
            self.make()
            self.walk(self.model)

# run: Checks().check(["a", "b"])
```

### updated by hand, and zeroed or made anew
```python
import torch

def fit(rows, targets):
    weight, other = torch.zeros(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    for _ in range(3):
        (rows @ (weight + other) - targets).square().mean().backward()
        with torch.no_grad():
            weight -= 0.1 * weight.grad
            other -= 0.1 * other.grad
        weight.grad = None
        other.grad.zero_()
    return weight

def attack(model, images, rounds):
    for _ in range(rounds):
        images = images.detach().requires_grad_()
        model(images).sum().backward()
        with torch.no_grad():
            images += 0.1 * images.grad.sign()
    return images

# run: fit(torch.ones(4, 3), torch.ones(4))
```
"""
