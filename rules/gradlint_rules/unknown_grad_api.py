"""A name of PyTorch's gradient interface is used that does not exist.

## Flagged

```python
import torch

def report(model):
    mode = torch.autograd.get_grad_mode()  # GL320
    print(f"recording: {mode}, training: {model.training}")

# run: report(model)
# raises: AttributeError: module 'torch.autograd' has no attribute 'get_grad_mode'
```

```python
import torch
from torch.autograd import Variable

def predict(model, image):
    image = Variable(image, volatile=True)  # GL320
    return model(image).argmax(1)  # GL101

# run: labels = predict(model, images)
# warns: UserWarning: volatile was removed and now has no effect. Use `with torch.no_grad():` instead.
# keeps: > 0 bytes
```

## Instead

```python
import torch

def report(model):
    mode = torch.is_grad_enabled()
    print(f"recording: {mode}, training: {model.training}")

# run: report(model)
```

```python
import torch

def predict(model, image):
    with torch.no_grad():
        return model(image).argmax(1)

# run: labels = predict(model, images)
```

## Why

These are what exists: `torch.is_grad_enabled()` and `torch.is_inference_mode_enabled()` ask,
without an argument; `torch.no_grad()`, `torch.inference_mode()`, `torch.enable_grad()` and
`torch.set_grad_enabled(mode)` switch. These four are also found under `torch.autograd`.

Other names that are met in articles and generated code raise: `AttributeError: module
'torch.autograd' has no attribute 'get_grad_mode'`; `is_grad_enabled` switches nothing: `TypeError:
torch.is_grad_enabled() takes no arguments (1 given)`.

`volatile` is quieter. It switched recording off until PyTorch 0.4; since then
`Variable(x, volatile=True)` only warns, ``UserWarning: volatile was removed and now has no effect.
Use `with torch.no_grad():` instead.``, and the forward below it records a graph like any other.
"""

import re
from collections.abc import Iterator
from functools import cache

from gradlint.rule import (
    GRAD,
    Attribute,
    Call,
    Constant,
    Expression,
    Finding,
    FunctionNode,
    Project,
    dotted,
    rule,
    scope,
)

_SWITCHES = frozenset({"no_grad", "enable_grad", "set_grad_enabled", "inference_mode"})
_EXISTING: dict[str, frozenset[str]] = {
    "torch": _SWITCHES | {"is_grad_enabled", "is_inference_mode_enabled", "is_inference"},
    "torch.autograd": _SWITCHES | {"grad_mode"},
    "torch.autograd.grad_mode": _SWITCHES,
    "torch.nn": frozenset(),
    "torch.cuda": frozenset(),
    "torch.func": frozenset(),
}
# What a name looks like that is an attempt at one of these, and hardly one that PyTorch may add some day.
_VERBS = r"((is|get|set|enabled?|disabled?|toggle|stop|with|without|use)_)+"
_ATTEMPT = re.compile(
    r"(with_|set_|is_)?no_?grad(ient)?s?(_mode|_enabled|_context)?|no_?(gard|grda|garad|rgad|grd|gra)s?"
    rf"|{_VERBS}grad(ient)?s?(_(mode|enabled?|disabled?|on|off|state))?|grad_(mode|enabled|disabled)"
    rf"|{_VERBS}inference(_mode(_enabled?)?)?|inference_mode_enabled"
)
_LOOKING = frozenset({"hasattr", "getattr"})
_VARIABLES = frozenset({"torch.autograd.Variable", "torch.autograd.variable.Variable"})


@rule("GL320", severity="error", since="0.1.0")
def unknown_grad_api(project: Project) -> Iterator[Finding]:
    """Find names and arguments of the gradient interface that PyTorch does not have."""
    for function in project.functions():
        found: dict[int, Finding] = {}
        for search in (_names, _queries, _volatile):
            found.update((finding.place.node, finding) for finding in search(project, function))
        if found:
            silent = scope.expected_to_fail(function) | scope.tried(function)
            yield from (found[at] for at in sorted(found) if at not in silent)


def _names(project: Project, function: FunctionNode) -> Iterator[Finding]:
    if not any(map(_is_attempt, function.facts.words)):
        return
    looked_for = _looked_for(function)
    for found in function.facts.imports:
        if found.name is not None and not found.level and _is_unknown(found.module, found.name):
            yield _unknown(function, found.at, found.module, found.name)
    for expression in scope.evaluated(function):
        if isinstance(expression, Attribute) and _is_attempt(expression.name):
            home = project.modes.full_name(function, expression.value) or ""
            if _is_unknown(home, expression.name) and expression.name not in looked_for:
                yield _unknown(function, expression.at, home, expression.name)


def _is_unknown(home: str, name: str) -> bool:
    return home in _EXISTING and name not in _EXISTING[home] and _is_attempt(name)


