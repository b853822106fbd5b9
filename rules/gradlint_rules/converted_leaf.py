"""A tensor is made with `requires_grad=True` and converted at once: the leaf is lost.

## Flagged

```python
import torch

weight = torch.randn(3, requires_grad=True).double()  # GL204
loss = (weight**2).sum()
loss.backward()
print(weight.grad)  # GL201
# warns: UserWarning: The .grad attribute of a Tensor that is not a leaf Tensor is being accessed.
# shows: not weight.is_leaf
```

## Instead

```python
import torch

weight = torch.randn(3).double().requires_grad_()
loss = (weight**2).sum()
loss.backward()
print(weight.grad)
# shows: weight.is_leaf
```

## Fixed

```python
import torch

weight = torch.randn(3).double().requires_grad_()
loss = (weight**2).sum()
loss.backward()
print(weight.grad)
```

## Why

The conversion is an operation like any other: its result is a computed tensor, and the leaf it was computed
from has no name. The gradient goes to that leaf, where nobody can read it; `weight.grad` is `None`, and an
optimizer refuses the tensor: `ValueError: can't optimize a non-leaf Tensor`. `.to(device)`, `.cuda()` and
`.float()` give the very same tensor where there is nothing to convert, so that the mistake shows on a GPU only.

Convert first, then call `.requires_grad_()`; or pass `device=` and `dtype=` to the function that makes it.
"""

from collections.abc import Iterator

from gradlint.rule import (
    Assign,
    Attribute,
    Call,
    Constant,
    Edit,
    Expression,
    Finding,
    Fix,
    FunctionNode,
    Project,
    Severity,
    called_name,
    dotted,
    parameter_names,
    rule,
    scope,
    statements,
    within,
)

_COPYING = frozenset("double half bfloat16 clone view reshape unsqueeze squeeze t expand abs repeat".split())
_CONVERTING = frozenset("to cuda float cpu type type_as contiguous".split())
_OF_FLOATS = (".rand", ".randn", ".zeros", ".ones", ".empty", ".eye", ".linspace")  # unless a type is spelt out
_MAKING = frozenset("tensor rand randn zeros ones full empty eye linspace arange Variable randn_like rand_like".split())
_PARAMETER = "Parameter"


@rule("GL204", severity="error", since="0.2.0")
def converted_leaf(project: Project) -> Iterator[Finding]:
    """Find leaves that lose their only reference to a conversion, where the result is used as if it were the leaf."""
    for function in project.functions():
        if function.facts.words.isdisjoint(_MAKING) and _PARAMETER not in function.facts.words:
            continue
        found = [(path, value, methods) for path, value in scope.assigned(function) if (methods := _conversions(value))]
        if found and "retain_grad" not in function.facts.words:
            wanted = {*_read(project, function), *_optimized(project, function)}
            silent = scope.expected_to_fail(function)
            for path, value, methods in found:
                if path not in wanted or value.at in silent or _is_of_module(project, function, path):
                    continue
                if not _changes_nothing(value, methods) and not _is_there_already(project, function, value, methods):
                    yield _finding(function, path, value, methods)


def _conversions(value: Expression) -> list[str]:
    """The methods between a leaf's making and its name: ``double``, ``to`` and the like."""
    methods: list[str] = []
    while isinstance(value, Call) and isinstance(value.function, Attribute):
        if value.function.name not in _COPYING | _CONVERTING:
            break
        methods.append(value.function.name)
        value = value.function.value
    return methods if isinstance(value, Call) and _is_leaf(value) else []


def _changes_nothing(value: Expression, methods: list[str]) -> bool:
    """``torch.rand(3, requires_grad=True).float()``: what is of that type already comes back as it is."""
    made = value.function.value if isinstance(value, Call) and isinstance(value.function, Attribute) else None
    if isinstance(made, Call) and called_name(made) == _PARAMETER and made.arguments:
        made = made.arguments[0].value
    if methods != ["float"] or not isinstance(made, Call):
        return False
    types = [(dotted(a.value) or "").rpartition(".")[2] for a in made.arguments if a.keyword == "dtype"]
    return types in (["float32"], ["float"]) or (not types and (dotted(made.function) or "?").endswith(_OF_FLOATS))


