"""A moving average of live parameters is recorded: in place it silently un-freezes the averaged ones.

## Flagged

```python
def update(average, model, decay=0.9):
    for kept, live in zip(average.parameters(), model.parameters()):
        kept.mul_(decay).add_(live, alpha=1 - decay)  # GL107

# run: update(average, model)
# shows: average.weight.requires_grad and not average.weight.is_leaf
```

## Instead

```python
import torch

@torch.no_grad()
def update(average, model, decay=0.9):
    for kept, live in zip(average.parameters(), model.parameters()):
        kept.mul_(decay).add_(live, alpha=1 - decay)

# run: update(average, model)
# shows: average.weight.is_leaf and not average.weight.requires_grad
```

## Fixed

```python
import torch

def update(average, model, decay=0.9):
    for kept, live in zip(average.parameters(), model.parameters()):
        with torch.no_grad():
            kept.mul_(decay).add_(live, alpha=1 - decay)
```

## Why

The average is no part of what is trained, but autograd records the update all the same. If the averaged
parameters were frozen, they stop being so without a word: they require grad, are computed tensors, and hold a
chain of graph nodes that grows by three per parameter and step. If they were not frozen, the line raises
`RuntimeError: a leaf Variable that requires grad is being used in an in-place operation.`

An average kept in a dict, `kept[name] = decay * kept[name] + (1 - decay) * parameter`, grows the same chain;
that is advice, shown when the rule is selected. `state_dict()` gives detached tensors, and
`torch.optim.swa_utils.AveragedModel` guards itself.
"""

from collections.abc import Callable, Iterator

from gradlint.rule import (
    GRAD,
    PLAIN,
    Assign,
    Attribute,
    Call,
    CallEvent,
    Comprehension,
    Display,
    Expression,
    Finding,
    Fix,
    FunctionNode,
    Iteration,
    Name,
    Operation,
    Project,
    Subscript,
    all_of,
    dotted,
    parameter_loops,
    rewrites,
    rule,
    scope,
    statements,
    within,
)

_AVERAGING = frozenset({"add_", "copy_", "lerp_", "sub_"})
_FLAGS = frozenset({"requires_grad", "requires_grad_"})


@rule("GL107", severity="error", since="0.2.0")
def grad_enabled_ema(project: Project) -> Iterator[Finding]:
    """Find parameters that are changed in place by live parameters where recording is on, and sums in dicts."""
    for function in project.functions():
        words = function.facts.words
        if words.isdisjoint(("parameters", "named_parameters")) or _is_frozen_by_hand(project, function):
            continue
        silent = scope.expected_to_fail(function) | scope.tried(function)
        if not words.isdisjoint(_AVERAGING):
            for call in all_of(Call, function.facts.body):
                if call.at not in silent and _averages(project, function, call):
                    yield _finding(function, call.at)
        yield from (_advice(function, at) for at in _summed(project, function) if at not in silent)


def _is_frozen_by_hand(project: Project, function: FunctionNode) -> bool:
    """Whether a function switches the flags of what it trains on and off: nobody knows when they are on."""
    if any(call.callee.endswith(".requires_grad_") for call in function.facts.calls):
        return True
    called = (each for found in project.calls.callees.get(function, {}).values() for each in found)
    return any(not _FLAGS.isdisjoint(each.facts.words) for each in called)


def _averages(project: Project, function: FunctionNode, call: Call) -> bool:
    if not isinstance(call.function, Attribute) or call.function.name not in _AVERAGING:
        return False
    if project.calls.states_at(function, call.at) != GRAD:
        return False
    calls = project.flow(function).calls
    holder: Expression = call.function.value
    event = calls.get(call.at)
    receiver = event.receiver if event is not None else None
    while isinstance(holder, Call) and isinstance(holder.function, Attribute) and holder.function.name.endswith("_"):
        inner = calls.get(holder.at)
        receiver, holder = (inner.receiver if inner is not None else None), holder.function.value
    return receiver is not None and receiver.kind == "parameters" and event is not None and _is_live(function, event)


