"""`backward()` meets a graph that another `backward()` has freed.

## Flagged

```python
def train_step(encoder, decoder, critic, images):
    features = encoder(images)
    loss = decoder(features).pow(2).mean()
    loss.backward()
    score = critic(features).mean()
    score.backward()  # GL403

# run: train_step(model, head, other, images)
# raises: RuntimeError: Trying to backward through the graph a second time
```

## Instead

```python
def train_step(encoder, decoder, critic, images):
    features = encoder(images)
    loss = decoder(features).pow(2).mean() + critic(features).mean()
    loss.backward()

# run: train_step(model, head, other, images)
```

## Fixed

```python
def train_step(encoder, decoder, critic, images):
    features = encoder(images)
    loss = decoder(features).pow(2).mean()
    loss.backward(retain_graph=True)
    score = critic(features).mean()
    score.backward()
```

## Why

`backward()` frees what a graph has saved as it walks it. What still holds a part of that graph, a second loss
on the same features, a hidden state carried to the next round, a GAN's fake image, leads the next `backward()`
back into it: `RuntimeError: Trying to backward through the graph a second time (or directly access saved
tensors after they have already been freed).` Where nothing was saved (`(w + 1).sum()`) it passes, and gradients
are added twice.

Add the losses and walk once; `.detach()` what is carried over, so that each round has a graph of its own; or
make a fresh forward. `retain_graph=True` keeps the graph for a second walk that is really wanted; if the
weights change in between, it raises all the same.

Where the two walks are no two statements of one block, or one meets what the round or the call before has left,
this is advice, off by default: what lies between them may have begun anew.
"""

from collections.abc import Iterator

from gradlint.rule import (
    Act,
    Assign,
    CallEvent,
    Edit,
    Evaluate,
    Finding,
    Fix,
    FunctionNode,
    Name,
    Note,
    Project,
    SecondWalk,
    Severity,
    acts_of,
    blocks,
    dotted,
    expressions,
    rule,
    scope,
    statements,
    within,
)


@rule("GL403", severity="warning", since="0.2.0")
def repeated_backward(project: Project) -> Iterator[Finding]:
    """Find ``backward()`` on what holds a part of a graph that was walked and freed before."""
    for function in project.functions():
        found = [*project.walks.second(function)]
        if not found:
            continue
        silent = scope.expected_to_fail(function) | scope.tried(function)
        for walk in found:
            if walk.event.at in silent:
                continue
            if not walk.kept:
                yield _finding(project, function, walk)
            elif walk.first is not None and (step := _stepped_between(project, function, walk.first, walk.event)):
                yield _outdated(function, walk.first, walk.event, step)


def _stepped_between(project: Project, function: FunctionNode, first: CallEvent, second: CallEvent) -> Act | None:
    """The step that changes a module in the middle of the graph, between its two walks."""
    steps = [act for act in acts_of(project.order.steps.script(function)) if act.kind == "step" and act.path]
    steps = [act for act in steps if _follow(function, first.at, act.at, second.at)]
    modules = project.order.modules(function, {act.path for act in steps if act.path})
    if not modules or second.receiver is None:
        return None
    calls, loop = project.flow(function).calls, scope.innermost_loop(function, second.at)
    made = [calls[o.at] for o in second.receiver.origins if o.function is function and o.at in calls]
    before = {e.name for e in made if e.forward and e.at < first.at and (loop is None or e.at in loop)}
    return next((act for act in steps if modules.get(act.path or "") in before), None)


def _follow(function: FunctionNode, *places: int) -> bool:
    """Whether statements of one block, with no condition around them alone, run at these places in this order."""
    body = function.facts.body
    for block in (body, *(inner for statement in statements(body) for inner in blocks(statement))):
        plain = [statement for statement in block if isinstance(statement, Assign | Evaluate)]
        numbers = [
            number
            for place in places
            for number, statement in enumerate(plain)
            if any(part.at == place for expression in expressions(statement) for part in within(expression))
        ]
        if len(numbers) == len(places) and numbers == sorted(numbers):
            return True
    return False


def _outdated(function: FunctionNode, first: CallEvent, second: CallEvent, step: Act) -> Finding:
    return Finding(
        function.place(second.at),
        function.name,
        f"`backward()` raises: `{step.path}` has changed weights that this graph was recorded with",
        (
            Note(function.place(first.at), "the graph is walked, and kept, here"),
            Note(function.place(step.at), "the weights are changed in place here"),
        ),
        help="run every `backward()` before the first step, or make a fresh forward",
    )


