"""Something is only made inside a grad mode region, and runs after it with grad on.

## Flagged

```python
import torch

@torch.no_grad()
def embeddings(encoder, loader):
    encoder.eval()
    return (encoder(images) for images in loader)  # GL313

# run: found = list(embeddings(encoder, [images]))
# shows: found[0].requires_grad
# keeps: > 0 bytes
```

## Instead

```python
import torch

@torch.no_grad()
def embeddings(encoder, loader):
    encoder.eval()
    for images in loader:
        yield encoder(images)

# run: found = list(embeddings(encoder, [images]))
# shows: not found[0].requires_grad
```

or a list comprehension, which runs at once.

## Why

A generator expression, `map(...)`, a lambda and a nested function are only made where they stand;
their code runs when somebody takes the items or makes the call, in the mode that holds by then. After
the region that is grad on: each forward records its graph and keeps what it saves for backward.
PyTorch cannot know what was meant, and says nothing.

A decorated generator function is right: the decorator switches grad off again for each item.
"""

from collections.abc import Iterator

from gradlint.rule import (
    GRAD,
    Assign,
    Attribute,
    Call,
    Comprehension,
    DefineFunction,
    Expression,
    Finding,
    FunctionNode,
    Lambda,
    Name,
    Project,
    Return,
    With,
    all_expressions,
    all_of,
    dotted,
    rule,
    statements,
    within,
)

_LAZY = frozenset({"builtins.map", "builtins.filter"})
_WHAT = {
    "generator": "this generator expression",
    "map": "this `map`",
    "lambda": "this lambda",
    "function": "this function",
    "partial": "this `partial`",
    "call": "this generator",
}


@rule("GL313", severity="warning", since="0.1.0")
def deferred_past_grad_mode(project: Project) -> Iterator[Finding]:
    """Find what a region makes and does not run, if it runs a module later."""
    for function in project.functions():
        if function.facts.is_generator or function.facts.is_async or not _may_switch(project, function):
            continue
        for made, kind in _outliving(project, function):
            at = _defined_at(function, made) if kind == "function" else made.at
            if (kind == "function" or _is_off(project, function, at)) and _runs_module(project, function, made, kind):
                yield Finding(
                    function.place(at),
                    function.name,
                    f"{_WHAT[kind]} runs after the region it stands in, with grad on",
                    help="run it inside the region, or put the guard into it",
                )


def _may_switch(project: Project, function: FunctionNode) -> bool:
    return bool(function.facts.decorators) or project.modes.involved(function)


def _is_off(project: Project, function: FunctionNode, at: int) -> bool:
    """Whether the function itself, or its decorator, has switched grad off there."""
    return not project.calls.own_states(function, at) & GRAD


def _defined_at(function: FunctionNode, name: Expression) -> int:
    """Where the function is defined that a name stands for."""
    found = (s for s in statements(function.facts.body) if isinstance(s, DefineFunction))
    defined = next(s for s in found if isinstance(name, Name) and s.name == name.id)
    return defined.at


def _outliving(project: Project, function: FunctionNode) -> Iterator[tuple[Expression, str]]:
    """What is returned as it is, or kept under a name that is only used after the region it is made in."""
    for statement in statements(function.facts.body):
        match statement:
            case Return(value=value) if value is not None:
                yield from _lazy(project, function, value)
            case With(body=body):
                for inner in body:
                    match inner:
                        case Assign(targets=(Name(id=name),), value=value):
                            if _only_used_after(function, statement, name):
                                yield from _lazy(project, function, value)
                        case Assign(targets=(Attribute() as kept,), value=value) if _is_kept(statement, kept):
                            yield from _lazy(project, function, value)
                        case DefineFunction(name=name) if _only_used_after(function, statement, name):
                            if (used := _called_unguarded(project, function, statement, name)) is not None:
                                yield from _lazy(project, function, used)
                        case _:
                            pass
            case _:
                pass


def _lazy(project: Project, function: FunctionNode, value: Expression) -> Iterator[tuple[Expression, str]]:
    match value:
        case Comprehension(kind="generator"):
            yield value, "generator"
        case Call(function=called) if project.modes.full_name(function, called) in _LAZY:
            yield value, "map"
        case Call(function=called, at=at) if project.modes.full_name(function, called) == "functools.partial":
            if any(_contains(region, at) for region in _regions(project, function)):
                yield value, "partial"
        case Call(at=at) if project.consumers.may_start(value) and _is_off(project, function, at):
            if _generators(project, function, at):
                yield value, "call"
        case Lambda(at=at) if any(_contains(region, at) for region in _regions(project, function)):
            yield value, "lambda"
        case Name(id=name) if name in function.facts.local and _is_defined_in_region(project, function, name):
            yield value, "function"
        case _:
            pass


