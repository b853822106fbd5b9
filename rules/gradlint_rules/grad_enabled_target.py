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

Where something is trained through a teacher, as an actor is through a critic, the graph is wanted and a guard would
cut it off. What nobody wants are the gradients of the teacher's own parameters: `requires_grad_(False)` saves them.
"""

from collections.abc import Iterator

from gradlint.rule import (
    Detached,
    Finding,
    Fix,
    Followed,
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
        for followed in project.teachers.followed(function):
            yield _followed(function, followed)


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


def _followed(function: FunctionNode, found: Followed) -> Finding:
    name = found.event.name
    edits = rewrites.under_no_grad(function, found.event.at) if not found.feeds_trained else ()
    advice = "run it under `torch.no_grad()`"
    if found.feeds_trained:
        advice = f"freeze it with `{name.removesuffix('.forward')}.requires_grad_(False)`: what goes in needs the graph"
    return Finding(
        function.place(found.event.at),
        function.name,
        f"`{name}(...)` records a graph, and `backward()` computes gradients for parameters that nobody trains",
        help=advice,
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
