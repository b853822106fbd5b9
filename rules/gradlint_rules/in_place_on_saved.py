"""A tensor that autograd saved is changed in place before `backward()`.

## Flagged

```python
import torch

weight = torch.ones(3, requires_grad=True)
y = torch.sigmoid(weight)
y += 1  # GL217
y.sum().backward()
# raises: RuntimeError: one of the variables needed for gradient computation has been modified by an inplace operation
```

## Instead

```python
import torch

weight = torch.ones(3, requires_grad=True)
y = torch.sigmoid(weight)
y = y + 1
y.sum().backward()
# shows: weight.grad is not None
```

## Why

The derivative of `sigmoid` is computed from its result, so autograd keeps the result, with the number of its
last change. `backward()` finds that it was changed since: `RuntimeError: one of the variables needed for
gradient computation has been modified by an inplace operation`. The same is true of `tanh`, `exp`, `softmax`,
`sqrt`, `relu` and others; a sum or a product with a number keeps nothing of its result, and may be followed by
an operation in place. A change of a `.detach()`ed alias is noticed too, one of `.data` is not.
"""

from collections.abc import Iterable, Iterator

from gradlint.rule import (
    COMPUTED,
    RESULT_SAVING,
    Assign,
    Attribute,
    Augment,
    Call,
    CallEvent,
    ChangeEvent,
    Evaluate,
    Expression,
    Finding,
    Flow,
    For,
    FunctionNode,
    Name,
    Note,
    Project,
    Return,
    Statement,
    changes,
    dotted,
    names_in,
    rule,
    scope,
    statements,
    within,
)


@rule("GL217", severity="warning", since="0.2.0")
def in_place_on_saved(project: Project) -> Iterator[Finding]:
    """Find changes in place of results that their own operation saved, with a ``backward()`` to come."""
    for function in project.functions():
        if function.facts.words.isdisjoint(RESULT_SAVING):
            continue
        if "backward" in function.facts.words:
            yield from _walked_here(project, function)
        elif changes.may_change_in_place(function) and (flow := project.gradients.trained(function)) is not None:
            yield from _walked_later(function, flow)


def _walked_here(project: Project, function: FunctionNode) -> Iterator[Finding]:
    flow = project.flow(function)
    silent = scope.expected_to_fail(function) | scope.tried(function)
    walks = [event for event in flow.calls.values() if event.method == "backward"]
    for change in flow.changes.values():
        made = _saved(flow.calls, function, change)
        if made is None or change.at in silent or (change.path or "").endswith(".data"):
            continue
        between = (walk for walk in walks if made.at < walk.at < change.at)
        if any(map(_frees, between)):
            continue  # what was saved is gone, and a later ``backward()`` walks something else
        if any(walk.at > change.at and _reaches(function, walk, made) for walk in walks):
            yield _finding(function, change, made)


def _walked_later(forward: FunctionNode, flow: Flow) -> Iterator[Finding]:
    """What a ``forward`` changes, with a graph that leads on to what it gives back."""
    returned = _returned_names(forward)
    for change in flow.changes.values():
        made = _saved(flow.calls, forward, change)
        if made is not None and made.result.tensor == COMPUTED and change.path in returned:
            yield _finding(forward, change, made)


def _returned_names(function: FunctionNode) -> set[str]:
    """The names of what a function returns, and of what goes into that."""
    returned = [s.value for s in statements(function.facts.body) if isinstance(s, Return) and s.value is not None]
    return set[str]().union(*map(names_in, _going_into(returned, scope.assigned(function))))


def _saved(calls: dict[int, CallEvent], function: FunctionNode, change: ChangeEvent) -> CallEvent | None:
    """The operation whose saved result is changed, by its own name or by that of a ``.detach()`` of it."""
    made = calls.get(change.owner.made_at or -1)
    if change.owner.lost is not None and change.owner.lost.how == "detach":
        made = _detached(calls, function, change)
    elif not change.owner.own_memory:
        return None
    return made if made is not None and made.method in RESULT_SAVING and made.result.tensor & COMPUTED else None


