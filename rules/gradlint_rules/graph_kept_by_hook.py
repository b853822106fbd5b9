"""A forward hook keeps what its layer computed, with the graph behind it.

## Flagged

```python
activations = []

def remember(module, inputs, output):
    activations.append(output)  # GL110

def inspect(model, loader):
    handle = model[0].register_forward_hook(remember)
    for images in loader:
        model(images).sum().backward()
    handle.remove()
    return activations

# run: kept = inspect(model, loader)
# shows: all(output.requires_grad for output in kept)
```

## Instead

```python
activations = []

def remember(module, inputs, output):
    activations.append(output.detach())

def inspect(model, loader):
    handle = model[0].register_forward_hook(remember)
    for images in loader:
        model(images).sum().backward()
    handle.remove()
    return activations

# run: kept = inspect(model, loader)
# shows: not any(output.requires_grad for output in kept)
```

## Why

An output holds the graph up to its layer: what the layers before it saved for backward stays in
memory as long as the output does, for every pass that ran with grad on. `output.detach()` shares the
values and holds no graph.

This is advice, off by default: losses on activations (perceptual losses, Grad-CAM) need that graph,
and under `no_grad()` there is none.
"""

from collections.abc import Iterator

from gradlint.rule import (
    GRAD,
    Assign,
    Attribute,
    Call,
    CallEvent,
    Comprehension,
    Conditional,
    Display,
    Edit,
    Expression,
    Finding,
    Fix,
    Flow,
    For,
    FunctionNode,
    Name,
    Origin,
    Project,
    Subscript,
    Value,
    all_of,
    dotted,
    names_in,
    rule,
    statements,
)

_REGISTERING = frozenset({"register_forward_hook", "register_module_forward_hook"})
_TRAINING = frozenset({"backward", "manual_backward", "training_step", "grad"})
_RETAINING = frozenset({"retain_grad", "register_hook"})  # of who wants the gradient of what is stored
_KEEPING = frozenset({"append", "extend", "appendleft", "put", "add", "insert", "setdefault"})
_TAKING = frozenset({"values", "items", "get", "pop", "popleft"})
_OUTPUT = 2  # hook(module, inputs, output), ``self`` not counted


@rule("GL110", severity="advice", since="0.1.0")
def graph_kept_by_hook(project: Project) -> Iterator[Finding]:
    """Find what forward hooks store of their output as it is."""
    seen: set[FunctionNode] = set()
    for function in project.functions():
        if _REGISTERING.isdisjoint(function.facts.words) or _runs_guarded(project, function):
            continue
        for event in project.flow(function).calls.values():
            for hook, bound in _hooks(project, function, event):
                if hook not in seen:
                    seen.add(hook)
                    found = [*_kept(project, hook, bound)]
                    if found and not _is_trained_on(project, hook):
                        yield from (_finding(hook, kept) for kept in found)


def _runs_guarded(project: Project, function: FunctionNode) -> bool:
    """Whether a function runs modules itself, and where it does nothing is recorded."""
    forwards = [event.at for event in project.flow(function).calls.values() if event.forward]
    return bool(forwards) and not any(project.calls.states_at(function, at) & GRAD for at in forwards)


def _hooks(project: Project, function: FunctionNode, event: CallEvent) -> Iterator[tuple[FunctionNode, int]]:
    """The functions that a call registers, also those that a factory makes, each with how many arguments it has."""
    if event.method not in _REGISTERING or not event.arguments:
        return
    first = event.arguments[0]
    if isinstance(first.value.target, FunctionNode):
        yield first.value.target, 0
    elif isinstance(first.expression, Call):
        yield from ((hook, 0) for hook in _made(project, first.value))
        yield from _partial(project.flow(function), first.expression)


def _made(project: Project, value: Value) -> Iterator[FunctionNode]:
    for origin in value.origins:
        event = project.flow(origin.function).calls.get(origin.at)
        for factory in event.targets if event is not None else ():
            yield from (f for f in factory.module.functions if f.parent is factory)


def _partial(flow: Flow, made: Call) -> Iterator[tuple[FunctionNode, int]]:
    """``partial(remember, store, name)``: the function, and how many of its arguments it is given."""
    event = flow.calls.get(made.at)
    if event is None or event.method != "partial" or not event.arguments:
        return
    first, *given = event.arguments
    if isinstance(first.value.target, FunctionNode):
        yield first.value.target, sum(argument.keyword is None for argument in given)


