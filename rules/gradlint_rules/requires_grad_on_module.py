"""A module is given an attribute that only looks as if it froze or switched it.

## Flagged

```python
from torchvision import models

def build(classes):
    model = models.resnet18()
    model.requires_grad = False  # GL502
    return model

# run: model = build(3)
# shows: all(parameter.requires_grad for parameter in model.parameters())
```

## Instead

```python
from torchvision import models

def build(classes):
    model = models.resnet18()
    model.requires_grad_(False)
    return model

# run: model = build(3)
# shows: not any(parameter.requires_grad for parameter in model.parameters())
```

## Fixed

```python
from torchvision import models

def build(classes):
    model = models.resnet18()
    model.requires_grad_(False)
    return model
```

## Why

A module has no flag of its own: `model.requires_grad = False` stores an attribute that nothing
reads. Every parameter still requires grad, is trained, and has its gradient computed and kept. The
method `requires_grad_(False)` sets the flag of all parameters. What `state_dict()` gives are detached
tensors, made anew by each call: to set their flags leaves those of the parameters as they are.

`model.eval = True` and `model.train = False` likewise switch nothing; they hide the method of that
name, so that the next `model.eval()` raises `TypeError: 'bool' object is not callable`. And
`model.parameters()` is a generator: setting its `requires_grad` raises `AttributeError: 'generator'
object has no attribute 'requires_grad'`.
"""

import re
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
    For,
    FunctionNode,
    Name,
    Operation,
    Project,
    Subscript,
    dotted,
    names_in,
    rule,
    scope,
    statements,
)

_MODES = frozenset({"eval", "train"})
_WORDS = _MODES | {"requires_grad"}
_LAYER = re.compile(
    r"^(layers?\d*|features|classifier|avgpool|(conv|bn|norm|fc|linear|block|stage|stem)\d+|fc|blocks|lm_head)$"
)
_LAYERS = re.compile(r"^(layers?\d*|features|classifier|blocks)$")  # those that hold others by number
_COLLECTIONS = frozenset({"parameters", "named_parameters"})


@rule("GL502", severity="error", since="0.1.0")
def requires_grad_on_module(project: Project) -> Iterator[Finding]:
    """Find attributes of modules, and of generators of parameters, that are set in vain."""
    for function in project.functions():
        if _WORDS.isdisjoint(function.facts.words):
            continue
        expected = scope.expected_to_fail(function)
        for statement in statements(function.facts.body):
            match statement:
                case Assign(targets=(Attribute() as target,), value=value) if target.at not in expected:
                    yield from _findings(project, function, statement, target, value)
                case For(iterable=iterable, target=target) if _lists_state(iterable):
                    yield from _of_state(function, statement, target)
                case _:
                    pass


def _lists_state(iterable: Expression) -> bool:
    """``model.state_dict().items()``: detached tensors, unless the parameters themselves are asked for."""
    match iterable:
        case Call(
            function=Attribute(
                value=Call(function=Attribute(name="state_dict"), arguments=arguments), name="items" | "values"
            )
        ):
            return not any(argument.keyword == "keep_vars" for argument in arguments)
        case _:
            return False


def _of_state(function: FunctionNode, loop: For, target: Expression) -> Iterator[Finding]:
    """The flags that a loop sets on what ``state_dict()`` gives."""
    names = names_in(target)
    for statement in statements(loop.body):
        match statement:
            case Assign(targets=(Attribute(value=Name(id=name), name="requires_grad", at=at),)) if name in names:
                yield Finding(
                    function.place(at),
                    function.name,
                    "`state_dict()` gives detached tensors: the parameters keep their flags",
                    help="loop over `parameters()` or `named_parameters()`",
                )
            case _:
                pass


