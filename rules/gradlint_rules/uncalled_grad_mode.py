"""A grad mode or its query is named but not called.

## Flagged

```python
import torch

def embed(encoder, images):
    with torch.no_grad:  # GL302
        return encoder(images)

# run: embed(model, images)
# raises: TypeError: 'type' object does not support the context manager, or AttributeError: __enter__
```

```python
import torch

def attend(query, key):
    scores = query @ key.T
    if torch.is_grad_enabled:  # GL302
        return scores
    return scores.half()

# run: with torch.no_grad(): scores = attend(images, images)
# shows: scores.dtype == torch.float32
```

## Instead

```python
import torch

def embed(encoder, images):
    with torch.no_grad():
        return encoder(images)

# run: out = embed(model, images)
# shows: not out.requires_grad
```

```python
import torch

def attend(query, key):
    scores = query @ key.T
    if torch.is_grad_enabled():
        return scores
    return scores.half()

# run: with torch.no_grad(): scores = attend(images, images)
# shows: scores.dtype == torch.float16
```

## Fixed

```python
import torch

def embed(encoder, images):
    with torch.no_grad():
        return encoder(images)
```

```python
import torch

def attend(query, key):
    scores = query @ key.T
    if torch.is_grad_enabled():
        return scores
    return scores.half()
```

## Why

`torch.no_grad` is a class, and a class is no context manager: `with torch.no_grad:` raises
`TypeError: 'type' object does not support the context manager protocol` (up to Python 3.10
`AttributeError: __enter__`) when the line is reached, which for an evaluation may be hours into a
run.

`torch.is_grad_enabled` without a call is a function, and a function is always true: the branch is
taken in every mode, and nothing is said.

As a decorator, `@torch.no_grad` without a call is right since PyTorch 2.1.
`@torch.set_grad_enabled` is not: it raises at import, `TypeError: set_grad_enabled(): argument
'enabled' (position 1) must be bool, not function`.
"""

from collections.abc import Iterator

from gradlint.rule import (
    Applicability,
    Call,
    Edit,
    Expression,
    Finding,
    Fix,
    FunctionNode,
    Name,
    Project,
    rule,
    scope,
)


@rule("GL302", severity="error", since="0.1.0")
def uncalled_grad_mode(project: Project) -> Iterator[Finding]:
    """Find grad modes entered, and queries tested, without a call."""
    for function in filter(project.modes.mentioned, project.functions()):
        found = {
            finding.place.node: finding
            for search in (_entered, _decorating, _tested, _passed)
            for finding in search(project, function)
        }
        expected = scope.expected_to_fail(function)
        yield from (found[at] for at in sorted(found) if at not in expected)


def _entered(project: Project, function: FunctionNode) -> Iterator[Finding]:
    for context in scope.entered(function):
        for value in scope.outcomes(context):
            if (mode := project.modes.mode(function, value) or _chosen(project, function, value)) is not None:
                called = "(...)" if mode == "set_grad_enabled" else "()"
                yield Finding(
                    function.place(value.at),
                    function.name,
                    f"`{mode}` is entered without being called, which raises",
                    help=f"write `{mode}{called}`",
                    fix=_call(function, value, "safe") if called == "()" else None,
                )


def _chosen(project: Project, function: FunctionNode, value: Expression) -> str | None:
    """The mode of a name that holds one of several, none of them called: ``mode = no_grad if ... else enable_grad``."""
    if not isinstance(value, Name) or value.id not in function.facts.local:
        return None
    found = project.bindings.values(function, value.id)
    modes = [project.modes.mode(where, one) for where, each in found for one in scope.outcomes(each)]
    return modes[0] if modes and all(modes) else None


def _decorating(project: Project, function: FunctionNode) -> Iterator[Finding]:
    for decorator in scope.decorators(function):
        if project.modes.mode(function, decorator) == "set_grad_enabled":
            yield Finding(
                function.place(decorator.at),
                function.name,
                "`set_grad_enabled` decorates without being called, which raises",
                help="write `@torch.no_grad()` or `@torch.enable_grad()`",
            )


