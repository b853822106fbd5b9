"""A target of the loss is computed with its graph, and the graph is thrown away.

## Flagged

```python
import torch

def update(critic, target_critic, optimizer, state, next_state, reward):
    target = reward + 0.99 * target_critic(next_state).detach()  # GL106
    loss = (critic(state) - target).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: update(critic, target_critic, optimizer, state, next_state, reward)
# keeps: > 800 bytes
```

## Instead

```python
import torch

def update(critic, target_critic, optimizer, state, next_state, reward):
    with torch.no_grad():
        target = reward + 0.99 * target_critic(next_state)
    loss = (critic(state) - target).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: update(critic, target_critic, optimizer, state, next_state, reward)
# keeps: < 800 bytes
```

## Fixed

```python
import torch

def update(critic, target_critic, optimizer, state, next_state, reward):
    with torch.no_grad():
        target = reward + 0.99 * target_critic(next_state).detach()
    loss = (critic(state) - target).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## Why

`.detach()` comes when the forward is over: everything the backward pass would need was saved by then, to be
dropped in the next moment. The result is right; what is wasted is the memory at the peak, as much as a training
forward of that network takes, and the time to record it. Under `no_grad()` nothing is saved in the first place.

Targets, bootstrapped values, a teacher's outputs, a GAN's fakes in the step of the discriminator and the
actions of a rollout are of that kind. Of a network whose parameters are frozen, with plain input, no graph is
built, and there is nothing to mend.
"""

from collections.abc import Iterator

from gradlint.rule import (
    CallEvent,
    Detached,
    Finding,
    Fix,
    FunctionNode,
    Note,
    Project,
    expressions,
    rewrites,
    rule,
    within,
)


@rule("GL106", severity="warning", since="0.2.0")
def grad_enabled_target(project: Project) -> Iterator[Finding]:
    """Find forwards in training steps whose results are all detached before anything else is done with them."""
    for function in project.functions():
        detached = list(project.targets.detached(function))
        alone = {found.event.at for found in detached}
        for found in detached:
            yield _finding(function, found, _guarded(project, function, found, alone))
        for event in project.targets.followed(function):
            yield _followed(function, event)


def _finding(function: FunctionNode, found: Detached, fix: Fix | None) -> Finding:
    name = found.event.name
    return Finding(
        function.place(found.event.at),
        function.name,
        f"`{name}(...)` records a graph that is thrown away: memory for a backward pass which never comes",
        (Note(function.place(found.cut.at), "its result is detached here, after the forward"),),
        help="run it under `torch.no_grad()`",
        fix=fix,
    )


def _followed(function: FunctionNode, event: CallEvent) -> Finding:
    edits = rewrites.under_no_grad(function, event.at)
    return Finding(
        function.place(event.at),
        function.name,
        f"`{event.name}(...)` records a graph, and `backward()` computes gradients for parameters that nobody trains",
        help="run it under `torch.no_grad()`",
        fix=Fix("unsafe", "put it under `torch.no_grad()`", edits) if edits else None,
    )


def _guarded(project: Project, function: FunctionNode, found: Detached, detached: set[int]) -> Fix | None:
    """The guard, unless the statement makes a forward that is trained as well."""
    edits = rewrites.under_no_grad(function, found.event.at)
    statement = rewrites.simple_statement(function, found.event.at)
    if not edits or statement is None:
        return None
    calls = project.flow(function).calls
    events = (calls.get(part.at) for expression in expressions(statement) for part in within(expression))
    if any(event is not None and event.forward and event.at not in detached for event in events):
        return None
    return Fix("unsafe", "put it under `torch.no_grad()`", edits)