def _findings(
    project: Project, function: FunctionNode, statement: Assign, target: Attribute, value: Expression
) -> Iterator[Finding]:
    match target:
        case Attribute(name="requires_grad", value=Call(function=Attribute(name=name))) if name in _COLLECTIONS:
            message = f"`{name}()` gives a generator, which has no such attribute"
            yield Finding(function.place(target.at), function.name, message, help="write `requires_grad_(...)`")
        case Attribute(name="requires_grad") if _is_module(project, function, target):
            message = "nothing reads this attribute of a module: its parameters keep their flags"
            fix = _call(function, statement, target, f"requires_grad_({_text(value)})") if _text(value) else None
            yield Finding(
                function.place(target.at), function.name, message, help="write `requires_grad_(...)`", fix=fix
            )
        case Attribute(name=name) if name in _MODES and _text(value) and _is_module(project, function, target):
            method = "train" if _text(value) == str(name == "train") else "eval"
            yield Finding(
                function.place(target.at),
                function.name,
                f"this hides the method `{name}`, and the module stays in the mode it is in",
                help=f"write `{method}()`",
                fix=_call(function, statement, target, f"{method}()"),
            )
        case _:
            pass


def _is_module(project: Project, function: FunctionNode, target: Attribute) -> bool:
    """Whether the owner is a module, and none that makes something of the attribute by itself."""
    if target.name == "requires_grad" and _may_be_property(project, function, target):
        return False
    if _is_item_of_one_of_many(function, target.value):
        return False
    return project.evidence.owned_by_module(function, target, stored=True) or _is_layer(project, function, target.value)


def _is_item_of_one_of_many(function: FunctionNode, owner: Expression) -> bool:
    """``for part in self.parts: part["scale"]...``: if these are dicts of parameters, a parameter."""
    match owner:
        case Subscript(value=Name(id=name), index=Constant(value=str())):
            return any(
                name in names_in(each.target) for each in statements(function.facts.body) if isinstance(each, For)
            )
        case _:
            return False


def _may_be_property(project: Project, function: FunctionNode, target: Attribute) -> bool:
    """Whether a class of the project, or one that nobody here sees, may make a property of the attribute."""
    return target.name in project.linker.methods_named or project.evidence.of_unseen_class(function, target)


def _is_layer(project: Project, function: FunctionNode, owner: Expression) -> bool:
    """``model.layer4``: a part of a module, under a name that layers have and parameters have not."""
    match owner:
        case Subscript(value=Attribute(name=name) as layers, index=index) if _LAYERS.search(name):
            own = dotted(layers.value) == "self"  # whose class says what these are
            return _is_number(index) and not own and project.evidence.owned_by_module(function, layers)
        case Attribute(name=name) if _LAYER.search(name):
            return project.evidence.owned_by_module(function, owner)
        case _:
            return False


def _is_number(index: Expression) -> bool:
    """Whether an index is spelt out: ``28``, ``-1``."""
    match index:
        case Operation(operator="-", operands=(inner,)):
            return _is_number(inner)
        case _:
            return isinstance(index, Constant) and isinstance(index.value, int)


def _text(value: Expression) -> str:
    return str(value.value) if isinstance(value, Constant) and isinstance(value.value, bool) else ""


def _call(function: FunctionNode, statement: Assign, target: Attribute, call: str) -> Fix | None:
    owner = dotted(target.value)
    if owner is None:
        return None
    edit = Edit(function.place(statement.at), "replace", f"{owner}.{call}")
    return Fix("unsafe", f"write `{owner}.{call}`", (edit,))


