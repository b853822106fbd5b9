"""A grad mode is given an argument that it does not take.

## Flagged

```python
import torch

def evaluate(model, images):
    with torch.set_grad_enabled(0):  # GL304
        return model(images)

# run: evaluate(model, images)
# raises: TypeError: set_grad_enabled(): argument 'enabled' (position 1) must be bool, not int
```

```python
import torch

def embed(encoder, images):
    with torch.no_grad(True):  # GL304
        return encoder(images)

# run: embed(model, images)
# raises: TypeError: 'function' object does not support the context manager, or AttributeError: __enter__
```

## Instead

```python
import torch

def evaluate(model, images):
    with torch.set_grad_enabled(False):
        return model(images)

# run: out = evaluate(model, images)
# shows: not out.requires_grad
```

```python
import torch

def embed(encoder, images):
    with torch.no_grad():
        return encoder(images)

# run: out = embed(model, images)
# shows: not out.requires_grad
```

## Fixed

```python
import torch

def evaluate(model, images):
    with torch.set_grad_enabled(False):
        return model(images)
```

```python
import torch

def embed(encoder, images):
    with torch.no_grad():
        return encoder(images)
```

## Why

`no_grad` and `enable_grad` take no argument; `set_grad_enabled` and `inference_mode` take one
`bool`, and `set_grad_enabled` cannot do without. Since these classes also work as decorators
without a call, any other argument is taken for the function to decorate: `no_grad(True)` and
`inference_mode(0)` make a function that would call `True` and `0`, and `with` refuses it:
`TypeError: 'function' object does not support the context manager protocol`. `set_grad_enabled(1)`
raises `TypeError: set_grad_enabled(): argument 'enabled' (position 1) must be bool, not int`.

All of them are loud, but only when the line is reached. `no_grad(False)` is never a way to say
"keep grad on": that is `set_grad_enabled(True)`.
"""

from collections.abc import Iterator

from gradlint.rule import (
    Argument,
    Call,
    Conditional,
    Constant,
    Display,
    Edit,
    Expression,
    Finding,
    Fix,
    Formatted,
    FunctionNode,
    Operation,
    Project,
    rule,
    scope,
)

# What each takes; the first two wrap a function when they are given one.
_KEYWORDS = {
    "no_grad": "orig_func",
    "enable_grad": "orig_func",
    "inference_mode": "mode",
    "set_grad_enabled": "mode",
}
_BOOLEAN = frozenset({"==", "!=", "<", "<=", ">", ">=", "in", "not in", "is", "is not", "not"})


@rule("GL304", severity="error", since="0.1.0")
def misused_grad_mode_argument(project: Project) -> Iterator[Finding]:
    """Find grad modes whose literal argument is not what they take."""
    for function in filter(project.modes.mentioned, project.functions()):
        expected = scope.expected_to_fail(function)
        contexts = {context.at for context in scope.with_items(function)}
        for call in scope.evaluated(function):
            if isinstance(call, Call) and call.at not in expected:
                mode = project.modes.made(function, call)
                if mode is not None and (fault := _fault(mode, call, call.at in contexts)) is not None:
                    yield _finding(function, mode, call, fault)


def _fault(mode: str, call: Call, entered: bool) -> str | None:
    """What is wrong with the arguments of a grad mode, if that can be proved."""
    if any(argument.stars for argument in call.arguments):
        return None
    if not call.arguments:
        return "must be told whether grad is on" if mode == "set_grad_enabled" else None
    first, *more = call.arguments
    if more or first.keyword not in (None, _KEYWORDS[mode]):
        return "takes a single `mode`" if _takes_bool(mode) else "takes no argument"
    if _takes_bool(mode):
        return "takes a bool" if any(_is_no_bool(outcome) for outcome in _branches(first.value)) else None
    return "takes no argument" if entered or _is_no_function(first.value) else None