def _is_there_already(project: Project, function: FunctionNode, value: Expression, methods: list[str]) -> bool:
    """``Variable(encoder(x), requires_grad=True).to(device)``: what a module computes is where the module is.

    So is what was made or moved there: ``nn.Parameter(torch.zeros(4, device=device)).to(device)``.
    """
    if not {*methods} <= {"to", "cuda"} or any(_names_type(call) for call in within(value)):
        return False
    made = next(call for call in within(value) if isinstance(call, Call) and _is_leaf(call))
    if any(_is_put_somewhere(part) for part in within(made)):
        return True
    given = made.arguments[0].value
    if (name := dotted(given)) is not None:
        before = [v for v in _assigned(function, name) if v.at < value.at]
        given = before[-1] if before else given
    event = project.flow(function).calls.get(given.at)
    return event is not None and event.callee.kind == "module"


def _assigned(function: FunctionNode, name: str) -> Iterator[Expression]:
    """What is assigned to a name, or taken apart for it."""
    for statement in statements(function.facts.body):
        targets = statement.targets if isinstance(statement, Assign) else ()
        if isinstance(statement, Assign) and name in {dotted(part) for each in targets for part in within(each)}:
            yield statement.value


def _is_put_somewhere(part: Expression) -> bool:
    if not isinstance(part, Call):
        return False
    return called_name(part) in ("to", "cuda") or any(argument.keyword == "device" for argument in part.arguments)


def _is_of_module(project: Project, function: FunctionNode, path: str) -> bool:
    """Whether it is an attribute of a module, which is no parameter any more: GL207 tells of that."""
    return path.startswith("self.") and project.calls.modules.has_method(function)


def _names_type(call: Expression) -> bool:
    """``.to(torch.float64)``, ``.to(dtype=kind)``."""
    if not isinstance(call, Call) or not isinstance(call.function, Attribute) or call.function.name != "to":
        return False
    return any(a.keyword == "dtype" or (dotted(a.value) or "").startswith("torch.") for a in call.arguments)


def _is_leaf(made: Call) -> bool:
    flags = [a.value for a in made.arguments if a.keyword == "requires_grad"]
    if called_name(made) == _PARAMETER and not flags:
        return bool(made.arguments)
    wanted = any(isinstance(flag, Constant) and flag.value is True for flag in flags)
    return wanted and called_name(made) in _MAKING | {_PARAMETER}


def _read(project: Project, function: FunctionNode) -> Iterator[str]:
    for event in project.gradients.reads(function):
        if event.path is not None and not event.guarded and not event.tested:
            yield event.path.removesuffix(".grad")


def _optimized(project: Project, function: FunctionNode) -> Iterator[str]:
    for optimizer in project.optimizers.made(function):
        yield from parameter_names(optimizer.parameters.expression)


def _finding(function: FunctionNode, path: str, value: Expression, methods: list[str]) -> Finding:
    copies = [method for method in methods if method in _COPYING]
    severity: Severity = "error" if copies else "warning"
    when = "" if copies else ", as soon as there is something to convert"
    return Finding(
        function.place(value.at),
        function.name,
        f"`{path}` is no leaf{when}: `.{(copies or methods)[0]}()` computes another tensor, and the leaf has no name",
        help=f"convert first, and {_last_step(value)}",
        severity=severity,
        fix=_converted_first(function, value),
    )


def _last_step(value: Expression) -> str:
    parameter = any(isinstance(part, Call) and called_name(part) == _PARAMETER for part in within(value))
    return "make a parameter of the result" if parameter else "call `.requires_grad_()` on the result"