def _tested(project: Project, function: FunctionNode) -> Iterator[Finding]:
    for test in scope.tested(function):
        if (query := project.modes.query(function, test)) is not None:
            yield Finding(
                function.place(test.at),
                function.name,
                f"`{query}` is tested without being called: a function is true in every mode",
                help=f"write `{query}()`",
                fix=_call(function, test, "unsafe"),  # another branch will be taken
            )


def _passed(project: Project, function: FunctionNode) -> Iterator[Finding]:
    """``set_grad_enabled(torch.is_grad_enabled)``."""
    for expression in scope.evaluated(function):
        if project.modes.made(function, expression) not in ("set_grad_enabled", "inference_mode"):
            continue
        assert isinstance(expression, Call)
        for argument in expression.arguments:
            if (query := project.modes.query(function, argument.value)) is not None:
                yield Finding(
                    function.place(argument.value.at),
                    function.name,
                    f"`{query}` is passed on without being called: a function is no bool",
                    help=f"write `{query}()`",
                    fix=_call(function, argument.value, "safe"),
                )


def _call(function: FunctionNode, value: Expression, applicability: Applicability) -> Fix:
    return Fix(applicability, "call it", (Edit(function.place(value.at), "after", "()"),))


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Linear(8, 2)
images = torch.randn(4, 8)
```

## Flagged

### every mode, under every name
```python
import torch
import torch.autograd as autograd
from torch import inference_mode
from torch import no_grad as ng
from torch.autograd import grad_mode

def a(x):
    with ng:  # GL302
        return x * 2

def b(x):
    with inference_mode:  # GL302
        return x * 2

def c(x):
    with torch.enable_grad:  # GL302
        return x * 2

def d(x):
    with torch.set_grad_enabled:  # GL302
        return x * 2

def e(x):
    with autograd.no_grad:  # GL302
        return x * 2

def f(x):
    with grad_mode.no_grad:  # GL302
        return x * 2

# run: a(images)
# run: b(images)
# run: c(images)
# run: d(images)
# run: e(images)
# run: f(images)
# raises: TypeError: 'type' object does not support the context manager, or AttributeError: __enter__
```

### next to another context manager
```python
import torch

def embed(encoder, images):
    with torch.autocast("cpu"), torch.no_grad:  # GL302
        return encoder(images)

# run: embed(model, images)
# raises: TypeError: 'type' object does not support the context manager, or AttributeError: __enter__
```

### by way of a name
```python
import torch

def embed(encoder, images):
    guard = torch.no_grad
    with guard:  # GL302
        return encoder(images)

# run: embed(model, images)
# raises: TypeError: 'type' object does not support the context manager, or AttributeError: __enter__
```

### on an exit stack
```python
import torch
from contextlib import ExitStack

def embed(encoder, images):
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad)  # GL302
        return encoder(images)

# run: embed(model, images)
# raises: TypeError: 'builtins.type' object does not support the context manager, or AttributeError
```

### a bare set_grad_enabled decorator
```python
import torch

@torch.set_grad_enabled  # GL302
def embed(encoder, images):
    return encoder(images)

# raises: TypeError: set_grad_enabled(): argument 'enabled' (position 1) must be bool, not function
```

### the query in every kind of condition
```python
import torch
from torch import is_grad_enabled

def modes(x):
    if not torch.is_grad_enabled:  # GL302
        yield "not"
    if is_grad_enabled and x.requires_grad:  # GL302
        yield "and"
    yield "train" if torch.is_grad_enabled else "eval"  # GL302
    while torch.is_inference_mode_enabled:  # GL302
        yield "while"
        break
    if torch.is_grad_enabled == False:  # GL302
        yield "equal"
    assert torch.is_grad_enabled, "needs grad"  # GL302