def _is_live(function: FunctionNode, event: CallEvent) -> bool:
    """Whether a live parameter is given, itself or as part of an expression."""
    loops = frozenset(parameter_loops.looped_parameters(function))
    if event.receiver is not None and event.receiver.kind == "parameters" and event.receiver.tensor == PLAIN:
        return False  # buffers
    return any(
        (argument.value.kind == "parameters" and argument.value.tensor != PLAIN)
        or not loops.isdisjoint(scope.operands(argument.expression))
        for argument in event.arguments
    )


def _summed(project: Project, function: FunctionNode) -> Iterator[int]:
    """``kept[name] = decay * kept[name] + (1 - decay) * parameter``, and the same of all the items of a list."""
    yield from _summed_lists(project, function)
    loops = frozenset(parameter_loops.looped_parameters(function))
    for statement in statements(function.facts.body) if loops else ():
        match statement:
            case Assign(targets=(Subscript() as target,), value=Operation() as value):
                own = any(_same(part, target) for part in within(value))
                if (
                    own
                    and loops.intersection(scope.operands(value))
                    and project.calls.states_at(function, target.at) == GRAD
                ):
                    yield target.at
            case _:
                pass


def _summed_lists(project: Project, function: FunctionNode) -> Iterator[int]:
    """``kept = [decay * k + (1 - decay) * p for k, p in zip(kept, model.parameters())]``."""
    for statement in statements(function.facts.body):
        match statement:
            case Assign(
                targets=(target,), value=Comprehension(kind="list", element=Operation() as element, loops=loops)
            ):
                names = {*scope.operands(element)}
                own = any(names & _given_by(loop, lambda part: dotted(part) == dotted(target)) for loop in loops)
                live = any(names & _given_by(loop, parameter_loops.lists_parameters) for loop in loops)
                if own and live and project.calls.states_at(function, statement.value.at) == GRAD:
                    yield statement.value.at
            case _:
                pass


def _given_by(loop: Iteration, wanted: Callable[[Expression], bool]) -> set[str]:
    """The names that a loop side by side over several gives to the items of the wanted one."""
    match loop:
        case Iteration(target=Display(items=targets), iterable=Call(function=Name(id="zip"), arguments=arguments)):
            pairs = zip(targets, arguments, strict=False)
            return {target.id for target, a in pairs if isinstance(target, Name) and wanted(a.value)}
        case _:
            return set()


def _same(part: Expression, target: Subscript) -> bool:
    if not isinstance(part, Subscript) or dotted(target.value) is None or dotted(target.index) is None:
        return False
    return dotted(part.value) == dotted(target.value) and dotted(part.index) == dotted(target.index)


def _finding(function: FunctionNode, at: int) -> Finding:
    return Finding(
        function.place(at),
        function.name,
        "the average is recorded: frozen parameters silently become computed tensors, others raise",
        help="update the average under `torch.no_grad()`",
        fix=_guarded(function, at),
    )


def _advice(function: FunctionNode, at: int) -> Finding:
    return Finding(
        function.place(at),
        function.name,
        "the average keeps a chain of graph nodes that grows with each step",
        help="update it under `torch.no_grad()`",
        severity="advice",
        fix=_guarded(function, at),
    )


def _guarded(function: FunctionNode, at: int) -> Fix | None:
    edits = rewrites.under_no_grad(function, at)
    return Fix("unsafe", "put it under `torch.no_grad()`", edits) if edits else None