def _generators(project: Project, function: FunctionNode, at: int) -> tuple[FunctionNode, ...]:
    """The generator functions of the project that a call starts: their bodies run when somebody iterates."""
    event = project.flow(function).calls.get(at)
    targets = event.targets if event is not None else ()
    return targets if targets and all(target.facts.is_generator for target in targets) else ()


def _is_defined_in_region(project: Project, function: FunctionNode, name: str) -> bool:
    """``with torch.no_grad(): def predict(...)``: then somebody thinks that the region reaches into it."""
    found = [s for s in statements(function.facts.body) if isinstance(s, DefineFunction) and s.name == name]
    inner = [function.module.functions[s.function] for s in found]
    off = (w for w in _regions(project, function) if any(_is_switch(project, function, i.context) for i in w.items))
    return len(found) == 1 and any(_contains(w, found[0].at) for w in off) and bool(inner)


def _is_switch(project: Project, function: FunctionNode, context: Expression) -> bool:
    return project.modes.held(function, context) in ("no_grad", "inference_mode")


def _regions(project: Project, function: FunctionNode) -> Iterator[With]:
    for statement in statements(function.facts.body):
        if isinstance(statement, With) and any(_is_guard(project, function, item.context) for item in statement.items):
            yield statement


def _is_guard(project: Project, function: FunctionNode, context: Expression) -> bool:
    return project.states.guards.context(context, function) is not None


def _contains(region: With, at: int) -> bool:
    """Whether a definition or an expression stands in a region."""
    defined = (statement.at for statement in statements(region.body))
    return at in {*defined, *(expression.at for expression in all_expressions(region.body))}


def _only_used_after(function: FunctionNode, region: With, name: str) -> bool:
    """Whether a name is read after a region and not inside it."""
    inside = {e.at for e in all_of(Name, region.body) if e.id == name}
    targets = {t.at for s in statements(region.body) if isinstance(s, Assign) for t in s.targets}
    last = max((e.at for e in all_expressions(region.body)), default=region.at)
    after = any(e.at > last for e in all_of(Name, function.facts.body) if e.id == name)
    return after and inside <= targets


def _is_kept(region: With, kept: Attribute) -> bool:
    """Whether an object keeps what a region puts there, and the region itself makes no use of it."""
    path = dotted(kept)
    return path is not None and not any(dotted(e) == path and e.at != kept.at for e in all_of(Attribute, region.body))


def _called_unguarded(project: Project, function: FunctionNode, region: With, name: str) -> Expression | None:
    """A use of the name where the function itself has grad on, after a region."""
    inside = {e.at for e in all_expressions(region.body)}
    for used in all_expressions(function.facts.body):
        outside = isinstance(used, Name) and used.id == name and used.at not in inside
        if outside and project.calls.own_states(function, used.at) & GRAD:
            return used
    return None


def _runs_module(project: Project, function: FunctionNode, made: Expression, kind: str) -> bool:
    """Whether what is deferred runs a module that it does not guard by itself."""
    calls = project.flow(function).calls
    match made:
        case Comprehension(element=element, loops=loops):
            parts = [*within(element), *(e for loop in loops for c in loop.conditions for e in within(c))]
            return any(_is_unguarded_forward(project, function, e.at) for e in parts if e.at in calls)
        case Call(at=at) if kind == "call":
            return all(_records(project, target) for target in _generators(project, function, at))
        case Call(at=at) if at in calls and calls[at].arguments:
            mapped = calls[at].arguments[0]
            if isinstance(mapped.value.target, FunctionNode) and mapped.value.kind == "callable":
                return _records(project, mapped.value.target)
            is_frozen = mapped.value.frozen is True
            match mapped.expression:
                case Attribute(value=owner, name="forward" | "__call__") if kind == "partial":
                    return project.evidence.is_module(owner, None)
                case _:
                    pass
            return project.evidence.is_module(mapped.expression, mapped.value) and not is_frozen
        case Lambda(function=index):
            return _records(project, function.module.functions[index])
        case Name(id=name):
            inner = (f for f in function.module.functions if f.parent is function and f.facts.name == name)
            return any(_records(project, f) for f in inner)
        case _:
            return False


def _records(project: Project, function: FunctionNode) -> bool:
    """Whether a function runs a module with grad on when it is called so."""
    calls = project.flow(function).calls.values()
    return any(_is_unguarded_forward(project, function, event.at, inside=True) for event in calls)


def _is_unguarded_forward(project: Project, function: FunctionNode, at: int, *, inside: bool = False) -> bool:
    event = project.flow(function).calls[at]
    if not event.forward or event.callee.frozen is True:
        return False
    guarded = [not project.calls.own_states(target, -1) & GRAD for target in event.targets]
    if guarded and all(guarded):
        return False
    return not inside or bool(project.calls.own_states(function, at) & GRAD)


