"""A module's parameter is converted after it was made: what the module gets is no parameter.

## Flagged

```python
import torch
from torch import nn

class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3)).double()  # GL207

    def forward(self, x):
        return x * self.weight

# run: scale = Scale()
# shows: list(scale.parameters()) == []
```

## Instead

```python
import torch
from torch import nn

class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3).double())

    def forward(self, x):
        return x * self.weight

# run: scale = Scale()
# shows: len(list(scale.parameters())) == 1
```

## Fixed

```python
import torch
from torch import nn

class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3).double())

    def forward(self, x):
        return x * self.weight
```

## Why

A module registers what is assigned to it if it is a `Parameter`. The result of a conversion is a plain computed
tensor: `parameters()` and `state_dict()` do not have it, the optimizer never sees it, it is neither saved nor
moved, and nothing says so. `.to(device)`, `.cuda()` and `.float()` give the parameter itself where there is
nothing to convert: then it works on the CPU and is lost on the GPU.

Convert the tensor, not the parameter. Old checkpoints do not have the parameter: `load_state_dict` will say so.
"""

from collections.abc import Iterator

from gradlint.rule import (
    Attribute,
    Call,
    Edit,
    Expression,
    Finding,
    Fix,
    FunctionNode,
    Name,
    Operation,
    Project,
    Severity,
    Subscript,
    all_of,
    dotted,
    rule,
    scope,
    within,
)

_COPYING = frozenset("double half bfloat16 clone view reshape unsqueeze squeeze t expand repeat".split())
_CONVERTING = frozenset("to cuda cpu type type_as".split())  # not where there is nothing to convert
_ARITHMETIC = frozenset({"+", "-", "*", "/"})
_ASKED = frozenset(
    "data shape device dtype size numel requires_grad uniform_ normal_ zero_ fill_ requires_grad_".split()
)
_PARAMETERS = frozenset({"torch.nn.Parameter", "torch.nn.parameter.Parameter"})


@rule("GL207", severity="error", since="0.2.0")
def converted_parameter(project: Project) -> Iterator[Finding]:
    """Find parameters of modules that are converted on the way to their attribute."""
    spellings = project.modes.spellings(("Parameter",))
    for function in project.functions():
        if spellings.isdisjoint(function.facts.words) or not project.calls.modules.has_method(function):
            continue
        for path, value in scope.assigned(function):
            if (
                path.startswith("self.")
                and path.count(".") == 1
                and (method := _converted(project, function, value)) is not None
            ):
                yield _finding(function, path, value, method)


def _converted(project: Project, function: FunctionNode, value: Expression) -> str | None:
    """The method that makes a computed tensor of a parameter; one that always does before one that may."""
    if _is_calculated(project, function, value):
        return "*"
    methods: list[str] = []
    value = _only_use(project, function, value)
    while isinstance(value, Call) and isinstance(value.function, Attribute):
        if value.function.name not in _COPYING | _CONVERTING | {"float", "contiguous"}:
            break
        methods.append(value.function.name)
        value = value.function.value
    made = isinstance(value, Call) and project.name_of(function, dotted(value.function) or "?") in _PARAMETERS
    found = sorted(_COPYING.intersection(methods)) or sorted(_CONVERTING.intersection(methods))
    return found[0] if made and found else None


def _is_calculated(project: Project, function: FunctionNode, value: Expression) -> bool:
    """``nn.Parameter(x) * 0.1``: computed with, before it has a name."""
    if not isinstance(value, Operation) or value.operator not in _ARITHMETIC:
        return False
    return any(
        _is_calculated(project, function, operand)
        or (isinstance(operand, Call) and project.name_of(function, dotted(operand.function) or "?") in _PARAMETERS)
        for operand in value.operands
    )


def _only_use(project: Project, function: FunctionNode, value: Expression) -> Expression:
    """A chain of methods, with the parameter put in place of a name that is given to nothing else that keeps it."""
    chain = value
    while isinstance(chain, Call) and isinstance(chain.function, Attribute):
        chain = chain.function.value
    if not isinstance(chain, Name) or chain is value:
        return value
    reads = {e.at for e in all_of(Name, function.facts.body) if e.id == chain.id}
    made = [each for name, each in scope.assigned(function) if name == chain.id]
    elsewhere = reads - {part.at for part in within(value)} - {*_harmless(project, function)}
    return _with_root(value, made[0]) if len(made) == 1 and len(elsewhere) == 1 else value  # where it is bound


def _harmless(project: Project, function: FunctionNode) -> Iterator[int]:
    """The places where something is only filled or asked: ``nn.init.zeros_(weight)``, ``weight.data.zero_()``."""
    for call in all_of(Call, function.facts.body):
        if (project.name_of(function, dotted(call.function) or "?") or "").startswith("torch.nn.init."):
            yield from (argument.value.at for argument in call.arguments)
    yield from (e.value.at for e in all_of(Attribute, function.facts.body) if e.name in _ASKED)


