"""Code with a grad mode in it is traced and then trained: the trace has dropped the mode.

## Flagged

```python
import torch

def scaled(x):
    with torch.no_grad():
        scale = x * x
    return x * scale

def derivative(x):
    traced = torch.jit.trace(scaled, x)  # GL319
    traced(x).sum().backward()
    return x.grad

# run: found = derivative(torch.ones(1, requires_grad=True))
# shows: found.item() == 3
```

## Instead

```python
import torch

def scaled(x):
    with torch.no_grad():
        scale = x * x
    return x * scale

def derivative(x):
    scaled(x).sum().backward()
    return x.grad

# run: found = derivative(torch.ones(1, requires_grad=True))
# shows: found.item() == 1
```

or `torch.compile(scaled)`; `torch.jit.script` keeps the mode too.

## Why

`torch.jit.trace` writes down the operations that run, and a grad mode is none. In the traced code
they all record: here the gradient is 3, not 1, because the scale is differentiated too. Nothing is
said. For code that is traced to be exported and only run for its values that does no harm, and is not
reported.
"""

import re
from collections.abc import Iterator

from gradlint.rule import (
    GRAD,
    Assign,
    Attribute,
    Call,
    CallEvent,
    Expression,
    Finding,
    FunctionNode,
    Name,
    Note,
    Place,
    Project,
    Return,
    Value,
    all_of,
    rule,
    scope,
    statements,
    within,
)

_SWITCHING_OFF = ("no_grad", "inference_mode")
_EXPORTING = frozenset({"save", "eval", "onnx", "freeze", "optimize_for_inference", "coremltools", "convert"})
_EXPORT = re.compile(r"export|convert|deploy|infer|save|test|eval|predict", re.I)


@rule("GL319", severity="warning", since="0.1.0")
def traced_grad_mode(project: Project) -> Iterator[Finding]:
    """Find traces of code that switches grad off in part, if what they compute is trained on."""
    for function in project.functions():
        if "trace" not in function.facts.words:
            continue
        for event in project.flow(function).calls.values():
            if _is_trace(event) and event.arguments and _is_wanted(project, function, event):
                guard = _guard(project, event.arguments[0].value)
                if guard is not None:
                    yield Finding(
                        function.place(event.at),
                        function.name,
                        "the trace drops the grad mode: what runs under it is recorded and differentiated",
                        notes=(Note(guard, "this mode"),),
                        help="use `torch.compile`, or `detach()` what must not be differentiated",
                    )


def _is_trace(event: CallEvent) -> bool:
    target = event.callee.target
    return getattr(target, "name", "") in ("torch.jit.trace", "torch.jit.trace_module")


def _is_wanted(project: Project, function: FunctionNode, event: CallEvent) -> bool:
    """Whether a result is trained on here, or the trace is handed on and nothing speaks of a model that is exported."""
    if _is_trained(project, function, event):
        return True
    handed_on = any(
        statement.value is not None and statement.value.at == event.at
        for statement in statements(function.facts.body)
        if isinstance(statement, Return)
    )
    recorded = project.calls.states_at(function, event.at) == GRAD
    exported = not _EXPORTING.isdisjoint(function.facts.words) or event.arguments[0].value.training is False
    return handed_on and recorded and not exported and not _EXPORT.search(function.facts.name)


def _is_trained(project: Project, function: FunctionNode, event: CallEvent) -> bool:
    """Whether a result of the traced code, called by the name it is given, is trained on."""
    names = {
        target.id
        for statement in statements(function.facts.body)
        if isinstance(statement, Assign) and statement.value.at == event.at
        for target in statement.targets
        if isinstance(target, Name)
    }
    calls = (call for call in project.flow(function).calls.values() if call.name in names)
    return any(
        project.destinies.of(function, call.at).trained or _reaches_backward(project, function, call) for call in calls
    )


def _reaches_backward(project: Project, function: FunctionNode, call: CallEvent) -> bool:
    """Whether ``backward()`` is called on what a call gives, or on what is computed from it."""
    events = project.flow(function).calls.values()
    backward = [e for e in events if e.method == "backward" and e.receiver is not None]
    if any(call.result.origins & e.receiver.origins for e in backward if e.receiver is not None):
        return True
    return any(call.at in _made_of(function, walked) for walked in _walked(function))


def _walked(function: FunctionNode) -> Iterator[Expression]:
    """What ``backward()`` is called on."""
    for call in all_of(Call, function.facts.body):
        if isinstance(call.function, Attribute) and call.function.name == "backward":
            yield call.function.value