def _detached(calls: dict[int, CallEvent], function: FunctionNode, change: ChangeEvent) -> CallEvent | None:
    """``alias = y.detach()``: the call that made ``y``, if both names are bound once."""
    bound = [(name, value) for name, value in scope.assigned(function) if isinstance(value, Call)]
    aliases = [
        value.function.value for name, value in bound if name == change.path and isinstance(value.function, Attribute)
    ]
    wholes = [calls.get(value.at) for name, value in bound if len(aliases) == 1 and name == dotted(aliases[0])]
    return wholes[0] if len(wholes) == 1 else None


def _reaches(function: FunctionNode, walk: CallEvent, made: CallEvent) -> bool:
    """Whether a ``backward()`` walks the operation.

    What it saved is proved to have a graph, and goes into what is walked; or it shares its forward with that.
    """
    if made.result.tensor == COMPUTED:
        call = scope.call_at(function, walk.at)
        bound = (each for statement in statements(function.facts.body) for each in _bound(statement))
        values = _going_into([call] if call is not None else [], bound)
        return any(part.at == made.at for value in values for part in within(value))
    return walk.receiver is not None and bool(walk.receiver.origins & made.result.origins)


def _going_into(ends: Iterable[Expression], bound: Iterable[tuple[str, Expression]]) -> Iterator[Expression]:
    """Some expressions, and the values of all names that go into them; ``bound`` are names, each with a value."""
    values, pending = [*bound], [*ends]
    seen: set[str] = set()
    while pending:
        value = pending.pop()
        yield value
        new = names_in(value) - seen
        seen |= new
        pending.extend(given for name, given in values if name in new)


def _bound(statement: Statement) -> Iterator[tuple[str, Expression]]:
    """The names that a statement puts something into, each with that: ``losses.append(loss)`` does so, too."""
    match statement:
        case Assign(targets=targets, value=value):
            yield from ((name, value) for target in targets for name in names_in(target))
        case Augment(target=target, value=value) | For(target=target, iterable=value):
            yield from ((name, value) for name in names_in(target))
        case Evaluate(value=Call(function=Attribute(value=Name(id=name)), arguments=arguments)):
            yield from ((name, argument.value) for argument in arguments)
        case _:
            pass


def _frees(walk: CallEvent) -> bool:
    """Whether a ``backward()`` leaves nothing of the graph it walked."""
    return not any(argument.keyword in ("retain_graph", "create_graph") for argument in walk.arguments)


def _finding(function: FunctionNode, change: ChangeEvent, made: CallEvent) -> Finding:
    return Finding(
        function.place(change.at),
        function.name,
        f"`backward()` raises: `{made.method}` saved its result `{change.path or ''}`, and it is changed here",
        (Note(function.place(made.at), "it is computed, and saved, here"),),
        help="compute a new tensor instead of changing this one",
    )