CASES = r"""
```python setup
import torch
from torch import nn

model, average = nn.Linear(2, 2), nn.Linear(2, 2).requires_grad_(False)
```

## Flagged

### copied, interpolated
```python
def update(average, model, decay=0.9):
    for kept, live in zip(average.parameters(), model.parameters()):
        kept.lerp_(live, 1 - decay)  # GL107

# run: update(average, model)
# shows: average.weight.requires_grad
```

### with a helper that looks on
```python
def count(model):
    return sum(parameter.numel() for parameter in model.parameters())

def update(target, source, decay=0.9):
    assert count(target) == count(source)
    for kept, live in zip(target.parameters(), source.parameters()):
        kept.copy_(decay * kept + (1 - decay) * live)  # GL107

# run: update(average, model)
# shows: average.weight.requires_grad
```

### in a dict, as advice
```python
def update(kept, model, decay=0.9):
    for name, parameter in model.named_parameters():
        kept[name] = decay * kept[name] + (1 - decay) * parameter  # GL107

# run: kept = {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}
# run: update(kept, model)
# shows: kept["weight"].requires_grad
```

### in a list, as advice
```python
class Average:
    def __init__(self, model):
        self.kept = [parameter.detach().clone() for parameter in model.parameters()]

    def update(self, model):
        self.kept = [0.9 * kept + 0.1 * live for kept, live in zip(self.kept, model.parameters())]  # GL107

# run: average = Average(model); average.update(model); average.update(model)
# shows: average.kept[0].grad_fn is not None
```

### by numbers, of a list that was made first
```python
kept = [parameter.detach().clone() for parameter in average.parameters()]

def update(model, decay=0.9):
    live = list(model.parameters())
    for index, parameter in enumerate(live):
        kept[index] = decay * kept[index] + (1 - decay) * parameter  # GL107

# run: update(model)
# shows: kept[0].grad_fn is not None
```

### copied from an expression
```python
def update(target, source, tau):
    for old, new in zip(target.parameters(), source.parameters()):
        old.copy_(tau * new + (1 - tau) * old)  # GL107

# run: import torch; target = torch.nn.Linear(2, 2).requires_grad_(False)
# run: update(target, torch.nn.Linear(2, 2), 0.1)
# shows: all(parameter.requires_grad for parameter in target.parameters())
```

## Silent

### guarded, through data, detached, from a state dict
```python
import torch

def update(average, model, decay=0.9):
    with torch.no_grad():
        for kept, live in zip(average.parameters(), model.parameters()):
            kept.mul_(decay).add_(live, alpha=1 - decay)
    for kept, live in zip(average.parameters(), model.parameters()):
        kept.data.mul_(decay).add_(live.data, alpha=1 - decay)
        kept.add_(live.detach())
    for name, value in model.state_dict().items():
        average.state_dict()[name].copy_(value)

# run: update(average, model)
# shows: not average.weight.requires_grad
```

### frozen by a helper just before
```python
def toggle_grad(model, requires_grad):
    for parameter in model.parameters():
        parameter.requires_grad_(requires_grad)

def update(target, source, decay):
    toggle_grad(source, False)
    toggle_grad(target, False)
    live = dict(source.named_parameters())
    for name, kept in target.named_parameters():
        kept.copy_(decay * kept + (1.0 - decay) * live[name])

# run: source, target = nn.Linear(2, 2), nn.Linear(2, 2)
# run: update(target, source, 0.9)
# shows: not target.weight.requires_grad
```

### lists of new values, and of detached ones
```python
import torch

def step(model, grads, kept):
    fast = [live - 0.1 * grad for live, grad in zip(model.parameters(), grads)]
    kept = [0.9 * k + 0.1 * live.detach() for k, live in zip(kept, model.parameters())]
    with torch.no_grad():
        kept = [0.9 * k + 0.1 * live for k, live in zip(kept, model.parameters())]
    return fast, kept

# run: fast, kept = step(model, [torch.ones(2, 2), torch.ones(2)], [torch.ones(2, 2), torch.ones(2)])
# shows: fast[0].requires_grad and not kept[0].requires_grad
```

### how many there are
```python
def weigh(model, weights):
    live = list(model.parameters())
    for index in range(len(live)):
        weights[index] = 0.5 * weights[index] + index
    return weights

# run: weights = weigh(model, [0.0, 1.0])
# shows: weights == [0.0, 1.5]
```

### guarded by the caller
```python
import torch

def update(average, model):
    for kept, live in zip(average.parameters(), model.parameters()):
        kept.lerp_(live, 0.1)

@torch.no_grad()
def step(average, model):
    update(average, model)

# run: step(average, model)
# shows: not average.weight.requires_grad
```

### buffers, and models that are switched on for their own step alone
```python
def copy_buffers(target, source):
    for old, new in zip(target.buffers(), source.buffers()):
        old.copy_(new)
    return list(target.parameters())

def train(target, model, images):
    model.requires_grad_(True)
    model(images).sum().backward()
    model.requires_grad_(False)
    for old, new in zip(target.parameters(), model.parameters()):
        old.copy_(new.lerp(old, 0.9))

# run: import torch; net, kept = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2).requires_grad_(False)
# run: copy_buffers(torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2))
# run: train(kept, net, torch.ones(3, 2))
```
"""