CASES = r"""
```python setup
import torch
from torch import nn

class Critic(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, size), nn.ReLU(), nn.Linear(size, 1))

    def forward(self, x):
        return self.layers(x)

critic, target_critic = Critic(4), Critic(100)
optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
state, next_state, reward = torch.ones(3, 2), torch.ones(3, 2), torch.ones(3, 1)
```

## Flagged

### a copy of a class nobody names
```python
class Learner:
    def __init__(self):
        self.network, self.old_network = None, None

class Distilling(Learner):
    def after_task(self):
        self.old_network = self.network.copy()

    def train(self, batches, criterion, optimizer):
        for images, labels in batches:
            outputs = self.network(images)
            loss = criterion(outputs, labels)
            if self.old_network is not None:
                loss = loss + criterion(outputs, self.old_network(images).detach())  # GL106
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

# run: from torch import nn
# run: Distilling.after_task = lambda self: setattr(self, "old_network", nn.Linear(4, 1))
# run: learner = Distilling()
# run: learner.network = nn.Linear(4, 1)
# run: learner.after_task()
# run: sgd = torch.optim.SGD(learner.network.parameters())
# run: learner.train([(torch.ones(2, 4), torch.ones(2, 1))], nn.MSELoss(), sgd)
# keeps: > 0 bytes
```

### a teacher
```python
from torch.nn import functional as F

def distill(student, teacher, optimizer, images):
    wanted = teacher(images)  # GL106
    wanted = wanted.detach()
    loss = F.mse_loss(student(images), wanted)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: distill(critic, target_critic, optimizer, state)
# keeps: > 0 bytes
```

### the fake of a GAN, for the discriminator alone
```python
def discriminator_step(generator, discriminator, optimizer, noise, images):
    fake = generator(noise).detach()  # GL106
    loss = discriminator(fake).mean() - discriminator(images).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: discriminator_step(nn.Linear(2, 2), critic, optimizer, state, state)
# keeps: > 0 bytes
```

### a bootstrap through `.data`
```python
import torch
from torch.nn import functional as F

def update(net, target, optimizer, states, rewards):
    values = net(states).max(1)[0]
    following = target(states).data.max(1)[0]  # GL106
    loss = F.mse_loss(values, rewards + 0.9 * following)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: net, target = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
# run: update(net, target, torch.optim.SGD(net.parameters(), lr=0.1), torch.ones(3, 2), torch.ones(3))
# shows: target(torch.ones(3, 2)).requires_grad
```

### a teacher that `backward()` walks, too
```python
import torch
from torch import nn
from torch.nn import functional as F

def distill(student, teacher, images):
    teacher.eval()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    loss = F.mse_loss(student(images), teacher(images))  # GL106
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

class Agent:
    def __init__(self):
        self.q = nn.Linear(2, 1)
        self.target_net = nn.Linear(2, 1)
        self.optimizer = torch.optim.SGD(self.q.parameters(), lr=0.1)

    def learn(self, state, next_state, reward):
        wanted = reward + 0.99 * self.target_net(next_state)  # GL106
        loss = F.mse_loss(self.q(state), wanted)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def follow(self):
        for mine, its in zip(self.target_net.parameters(), self.q.parameters()):
            mine.data.copy_(its.data)

# run: distill(critic, target_critic, state)
# shows: all(parameter.grad is not None for parameter in target_critic.parameters())
```

### in the forward of a module, and with a target for an argument
```python
import torch
from torch import nn
from torch.nn import functional as F

class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(2, 4)
        self.momentum_encoder = nn.Linear(2, 4)

    def forward(self, one, other):
        wanted = self.momentum_encoder(other).detach()  # GL106
        return F.mse_loss(self.encoder(one), wanted)

class Critics:
    def __init__(self, critic, critic_target):
        self.critic, self.critic_target = critic, critic_target
        self.optimizer = torch.optim.SGD(self.critic.parameters(), lr=0.1)

    def update(self, state, next_state, reward):
        wanted = (reward + self.critic_target(next_state)).detach()  # GL106
        loss = F.mse_loss(self.critic(state), wanted)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

# run: Critics(critic, target_critic).update(state, next_state, reward)
# keeps: > 0 bytes
```

### a copy of what the module is made of
```python
import copy
import torch
from torch import nn
from torch.nn import functional as F

class Siamese(nn.Module):
    def __init__(self, online):
        super().__init__()
        self.online = online
        self.slow = copy.deepcopy(online)

    def forward(self, one, other):
        wanted = self.slow(other)  # GL106
        return F.mse_loss(self.online(one), wanted.detach())

class Augmented(nn.Module):
    def __init__(self, fast: nn.Module, slow: nn.Module):
        super().__init__()
        self.fast, self.slow = fast, slow

    def forward(self, one, other):
        wanted = self.slow(other).detach()  # GL106
        return F.mse_loss(self.fast(one), wanted)

# run: siamese, augmented = Siamese(nn.Linear(2, 4)), Augmented(nn.Linear(2, 4), nn.Linear(2, 4))
# run: (siamese(state, state) + augmented(state, state)).backward()
# shows: siamese.slow(state).requires_grad and augmented.slow(state).requires_grad
# shows: siamese.slow.weight.grad is None and augmented.slow.weight.grad is None
```

### a teacher in evaluation mode, and a loss of one's own
```python
from torch.nn import functional as F

def matched(found, wanted):
    return F.mse_loss(found, wanted)

def run(student, teacher, optimizer, loader, val_loader):
    teacher.eval()
    for images in loader:
        wanted = teacher(images)  # GL106
        loss = matched(student(images), wanted.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        for images in val_loader:
            print(student(images).argmax(1))

# run: run(critic, target_critic, optimizer, [state], [])
# keeps: > 0 bytes
```

### a network that is called a target, and what the constructor is given
```python
import copy
import torch
from torch import nn
from torch.nn import functional as F

class Agent:
    def __init__(self):
        self.q = nn.Linear(2, 1)
        self.target = copy.deepcopy(self.q)
        self.optimizer = torch.optim.SGD(self.q.parameters(), lr=0.1)

    def learn(self, state, next_state, reward):
        wanted = reward + 0.99 * self.target(next_state)  # GL106
        loss = F.mse_loss(self.q(state), wanted)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

class Learner:
    def __init__(self, net, target_net):
        self.net, self.target_net = net, target_net
        self.teacher = copy.deepcopy(net)
        self.optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def learn(self, state, next_state, reward):
        wanted = reward + 0.99 * self.target_net(next_state)  # GL106
        loss = F.mse_loss(self.net(state), wanted)
        loss = loss + F.mse_loss(self.net(state), self.teacher(state))  # GL106
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

def main(state, next_state, reward):
    learner = Learner(nn.Linear(2, 1), nn.Linear(2, 1))
    learner.learn(state, next_state, reward)
    return learner

# run: agent = Agent()
# run: agent.learn(state, next_state, reward)
# shows: agent.target.weight.grad is not None
# run: learner = main(state, next_state, reward)
# shows: learner.target_net.weight.grad is not None and learner.teacher.weight.grad is not None
```

### a target network that the caller has made
```python
import torch
from torch import nn
from torch.nn import functional as F

def learn(q_net, target_q_net, optimizer, state, next_state, reward):
    wanted = reward + 0.99 * target_q_net(next_state)  # GL106
    loss = F.mse_loss(q_net(state), wanted)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return target_q_net.weight.grad

def main(state, next_state, reward):
    q_net, target_q_net = nn.Linear(2, 1), nn.Linear(2, 1)
    target_q_net.load_state_dict(q_net.state_dict())
    optimizer = torch.optim.SGD(q_net.parameters(), lr=0.1)
    return learn(q_net, target_q_net, optimizer, state, next_state, reward)

# run: grad = main(state, next_state, reward)
# shows: grad is not None
```

### beside values that were put into a storage to be trained
```python
import torch

class Storage:
    def __init__(self):
        self.kept = {}

    def feed(self, values):
        for name, value in values.items():
            setattr(self, name, value)

def step(critic, target_critic, optimizer, storage, state, next_state, reward):
    storage.feed({"value": critic(state)})
    target = reward + 0.99 * target_critic(next_state).detach()  # GL106
    loss = (storage.value - target).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: step(critic, target_critic, optimizer, Storage(), state, next_state, reward)
# keeps: > 800 bytes
```

## Silent

### copies that are frozen, or are no modules
```python
import copy
import torch
from torch import nn
from torch.nn import functional as F

class Siamese(nn.Module):
    def __init__(self, online, change):
        super().__init__()
        self.online = online
        self.slow = copy.deepcopy(online)
        self.slow.requires_grad_(False)

    def forward(self, one, other):
        wanted = self.slow(other).detach()
        return F.mse_loss(self.online(one), wanted)

class Pairs:
    def __init__(self, model, change):
        self.model = model
        self.change = copy.deepcopy(change)

    def loss(self, one, other):
        other = self.change(other).detach()
        loss = F.mse_loss(self.model(one), other)
        loss.backward()
        return loss

# run: siamese = Siamese(nn.Linear(2, 4), None)
# run: siamese(state, state).backward()
# run: Pairs(nn.Linear(2, 2), torch.neg).loss(state, state)
# shows: not siamese.slow(state).requires_grad
```

### a copy that is frozen as it is made, of a class nobody names
```python
class Learner:
    def __init__(self):
        self.network, self.old_network = None, None

class Distilling(Learner):
    def after_task(self):
        self.old_network = self.network.copy().freeze()

    def train(self, batches, criterion, optimizer):
        for images, labels in batches:
            outputs = self.network(images)
            loss = criterion(outputs, labels)
            if self.old_network is not None:
                loss = loss + criterion(outputs, self.old_network(images).detach())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
```

### guarded, or trained on
```python
import torch

def update(actor, critic, target_critic, optimizer, state, next_state):
    with torch.no_grad():
        target = target_critic(next_state).detach()
    value = critic(state)
    loss = (value - target).pow(2).mean()
    print(value.detach().mean())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: update(None, critic, target_critic, optimizer, state, next_state)
```

### the fake is used by both steps
```python
def gan_step(generator, discriminator, optimizer, noise):
    fake = generator(noise)
    discriminator(fake.detach()).mean().backward()
    loss = -discriminator(fake).mean()
    loss.backward()
    optimizer.step()

# run: gan_step(nn.Linear(2, 2), critic, optimizer, state)
```

### frozen where it was made
```python
import torch
from torch import nn
from torch.nn import functional as F

def distill(student, teacher, optimizer, images):
    loss = F.mse_loss(student(images), teacher(images).detach())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

def main(student, images):
    teacher = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    for parameter in teacher.parameters():
        parameter.requires_grad = False
    distill(student, teacher, torch.optim.SGD(student.parameters(), lr=0.1), images)

# run: main(critic, state)
```

### a teacher that learns, or is frozen by somebody
```python
import torch
from torch import nn
from torch.nn import functional as F

def together(student, teacher, images):
    teacher.eval()
    optimizer = torch.optim.SGD([*student.parameters(), *teacher.parameters()], lr=0.1)
    loss = F.mse_loss(student(images), teacher(images))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

def freeze(net):
    for parameter in net.parameters():
        parameter.requires_grad = False

class Distiller:
    def __init__(self, student, teacher_net):
        self.student, self.teacher_net = student, teacher_net
        freeze(self.teacher_net)
        self.optimizer = torch.optim.SGD(self.student.parameters(), lr=0.1)

    def step(self, images):
        self.teacher_net.eval()
        loss = F.mse_loss(self.student(images), self.teacher_net(images))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

# run: together(critic, target_critic, state)
```

### frozen, part by part, by what holds the module that runs it
```python
import torch
from torch import nn

class Prompted(nn.Module):
    def __init__(self):
        super().__init__()
        self.pretrained = nn.Linear(2, 4)
        self.prompt = nn.Linear(4, 1)

    def forward(self, x):
        found = self.pretrained(x).detach()
        return self.prompt(found)

class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Prompted()

    def forward(self, x):
        return self.inner(x)

class Whole(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Encoder()
        for name, parameter in self.encoder.named_parameters():
            if "prompt" not in name:
                parameter.requires_grad = False

# run: whole = Whole()
# run: whole.encoder(state).sum().backward()
# shows: whole.encoder.inner.pretrained.weight.grad is None
```

### a target network that the caller has made, and frozen
```python
import torch
from torch import nn
from torch.nn import functional as F

def learn(q_net, target_q_net, optimizer, state, next_state, reward):
    wanted = reward + 0.99 * target_q_net(next_state)
    loss = F.mse_loss(q_net(state), wanted)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

def main(state, next_state, reward):
    q_net, target_q_net = nn.Linear(2, 1), nn.Linear(2, 1)
    target_q_net.requires_grad_(False)
    optimizer = torch.optim.SGD(q_net.parameters(), lr=0.1)
    learn(q_net, target_q_net, optimizer, state, next_state, reward)

# run: main(state, next_state, reward)
```

### what the constructor is given, and who has made it trains, or freezes
```python
import copy
import torch
from torch import nn
from torch.nn import functional as F

class Learner:
    def __init__(self, net, target_net, teacher):
        self.net, self.target_net = net, target_net
        self.teacher = copy.deepcopy(teacher)

    def learn(self, optimizer, state, next_state):
        loss = F.mse_loss(self.net(state), self.target_net(next_state)) + self.teacher(state).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

def freeze(part):
    for parameter in part.parameters():
        parameter.requires_grad = False

def frozen(state, next_state):
    net, wanted = nn.Linear(2, 1), nn.Linear(2, 1)
    learner = Learner(net, wanted, net)
    freeze(wanted)
    learner.teacher.requires_grad_(False)
    learner.learn(torch.optim.SGD(net.parameters(), lr=0.1), state, next_state)

def main(state, next_state):
    mine, its, old = nn.Linear(2, 1), nn.Linear(2, 1), nn.Linear(2, 1)
    old.requires_grad_(False)
    optimizer = torch.optim.SGD([*mine.parameters(), *its.parameters()], lr=0.1)
    Learner(mine, its, old).learn(optimizer, state, next_state)

# run: main(state, next_state)
```

### by Lightning's hand
```python
import pytorch_lightning as pl
import torch
from torch import nn

class Adversarial(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.discriminator = nn.Linear(2, 2), nn.Linear(2, 1)

    def training_step(self, batch, index):
        first, second = self.optimizers()
        self.toggle_optimizer(second)
        loss = self.discriminator(batch).mean() - self.discriminator(self.generator(batch).detach()).mean()
        second.zero_grad()
        self.manual_backward(loss)
        second.step()
        self.untoggle_optimizer(second)

    def configure_optimizers(self):
        return torch.optim.Adam(self.generator.parameters()), torch.optim.Adam(self.discriminator.parameters())
```

### a test that compares
```python
# file: tests/test_critic.py
import pytest
import torch
from critics import Critic

def test_what_is_updated_differs():
    critic, inputs = Critic(4), torch.ones(2, 2)
    before = critic(inputs).detach()
    critic(inputs).sum().backward()
    assert (before != critic(inputs)).any()

def test_it_learns_from_a_teacher():
    pupil, teacher, inputs = torch.nn.Linear(2, 4), torch.nn.Linear(2, 4), torch.ones(3, 2)
    expected = teacher(inputs).detach()
    (pupil(inputs) - expected).square().mean().backward()
    assert pupil.weight.grad is not None
```
"""