def _finding(project: Project, function: FunctionNode, walk: SecondWalk) -> Finding:
    fix: Fix | None = None
    if walk.first is None:
        text = "`backward()` raises in the second round: something computed in the round before is carried over"
        help_ = "detach what is carried over: `state = state.detach()`"
        note = Note(function.place(walk.at), "what the round before computed comes in here, with its graph")
    else:
        text = "`backward()` raises: a part of this graph was walked, and freed, before"
        help_ = "add the losses and call `backward()` once, or detach what they share"
        note = Note(function.place(walk.first.at), "it is walked here")
        fix = _mended(project, function, walk.first, walk.event)
    surely = walk.first is not None and _follow(function, walk.first.at, walk.event.at)
    severity: Severity | None = None if surely else "advice"
    return Finding(function.place(walk.event.at), function.name, text, (note,), severity=severity, help=help_, fix=fix)


def _mended(project: Project, function: FunctionNode, first: CallEvent, second: CallEvent) -> Fix | None:
    """Detach what the first loss was given if an optimizer steps in between, as in a GAN; else keep the graph."""
    acts = acts_of(project.order.steps.script(function))
    if any(act.kind in ("step", "anything") and first.at < act.at < second.at for act in acts):
        return _detached(project, function, first, second)
    call = scope.call_at(function, first.at)
    name = dotted(call.function) if call is not None else None
    if first.at == second.at or call is None or name is None or call.arguments:
        return None
    edit = Edit(function.place(call.at), "replace", f"{name}(retain_graph=True)")
    return Fix("unsafe", "keep the graph for the second walk", (edit,))


def _detached(project: Project, function: FunctionNode, first: CallEvent, second: CallEvent) -> Fix | None:
    """``discriminator(fake)`` becomes ``discriminator(fake.detach())`` where it leads to the first ``backward()``."""
    calls = project.flow(function).calls.values()
    given: dict[str, list[int]] = {}
    for event in calls:
        for argument in event.arguments if event.forward and event.at < second.at else ():
            if isinstance(argument.expression, Name) and argument.value.origins:
                given.setdefault(argument.expression.id, []).append(argument.expression.at)
    shared = [places for places in given.values() if min(places) < first.at < max(places)]
    early = [place for place in shared[0] if place < first.at] if len(shared) == 1 else []
    if len(early) != 1:
        return None
    edit = Edit(function.place(early[0]), "after", ".detach()")
    return Fix("unsafe", "detach it for the first loss", (edit,))


