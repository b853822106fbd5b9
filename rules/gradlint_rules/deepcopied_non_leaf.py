"""`copy.deepcopy` of a computed tensor: only leaves can be copied so.

## Flagged

```python
import copy

import torch

weight = torch.ones(3, requires_grad=True)
best = copy.deepcopy(weight * 2)  # GL212
# raises: RuntimeError: Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol
```

## Instead

```python
import copy

import torch

weight = torch.ones(3, requires_grad=True)
best = (weight * 2).detach().clone()
# shows: best.tolist() == [2.0, 2.0, 2.0]
```

## Why

A deep copy would have to copy the tensor's graph, down to the leaves. torch refuses: `RuntimeError: Only
Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.` `.clone()`
gives a copy within the graph, `.detach().clone()` one without. `copy.copy`, `pickle` and `torch.save` let it
pass, and give back a leaf that requires grad and knows nothing of its graph.
"""

from collections.abc import Iterator

from gradlint.rule import (
    COMPUTED,
    GRAD,
    Assign,
    Attribute,
    Call,
    CallEvent,
    ClassNode,
    Display,
    Expression,
    External,
    Finding,
    FunctionNode,
    Note,
    Place,
    Project,
    Value,
    all_of,
    called_name,
    dotted,
    gives_no_known_tensor,
    rounds,
    rule,
    scope,
    statements,
    within,
)


@rule("GL212", severity="warning", since="0.2.0")
def deepcopied_non_leaf(project: Project) -> Iterator[Finding]:
    """Find deep copies of tensors, or of lists of tensors, that are proved to be computed."""
    for function in project.functions():
        if "deepcopy" not in function.facts.words or not _may_raise(project, function):
            continue
        silent = scope.expected_to_fail(function) | scope.tried(function)
        for event in project.flow(function).calls.values():
            if event.method == "deepcopy" and event.at not in silent and event.arguments:
                if event.callee.target != External("copy.deepcopy"):
                    continue
                value = _computed(event.arguments[0].value)
                if value is not None:
                    yield _finding(function, event, value)
                elif (stored := _storing(project, function, event)) is not None:
                    yield _module(function, event, *stored)


def _may_raise(project: Project, function: FunctionNode) -> bool:
    """Whether it is worth running a function: it walks a graph, or copies what may be a tensor of its own making."""
    if "backward" in function.facts.words:
        return True
    copies = (call for call in all_of(Call, function.facts.body) if called_name(call) == "deepcopy" and call.arguments)
    return any(_may_be_computed(project, function, call.arguments[0].value) for call in copies)


def _may_be_computed(project: Project, function: FunctionNode, copied: Expression) -> bool:
    """Whether a flow may tell that it is a computed tensor: of an attribute that nobody assigns it tells nothing."""
    owner, bindings = function.owner, project.bindings
    if owner is not None and isinstance(copied, Attribute) and dotted(copied.value) == "self":
        name = copied.name
        assigned = bindings.attribute(owner, name) or bindings.unpacking(owner, name)
        return bool(assigned) or _comes_out_of_tuple(function, name)
    return not gives_no_known_tensor(function.facts, copied)


def _comes_out_of_tuple(function: FunctionNode, name: str) -> bool:
    """``self.best, self.at = scores.max(0)``."""
    taken_apart = (
        target
        for statement in statements(function.facts.body)
        if isinstance(statement, Assign)
        for target in statement.targets
        if isinstance(target, Display)
    )
    return any(isinstance(part, Attribute) and part.name == name for target in taken_apart for part in within(target))


def _computed(value: Value) -> Value | None:
    for item in (value, *(value.items or ())):
        if item.kind == "tensor" and item.tensor == COMPUTED:
            return item
    return None