@cache
def _is_attempt(name: str) -> bool:
    return _ATTEMPT.fullmatch(name) is not None


def _looked_for(function: FunctionNode) -> frozenset[object]:
    """The names that the module asks for first: ``hasattr(torch, "disable_grad")``."""
    askers = (f for f in function.module.functions if not _LOOKING.isdisjoint(f.facts.words))
    return frozenset(
        argument.value.value
        for asker in askers
        for call in scope.evaluated(asker)
        if isinstance(call, Call) and dotted(call.function) in _LOOKING
        for argument in call.arguments[1:2]
        if isinstance(argument.value, Constant)
    )


def _unknown(function: FunctionNode, at: int, home: str, name: str) -> Finding:
    return Finding(
        function.place(at),
        function.name,
        f"`{home}` has no `{name}`",
        help=f"what it is meant to do, `torch.{_meant(name)}` does",
    )


def _meant(name: str) -> str:
    """What somebody looks for who writes a name that does not exist."""
    if name.startswith(("is_", "get_", "enabled_", "grad_", "inference_")):
        return "is_inference_mode_enabled()" if "inference" in name else "is_grad_enabled()"
    if "inference" in name:
        return "inference_mode()"
    if name.startswith("enable_"):
        return "enable_grad()"
    return "set_grad_enabled(mode)" if name.startswith(("set_", "toggle_", "use_")) else "no_grad()"


def _queries(project: Project, function: FunctionNode) -> Iterator[Finding]:
    if not project.modes.mentioned(function):
        return
    entered = {used.at for used in (*scope.entered(function), *scope.decorators(function))}
    for call in scope.evaluated(function):
        query = project.modes.query(function, call.function) if isinstance(call, Call) else None
        if query is not None and isinstance(call, Call):
            if any(not argument.stars for argument in call.arguments):
                yield _query(function, call, f"`{query}` takes no argument, it only asks")
            elif call.at in entered:
                yield _query(function, call, f"`{query}` switches nothing, it only asks")


def _query(function: FunctionNode, call: Expression, message: str) -> Finding:
    return Finding(
        function.place(call.at),
        function.name,
        message,
        help="`torch.set_grad_enabled(mode)` is what switches",
    )


def _volatile(project: Project, function: FunctionNode) -> Iterator[Finding]:
    if "volatile" in function.facts.words:
        for event in project.flow(function).attributes.values():
            is_tensor = event.owner.kind == "tensor" or _is_variable(project, function, event.path or "")
            if event.name == "volatile" and event.stored is not None and is_tensor:
                yield _without_effect(function, event.at, recorded=_is_recorded(project, function, event.at))
    if "Variable" in function.facts.words | function.module.body.facts.words:
        for call in scope.evaluated(function):
            if isinstance(call, Call) and project.modes.full_name(function, call.function) in _VARIABLES:
                for at in _volatile_arguments(project, function, call):
                    yield _without_effect(function, at, recorded=_is_recorded(project, function, call.at))


def _is_variable(project: Project, function: FunctionNode, path: str) -> bool:
    """Whether what holds an attribute is assigned from ``Variable(...)`` somewhere."""
    return any(
        isinstance(value, Call) and project.modes.full_name(where, value.function) in _VARIABLES
        for where, value in project.bindings.values(function, path.rpartition(".")[0])
    )


def _volatile_arguments(project: Project, function: FunctionNode, call: Call) -> Iterator[int]:
    for argument in call.arguments:
        if argument.keyword == "volatile" and not _is_off(project, function, argument.value):
            yield argument.value.at if argument.keyword_at is None else argument.keyword_at


def _is_off(project: Project, function: FunctionNode, value: Expression) -> bool:
    """``False``, or a parameter that is so by default and that nobody passes anything else for."""
    if isinstance(value, Constant):
        return value.value is False
    name = dotted(value)
    return name is not None and project.defaults.stays(function, name, False)


def _is_recorded(project: Project, function: FunctionNode, at: int) -> bool:
    return bool(project.calls.states_at(function, at) & GRAD)


def _without_effect(function: FunctionNode, at: int, *, recorded: bool) -> Finding:
    if recorded:
        outcome, mending = "the forward records a graph", "put the forward under `with torch.no_grad():`"
    else:
        outcome, mending = "it only warns", "take it out: recording is off here"
    message = f"`volatile` has no effect since PyTorch 0.4: {outcome}"
    return Finding(function.place(at), function.name, message, help=mending)


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
images = torch.randn(4, 8)
```

## Flagged

### names that never existed
```python
import torch
import torch.autograd as autograd

def a():
    return torch.get_grad_mode()  # GL320

def b():
    return torch.get_grad_enabled()  # GL320

def c():
    return autograd.is_grad_enabled()  # GL320