CASES = r"""
```python setup
import torch
from torch import nn

model, head, other = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1)
rnn = nn.RNN(2, 2)
criterion = nn.MSELoss()
images = torch.ones(3, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
```

## Flagged

### the same loss
```python
def train_step(model, images):
    loss = model(images).pow(2).sum()
    loss.backward()
    print(loss)
    loss.backward()  # GL403

# run: train_step(model, images)
# raises: RuntimeError: Trying to backward through the graph a second time
```

### a hidden state that is carried over
```python
def train(rnn, batches):
    hidden = None
    for batch in batches:
        output, hidden = rnn(batch, hidden)
        output.pow(2).sum().backward()  # GL403

# run: train(rnn, [images, images])
# raises: RuntimeError: Trying to backward through the graph a second time
```

### the fake of a GAN
```python
def train_step(generator, discriminator, noise):
    fake = generator(noise)
    loss_d = discriminator(fake).mean()
    loss_d.backward()
    loss_g = -discriminator(fake).mean()
    loss_g.backward()  # GL403

# run: train_step(nn.Sequential(model, nn.ReLU()), other, images)
# raises: RuntimeError: Trying to backward through the graph a second time
```

### computed once, before the loop
```python
from torch import nn

def train(head, criterion, optimizer, batches, prompt):
    encoder = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    context = encoder(prompt)
    for batch in batches:
        loss = head(batch * context).pow(2).sum()
        optimizer.zero_grad()
        loss.backward()  # GL403
        optimizer.step()

# run: train(head, criterion, optimizer, [images, images], images)
# raises: RuntimeError: Trying to backward through the graph a second time
```

### a hidden state that an object keeps
```python
class Trainer:
    def __init__(self, rnn):
        self.rnn = rnn
        self.hidden = None

    def step(self, batch):
        output, self.hidden = self.rnn(batch, self.hidden)
        output.pow(2).sum().backward()  # GL403

# run: trainer = Trainer(rnn); trainer.step(images); trainer.step(images)
# raises: RuntimeError: Trying to backward through the graph a second time
```

### the fake of a GAN, with a step in between
```python
import torch

def train_step(generator, discriminator, optimizer_d, optimizer_g, noise):
    fake = generator(noise)
    loss_d = discriminator(fake).mean()
    optimizer_d.zero_grad()
    loss_d.backward()
    optimizer_d.step()
    loss_g = -discriminator(fake).mean()
    optimizer_g.zero_grad()
    loss_g.backward()  # GL403
    optimizer_g.step()

# run: train_step(nn.Sequential(model, nn.ReLU()), other, optimizer, optimizer, images)
# raises: RuntimeError: Trying to backward through the graph a second time
```

### both losses handed to a function that walks them
```python
def update(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

def train_step(model, head, optimizer, images):
    features = model(images)
    first = head(features).pow(2).sum()
    second = features.pow(2).sum()
    update(optimizer, first)
    update(optimizer, second)  # GL403

# run: train_step(model, head, torch.optim.SGD(head.parameters(), lr=0.1), images)
# raises: RuntimeError: Trying to backward through the graph a second time
```

### kept for a second walk, but stepped in between
```python
import torch
from torch import nn

class Agent:
    def __init__(self):
        self.actor = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1))
        self.critic = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1))
        self.actor_optimizer = torch.optim.SGD(self.actor.parameters(), lr=0.1)
        self.critic_optimizer = torch.optim.SGD(self.critic.parameters(), lr=0.1)

    def update(self, states, returns):
        advantage = returns - self.critic(states)
        self.critic_optimizer.zero_grad()
        advantage.pow(2).mean().backward(retain_graph=True)
        self.critic_optimizer.step()
        actor_loss = -(self.actor(states) * advantage).mean()
        self.actor_optimizer.zero_grad()
        actor_loss.backward()  # GL403
        self.actor_optimizer.step()

# run: Agent().update(images, torch.ones(3, 1))
# raises: RuntimeError: one of the variables needed for gradient computation has been modified by an inplace operation
```

### of a leaf, without any module
```python
import torch

def slopes():
    x = torch.tensor(2.0, requires_grad=True)
    y = x ** 2
    y.backward()
    y.backward()  # GL403
    return x.grad

# run: slopes()
# raises: RuntimeError: Trying to backward through the graph a second time
```

## Silent

### kept, and stepped after both
```python
import torch
from torch import nn

class Agent:
    def __init__(self):
        self.actor = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1))
        self.critic = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1))
        self.actor_optimizer = torch.optim.SGD(self.actor.parameters(), lr=0.1)
        self.critic_optimizer = torch.optim.SGD(self.critic.parameters(), lr=0.1)

    def update(self, states, returns):
        advantage = returns - self.critic(states)
        actor_loss = -(self.actor(states) * advantage.detach()).mean()
        self.critic_optimizer.zero_grad()
        advantage.pow(2).mean().backward(retain_graph=True)
        self.actor_optimizer.zero_grad()
        self.critic_optimizer.step()
        actor_loss.backward()
        self.actor_optimizer.step()

    def both(self, states, returns):
        advantage = returns - self.critic(states)
        self.critic_optimizer.zero_grad()
        advantage.pow(2).mean().backward(retain_graph=True)
        advantage.abs().mean().backward()
        self.critic_optimizer.step()

# run: Agent().update(images, torch.ones(3, 1))
# run: Agent().both(images, torch.ones(3, 1))
```

### a function that walks only if it is told to
```python
def update(optimizer, loss, walk):
    optimizer.zero_grad()
    if walk:
        loss.backward()
    optimizer.step()

def train_step(model, head, optimizer, images):
    features = model(images)
    first = head(features).pow(2).sum()
    second = features.pow(2).sum()
    update(optimizer, first, False)
    update(optimizer, second, True)

# run: train_step(model, head, torch.optim.SGD(model.parameters(), lr=0.1), images)
```

### detached, or a fresh forward
```python
def train(rnn, batches):
    hidden = None
    for batch in batches:
        output, hidden = rnn(batch, hidden)
        output.pow(2).sum().backward()
        hidden = hidden.detach()

def gan_step(generator, discriminator, noise):
    fake = generator(noise)
    discriminator(fake.detach()).mean().backward()
    (-discriminator(fake).mean()).backward()
    model_loss = discriminator(generator(noise)).mean()
    model_loss.backward()

# run: train(rnn, [images, images])
# run: gan_step(nn.Sequential(model, nn.ReLU()), other, images)
```

### repackaged by a function that calls itself
```python
def repackage(hidden):
    if isinstance(hidden, tuple):
        return tuple(repackage(part) for part in hidden)
    return hidden.detach()

def train(rnn, batches, hidden):
    for batch in batches:
        hidden = repackage(hidden)
        output, hidden = rnn(batch, hidden)
        output.pow(2).sum().backward()

# run: train(rnn, [images, images], torch.zeros(1, 2))
```

### the graph is kept
```python
def train_step(model, images):
    loss = model(images).pow(2).sum()
    loss.backward(retain_graph=True)
    loss.backward()

# run: train_step(model, images)
```

### parts of one result, which may have graphs of their own
```python
from torch import nn

class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.actor, self.critic = nn.Linear(2, 2), nn.Linear(2, 1)

    def forward(self, x):
        return self.actor(x), self.critic(x)

def train_step(agent, images):
    policy, value = agent(images)
    policy.pow(2).sum().backward()
    value.pow(2).sum().backward()

# run: train_step(ActorCritic(), images)
```

### the next observation of an environment
```python
def train(policy, env, obs):
    for _ in range(2):
        action = policy(obs)
        action.pow(2).sum().backward()
        obs = env.step(action)

class Env:
    def step(self, action):
        return action.detach() * 2

# run: train(model, Env(), images)
```

### backward in every few rounds
```python
def train(rnn, batches):
    hidden, loss = None, 0
    for number, batch in enumerate(batches):
        output, hidden = rnn(batch, hidden)
        loss = loss + output.pow(2).sum()
        if number % 2:
            loss.backward()
            hidden, loss = hidden.detach(), 0

# run: train(rnn, [images] * 4)
```

### through time within a batch
```python
def train(rnn, batches):
    for batch in batches:
        hidden, loss = None, 0
        for step in batch:
            output, hidden = rnn(step[None], hidden)
            loss = loss + output.pow(2).sum()
        loss.backward()

# run: train(rnn, [images] * 2)
```

### a list that is made anew in each round
```python
import torch
from torch import nn

def train(batches):
    model = nn.Linear(8, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for images in batches:
        optimizer.zero_grad()
        torch.stack([model(images).mean() for _ in range(4)]).sum().backward()
        losses = [model(images).mean() for _ in range(4)]
        sum(losses).backward()
        optimizer.step()
```

### one of two
```python
def train_step(model, images, scaler=None):
    loss = model(images).pow(2).sum()
    if scaler is not None:
        scaler.scale(loss).backward()
    else:
        loss.backward()
    return loss.item()

# run: train_step(model, images)
```

### computed where nothing is recorded
```python
import torch

def train_step(model, head, other, images):
    with torch.no_grad():
        features = model(images)
    head(features).sum().backward()
    other(features).sum().backward()

# run: train_step(model, head, other, images)
```

### a frozen encoder before the loop, a hidden state that is begun anew
```python
import torch

class Trainer:
    def __init__(self, rnn):
        self.rnn = rnn
        self.hidden = None

    def begin(self):
        self.hidden = None

    def step(self, batch):
        output, self.hidden = self.rnn(batch, self.hidden)
        output.pow(2).sum().backward()

class Detaching:
    def __init__(self, rnn):
        self.rnn, self.hidden = rnn, None

    def step(self, batch):
        output, hidden = self.rnn(batch, self.hidden)
        self.hidden = hidden.detach()
        output.pow(2).sum().backward()

def train(encoder, head, batches, prompt):
    encoder.requires_grad_(False)
    context = encoder(prompt)
    for batch in batches:
        head(batch * context).pow(2).sum().backward()

# run: Trainer(rnn).step(images)
# run: train(model, head, [images, images], images)
```

### features of a loaded network
```python
import torch

def project(generator, path, target, latent, optimizer):
    features = torch.jit.load(path).eval()
    wanted = features(target)
    for _ in range(2):
        loss = (features(generator(latent)) - wanted).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
```

### a sum that each way of the loop begins anew
```python
def train(model, batches, kind):
    for batch in batches:
        output = model(batch)
        if kind == "square":
            loss = output.pow(2).sum()
        elif kind == "sum":
            loss = output.sum()
        loss = loss / 2
        loss.backward()

# run: train(model, [images, images], "sum")
```

### one of several losses, each in a branch of its own
```python
def train(discriminator, generator, noise, labels, kind):
    for z, real in noise:
        if kind in (1, 2):
            score = discriminator(real)
            if kind == 1:
                loss = criterion(score, labels)
            if kind == 2:
                loss = (score - labels).pow(2).mean()
            loss.backward()
            total = loss
        else:
            total = (discriminator(real) - discriminator(z)).pow(2).mean()
            loss = total
            total.backward()

# run: for kind in (1, 2, 3): train(model, head, [(images, images)] * 2, images, kind)
```

### kept by the word of before PyTorch 0.3
```python
def train_step(model, head, images):
    features = model(images)
    features.pow(2).sum().backward(retain_variables=True)
    head(features).pow(2).sum().backward()
```

### where nothing was saved, or another graph is walked
```python
import torch

x = torch.tensor(2.0, requires_grad=True)
y = (x + 1).sum()
y.backward()
y.backward()
z = x ** 2
z.backward()
z = x ** 3
z.backward()
# shows: x.grad.item() == 18.0
```
"""