CASES = r"""
```python setup
# file: torchvision/__init__.py
# file: torchvision/models.py
from torch import nn

def resnet18():
    return nn.Sequential(nn.Linear(8, 8), nn.Dropout(), nn.Linear(8, 3))
# file: example.py
import torch
from torch import nn

model = nn.Sequential(nn.Linear(8, 8), nn.Dropout(), nn.Linear(8, 3))
```

## Flagged

### a module, if it is one
```python
from torch import nn

def freeze(models):
    for model in models:
        if isinstance(model, nn.Sequential):
            model.requires_grad = False  # GL502

# run: freeze([model])
# shows: all(parameter.requires_grad for parameter in model.parameters())
```

### a numbered layer of a model that others have made
```python
from torch import nn

def tune(model):
    model.requires_grad_(False)
    model.features[0].requires_grad = True  # GL502
    model.layer4[-1].requires_grad = True  # GL502

# run: net = nn.ModuleDict({"features": nn.Sequential(nn.Linear(2, 2)), "layer4": nn.Sequential(nn.Linear(2, 2))})
# run: tune(net)
# shows: not any(parameter.requires_grad for parameter in net.parameters())
```

### of a list of modules, and of the first children
```python
from torch import nn

class Pyramid(nn.Module):
    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleList([nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)])
        self.heads = nn.ModuleDict({"a": nn.Linear(1, 1)})
        for each in self.stages:
            each.requires_grad = False  # GL502
        self.stages[0].requires_grad = False  # GL502
        for each in self.heads.values():
            each.requires_grad = False  # GL502

def freeze(model):
    for child in list(model.children())[:3]:
        child.requires_grad = False  # GL502

# run: net = Pyramid()
# run: freeze(net)
# shows: all(parameter.requires_grad for parameter in net.parameters())
```

### what a state dict gives
```python
def freeze(model):
    for name, value in model.state_dict().items():
        if name.startswith("0."):
            value.requires_grad = False  # GL502

# run: freeze(model)
# shows: all(parameter.requires_grad for parameter in model.parameters())
```

### part of a model, and a model named so
```python
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(8, 4)
        self.head = nn.Linear(4, 2)
        self.encoder.requires_grad = False  # GL502

def freeze(model):
    model.requires_grad = False  # GL502
    model.eval()

# run: net = Net()
# run: freeze(net)
# shows: net.encoder.weight.requires_grad and net.head.weight.requires_grad
```

### the generator of parameters
```python
from torch import nn

def freeze(model):
    model.parameters().requires_grad = False  # GL502

# run: freeze(nn.Linear(2, 2))
# raises: AttributeError: 'generator' object has no attribute 'requires_grad'
```

### methods hidden
```python
from torch import nn

def evaluate():
    net = nn.Sequential(nn.Linear(8, 8), nn.Dropout())
    net.eval = True  # GL502
    return net

# run: net = evaluate()
# shows: net.training
```

### a module by its annotation
```python
from typing import Optional
from torch import nn

class Detector(nn.Module):
    def __init__(self, body: nn.Module, neck: Optional[nn.Linear] = None):
        super().__init__()
        self.body, self.neck = body, neck
        self.body.requires_grad = False  # GL502
        neck.requires_grad = False  # GL502

# run: detector = Detector(nn.Linear(2, 2), nn.Linear(2, 2))
# shows: detector.body.weight.requires_grad and detector.neck.weight.requires_grad
```

### a part of a model, by the name that layers have
```python
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer4 = nn.Linear(2, 2)

def freeze(model):
    model.eval()
    model.layer4.requires_grad = False  # GL502

# run: net = Net()
# run: freeze(net)
# shows: net.layer4.weight.requires_grad
```

## Silent

### parameters by name in the dicts that a list of a module holds
```python
import torch
from torch import nn

class Layer(nn.Linear):
    def __init__(self, size, stages):
        super().__init__(size, size)
        self.adapters = nn.ModuleList()
        for _ in range(stages):
            self.adapters.append(nn.ParameterDict({"down": nn.Parameter(torch.randn(2, size))}))

    def choose(self, stage):
        self.weight.requires_grad = stage == 0
        for number, adapter in enumerate(self.adapters):
            adapter["down"].requires_grad = number == stage

layer = Layer(4, 2)
layer.choose(1)
```

### the parameters that a state dict is asked for, and what it is loaded into
```python
import copy

def freeze(model):
    for value in model.state_dict(keep_vars=True).values():
        value.requires_grad = False
    for value, parameter in zip(model.state_dict().values(), copy.deepcopy(model).parameters()):
        parameter.requires_grad = bool(value.sum() > 0)

# run: freeze(model)
# shows: not any(parameter.requires_grad for parameter in model.parameters())
```

### a tensor that a model keeps among others
```python
import torch
from torch import nn

class Extractor(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.features = []

    def keep(self, images):
        self.features.append(self.layer(images).detach())
        self.features[-1].requires_grad = True

extractor = Extractor()
extractor.keep(torch.ones(2, 8))
# shows: extractor.features[0].requires_grad
```

### tensors and settings by their annotation
```python
import torch
from torch import nn

def mark(scale: torch.Tensor, weight: nn.Parameter, settings: dict):
    scale.requires_grad = True
    weight.requires_grad = False

# run: weight = nn.Parameter(torch.ones(2)); mark(torch.ones(2), weight, {})
# shows: not weight.requires_grad
```

### a tensor, if it is one
```python
import torch
from torch import nn

def freeze(*models):
    for model in models:
        if isinstance(model, nn.Module):
            model.requires_grad_(False)
        elif isinstance(model, (nn.Parameter, torch.Tensor)):
            model.requires_grad = False

# run: weight, layer = torch.ones(2, requires_grad=True), nn.Linear(2, 2)
# run: freeze(layer, weight)
# shows: not weight.requires_grad and not layer.weight.requires_grad
```

### a parameter of a model
```python
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer_scale = nn.Parameter(torch.ones(2))

def freeze(model):
    model.eval()
    model.layer_scale.requires_grad = False

# run: freeze(Net())
```

### the flag of parameters
```python
from torch import nn

layer = nn.Linear(8, 3)
layer.weight.requires_grad = False
layer.bias.requires_grad_(False)
for parameter in layer.parameters():
    parameter.requires_grad = False
# shows: not layer.weight.requires_grad
```

### a module that has such a setting
```python
from torch import nn

class Norm(nn.Module):
    def __init__(self, requires_grad=True):
        super().__init__()
        self.scale = nn.Linear(1, 1)
        self.requires_grad = requires_grad

    def forward(self, x):
        return x if self.requires_grad else x.detach()

norm = Norm()
```

### a property of the project
```python
from torch import nn

class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 3)

    @property
    def requires_grad(self):
        return self.head.weight.requires_grad

    @requires_grad.setter
    def requires_grad(self, value):
        self.head.requires_grad_(value)

frozen = Frozen()
frozen.requires_grad = False
# shows: not frozen.head.weight.requires_grad
```

### a property of a class that is out of sight
```python
from embeddings import ContextualEmbedding

class Words(ContextualEmbedding):
    def __init__(self, vocabulary):
        super().__init__(vocabulary)
        self.vocabulary = vocabulary

    def forward(self, words):
        return self.dropout(super().forward(words))

def thaw(vocabulary):
    words = Words(vocabulary)
    words.requires_grad = True
    return words
```

### settings of a program
```python
import argparse

args = argparse.Namespace()
args.train = True
args.eval = False
args.requires_grad = False
```

### of a parameter in a list or dict of such
```python
import torch
from torch import nn

class Ranks(nn.Module):
    def __init__(self):
        super().__init__()
        self.ranks = nn.ParameterDict({})
        self.scales = nn.ParameterList([nn.Parameter(torch.ones(1))])

    def add(self, name):
        self.ranks[name] = nn.Parameter(torch.ones(1))
        self.ranks[name].requires_grad = False
        for scale in self.scales:
            scale.requires_grad = False

# run: module = Ranks(); module.add("a")
# shows: not any(parameter.requires_grad for parameter in module.parameters())
```

### a tensor that is called like a generator
```python
import torch
from torch import nn

energy = nn.Linear(2, 1)

def refine(batch):
    gen_x = batch.x.to(dtype=torch.float32)
    gen_x.requires_grad = True
    energy(gen_x).sum().backward()
    return gen_x.grad

# run: from types import SimpleNamespace
# run: found = refine(SimpleNamespace(x=torch.ones(2)))
# shows: found is not None
```

### another name of what is given, and what is changed in place
```python
import torch
from torch import nn

energy = nn.Linear(2, 1)

def likelihood(batch):
    gen = batch
    gen.requires_grad = True
    return torch.autograd.grad(energy(gen).sum(), gen)[0]

def descend(generator):
    generator -= 1
    generator.requires_grad = True
    return torch.autograd.grad(energy(generator).sum(), generator)[0]

# run: one, other = likelihood(torch.ones(3, 2)), descend(torch.ones(3, 2))
# shows: one.equal(other)
```
"""