def _converted_first(function: FunctionNode, value: Expression) -> Fix | None:
    made = value
    while isinstance(made, Call) and isinstance(made.function, Attribute) and isinstance(made.function.value, Call):
        made = made.function.value
    flags = [a.value.at for a in made.arguments if a.keyword == "requires_grad"] if isinstance(made, Call) else []
    if len(flags) != 1:
        return None
    removed = Edit(function.place(flags[0]), "argument", "")
    added = Edit(function.place(value.at), "after", ".requires_grad_()")
    return Fix("safe", "convert first, then call `.requires_grad_()`", (removed, added))


CASES = r"""
## Flagged

### given to an optimizer, on a GPU
```python
import torch

def fit(device):
    offset = torch.zeros(3, requires_grad=True).to(device)  # GL204
    return torch.optim.Adam([offset], lr=0.1)

# run: fit("meta")
# raises: ValueError: can't optimize a non-leaf Tensor
```

### made of data, beside what a module computed
```python
import torch
from torch import nn
from torch.autograd import Variable

def search(encoder, image, device):
    code = encoder(image)
    start = torch.rand(2)
    start = Variable(start, requires_grad=True).to(device)  # GL204
    return code, torch.optim.SGD([start], lr=0.1)

# run: search(nn.Linear(2, 2), torch.ones(1, 2), "meta")
# raises: ValueError: can't optimize a non-leaf Tensor
```

### a parameter, on a GPU or of another type
```python
import torch
from torch import nn

def tune(device):
    prompt = nn.Parameter(torch.randn(1, 4)).to(device)  # GL204
    scale = torch.nn.Parameter(torch.ones(4)).double()  # GL204
    return torch.optim.Adam([prompt, scale], lr=0.1)

# run: tune("meta")
# raises: ValueError: can't optimize a non-leaf Tensor
```

### several conversions
```python
import torch

image = torch.rand(4, requires_grad=True).view(2, 2).float()  # GL204
image.sum().backward()
print(image.grad)  # GL201
# warns: UserWarning: The .grad attribute of a Tensor that is not a leaf Tensor is being accessed.
```

## Silent

### of the type that it has already
```python
import torch

image = torch.rand(4, requires_grad=True).float()
other = torch.tensor([1, 2], dtype=torch.float32, requires_grad=True).float()
(image.sum() + other.sum()).backward()
print(image.grad, other.grad)
# shows: image.grad is not None and other.grad is not None
```

### converted first, or nothing to convert
```python
import torch

image = torch.rand(4).double().requires_grad_()
other = torch.rand(4, dtype=torch.double, requires_grad=True)
(image * other).sum().backward()
print(image.grad, other.grad)
```

### made where it is moved to
```python
import torch
from torch import nn

def tune(device):
    prompt = nn.Parameter(torch.randn(1, 4, device=device)).to(device)
    offset = torch.zeros(3, device=device, requires_grad=True).to(device)
    frozen = nn.Parameter(torch.ones(2), requires_grad=False).to(device)
    scale = nn.Parameter(torch.ones(4)).float()
    return torch.optim.Adam([prompt, offset, frozen, scale], lr=0.1)

# run: tune("cpu")
```

### the leaf has a name
```python
import torch

leaf = torch.rand(4, requires_grad=True)
image = leaf.double()
image.sum().backward()
print(leaf.grad)
```

### only its graph is wanted
```python
import torch

def check(device):
    x = torch.rand(4, requires_grad=True).to(device)
    y = (x**2).sum()
    return torch.autograd.grad(y, x)

# run: check("cpu")
```

### retained
```python
import torch

x = torch.rand(4, requires_grad=True).double()
x.retain_grad()
x.sum().backward()
print(x.grad)
# shows: x.grad is not None
```

### what a module computed is on its device already
```python
import torch
from torch import nn
from torch.autograd import Variable

def search(image, device):
    encoder = nn.Linear(4, 2).to(device)
    for param in encoder.parameters():
        param.requires_grad = False
    code = encoder(image.to(device))
    code = Variable(code, requires_grad=True).to(device)
    optimizer = torch.optim.SGD([code], lr=0.1)
    code.sum().backward()
    optimizer.step()
    return code.grad

# run: search(torch.ones(1, 4), "cpu")
# shows: search(torch.ones(1, 4), "cpu") is not None
```
"""
