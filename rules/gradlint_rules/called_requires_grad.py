"""The flag `requires_grad` is called, or the method `requires_grad_` is tested, one taken for the other.

## Flagged

```python
def freeze(model):
    for param in model.parameters():
        param.requires_grad(False)  # GL503

# run: freeze(model)
# raises: TypeError: 'bool' object is not callable
```

```python
def trainable(model):
    return [param for param in model.parameters() if param.requires_grad_]  # GL503

# run: model.requires_grad_(False)
# run: found = trainable(model)
# shows: len(found) == 2
```

## Instead

```python
def freeze(model):
    for param in model.parameters():
        param.requires_grad_(False)

# run: freeze(model)
# shows: not any(param.requires_grad for param in model.parameters())
```

```python
def trainable(model):
    return [param for param in model.parameters() if param.requires_grad]

# run: model.requires_grad_(False)
# run: found = trainable(model)
# shows: found == []
```

## Fixed

```python
def freeze(model):
    for param in model.parameters():
        param.requires_grad_(False)
```

```python
def trainable(model):
    return [param for param in model.parameters() if param.requires_grad]
```

## Why

`requires_grad` is an attribute that holds a bool: calling it raises `TypeError: 'bool' object is not
callable`. On a module, which has no such attribute, it is `AttributeError: 'Linear' object has no
attribute 'requires_grad'`. The method that sets the flag ends in an underscore.

The other way round nothing is said: a method is always true, so a test of `requires_grad_` without
a call takes its branch for every tensor, and a call in a test does not ask but switches the flag on.
"""

from collections.abc import Iterator

from gradlint.rule import (
    Applicability,
    Attribute,
    Call,
    Constant,
    Edit,
    Expression,
    Finding,
    Fix,
    FunctionNode,
    Project,
    all_of,
    dotted,
    rule,
    scope,
)

_FLAG, _METHOD = "requires_grad", "requires_grad_"
_HOLDERS = frozenset({"tensor", "parameters", "module"})
_CLASSES = frozenset({"torch.Tensor", "torch.nn.Parameter", "torch.nn.Module"})
_OF_LAYERS = (".weight", ".bias")
_PARAMETER_NAMES = frozenset({"param", "params", "parameter", "p"})


@rule("GL503", severity="error", since="0.1.0")
def called_requires_grad(project: Project) -> Iterator[Finding]:
    """Find calls of the flag, and tests of the method."""
    for function in project.functions():
        if _FLAG in function.facts.words:
            yield from _called(project, function)
        if _METHOD in function.facts.words:
            yield from _tested(project, function)


def _called(project: Project, function: FunctionNode) -> Iterator[Finding]:
    expected = scope.expected_to_fail(function) | scope.tried(function)
    for call in all_of(Call, function.facts.body):
        match call:
            case Call(function=Attribute(name="requires_grad", value=owner) as named) if call.at not in expected:
                named_so = _FLAG in project.linker.methods_named
                if not named_so and (_holds(project, function, named, owner) or _is_set(project, function, call)):
                    yield Finding(
                        function.place(call.at),
                        function.name,
                        "`requires_grad` is a flag and cannot be called",
                        help=f"write `{_METHOD}(...)`",
                        fix=_rename(function, named, _METHOD, "safe"),  # as it is, it raises
                    )
            case _:
                pass


def _is_set(project: Project, function: FunctionNode, call: Call) -> bool:
    """``x.requires_grad(True)`` of something unknown, in a file that imports torch: the flag is to be set."""
    given = [argument.value for argument in call.arguments]
    switch = len(given) == 1 and isinstance(given[0], Constant) and isinstance(given[0].value, bool)
    owner = call.function.value if isinstance(call.function, Attribute) else call
    if not switch or dotted(owner) in (None, "self"):
        return False
    event = project.flow(function).calls.get(call.at)
    unknown = (
        event is None or event.receiver is None or (event.receiver.kind, event.receiver.target) == ("unknown", None)
    )
    return unknown and scope.imports_torch(function)


def _holds(project: Project, function: FunctionNode, named: Attribute, owner: Expression) -> bool:
    """Whether the flag's owner is a tensor, parameter or module."""
    event = project.flow(function).attributes.get((named.at, False))
    kind = event.owner.kind if event is not None else "unknown"
    if kind == "self":
        return project.calls.modules.has_method(function)
    name = dotted(owner) or ""
    if kind != "unknown":
        return kind in _HOLDERS
    if name in _PARAMETER_NAMES or name.endswith(_OF_LAYERS) or project.evidence.said(function, name) in _CLASSES:
        return True
    return bool(name) and any(e.forward and e.name == name for e in project.flow(function).calls.values())