CASES = r"""
## Flagged

### by a method, by items
```python
import torch

def loss_of(x):
    weight = torch.ones(3, requires_grad=True)
    probabilities = torch.softmax(weight * x, dim=0)
    probabilities[0] = 0.0  # GL217
    probabilities.sum().backward()

# run: loss_of(torch.ones(3))
# raises: RuntimeError: one of the variables needed for gradient computation has been modified by an inplace operation
```

### of a sum, and of a list of terms
```python
import torch

def train(x, target):
    weight = torch.ones(3, requires_grad=True)
    total, terms = 0, []
    for _ in range(2):
        first = (weight * x).exp()
        first += target  # GL217
        total += first.sum()
        second = (weight * x).sigmoid()
        second -= target  # GL217
        terms.append(second.mean())
    torch.stack(terms).sum().backward()
    total.backward()

# run: train(torch.ones(3), torch.ones(3))
# raises: RuntimeError: one of the variables needed for gradient computation has been modified by an inplace operation
```

### through an alias, and of a model's output
```python
import torch

def alias(weight):
    y = torch.exp(weight)
    copy = y.detach()
    copy.zero_()  # GL217
    y.sum().backward()

def shifted(model, images):
    scores = torch.softmax(model(images), -1)
    loss = (scores * scores).sum()
    scores += 1  # GL217
    loss.backward()

# run: alias(torch.ones(3, requires_grad=True))
# run: shifted(torch.nn.Linear(3, 3), torch.ones(2, 3))
# raises: RuntimeError: one of the variables needed for gradient computation has been modified by an inplace operation
```

### in the forward of a module, of a layer called like a loss
```python
import torch
from torch import nn

class Gate(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.l1, self.l2 = nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, x):
        h = self.l1(x).exp()
        out = self.l2(h)
        h.mul_(0.5)  # GL217
        return out + h

# run: Gate(3)(torch.ones(2, 3)).sum().backward()
# raises: RuntimeError: one of the variables needed for gradient computation has been modified by an inplace operation
```

### in the forward of a module
```python
import torch
from torch import nn

class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(3, 3), nn.Linear(3, 3)
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x):
        h = torch.exp(self.inner(x))
        h += 1  # GL217
        gate = (self.scale * x).sigmoid()
        gate.mul_(2)  # GL217
        return self.outer(h) * gate

# run: Gate()(torch.ones(2, 3)).sum().backward()
# raises: RuntimeError: one of the variables needed for gradient computation has been modified by an inplace operation
```

### after a backward that keeps the graph
```python
import torch

weight = torch.ones(3, requires_grad=True)
y = torch.sigmoid(weight)
y.sum().backward(retain_graph=True)
with torch.no_grad():
    y += 1  # GL217
y.sum().backward()
# raises: RuntimeError: one of the variables needed for gradient computation has been modified by an inplace operation
```

## Silent

### in the forward of a module, of what is data, only looked at, or saved by nobody
```python
import torch
from torch import nn

class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(3, 3), nn.Linear(3, 3)
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x):
        weights = torch.softmax(x, -1)
        weights *= 2
        h = self.inner(x)
        h += 1
        shown = torch.exp(self.scale * x)
        shown *= 2
        self.shown = shown.detach()
        return self.outer(h) * weights

# run: gate = Gate(); gate(torch.ones(2, 3)).sum().backward()
# shows: gate.inner.weight.grad is not None
```

### operations that keep nothing of their result
```python
import torch

weight = torch.ones(3, requires_grad=True)
y = weight * 2
y += 1
z = weight.sum()
z *= 2
(y.sum() + z).backward()
# shows: weight.grad.tolist() == [4.0, 4.0, 4.0]
```

### what is walked is computed beside it
```python
import torch
import torch.nn.functional as F

def own_gradient(target):
    logits = torch.randn(4, 5, requires_grad=True)
    loss = F.cross_entropy(logits, target)
    probabilities = F.softmax(logits, dim=1)
    gradient = probabilities
    gradient[range(len(target)), target] -= 1
    gradient /= len(target)
    loss.backward()
    return gradient, logits.grad

# run: own, given = own_gradient(torch.tensor([0, 1, 2, 3]))
# shows: torch.allclose(own, given, atol=1e-6)
```

### after backward, or without a graph
```python
import torch

weight = torch.ones(3, requires_grad=True)
y = torch.sigmoid(weight)
y.sum().backward()
with torch.no_grad():
    z = torch.sigmoid(weight)
z += 1
y = y.detach().clone()
y += 1
```

### after its own backward, with one of something else to come
```python
import torch

weight = torch.ones(3, requires_grad=True)
y = torch.sigmoid(weight)
y.sum().backward()
with torch.no_grad():
    y += 1
z = torch.exp(weight)
z.sum().backward()
# shows: weight.grad is not None
```
"""