def _kept(project: Project, hook: FunctionNode, bound: int) -> Iterator[Expression]:
    """The places where the output itself, or what is computed from it, is stored."""
    names = [p.name for p in hook.facts.parameters if p.kind == "positional"]
    skipped = bound + (hook.owner is not None and names[:1] == ["self"])
    if len(names) <= skipped + _OUTPUT:
        return
    output = skipped + _OUTPUT
    uses = project.flow(hook).uses.get(Origin(hook, -output - 1), ())
    computed = {use.at for use in uses if use.kind == "stored" and project.calls.states_at(hook, use.at) & GRAD}
    for at, _, stored in _stored(hook):
        named = isinstance(stored, Name) and stored.id == names[output]
        chosen = isinstance(stored, Conditional)  # ``output.detach() if self.detach else output``
        if named or (at in computed and not chosen and names[output] in names_in(stored)):
            yield stored


def _stored(hook: FunctionNode) -> Iterator[tuple[int, Expression, Expression]]:
    """What is stored, each with the node that does it and what it is stored in."""
    for statement in statements(hook.facts.body):
        match statement:
            case Assign(targets=(Attribute() | Subscript() as target,), value=Display(items=items)):
                yield from ((target.at, target, item) for item in items)
            case Assign(targets=(Attribute() | Subscript() as target,), value=value):
                yield target.at, target, value
            case _:
                pass
    for expression in all_of(Call, hook.facts.body):
        match expression:
            case Call(function=Attribute(value=holder, name=name), arguments=arguments) if name in _KEEPING:
                yield from ((expression.at, holder, argument.value) for argument in arguments)
            case _:
                pass


def _is_trained_on(project: Project, hook: FunctionNode) -> bool:
    """Whether some function that trains reads what the hook stores: a distillation, a loss of features, a Grad-CAM."""
    around = hook.parent if hook.parent is not None and not hook.parent.is_module_body else hook
    if not _RETAINING.isdisjoint(hook.facts.words) or not _TRAINING.isdisjoint(around.facts.words):
        return True
    return any(
        not _TRAINING.isdisjoint(above.facts.words)
        for reader in _readers(project, hook)
        for above in (reader, *project.calls.above(reader))
    )


def _readers(project: Project, hook: FunctionNode) -> Iterator[FunctionNode]:
    """The other functions that read the attributes in which a hook stores, or look into such containers."""
    for _, place, _ in _stored(hook):
        name = dotted(_container(place))
        word = name.rpartition(".")[2] if name is not None else ""
        for other in project.linker.mentions.of(word) if word else ():
            if other is not hook and (isinstance(place, Attribute) or _looks_into(other, word)):
                yield other


def _container(place: Expression) -> Expression:
    """``kept`` of ``kept[name]`` and of ``kept.setdefault(name, [])``."""
    match place:
        case Subscript(value=value) | Call(function=Attribute(value=value)):
            return _container(value)
        case _:
            return place


def _looks_into(function: FunctionNode, word: str) -> bool:
    """Whether a function makes use of what a container holds: it is no use to clear it, or to return it."""
    looked_into: list[Expression] = [each.value for each in all_of(Subscript, function.facts.body)]
    looked_into += (each.iterable for each in statements(function.facts.body) if isinstance(each, For))
    looked_into += (loop.iterable for each in all_of(Comprehension, function.facts.body) for loop in each.loops)
    for call in all_of(Call, function.facts.body):
        looked_into += (argument.value for argument in call.arguments)
        if isinstance(call.function, Attribute) and call.function.name in _TAKING:
            looked_into.append(call.function.value)
    return any((dotted(each) or "").rpartition(".")[2] == word for each in looked_into)


def _finding(hook: FunctionNode, kept: Expression) -> Finding:
    if not isinstance(kept, Name):
        said = "this is computed from what the layer gives, and kept with the graph of everything up to it"
        return Finding(hook.place(kept.at), hook.name, said, help="detach it first")
    return Finding(
        hook.place(kept.at),
        hook.name,
        f"`{kept.id}` is kept with the graph of everything up to its layer",
        help=f"keep `{kept.id}.detach()`",
        fix=Fix("unsafe", "detach it", (Edit(hook.place(kept.at), "after", ".detach()"),)),
    )


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
loader = [torch.randn(4, 8) for _ in range(2)]
```

## Flagged

### by attribute, by key, from a factory
```python
class Probe:
    def __init__(self, model):
        self.seen = {}
        model[0].register_forward_hook(self.remember)
        model[2].register_forward_hook(self.named("last"))

    def remember(self, module, inputs, output):
        self.last = output  # GL110

    def named(self, name):
        def hook(module, inputs, output):
            self.seen[name] = output  # GL110
        return hook