def _tested(project: Project, function: FunctionNode) -> Iterator[Finding]:
    for test in scope.tested(function):
        match test:
            case Attribute(name="requires_grad_"):
                yield Finding(
                    function.place(test.at),
                    function.name,
                    "a method is always true: this asks nothing about the flag",
                    help=f"write `{_FLAG}`",
                    fix=_rename(function, test, _FLAG, "unsafe"),  # another branch will be taken
                )
            case Call(function=Attribute(name="requires_grad_"), arguments=()):
                yield Finding(
                    function.place(test.at),
                    function.name,
                    "this test does not ask for the flag but switches it on",
                    help=f"write `{_FLAG}`",
                )
            case _:
                pass


def _rename(function: FunctionNode, named: Attribute, text: str, applicability: Applicability) -> Fix:
    return Fix(applicability, f"write `{text}`", (Edit(function.place(named.name_at), "replace", text),))


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Linear(8, 3)
```

## Flagged

### on tensors and modules
```python
import torch
from torch import nn

x = torch.ones(3)
layer = nn.Linear(3, 1)

def mark():
    x.requires_grad(True)  # GL503

def mark_weight():
    layer.weight.requires_grad(False)  # GL503

# run: mark()
# run: mark_weight()
# raises: TypeError: 'bool' object is not callable
```

### on a whole module
```python
from torch import nn

def frozen():
    layer = nn.Linear(3, 1)
    layer.requires_grad(False)  # GL503
    return layer

# run: frozen()
# raises: AttributeError: 'Linear' object has no attribute 'requires_grad'
```

### on a part that a module was given
```python
from torch import nn

class Net(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def freeze(self):
        self.body.weight.requires_grad(False)  # GL503

# run: Net(nn.Linear(3, 1)).freeze()
# raises: TypeError: 'bool' object is not callable
```

### by a module, on itself
```python
from torch import nn

class Net(nn.Module):
    def freeze(self):
        self.requires_grad(False)  # GL503

# run: Net().freeze()
# raises: AttributeError: 'Net' object has no attribute 'requires_grad'
```

### asked by a call that sets
```python
import torch

def describe(x):
    if x.requires_grad_():  # GL503
        return "trained"
    return "frozen"

# run: x = torch.ones(1)
# run: answer = describe(x)
# shows: answer == "trained" and x.requires_grad
```

### set on something unknown where torch is imported
```python
import torch

def ascend(score, image):
    image.requires_grad(True)  # GL503
    return torch.autograd.grad(score(image), image)

# run: ascend(torch.sum, torch.ones(2))
# raises: TypeError: 'bool' object is not callable
```

### of what a function says is a tensor, and of what it runs as a model
```python
import torch

def leaf(x: torch.Tensor):
    return x.requires_grad(True)  # GL503

def freeze(net, images):
    net.requires_grad(False)  # GL503
    return net(images)

# run: freeze(torch.nn.Linear(2, 2), torch.ones(2))
# raises: AttributeError: 'Linear' object has no attribute 'requires_grad'
```

## Silent

### read, set and called as they are meant
```python
import torch

x = torch.ones(3).requires_grad_()
y = torch.ones(3)
y.requires_grad = x.requires_grad
if x.requires_grad and not y.requires_grad:
    y.requires_grad_(True)
# shows: y.requires_grad
```

### a method of that name in the project
```python
class Flags:
    def __init__(self, params):
        self.params = params

    def requires_grad(self, value):
        for param in self.params:
            param.requires_grad = value

flags = Flags(())
flags.requires_grad(True)
```

### a function that has its name
```python
def requires_grad(model, flag=True):
    for param in model.parameters():
        param.requires_grad = flag

requires_grad(model, False)
# shows: not model.weight.requires_grad
```

### of an object that makes its own
```python
class Settings:
    def __init__(self, requires_grad):
        self.requires_grad = requires_grad

    def ask(self, name):
        return self.requires_grad(name)

# run: found = Settings(str.isupper).ask("A")
# shows: found
```

### of an object that is not known
```python
def describe(config):
    return config.requires_grad("encoder")
```

### asked with a name, or of an object of another library
```python
import settings
import torch

def describe(config):
    shown = settings.Settings()
    return torch.tensor([config.requires_grad("encoder"), shown.requires_grad(True)])
```
"""