# run: with torch.no_grad(): seen = list(modes(torch.ones(1, requires_grad=True)))
# shows: seen == ["and", "train", "while"]
```

### the query handed to a mode
```python
import torch

def frozen(encoder, images):
    before = torch.is_grad_enabled
    torch.set_grad_enabled(False)
    out = encoder(images)
    torch.set_grad_enabled(before)  # GL302
    return out

# run: frozen(model, images)
# raises: TypeError: set_grad_enabled(): argument 'enabled' (position 1) must be bool, not builtin_function
```

### one branch of a conditional
```python
import contextlib
import torch

def embed(encoder, images, frozen):
    with torch.no_grad if frozen else contextlib.nullcontext():  # GL302
        return encoder(images)

# run: embed(model, images, True)
# raises: TypeError: 'type' object does not support the context manager, or AttributeError: __enter__
```

### the query chosen as the mode
```python
import torch

def embed(encoder, images):
    context = torch.no_grad() if not torch.is_grad_enabled else torch.enable_grad()  # GL302
    with context:
        return encoder(images).relu()

# run: with torch.no_grad(): out = embed(model, images)
# shows: out.requires_grad
```

### one of two, chosen before
```python
import torch

def embed(encoder, images, training):
    mode = torch.enable_grad if training else torch.no_grad
    with mode:  # GL302
        return encoder(images)

# run: embed(model, images, False)
# raises: TypeError: 'type' object does not support the context manager, or AttributeError: __enter__
```

## Silent

### bare decorators are right since PyTorch 2.1
```python
import torch

@torch.no_grad
def embed(encoder, images):
    return encoder(images)

@torch.inference_mode
def score(encoder, images):
    return encoder(images)

@torch.enable_grad
def penalty(encoder, images):
    return encoder(images).sum()

# run: outs = embed(model, images), score(model, images), penalty(model, images)
# shows: [out.requires_grad for out in outs] == [False, False, True]
```

### an instance made before
```python
import torch

no_grad = torch.no_grad()

def embed(encoder, images):
    with no_grad:
        return encoder(images)

# run: out = embed(model, images)
# shows: not out.requires_grad
```

### the class chosen first, called later
```python
import torch

def embed(encoder, images, training):
    mode = torch.enable_grad if training else torch.no_grad
    with mode():
        return encoder(images)

# run: out = embed(model, images, training=False)
# shows: not out.requires_grad
```

### handed on as a function
```python
import torch

def under(mode, function, *inputs):
    with mode():
        return function(*inputs)

# run: out = under(torch.no_grad, model, images)
# shows: not out.requires_grad
```

### the query handed on, named and compared with itself
```python
import torch

def report(query=torch.is_grad_enabled):
    is_on = torch.is_grad_enabled
    return is_on(), query() == torch.is_grad_enabled()

# run: with torch.no_grad(): answer = report()
# shows: answer == (False, True)
```

### asked whether it exists
```python
import torch

def recording():
    if torch.is_grad_enabled is not None and hasattr(torch, "is_grad_enabled"):
        return torch.is_grad_enabled()
    return True

# run: answer = recording()
# shows: answer
```

### called in conditions
```python
import torch

def attend(scores):
    if torch.is_grad_enabled() and scores.requires_grad:
        return scores
    return scores if torch.is_inference_mode_enabled() else scores.clone()

# run: out = attend(images)
```

### an object of the project that has the same name
```python
import contextlib

class Engine:
    def __init__(self):
        self.no_grad = contextlib.nullcontext()
        self.is_grad_enabled = False

    def embed(self, x):
        with self.no_grad:
            return x if self.is_grad_enabled else -x

# run: out = Engine().embed(images)
```

### a name that may be either
```python
import torch

def embed(encoder, images, guard=None):
    guard = guard or torch.no_grad()
    with guard:
        return encoder(images)

# run: out = embed(model, images)
# shows: not out.requires_grad
```
"""
