"""One grad mode object is entered while it is already entered: the mode outlives both.

## Flagged

```python
import torch

frozen = torch.no_grad()

def embed(encoder, images):
    with frozen:  # GL314
        return encoder(images)

def compare(encoder, left, right):
    with frozen:
        return (embed(encoder, left) - embed(encoder, right)).norm()

# run: distance = compare(encoder, images, images)
# shows: not torch.is_grad_enabled()
```

## Instead

```python
import torch

def embed(encoder, images):
    with torch.no_grad():
        return encoder(images)

def compare(encoder, left, right):
    with torch.no_grad():
        return (embed(encoder, left) - embed(encoder, right)).norm()

# run: distance = compare(encoder, images, images)
# shows: torch.is_grad_enabled()
```

## Fixed

```python
import torch

frozen = torch.no_grad()

def embed(encoder, images):
    with torch.no_grad():
        return encoder(images)

def compare(encoder, left, right):
    with frozen:
        return (embed(encoder, left) - embed(encoder, right)).norm()
```

## Why

The object remembers one mode to go back to. Entered a second time while it is still in use, it
overwrites that with what it finds then, which is its own doing. The outer block therefore "goes
back" to grad off, and the thread stays there: the next training step raises `RuntimeError: element 0
of tensors does not require grad and does not have a grad_fn`, far from here. An `inference_mode()`
is left on in the same way, and an `enable_grad()` inside `no_grad()` leaves grad on.

Using one object several times, one after the other, is fine, and so is decorating with it: a
decorator makes a copy for each call.
"""

from collections.abc import Iterator

from gradlint.rule import (
    Call,
    Edit,
    Expression,
    Finding,
    Fix,
    FunctionNode,
    Note,
    Place,
    Project,
    With,
    dotted,
    rule,
    scope,
    statements,
)

_OVERWRITING = frozenset({"no_grad", "inference_mode", "enable_grad"})  # set_grad_enabled keeps what it first saw


@rule("GL314", severity="warning", since="0.1.0", measures="leak")
def nested_grad_mode_instance(project: Project) -> Iterator[Finding]:
    """Find grad mode objects entered inside their own region, in the same function or in one it calls."""
    for function in filter(project.modes.involved, project.functions()):
        for context in scope.with_items(function):
            if (made := _held(project, function, context)) is not None:
                outer = _entered_around(project, function, context, made)
                if outer is not None:
                    yield _finding(project, function, context, made, outer)


def _held(project: Project, function: FunctionNode, context: Expression) -> tuple[FunctionNode, Call] | None:
    """The one call that made the object under a name, and where it stands."""
    name = dotted(context)
    if name is None or project.modes.held(function, context) not in _OVERWRITING:
        return None
    values = project.bindings.values(function, name)
    if len(values) != 1 or not isinstance(values[0][1], Call):
        return None
    return values[0][0], values[0][1]


def _entered_around(
    project: Project, function: FunctionNode, context: Expression, made: tuple[FunctionNode, Call]
) -> Place | None:
    """Where the same object is entered around a place, in this function or in one that calls it."""
    for statement in scope.enclosing_withs(function, context.at):
        for item in statement.items:
            if item.context.at < context.at and _held(project, function, item.context) == made:
                return function.place(item.context.at)
    before = _earlier_item(project, function, context, made)
    if before is not None:
        return before
    where = made[0]
    return _in_callers(project, function, made) if where.is_module_body or where.owner is not None else None


def _earlier_item(
    project: Project, function: FunctionNode, context: Expression, made: tuple[FunctionNode, Call]
) -> Place | None:
    """``with frozen, frozen:``."""
    for statement in statements(function.facts.body):
        if isinstance(statement, With) and any(item.context is context for item in statement.items):
            for item in statement.items:
                if item.context.at < context.at and _held(project, function, item.context) == made:
                    return function.place(item.context.at)
    return None


def _in_callers(project: Project, function: FunctionNode, made: tuple[FunctionNode, Call]) -> Place | None:
    """The region of a caller, direct or not, in which the same object is entered; each function seen once."""
    seen, pending = {function}, [function]
    while pending:
        for edge in project.calls.callers.get(pending.pop(), ()):
            if not edge.certain or edge.elsewhere:
                continue
            for statement in scope.enclosing_withs(edge.caller, edge.at):
                for item in statement.items:
                    if _held(project, edge.caller, item.context) == made:
                        return edge.caller.place(item.context.at)
            if edge.caller not in seen:
                seen.add(edge.caller)
                pending.append(edge.caller)
    return None