def d():
    torch.set_grad_mode(False)  # GL320

def e():
    torch.disable_grad()  # GL320

def f(x):
    with torch.nograd():  # GL320
        return x * 2

def g(x):
    with torch.no_gradient():  # GL320
        return x * 2

def h():
    return torch.is_inference_mode()  # GL320

def i(x):
    with torch.autograd.disable_grad():  # GL320
        return x * 2

def j(x):
    with torch.no_gard():  # GL320
        return x * 2

# run: a()
# run: b()
# run: c()
# run: d()
# run: e()
# run: f(images)
# run: g(images)
# run: h()
# run: i(images)
# run: j(images)
# raises: AttributeError: module 'torch
```

### as a decorator
```python
import torch

@torch.disable_grad()  # GL320
def forward(model, images):
    return model(images)

# raises: AttributeError: module 'torch' has no attribute 'disable_grad'
```

### imported by name
```python
from torch import disable_grad  # GL320
# raises: ImportError: cannot import name 'disable_grad' from 'torch'
```

### the query called with an argument
```python
import torch
from torch import is_grad_enabled

def a():
    torch.is_grad_enabled(False)  # GL320

def b():
    is_grad_enabled(True)  # GL320

def c():
    return torch.is_inference_mode_enabled(True)  # GL320

# run: a()
# run: b()
# run: c()
# raises: TypeError: torch.is_
```

### the query entered by with
```python
import torch

def forward(model, images):
    with torch.is_grad_enabled():  # GL320
        return model(images)

# run: forward(model, images)
# raises: TypeError: 'bool' object does not support the context manager, or AttributeError: __enter__
```

### volatile in its other places
```python
import torch
from torch.autograd import Variable

def a(x):
    return Variable(x, requires_grad=False, volatile=True)  # GL320

def b(x):
    return torch.autograd.Variable(x, volatile=not x.requires_grad)  # GL320

# run: outs = a(images), b(images)
# warns: UserWarning: volatile was removed and now has no effect.
```

### volatile where a caller says so
```python
from torch.autograd import Variable

def wrap(x, volatile=False):
    return Variable(x, volatile=volatile)  # GL320

def evaluate(x):
    return wrap(x, volatile=True)

# run: evaluate(images)
# warns: UserWarning: volatile was removed and now has no effect.
```

### volatile set as an attribute
```python
from torch.autograd import Variable

def predict(model, images):
    images = Variable(images)
    images.volatile = True  # GL320
    return model(images).argmax(1)  # GL101

# run: labels = predict(model, images)
# warns: UserWarning: volatile was removed
# keeps: > 0 bytes
```

## Silent

### all that exists
```python
import torch
import torch.autograd as autograd
from torch.autograd import grad_mode

def modes(x):
    seen = [torch.is_grad_enabled(), torch.is_inference_mode_enabled()]
    with autograd.no_grad(), grad_mode.enable_grad(), autograd.set_grad_enabled(True):
        seen.append(torch.is_grad_enabled())
    with torch.autograd.inference_mode(), torch.inference_mode(False):
        seen.append(torch.is_grad_enabled())
    return seen

# run: seen = modes(images)
# shows: seen == [True, False, True, True]
```

### the project's own functions
```python
# file: modes.py
import torch

def get_grad_mode():
    return torch.is_grad_enabled()

# file: main.py
import modes
from modes import get_grad_mode

print(get_grad_mode(), modes.get_grad_mode())
# shows: get_grad_mode()
```

### another library's module of that name
```python
from autograd import get_grad_mode
from mxnet import autograd

def scaled(x):
    with autograd.is_grad_enabled(False):
        return x * 2
```

### asked for first
```python
import torch

def quiet():
    if hasattr(torch, "disable_grad"):
        return torch.disable_grad()
    return torch.no_grad()

# run: mode = quiet()
```

### tried first
```python
import torch

try:
    quiet = torch.disable_grad
except AttributeError:
    quiet = torch.no_grad

with quiet():
    out = torch.ones(1, requires_grad=True) * 2
# shows: not out.requires_grad
```

### volatile if somebody says so, which nobody does
```python
from torch.autograd import Variable

def wrap(x, volatile=False):
    return Variable(x, volatile=volatile)

class Loader:
    def __init__(self, batches, evaluation=False):
        self.batches, self.evaluation = batches, evaluation

    def __iter__(self):
        for batch in self.batches:
            yield Variable(batch, volatile=self.evaluation)

def library(x, volatile=False):
    return Variable(x, volatile=volatile)

wrap(images)
wrap(images, volatile=False)
list(Loader([images]))
```

### volatile of something else
```python
class Register:
    def __init__(self, volatile=False):
        self.volatile = volatile

register = Register(volatile=True)
register.volatile = False
```
"""
