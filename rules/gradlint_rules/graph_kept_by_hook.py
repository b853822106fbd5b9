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
    Display,
    Edit,
    Expression,
    Finding,
    Fix,
    FunctionNode,
    Name,
    Project,
    Subscript,
    Value,
    all_of,
    rule,
    statements,
)

_REGISTERING = frozenset({"register_forward_hook", "register_module_forward_hook"})
_TRAINING = frozenset({"backward", "manual_backward", "training_step", "grad"})
_RETAINING = frozenset({"retain_grad", "register_hook"})  # of who wants the gradient of what is stored
_KEEPING = frozenset({"append", "extend", "appendleft", "put", "add", "insert", "setdefault"})
_OUTPUT = 2  # hook(module, inputs, output), ``self`` not counted


@rule("GL110", severity="advice", since="0.1.0")
def graph_kept_by_hook(project: Project) -> Iterator[Finding]:
    """Find what forward hooks store of their output as it is."""
    seen: set[FunctionNode] = set()
    for function in project.functions():
        if _REGISTERING.isdisjoint(function.facts.words) or _runs_guarded(project, function):
            continue
        for event in project.flow(function).calls.values():
            for hook in _hooks(project, event):
                if hook not in seen:
                    seen.add(hook)
                    found = [*_kept(hook)]
                    if found and not _is_trained_on(project, hook):
                        yield from (_finding(hook, kept) for kept in found)


def _runs_guarded(project: Project, function: FunctionNode) -> bool:
    """Whether a function runs modules itself, and where it does nothing is recorded."""
    forwards = [event.at for event in project.flow(function).calls.values() if event.forward]
    return bool(forwards) and not any(project.calls.states_at(function, at) & GRAD for at in forwards)


def _hooks(project: Project, event: CallEvent) -> Iterator[FunctionNode]:
    """The functions that a call registers, also those that a factory makes."""
    if event.method not in _REGISTERING or not event.arguments:
        return
    first = event.arguments[0]
    if isinstance(first.value.target, FunctionNode):
        yield first.value.target
    elif isinstance(first.expression, Call):
        yield from _made(project, first.value)


def _made(project: Project, value: Value) -> Iterator[FunctionNode]:
    for origin in value.origins:
        event = project.flow(origin.function).calls.get(origin.at)
        for factory in event.targets if event is not None else ():
            yield from (f for f in factory.module.functions if f.parent is factory)


def _kept(hook: FunctionNode) -> Iterator[Name]:
    """The places where the output itself is stored."""
    names = [p.name for p in hook.facts.parameters if p.kind == "positional"]
    names = names[1:] if hook.owner is not None and names[:1] == ["self"] else names
    if len(names) <= _OUTPUT:
        return
    for stored in _stored(hook):
        if isinstance(stored, Name) and stored.id == names[_OUTPUT]:
            yield stored


def _stored(hook: FunctionNode) -> Iterator[Expression]:
    for statement in statements(hook.facts.body):
        match statement:
            case Assign(targets=(Attribute() | Subscript(),), value=Display(items=items)):
                yield from items
            case Assign(targets=(Attribute() | Subscript(),), value=value):
                yield value
            case _:
                pass
    for expression in all_of(Call, hook.facts.body):
        match expression:
            case Call(function=Attribute(name=name), arguments=arguments) if name in _KEEPING:
                yield from (argument.value for argument in arguments)
            case _:
                pass


def _is_trained_on(project: Project, hook: FunctionNode) -> bool:
    """Whether some function that trains reads what the hook stores: a distillation, a loss of features, a Grad-CAM."""
    around = hook.parent if hook.parent is not None and not hook.parent.is_module_body else hook
    if not _RETAINING.isdisjoint(hook.facts.words) or not _TRAINING.isdisjoint(around.facts.words):
        return True
    targets = (t for s in statements(hook.facts.body) if isinstance(s, Assign) for t in s.targets)
    names = {target.name for target in targets if isinstance(target, Attribute)}
    others = (f for name in sorted(names) for f in project.linker.mentions.of(name) if f is not hook)
    return any(not _TRAINING.isdisjoint(above.facts.words) for f in others for above in (f, *project.calls.above(f)))


def _finding(hook: FunctionNode, kept: Name) -> Finding:
    fix = Fix("unsafe", "detach it", (Edit(hook.place(kept.at), "after", ".detach()"),))
    return Finding(
        hook.place(kept.at),
        hook.name,
        f"`{kept.id}` is kept with the graph of everything up to its layer",
        help=f"keep `{kept.id}.detach()`",
        fix=fix,
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

## Silent

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
