"""A python number is made of a tensor that requires grad, by `float`, a function of `math` or `'%f'`.

## Flagged

```python
import torch

weight = torch.ones(3, requires_grad=True)
loss = weight.square().sum()
print(float(loss))  # GL216
# warns: UserWarning: Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.
```

## Instead

```python
import torch

weight = torch.ones(3, requires_grad=True)
loss = weight.square().sum()
print(loss.item())
```

## Fixed

```python
import torch

weight = torch.ones(3, requires_grad=True)
loss = weight.square().sum()
print(loss.item())
```

## Why

The number is right, and the graph is left behind, which `.item()` says openly. `float(t)`,
`complex(t)`, the functions of `math` and `'%f' % t` make PyTorch warn once, ``UserWarning: Converting a
tensor with requires_grad=True to a scalar may lead to unexpected behavior.`` `int(t)`, `bool(t)` and
f-strings do not. Advice, off by default.
"""

import re
from collections.abc import Iterator

from gradlint.rule import (
    GRAD,
    Assign,
    Call,
    CallEvent,
    Constant,
    Edit,
    Finding,
    Fix,
    FunctionNode,
    Name,
    Operation,
    Project,
    Value,
    all_of,
    dotted,
    gives_no_known_tensor,
    rule,
)

_FILLED_IN = re.compile(r"%[-+ #0]*\d*(?:\.\d+)?([a-zA-Z])")
_NAMES = frozenset({"float", "complex", "math", "builtins"})
_CONVERTING = frozenset({"builtins.float", "builtins.complex"})


@rule("GL216", severity="advice", since="0.1.0")
def scalar_from_grad_tensor(project: Project) -> Iterator[Finding]:
    """Find conversions of tensors that are known to require grad."""
    for module in project.modules:
        names = _converting_names(module.body)
        for function in module.functions:
            if not project.calls.records_somewhere(function):
                continue
            yield from _filled_in(project, function)
            if _may_convert(function, names):
                yield from _converted(project, function)


def _converted(project: Project, function: FunctionNode) -> Iterator[Finding]:
    """``float(loss)``."""
    for event in project.flow(function).calls.values():
        name = getattr(event.callee.target, "name", "")
        if (name in _CONVERTING or name.startswith("math.")) and len(event.arguments) == 1:
            value = event.arguments[0].value
            recorded = project.calls.states_at(function, event.at) == GRAD
            if recorded and value.kind == "tensor" and value.requires_grad:
                yield _finding(function, event, name)


def _filled_in(project: Project, function: FunctionNode) -> Iterator[Finding]:
    """``"%.3f" % loss``; other letters make PyTorch say nothing."""
    for operation in all_of(Operation, function.facts.body):
        match operation:
            case Operation(operator="%", operands=(Constant(value=str(text)), _), at=at):
                letters = _FILLED_IN.findall(text.replace("%%", ""))
                values = project.flow(function).texts.get(at, ())
                recorded = project.calls.states_at(function, at) == GRAD
                if recorded and len(letters) == len(values) and any(map(_is_converted, letters, values)):
                    yield Finding(
                        function.place(at),
                        function.name,
                        "`%` makes a number of a tensor that requires grad",
                        help="write `.item()`",
                    )
            case _:
                pass


def _is_converted(letter: str, value: Value) -> bool:
    return letter in "eEfFgG" and value.kind == "tensor" and bool(value.requires_grad)


def _converting_names(function: FunctionNode) -> frozenset[str]:
    """The names under which a function has what makes a number of its argument."""
    names = _NAMES | {found.binding for found in function.facts.imports if found.module == "math"}
    for statement in function.facts.body:  # ``log = math.log``
        if isinstance(statement, Assign) and (dotted(statement.value) or "").partition(".")[0] in names:
            names |= {target.id for target in statement.targets if isinstance(target, Name)}
    return names


def _may_convert(function: FunctionNode, outer: frozenset[str]) -> bool:
    """Whether a function calls one of these names, or what belongs to it, with what may be a tensor."""
    names = outer | _converting_names(function) if function.facts.imports else outer
    if names.isdisjoint(function.facts.words):
        return False
    calls = all_of(Call, function.facts.body)
    return any(
        len(call.arguments) == 1
        and (dotted(call.function) or "").partition(".")[0] in names
        and not gives_no_known_tensor(function.facts, call.arguments[0].value)
        for call in calls
    )


def _finding(function: FunctionNode, event: CallEvent, name: str) -> Finding:
    argument = event.arguments[0].expression
    text = dotted(argument)
    edit = Edit(function.place(event.at), "replace", f"{text}.item()")
    is_float = text is not None and name == "builtins.float"
    return Finding(
        function.place(event.at),
        function.name,
        f"`{event.method}` makes a number of a tensor that requires grad",
        help="write `.item()`",
        fix=Fix("safe", f"write `{text}.item()`", (edit,)) if is_float else None,
    )


CASES = r"""
```python setup
import torch

weight = torch.ones(3, requires_grad=True)
```

## Flagged

### other conversions
```python
import math
import torch
from math import sqrt

def numbers():
    weight = torch.ones(3, requires_grad=True)
    loss = weight.square().sum()
    first = math.log(loss)  # GL216
    second = sqrt(loss) + float(loss / 2)  # GL216 GL216
    third = float(loss)  # GL216
    return first, second, third

# run: found = numbers()
# warns: UserWarning: Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.
```

### of what `backward()` has run on
```python
import math

def train_step(model, criterion, images, labels):
    loss = criterion(model(images), labels)
    loss.backward()
    return math.exp(loss), float(loss)  # GL216 GL216

# run: found = train_step(torch.nn.Linear(3, 3), torch.nn.MSELoss(), torch.ones(2, 3), torch.ones(2, 3))
# warns: UserWarning: Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.
```

### under another name
```python
import math
import torch

log = math.log
to_number = float

def numbers():
    from math import sqrt as root
    weight = torch.ones(3, requires_grad=True)
    loss = weight.square().sum()
    return log(loss), root(loss), to_number(loss)  # GL216 GL216 GL216

# run: found = numbers()
# warns: UserWarning: Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.
```

### filled into a text
```python
import torch

def report(step):
    weight = torch.ones(3, requires_grad=True)
    loss = weight.square().sum()
    return "step %d: %.3f" % (step, loss)  # GL216

# run: found = report(1)
# warns: UserWarning: Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.
```

## Silent

### filled into a text as a whole number, or as it is
```python
import torch

def report(share):
    weight = torch.ones(3, requires_grad=True)
    loss = weight.square().sum()
    return "%s %d %.1f%% %.3f" % (loss, loss, 100 * share, loss.item())

# run: found = report(0.5)
```

### what does not warn
```python
import math
import torch

def numbers():
    weight = torch.ones(3, requires_grad=True)
    loss = weight.square().sum()
    with torch.no_grad():
        quiet = float(weight.sum())
    return loss.item(), int(loss), bool(loss), float(loss.detach()), f"{loss:.3f}", quiet, math.sqrt(2)

# run: found = numbers()
```

### a tensor that is not known
```python
def describe(loss):
    return float(loss)

# run: found = describe(1)
```

### where nothing is recorded
```python
import torch

total = (weight * 2).sum()
with torch.no_grad():
    print(float(total), "%.1f" % total)
```
"""