def _made_of(function: FunctionNode, expression: Expression) -> set[int]:
    """The places of all that goes into an expression, by the names of what a function assigns as well."""
    assigned = [*scope.assigned(function)]
    pending, seen = [expression], set[int]()
    while pending:
        new = [part for part in within(pending.pop()) if part.at not in seen]
        seen.update(part.at for part in new)
        names = {part.id for part in new if isinstance(part, Name)}
        pending.extend(value for name, value in assigned if name in names)
    return seen


def _guard(project: Project, traced: Value) -> Place | None:
    """A region that switches grad off in the code that is traced."""
    start = _code(project, traced)
    for function in project.calls.below(start):
        outside = function.parent or function
        for decorator in function.facts.decorators:
            if project.modes.decorating(outside, decorator) in _SWITCHING_OFF:
                return function.place(decorator.at)
        for context in scope.with_items(function):
            inside = project.modes.held(function, context)
            if inside in _SWITCHING_OFF and project.calls.own_states(function, -1) & GRAD:
                return function.place(context.at)
    return None


def _code(project: Project, traced: Value) -> tuple[FunctionNode, ...]:
    target = traced.target
    if isinstance(target, FunctionNode):
        return (target,)
    forward = getattr(target, "method", lambda name: None)("forward") if traced.kind == "module" else None
    return (forward,) if isinstance(forward, FunctionNode) else ()


CASES = r"""
```python setup
import torch
from torch import nn
```

## Flagged

### a module
```python
import torch
from torch import nn

class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def scale(self):
        with torch.no_grad():
            return self.weight * self.weight

    def forward(self, x):
        return x * self.weight * self.scale()

def step(x):
    module = Scaled()
    traced = torch.jit.trace(module, x)  # GL319
    loss = traced(x).sum()
    loss.backward()
    return module.weight.grad

# run: found = step(torch.ones(3))
# shows: found.tolist() == [3, 3, 3]
```

### handed on to who wants it
```python
import torch

def scaled(x):
    with torch.no_grad():
        scale = x * x
    return x * scale

def build(x):
    return torch.jit.trace(scaled, (x,))  # GL319

# run: x = torch.ones(1, requires_grad=True); build(x)(x).sum().backward()
# shows: x.grad.item() == 3
```

### a decorated method of a part, and a script
```python
import torch
from torch import nn
from torch.jit import trace

class Weighted(nn.Module):
    @torch.no_grad()
    def mean(self, x):
        return x.mean()

    def forward(self, x):
        return x * self.mean(x)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.weighted = nn.Linear(2, 2), Weighted()

    def forward(self, x):
        return self.weighted(self.layer(x))

def rounded(weight):
    with torch.no_grad():
        change = weight * 2
    return weight + change

traced = trace(rounded, (torch.zeros(3),))  # GL319
weight = torch.ones(3, requires_grad=True)
loss = traced(weight).sum()
loss.backward()
net, images = Net(), torch.randn(4, 2)
traced_net = torch.jit.trace(net, images)  # GL319
traced_net(images).sum().backward()

# shows: weight.grad.tolist() == [3, 3, 3]
# run: traced_grad = net.layer.weight.grad.clone(); net.zero_grad(); net(images).sum().backward()
# shows: not torch.allclose(traced_grad, net.layer.weight.grad)
```

## Silent

### a script that traces one thing and trains another
```python
import torch

def rounded(weight):
    with torch.no_grad():
        change = weight.round() - weight
    return weight + change

example = torch.ones(3)
traced = torch.jit.trace(rounded, (example,))
weight = torch.ones(3, requires_grad=True)
rounded(weight).sum().backward()
print(traced(example).sum())

# shows: weight.grad.tolist() == [1, 1, 1]
```

### exported
```python
import torch
from torch import nn

class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x):
        with torch.no_grad():
            scale = self.weight * self.weight
        return x * scale

def export(x, path):
    traced = torch.jit.trace(Scaled().eval(), x)
    with torch.no_grad():
        print(traced(x).sum())
    traced.save(path)

# run: export(torch.ones(3), "scaled.pt")
```

### no mode in it
```python
import torch

def scaled(x):
    return x * (x * x).detach()

def derivative(x):
    traced = torch.jit.trace(scaled, x)
    traced(x).sum().backward()
    return x.grad

# run: found = derivative(torch.ones(1, requires_grad=True))
# shows: found.item() == 1
```

### compiled instead
```python
import torch

def scaled(x):
    with torch.no_grad():
        scale = x * x
    return x * scale

def derivative(x):
    compiled = torch.compile(scaled, backend="eager")
    compiled(x).sum().backward()
    return x.grad
```
"""