def _finding(
    project: Project, function: FunctionNode, context: Expression, made: tuple[FunctionNode, Call], outer: Place
) -> Finding:
    where, call = made
    mode = project.modes.held(function, context)
    notes = (Note(outer, "already entered here"), Note(where.place(call.at), "one object, made here"))
    return Finding(
        function.place(context.at),
        function.name,
        f"this `{mode}` object is in use already, and forgets the mode to go back to",
        notes=notes,
        help="make a new one for each `with`",
        fix=_fresh(project, function, context, made),
    )


def _fresh(
    project: Project, function: FunctionNode, context: Expression, made: tuple[FunctionNode, Call]
) -> Fix | None:
    """Written as where the object is made, if that means the same here."""
    where, call = made
    name = dotted(call.function)
    means_the_same = project.modes.mode(function, call.function) == project.modes.mode(where, call.function)
    if name is None or call.arguments or not means_the_same:
        return None
    return Fix("safe", f"write `{name}()`", (Edit(function.place(context.at), "replace", f"{name}()"),))


CASES = r"""
```python setup
import torch
from torch import nn

encoder = nn.Linear(8, 3)
images = torch.randn(4, 8)
```

## Flagged

### one in the other
```python
import torch

def embed(encoder, images):
    guard = torch.inference_mode()
    with guard:
        hidden = encoder(images)
        with guard:  # GL314
            return hidden.relu()

# run: out = embed(encoder, images)
# shows: torch.is_inference_mode_enabled()
```

### in one statement
```python
import torch

def embed(encoder, images):
    guard = torch.no_grad()
    with guard, torch.autocast("cpu"), guard:  # GL314
        return encoder(images)

# run: out = embed(encoder, images)
# shows: not torch.is_grad_enabled()
```

### a method that calls itself
```python
import torch

class Walker:
    def __init__(self, encoder):
        self.encoder = encoder
        self.guard = torch.no_grad()

    def walk(self, tree):
        with self.guard:  # GL314
            return sum(self.walk(branch) for branch in tree) if isinstance(tree, list) else self.encoder(tree)

# run: out = Walker(encoder).walk([images, [images]])
# shows: not torch.is_grad_enabled()
```

### grad left on
```python
import torch

guard = torch.enable_grad()

def penalty(encoder, images):
    with torch.no_grad():
        with guard:
            with guard:  # GL314
                encoder(images).norm().backward()
        return torch.is_grad_enabled()

# run: is_on = penalty(encoder, images)
# shows: is_on
```

## Silent

### one after the other
```python
import torch

frozen = torch.no_grad()

def embed(encoder, images):
    with frozen:
        hidden = encoder(images)
    with frozen:
        return hidden.relu()

def compare(encoder, left, right):
    return embed(encoder, left) - embed(encoder, right)

# run: out = compare(encoder, images, images)
# shows: torch.is_grad_enabled()
```

### decorators make a copy for each call
```python
import torch

frozen = torch.no_grad()

@frozen
def embed(encoder, images):
    return encoder(images)

@frozen
def compare(encoder, left, right):
    with frozen:
        return embed(encoder, left) - embed(encoder, right)

# run: out = compare(encoder, images, images)
# shows: torch.is_grad_enabled()
```

### a new object each time
```python
import torch

frozen = torch.no_grad

def walk(encoder, tree):
    guard = torch.no_grad()
    with guard:
        with frozen(), frozen():
            return sum(walk(encoder, branch) for branch in tree) if isinstance(tree, list) else encoder(tree)

# run: out = walk(encoder, [images, [images]])
# shows: torch.is_grad_enabled()
```

### what was seen first is kept
```python
import torch

off = torch.set_grad_enabled(False)
torch.set_grad_enabled(True)

def embed(encoder, images):
    with off:
        with off:
            return encoder(images)

# run: out = embed(encoder, images)
# shows: torch.is_grad_enabled()
```
"""