def _takes_bool(mode: str) -> bool:
    return mode in ("inference_mode", "set_grad_enabled")


def _branches(value: Expression) -> Iterator[Expression]:
    if isinstance(value, Conditional):
        yield from _branches(value.then)
        yield from _branches(value.otherwise)
    else:
        yield value


def _is_no_bool(value: Expression) -> bool:
    is_literal = isinstance(value, Constant) and not isinstance(value.value, bool)
    return is_literal or isinstance(value, Display | Formatted)


def _is_no_function(value: Expression) -> bool:
    if isinstance(value, Operation):
        return value.operator in _BOOLEAN
    return isinstance(value, Constant | Display | Formatted)


def _finding(function: FunctionNode, mode: str, call: Call, fault: str) -> Finding:
    return Finding(
        function.place(call.arguments[0].value.at if call.arguments else call.at),
        function.name,
        f"`{mode}` {fault}",
        help=f"write `{mode}(True)` or `{mode}(False)`"
        if _takes_bool(mode)
        else f"write `{mode}()`, or `set_grad_enabled(...)` where it depends",
        fix=_fix(function, mode, call.arguments),
    )


def _fix(function: FunctionNode, mode: str, arguments: tuple[Argument, ...]) -> Fix | None:
    argument = arguments[0] if len(arguments) == 1 else None
    if argument is None or not isinstance(argument.value, Constant):
        return None
    place, value = function.place(argument.value.at), argument.value.value
    if _takes_bool(mode) and isinstance(value, bool):  # then it is the keyword that is wrong
        keyword_at = argument.keyword_at
        edits = (Edit(function.place(keyword_at), "replace", "mode"),) if keyword_at is not None else ()
        return Fix("safe", "call it `mode`", edits) if edits else None
    if _takes_bool(mode) and value in (0, 1):
        return Fix("safe", "write a bool", (Edit(place, "replace", str(bool(value))),))
    if not _takes_bool(mode) and value is True and argument.keyword is None:
        return Fix("safe", "leave it out", (Edit(place, "replace", ""),))
    return None


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Linear(8, 2)
images = torch.randn(4, 8)
```

## Flagged

### no argument is taken
```python
import torch
from torch import enable_grad
from torch import no_grad as ng

def a(x):
    with ng(False):  # GL304
        return x

def b(x):
    with enable_grad(True):  # GL304
        return x

def c(x):
    with torch.autograd.no_grad(1):  # GL304
        return x

# run: a(images)
# run: b(images)
# run: c(images)
# raises: TypeError: 'function' object does not support the context manager, or AttributeError: __enter__
```

### nor a keyword
```python
import torch

def a(x):
    with torch.no_grad(enabled=False):  # GL304
        return x

def b(x):
    with torch.enable_grad(mode=True):  # GL304
        return x

# run: a(images)
# run: b(images)
# raises: TypeError: _NoParamDecoratorContextManager.__new__() got an unexpected keyword argument
```

### None
```python
import torch

def embed(encoder, images):
    with torch.no_grad(None):  # GL304
        return encoder(images)

# run: embed(model, images)
# raises: TypeError: no_grad.__init__() takes 1 positional argument but 2 were given
```

### inference_mode takes a bool
```python
import torch

def a(x):
    with torch.inference_mode(0):  # GL304
        return x

def b(x):
    with torch.inference_mode(None):  # GL304
        return x

def c(x):
    with torch.inference_mode(mode=1):  # GL304
        return x

def d(x):
    with torch.inference_mode("eval"):  # GL304
        return x

# run: a(images)
# run: b(images)
# run: c(images)
# run: d(images)
# raises: TypeError: 'function' object does not support the context manager, or AttributeError: __enter__
```

### set_grad_enabled takes a bool
```python
import torch

def a(x):
    with torch.set_grad_enabled(0):  # GL304
        return x

def b(x):
    with torch.set_grad_enabled(None):  # GL304
        return x