CASES = r"""
```python setup
import torch
from torch import nn

encoder = nn.Linear(8, 3)
images = torch.randn(4, 8)
```

## Flagged

### used after the region
```python
import torch

def norms(encoder, loader):
    encoder.eval()
    with torch.no_grad():
        outputs = (encoder(images) for images in loader)  # GL313
        again = map(encoder, loader)  # GL313
    return [output.requires_grad for output in outputs], [output.requires_grad for output in again]

# run: found = norms(encoder, [images])
# shows: found == ([True], [True])
```

### functions made in a region
```python
import torch

def predictor(encoder):
    with torch.inference_mode():
        def predict(images):  # GL313
            return encoder(images).softmax(1)
        return predict

def scorer(encoder):
    with torch.no_grad():
        return lambda images: encoder(images).norm()  # GL313

# run: found = predictor(encoder)(images), scorer(encoder)(images)
# shows: found[0].requires_grad and found[1].requires_grad
```

### kept by an object
```python
import torch

class Scorer:
    def __init__(self, encoder):
        self.encoder = encoder
        with torch.no_grad():
            self.score = lambda images: self.encoder(images).norm()  # GL313

# run: found = Scorer(encoder).score(images)
# shows: found.requires_grad
```

### a decorated function that returns them
```python
import torch

@torch.inference_mode()
def outputs(encoder, loader):
    return map(encoder, loader)  # GL313

# run: found = list(outputs(encoder, [images]))
# shows: found[0].requires_grad
```

### returned behind the region, partial, a generator function
```python
import torch
from functools import partial

def predictor(encoder):
    with torch.inference_mode():
        def predict(images):  # GL313
            return encoder(images).softmax(1)
    return predict

def bound(encoder, images):
    with torch.no_grad():
        fn = partial(encoder.forward, images)  # GL313
    return fn

@torch.no_grad()
def outputs(encoder, loader):
    def each():
        for images in loader:
            yield encoder(images)
    return each()  # GL313

# run: found = predictor(encoder)(images), bound(encoder, images)(), next(outputs(encoder, [images]))
# shows: all(each.requires_grad for each in found)
```

### a function that is called behind the region
```python
import torch

with torch.no_grad():
    def predict(images):  # GL313
        return encoder(images).softmax(1)

print(predict(images).shape)
# shows: predict(images).requires_grad
```

## Silent

### run inside the region
```python
import torch

@torch.no_grad()
def norms(encoder, loader):
    outputs = [encoder(images) for images in loader]
    total = sum(encoder(images).norm() for images in loader)
    with torch.inference_mode():
        lazy = (encoder(images) for images in loader)
        found = list(lazy)
    return outputs, total, found, list(map(encoder, loader))

# run: found = norms(encoder, [images])
# shows: not found[0][0].requires_grad and not found[1].requires_grad
```

### kept by an object that takes it in the region
```python
import torch

class Scorer:
    def __init__(self, encoder, loader):
        self.encoder = encoder
        with torch.no_grad():
            self.lazy = (self.encoder(images) for images in loader)
            self.found = list(self.lazy)
            self.sizes = lambda images: len(images)

# run: scorer = Scorer(encoder, [images])
# shows: not scorer.found[0].requires_grad
```

### a decorated generator function
```python
import torch

@torch.no_grad()
def outputs(encoder, loader):
    for images in loader:
        yield encoder(images)

# run: found = list(outputs(encoder, [images]))
# shows: not found[0].requires_grad
```

### nothing that records
```python
import torch

@torch.no_grad()
def paths(encoder, loader):
    encoder.eval()
    return (str(number) for number, _ in enumerate(loader)), map(str, loader), lambda x: x + 1

# run: found = paths(encoder, [images])
```

### what guards itself
```python
import torch

def predictor(encoder):
    with torch.no_grad():
        encoder(torch.ones(1, 8))

        @torch.no_grad()
        def predict(images):
            return encoder(images)

    return predict

# run: out = predictor(encoder)(images)
# shows: not out.requires_grad
```

### functions of a decorated factory
```python
import torch

@torch.no_grad()
def build(encoder):
    encoder.weight.zero_()

    def forward(images):
        return encoder(images)

    return forward

@torch.no_grad()
def build_short(encoder):
    encoder.weight.zero_()
    return lambda images: encoder(images)

# run: out = build(encoder)(images), build_short(encoder)(images)
# shows: out[0].requires_grad and out[1].requires_grad
```

### a generator that guards itself, a partial for something else
```python
import torch
from functools import partial

@torch.no_grad()
def each(encoder, loader):
    for images in loader:
        yield encoder(images)

@torch.no_grad()
def outputs(encoder, loader):
    return each(encoder, loader)

def converter():
    with torch.no_grad():
        convert = partial(int, base=2)
    return convert

# run: out = next(outputs(encoder, [images]))
# run: number = converter()("10")
# shows: not out.requires_grad and number == 2
```
"""