def _with_root(chain: Expression, root: Expression) -> Expression:
    match chain:
        case Call(at=at, function=Attribute(at=place, value=inner, name=name), arguments=arguments):
            return Call(at, Attribute(place, _with_root(inner, root), name), arguments)
        case _:
            return root


def _finding(function: FunctionNode, path: str, value: Expression, method: str) -> Finding:
    always = method in _COPYING or method == "*"
    severity: Severity = "error" if always else "warning"
    when = "" if always else ", as soon as there is something to convert"
    how = "this calculation" if method == "*" else f"`.{method}()`"
    return Finding(
        function.place(value.at),
        function.name,
        f"`{path}` is no parameter of the module{when}: {how} computes a plain tensor, never trained or saved",
        help="convert the tensor inside: `nn.Parameter(tensor.to(...))`",
        severity=severity,
        fix=_converted_inside(function, value),
    )


def _converted_inside(function: FunctionNode, value: Expression) -> Fix | None:
    """``Parameter(x).double()`` becomes ``Parameter(x.double())``."""
    made = value
    while isinstance(made, Call) and isinstance(made.function, Attribute) and isinstance(made.function.value, Call):
        made = made.function.value
    match made:
        case Call(function=called, arguments=(given,)) if given.keyword is None and not given.stars:
            if isinstance(given.value, Name | Attribute | Call | Subscript):
                opened = f"{dotted(called)}("
                inside = Edit(function.place(made.at), "replace", opened, moved=function.place(given.value.at))
                edits = (inside, Edit(function.place(value.at), "after", ")"))
                return Fix("unsafe", "convert the tensor inside", edits)
        case _:
            pass
    return None


CASES = r"""
## Flagged

### to a device, through an alias
```python
import torch
from torch.nn import Module, Parameter as P

class Prompt(Module):
    def __init__(self, size, device):
        super().__init__()
        self.prompt = P(torch.randn(1, size)).to(device)  # GL207

# run: prompt = Prompt(3, "meta")
# shows: list(prompt.parameters()) == []
```

### computed with, or converted under another name
```python
import torch
from torch import nn

class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3)) * 0.1  # GL207
        shift = nn.Parameter(torch.zeros(3))
        self.shift = shift.unsqueeze(0)  # GL207

# run: module = Scale()
# shows: len(list(module.parameters())) == 0
```

### filled before it is converted
```python
import torch
from torch import nn

class Head(nn.Module):
    def __init__(self):
        super().__init__()
        weight = nn.Parameter(torch.empty(3, 3))
        nn.init.xavier_uniform_(weight)
        bias = nn.Parameter(torch.empty(3))
        bias.data.uniform_(-0.1, 0.1)
        self.weight = weight.half()  # GL207
        self.bias = bias.unsqueeze(0)  # GL207

# run: head = Head()
# shows: list(head.parameters()) == []
```

## Silent

### filled, and registered under another name
```python
import torch
from torch import nn

class Head(nn.Module):
    def __init__(self):
        super().__init__()
        weight = nn.Parameter(torch.empty(3, 3))
        nn.init.xavier_uniform_(weight)
        self.register_parameter("raw", weight)
        self.weight = weight.half()
        bias = nn.Parameter(torch.empty(3))
        nn.init.zeros_(bias)
        self.all = nn.ParameterList([bias])
        self.bias = bias.unsqueeze(0)

# run: head = Head()
# shows: len(list(head.parameters())) == 2
```

### converted inside
```python
import torch
from torch import nn

class Prompt(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.prompt = nn.Parameter(torch.randn(1, size).double(), requires_grad=True)
        self.scale = nn.Parameter(torch.ones(1))

# run: prompt = Prompt(3)
# shows: len(list(prompt.parameters())) == 2
```

### nothing to convert
```python
import torch
from torch import nn

class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1)).float()

# run: scale = Scale()
# shows: len(list(scale.parameters())) == 1
```

### an object that is no module
```python
import torch
from torch import nn

class Attack:
    def __init__(self):
        self.start = nn.Parameter(torch.ones(3)).double()

# run: Attack()
```

### a local name
```python
import torch
from torch import nn

class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        weight = nn.Parameter(torch.ones(3)).double()
        self.total = weight.sum().item()

# run: Scale()
```

### computed with inside, or kept under its own name as well
```python
import torch
from torch import nn

class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3) * 0.1)
        shift = nn.Parameter(torch.zeros(3))
        self.shift = shift
        self.row = shift.unsqueeze(0)

# run: module = Scale()
# shows: len(list(module.parameters())) == 2
```
"""