def c(x):
    with torch.set_grad_enabled(mode="train"):  # GL304
        return x

def d(x):
    with torch.autograd.set_grad_enabled(1.0):  # GL304
        return x

# run: a(images)
# run: b(images)
# run: c(images)
# run: d(images)
# raises: TypeError: set_grad_enabled(): argument 'enabled' (position 1) must be bool, not
```

### nothing at all, or too much
```python
import torch

def a(x):
    with torch.set_grad_enabled():  # GL304
        return x

def b(x):
    with torch.inference_mode(enabled=True):  # GL304
        return x

def c(x, model):
    with torch.inference_mode(True, model):  # GL304
        return x

# run: a(images)
# run: b(images)
# run: c(images, model)
# raises: TypeError: set_grad_enabled.__init__() missing, or TypeError: inference_mode.__new__()
```

### a function to decorate, entered
```python
import torch

def embed(encoder, images):
    with torch.no_grad(encoder):  # GL304
        return encoder(images)

# run: embed(model, images)
# raises: TypeError: 'function' object does not support the context manager, or AttributeError: __enter__
```

### a number in either branch
```python
import torch

def forward(model, images, training):
    with torch.set_grad_enabled(1 if training else 0):  # GL304
        return model(images)

# run: forward(model, images, training=True)
# run: forward(model, images, training=False)
# raises: TypeError: set_grad_enabled(): argument 'enabled' (position 1) must be bool, not int
```

### as a decorator
```python
import torch

@torch.no_grad(True)  # GL304
def embed(encoder, images):
    return encoder(images)

# raises: TypeError: 'bool' object is not callable
```

### as a statement
```python
import torch

torch.set_grad_enabled(0)  # GL304
# raises: TypeError: set_grad_enabled(): argument 'enabled' (position 1) must be bool, not int
```

## Silent

### bools, and what may be one
```python
import torch

def forward(model, images, phase, options):
    with torch.set_grad_enabled(phase == "train"):
        first = model(images)
    with torch.set_grad_enabled(mode=not options.get("frozen")):
        second = model(first @ first.T @ images)
    with torch.set_grad_enabled(bool(options.get("steps"))):
        third = model(images)
    with torch.inference_mode(True):
        fourth = model(images)
    with torch.inference_mode(mode=options["fast"]):
        fifth = model(images)
    return first, second, third, fourth, fifth

# run: outs = forward(model, images, "val", {"frozen": True, "fast": True})
# shows: not any(out.requires_grad for out in outs)
```

### a function to decorate
```python
import torch

def embed(encoder, images):
    return encoder(images)

quiet = torch.no_grad(embed)
faster = torch.inference_mode(embed)
# run: outs = quiet(model, images), faster(model, images)
# shows: not any(out.requires_grad for out in outs)
```

### a lambda to decorate
```python
import torch

score = torch.no_grad(lambda encoder, images: encoder(images).softmax(1))
# run: out = score(model, images)
# shows: not out.requires_grad
```

### a parameter with a default
```python
import torch

def forward(model, images, grad=True):
    with torch.set_grad_enabled(grad):
        return model(images)

# run: out = forward(model, images, grad=False)
# shows: not out.requires_grad
```

### arguments that nobody sees, and a test that it raises
```python
import pytest
import torch

def under(mode, *arguments):
    with torch.set_grad_enabled(*arguments):
        return mode(*arguments)

def test_numbers_are_refused():
    with pytest.raises(TypeError):
        torch.set_grad_enabled(1)

# run: out = under(torch.set_grad_enabled, True)
```

### a project's own guard of that name
```python
# file: guards.py
import contextlib
import torch

@contextlib.contextmanager
def no_grad(active):
    with torch.set_grad_enabled(not active):
        yield

# file: main.py
from guards import no_grad

def embed(encoder, images):
    with no_grad(True):
        return encoder(images)

# run: out = embed(model, images)
# shows: not out.requires_grad
```
"""