def _storing(project: Project, function: FunctionNode, event: CallEvent) -> tuple[str, Place] | None:
    """The attribute in which a module that was run, and trained, before keeps a computed tensor."""
    target = event.arguments[0].value.target
    forward = target.method("forward") if isinstance(target, ClassNode) else None
    name = dotted(event.arguments[0].expression)
    if forward is None or name is None or not isinstance(target, ClassNode):
        return None
    calls = project.flow(function).calls.values()
    ran = any(call.name == name and call.forward for call in calls)
    walked = [call.at for call in calls if call.method == "backward"]
    loop = rounds.innermost_loop(function, event.at)
    before = any(at < event.at or (loop is not None and at in loop) for at in walked)
    if not ran or not before:
        return None
    others = {m.facts.name for m in target.methods if m.facts.name not in ("__init__", "forward")}
    for stored in project.flow(forward).attributes.values():
        path = stored.path or ""
        kept = stored.stored is not None and stored.stored.tensor & COMPUTED and stored.stored.is_tensor
        if kept and path.startswith("self.") and stored.stored is not None and stored.stored.origins:
            setters = {m.facts.name for m, _ in project.bindings.attribute(target, path.removeprefix("self."))}
            if setters.isdisjoint(others) and project.calls.own_states(forward, stored.at) & GRAD:
                return path, forward.place(stored.at)
    return None


def _module(function: FunctionNode, event: CallEvent, path: str, place: Place) -> Finding:
    return Finding(
        function.place(event.at),
        function.name,
        f"`deepcopy` raises: the module keeps a computed tensor in `{path}`, and only leaves can be copied",
        (Note(place, "it is stored here, with its graph"),),
        help="store `.detach()`, or copy the `state_dict()`",
    )


def _finding(function: FunctionNode, event: CallEvent, value: Value) -> Finding:
    return Finding(
        function.place(event.at),
        function.name,
        "`deepcopy` raises: it is given a computed tensor, and only leaves can be copied",
        (Note(function.place(value.made_at), "it is computed here"),) if value.made_at is not None else (),
        help="`.detach().clone()` copies the values, `.clone()` keeps the graph",
    )


CASES = r"""
## Flagged

### out of a tuple, into an attribute
```python
import copy

import torch

class Search:
    def best(self):
        weight = torch.ones(3, requires_grad=True)
        self.score, self.at = (weight * 2).max(0)
        return copy.deepcopy(self.score)  # GL212

# run: Search().best()
# raises: RuntimeError
```

### in a list
```python
from copy import deepcopy

import torch

def best(points):
    weight = torch.ones(3, requires_grad=True)
    scores = [weight * 2, weight.sum()]
    return deepcopy(scores)  # GL212

# run: best(None)
# raises: RuntimeError: Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol
```

### a module that keeps what it computed
```python
import copy

import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.last = None

    def forward(self, x):
        self.last = self.layer(x)
        return self.last.sum()

def train(batches):
    net, best = Net(), None
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for batch in batches:
        optimizer.zero_grad()
        net(batch).backward()
        optimizer.step()
        best = copy.deepcopy(net)  # GL212
    return best

# run: train([torch.ones(3, 2)])
# raises: RuntimeError: Only Tensors created explicitly by the user
```

## Silent

### leaves, data, modules
```python
import copy

import torch
from torch import nn

weight = torch.ones(3, requires_grad=True)
kept = copy.deepcopy(weight), copy.deepcopy((weight * 2).detach()), copy.deepcopy(nn.Linear(2, 2))
with torch.no_grad():
    y = weight * 2
kept = copy.deepcopy(y), copy.copy(weight * 2)
```

### a module that keeps it detached, or nothing
```python
import copy

import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.last = None

    def forward(self, x):
        out = self.layer(x)
        self.last = out.detach()
        return out.sum()

def train(batches):
    net, best = Net(), None
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for batch in batches:
        optimizer.zero_grad()
        net(batch).backward()
        optimizer.step()
        best = copy.deepcopy(net)
    return best

# run: train([torch.ones(3, 2)])
```
"""
