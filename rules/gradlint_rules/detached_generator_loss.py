"""The generator's step is made with a loss on a detached fake: no gradient reaches the generator.

## Flagged

```python
import torch

def train_step(generator, discriminator, noise):
    optimizer_g = torch.optim.SGD(generator.parameters(), lr=0.1)
    fake = generator(noise)  # GL106
    loss_g = -discriminator(fake.detach()).mean()
    optimizer_g.zero_grad()
    loss_g.backward()  # GL416
    optimizer_g.step()

# run: train_step(generator, discriminator, noise)
# shows: generator.weight.grad is None
```

## Instead

```python
import torch

def train_step(generator, discriminator, noise):
    optimizer_g = torch.optim.SGD(generator.parameters(), lr=0.1)
    fake = generator(noise)
    loss_g = -discriminator(fake).mean()
    optimizer_g.zero_grad()
    loss_g.backward()
    optimizer_g.step()

# run: train_step(generator, discriminator, noise)
# shows: generator.weight.grad is not None
```

## Why

`.detach()` belongs into the step of the discriminator, where the fake is data. In the step of the generator the
gradient has to go through the discriminator into the fake and on: cut off there, the generator's parameters
keep `None`, its optimizer passes over them, and the discriminator's gradients are filled instead. Nothing
raises.
"""

from collections.abc import Iterator

from gradlint.rule import Act, CallEvent, Finding, Flow, FunctionNode, Note, Project, acts_of, rule, scope

_OF_ALL = frozenset("train eval parameters named_parameters zero_grad state_dict load_state_dict to".split())


@rule("GL416", severity="advice", since="0.2.0")
def detached_generator_loss(project: Project) -> Iterator[Finding]:
    """Find steps of an optimizer right after ``backward()`` on what its module's output was detached from."""
    for function in project.functions():
        if not {"detach", "backward", "step"} <= function.facts.words:
            continue
        acts = list(acts_of(project.order.steps.script(function)))
        modules = project.order.modules(function, {act.path for act in acts if act.kind == "step" and act.path})
        silent = scope.expected_to_fail(function)
        for index, step in enumerate(acts):
            backward = _only_backward(acts[:index]) if step.kind == "step" else None
            module = modules.get(step.path or "")
            if (
                backward is not None
                and module is not None
                and backward.at not in silent
                and (made := _detached(project, function, backward, module)) is not None
            ):
                yield _finding(function, backward, module, made)


def _only_backward(before: list[Act]) -> Act | None:
    """The one ``backward()`` since gradients were zeroed, if there is one and nothing unknown besides."""
    found: Act | None = None
    for act in reversed(before):
        if act.kind in ("step", "zero"):
            return found
        if act.kind == "anything" or (act.kind == "backward" and (found is not None or act.inside is not None)):
            return None
        if act.kind == "backward":
            found = act
    return None


def _detached(project: Project, function: FunctionNode, backward: Act, module: str) -> CallEvent | None:
    """The call of the module whose result was detached, where none of its results is part of the loss."""
    flow = project.flow(function)
    event = flow.calls.get(backward.at)
    loss = event.receiver if event is not None else None
    if loss is None or not loss.origins:
        return None
    runs = [each for each in flow.calls.values() if each.name == module and each.at < backward.at]
    if not runs or any(not each.result.origins.isdisjoint(loss.origins) for each in runs):
        return None
    if any(each.name.startswith(f"{module}.") and each.method not in _OF_ALL for each in flow.calls.values()):
        return None  # ``actor.evaluate(states)`` may run it as well
    return next((each for each in runs if _is_detached(flow, each)), None)


def _is_detached(flow: Flow, run: CallEvent) -> bool:
    uses = (use for origin in run.result.origins for use in flow.uses.get(origin, ()))
    return any(use.detail == "detach" for use in uses)


def _finding(function: FunctionNode, backward: Act, module: str, made: CallEvent) -> Finding:
    return Finding(
        function.place(backward.at),
        function.name,
        f"no gradient reaches `{module}`, whose optimizer steps next: its output was detached",
        (Note(function.place(made.at), "its output"),),
        help="give the loss the output itself",
    )


CASES = r"""
```python setup
import torch
from torch import nn

generator, discriminator = nn.Linear(2, 2), nn.Linear(2, 1)
noise = torch.ones(3, 2)
```

## Flagged

### with an optimizer of the object
```python
import torch

class Gan:
    def __init__(self, generator, discriminator):
        self.generator, self.discriminator = generator, discriminator
        self.optimizer_g = torch.optim.SGD(self.generator.parameters(), lr=0.1)

    def step(self, noise):
        fake = self.generator(noise)  # GL106
        loss = -self.discriminator(fake.detach()).mean()
        self.optimizer_g.zero_grad()
        loss.backward()  # GL416
        self.optimizer_g.step()

# run: Gan(generator, discriminator).step(noise)
# shows: generator.weight.grad is None
```

### with optimizers of a script, and with handed over ones
```python
import torch

optimizer_g = torch.optim.SGD(generator.parameters(), lr=0.1)
optimizer_d = torch.optim.SGD(discriminator.parameters(), lr=0.1)

def train_step(noise):
    fake = generator(noise).detach()  # GL106
    optimizer_g.zero_grad()
    loss = -discriminator(fake).mean()
    loss.backward()  # GL416
    optimizer_g.step()

def train(g, d, solver_g, solver_d, noise):
    fake = g(noise).detach()  # GL106
    solver_d.zero_grad()
    discriminated = d(fake).mean()
    discriminated.backward()
    solver_d.step()
    solver_g.zero_grad()
    loss = -d(fake).mean()
    loss.backward()  # GL416
    solver_g.step()

train(generator, discriminator, optimizer_g, optimizer_d, noise)

# run: train_step(noise)
# shows: generator.weight.grad is None
```

## Silent

### run by a method of its own, for the loss
```python
import torch
from torch import nn

class Actor(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, state):
        return self.layer(state)

    def evaluate(self, state):
        return self(state).tanh()

def learn(actor, critic, states):
    optimizer = torch.optim.SGD(actor.parameters(), lr=0.1)
    with torch.no_grad():
        known = actor(states).detach()
    actions = actor.evaluate(states)
    loss = (critic(actions) - known.mean()).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: actor = Actor()
# run: learn(actor, nn.Linear(2, 1), torch.ones(3, 2))
# shows: actor.layer.weight.grad is not None
```

### detached for the discriminator alone
```python
import torch

def train_step(generator, discriminator, noise):
    optimizer_g = torch.optim.SGD(generator.parameters(), lr=0.1)
    optimizer_d = torch.optim.SGD(discriminator.parameters(), lr=0.1)
    fake = generator(noise)
    optimizer_d.zero_grad()
    loss_d = discriminator(fake.detach()).mean()
    loss_d.backward()
    optimizer_d.step()
    optimizer_g.zero_grad()
    loss_g = -discriminator(fake).mean()
    loss_g.backward()
    optimizer_g.step()

# run: train_step(generator, discriminator, noise)
# shows: generator.weight.grad is not None
```

### another part of the loss reaches it
```python
import torch

def train_step(generator, discriminator, noise):
    optimizer_g = torch.optim.SGD(generator.parameters(), lr=0.1)
    fake = generator(noise)
    loss_g = fake.pow(2).mean() - discriminator(fake.detach()).mean()
    optimizer_g.zero_grad()
    loss_g.backward()
    optimizer_g.step()

# run: train_step(generator, discriminator, noise)
# shows: generator.weight.grad is not None
```
"""
