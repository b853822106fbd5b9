"""A buffer is updated with a tensor that has a graph: from then on it carries the graph of every forward.

## Flagged

```python
import torch
from torch import nn

class Centred(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("mean", torch.zeros(2))

    def forward(self, x):
        y = self.layer(x)
        self.mean = 0.9 * self.mean + 0.1 * y.mean(0)  # GL104
        return y - self.mean

# run: model = Centred()
# run: model(torch.ones(3, 2)).sum()
# shows: model.mean.requires_grad
```

## Instead

```python
import torch
from torch import nn

class Centred(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("mean", torch.zeros(2))

    def forward(self, x):
        y = self.layer(x)
        self.mean = 0.9 * self.mean + 0.1 * y.detach().mean(0)
        return y - self.mean

# run: model = Centred()
# run: model(torch.ones(3, 2)).sum()
# shows: not model.mean.requires_grad
```

## Fixed

```python
import torch
from torch import nn

class Centred(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("mean", torch.zeros(2))

    def forward(self, x):
        y = self.layer(x)
        with torch.no_grad():
            self.mean = 0.9 * self.mean + 0.1 * y.mean(0)
        return y - self.mean
```

## Why

The new value is computed from the layer's output, so the buffer requires grad and holds on to that graph; the
next forward computes with it, and chains another graph to it. Memory grows with each step. Where the buffer
takes part in the loss, the second `backward()` walks into the first one's graph: `RuntimeError: Trying to
backward through the graph a second time`. `copy.deepcopy` of the module raises as well, and `state_dict()`
hides it all, its tensors are detached.

Running statistics are no part of what is trained: `.detach()` what goes into them, or update them under
`no_grad()`.
"""

from collections.abc import Iterator

from gradlint.rule import (
    BufferUpdate,
    CarriedState,
    Finding,
    Fix,
    FunctionNode,
    KeptByStep,
    Note,
    Project,
    rewrites,
    rule,
    scope,
)


@rule("GL104", severity="warning", since="0.2.0")
def graph_kept_by_attribute(project: Project) -> Iterator[Finding]:
    """Find updates of buffers by what was computed with a graph."""
    for function in project.functions():
        yield from (_list(function, update) for update in project.buffers.gathered(function))
        found = {update.at: update for update in project.buffers.updates(function)}
        states = {state.at: state for state in project.carried_states.of(function) if state.at not in found}
        yield from (_state(function, state) for state in states.values())
        yield from (_of_optimizer(function, kept) for kept in project.optimizer_states.kept(function))
        yield from (_last(function, update) for update in project.buffers.pinned(function) if update.at not in states)
        if found:
            silent = scope.expected_to_fail(function)
            yield from (_finding(function, update) for at, update in found.items() if at not in silent)


def _finding(function: FunctionNode, update: BufferUpdate) -> Finding:
    made = update.made_at
    return Finding(
        function.place(update.at),
        function.name,
        f"the buffer `{update.path}` keeps the graph of every forward: what it is updated with has one",
        (Note(function.place(made), "this forward records the graph"),) if made is not None else (),
        help="`.detach()` what goes into it, or update it under `torch.no_grad()`",
        fix=_guarded(function, update),
    )


def _list(function: FunctionNode, update: BufferUpdate) -> Finding:
    return Finding(
        function.place(update.at),
        function.name,
        f"`{update.path}` grows with every forward, and keeps the graphs of all of them: nobody empties it",
        (Note(function.place(update.made_at), "this forward records the graph"),) if update.made_at else (),
        help="begin a new list in each forward, or put in `.detach()` of the tensor",
    )


def _last(function: FunctionNode, update: BufferUpdate) -> Finding:
    return Finding(
        function.place(update.at),
        function.name,
        f"`{update.path}` pins the graph of the last forward until the next one, and `deepcopy` of the module raises",
        (Note(function.place(update.made_at), "this forward records the graph"),) if update.made_at else (),
        help="keep `.detach()` of it",
        severity="advice",
    )


def _state(function: FunctionNode, state: CarriedState) -> Finding:
    return Finding(
        function.place(state.at),
        function.name,
        f"`{state.path}` takes the graph of each forward into the next: `backward()` raises in the second round",
        (Note(function.place(state.made_at), "this goes on from what the forward before has left"),),
        help="keep `.detach()` of the state, or begin a new one with each batch",
    )


def _of_optimizer(function: FunctionNode, kept: KeptByStep) -> Finding:
    return Finding(
        function.place(kept.at),
        function.name,
        f"`{kept.name}` keeps the graphs of all steps: what the optimizer adds to its state has one",
        (Note(function.place(kept.made_at), "the parameter itself comes in here, and autograd follows"),),
        help=f"decorate `{function.facts.name}` with `@torch.no_grad()`, and run a closure under `torch.enable_grad()`",
    )


def _guarded(function: FunctionNode, update: BufferUpdate) -> Fix | None:
    edits = rewrites.under_no_grad(function, update.at)
    return Fix("unsafe", "put the update under `torch.no_grad()`", edits) if edits else None