# run: probe = Probe(model)
# run: model(loader[0])
# shows: probe.last.requires_grad and probe.seen["last"].requires_grad
```

### what a training step is looked at by
```python
def gradients(model, batch):
    kept = []
    handle = model[0].register_forward_hook(lambda module, inputs, output: kept.append(output))  # GL110
    loss = model(batch).sum()
    handle.remove()
    return loss, kept

# run: _, kept = gradients(model, loader[0])
# shows: kept[0].requires_grad
```

### what is computed from it, and what a function is given before the output
```python
from functools import partial

def remember(kept, name, module, inputs, output):
    kept.setdefault(name, []).append(output)  # GL110

def watch(model):
    means, kept = [], {}
    model[0].register_forward_hook(lambda module, inputs, output: means.append(output.mean()))  # GL110
    model[2].register_forward_hook(partial(remember, kept, "last"))
    return means, kept

# run: means, kept = watch(model)
# run: model(loader[0])
# shows: means[0].requires_grad and kept["last"][0].requires_grad
```

## Silent

### with its graph only where somebody wants that
```python
class Probe:
    def __init__(self, model, detach=True):
        self.seen, self.detach = {}, detach
        model[0].register_forward_hook(self.remember)

    def remember(self, module, inputs, output):
        self.seen["first"] = output.detach() if self.detach else output

# run: probe = Probe(model)
# run: _ = model(loader[0])
# shows: not probe.seen["first"].requires_grad
```

### numbers, and what is computed under a guard
```python
import torch

seen = {}

def remember(module, inputs, output):
    seen["mean"] = output.mean().item()
    seen["active"] = output.gt(0)
    with torch.no_grad():
        seen["norm"] = output.norm()

model[0].register_forward_hook(remember)

# run: _ = model(loader[0])
# shows: not seen["active"].requires_grad and not seen["norm"].requires_grad
```

### containers that a loss looks into
```python
import torch

activations, features = [], {}

def remember(module, inputs, output):
    activations.append(output)

def named(name):
    def hook(module, inputs, output):
        features[name] = output
    return hook

def train_step(model, images):
    activations.clear()
    handles = [model[0].register_forward_hook(remember), model[2].register_forward_hook(named("last"))]
    loss = model(images).sum() + sum(each.abs().mean() for each in activations)
    loss = loss + features["last"].square().mean()
    loss.backward()
    for handle in handles:
        handle.remove()

# run: train_step(model, loader[0])
# shows: model[0].weight.grad is not None
```

### under a guard
```python
import torch

def features(model, loader):
    kept = []
    handle = model[0].register_forward_hook(lambda module, inputs, output: kept.append(output))
    with torch.no_grad():
        for images in loader:
            model(images)
    handle.remove()
    return kept

# run: kept = features(model, loader)
# shows: not kept[0].requires_grad
```

### whose gradient is wanted
```python
import torch

def relevance(model, layer, images):
    kept = {}

    def remember(module, inputs, output):
        kept["output"] = output

    handle = layer.register_forward_hook(remember)
    model(images)[:, 0].sum().backward()
    handle.remove()
    return kept["output"].shape

class Relevance:
    def __init__(self, layer):
        layer.register_forward_hook(self.remember)

    def remember(self, module, inputs, output):
        output.retain_grad()
        self.output = output

# run: shape = relevance(model, model[0], loader[0])
# run: found = Relevance(model[0])
# run: model(loader[0]).sum().backward()
# shows: found.output.grad is not None
```

### detached, or only looked at
```python
class Probe:
    def __init__(self, model):
        self.seen = {}
        model[0].register_forward_hook(self.remember)
        model[2].register_forward_hook(lambda module, inputs, output: None)

    def remember(self, module, inputs, output):
        self.last = output.detach()
        self.seen["mean"] = output.mean().item()
        self.seen["module"] = module

# run: probe = Probe(model)
# run: model(loader[0])
# shows: not probe.last.requires_grad
```

### the features that a loss compares
```python
def record(module, inputs, output):
    module.features = output

def distill(student, teacher, images):
    for each in (student, teacher):
        each[0].register_forward_hook(record)
    student(images), teacher(images)
    loss = (student[0].features - teacher[0].features.detach()).square().mean()
    loss.backward()

# run: distill(model, nn.Sequential(nn.Linear(8, 8)), loader[0])
# shows: model[0].weight.grad is not None
```

### a function of that form that is no hook
```python
kept = []

def remember(name, step, output):
    kept.append(output)

# run: remember("a", 1, 2)
```
"""
