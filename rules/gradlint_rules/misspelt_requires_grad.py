"""`requires_grad` is misspelt, so the flag keeps its value.

## Flagged

```python
def freeze(model):
    for param in model.parameters():
        param.require_grad = False  # GL501

# run: freeze(model)
# shows: all(param.requires_grad for param in model.parameters())
```

```python
def freeze(model):
    for param in model.parameters():
        param.requires_grad_ = False  # GL501

# run: freeze(model)
# shows: all(param.requires_grad for param in model.parameters())
```

## Instead

```python
def freeze(model):
    for param in model.parameters():
        param.requires_grad = False

# run: freeze(model)
# shows: not any(param.requires_grad for param in model.parameters())
```

or `model.requires_grad_(False)` for the whole module.

## Fixed

```python
def freeze(model):
    for param in model.parameters():
        param.requires_grad = False
```

```python
def freeze(model):
    for param in model.parameters():
        param.requires_grad = False
```

## Why

A tensor accepts any attribute, as most Python objects do. `param.require_grad = False` stores an
attribute that nothing reads, and `param.requires_grad_ = False` hides the method of that name
behind `False`. The flag that autograd reads is unchanged: parameters meant to be frozen are
trained, parameters meant to be trained stay frozen. PyTorch says nothing.

As a keyword or a method the misspelling is loud: `TypeError: tensor() got an unexpected keyword
argument 'require_grad'`, `AttributeError: 'Tensor' object has no attribute 'require_grad_'`.
"""

from collections.abc import Iterator

from gradlint.rule import (
    Attribute,
    Edit,
    Evaluate,
    Finding,
    Fix,
    FunctionNode,
    Misspelling,
    Operation,
    Project,
    rounds,
    rule,
    statements,
)

_LOUD = frozenset({"read", "called", "keyword"})  # raises as it is, so that mending it is safe


@rule("GL501", severity="error", since="0.1.0")
def misspelt_requires_grad(project: Project) -> Iterator[Finding]:
    """Find near misses of ``requires_grad`` on tensors, parameters and modules."""
    for function in project.functions():
        for found in project.flags.misspelt(function):
            yield Finding(
                function.place(found.at),
                function.name,
                _message(found),
                help=_help(found),
                fix=_rename(function, found),
            )
        if "requires_grad" in function.facts.words:
            yield from _compared(function)


def _compared(function: FunctionNode) -> Iterator[Finding]:
    """``param.requires_grad == False`` as a statement; one of a notebook's cell may be there to be seen."""
    for statement in statements(function.facts.body):
        match statement:
            case Evaluate(
                value=Operation(operator="==", operands=(Attribute(name="requires_grad") as flag, _), at=at),
                discarded=True,
            ):
                if not function.is_module_body or rounds.innermost_loop(function, at) is not None:
                    yield Finding(
                        function.place(flag.at),
                        function.name,
                        "this compares `requires_grad`, and nobody looks at the answer: the flag keeps its value",
                        help="write `=` to set it",
                    )
            case _:
                pass


def _message(found: Misspelling) -> str:
    match found.use:
        case "keyword":
            return f"`{found.name}` is no keyword that PyTorch takes"
        case "read" | "called":
            return f"no tensor or module has `{found.name}`"
        case _ if found.name == "requires_grad_":
            return "this hides the method `requires_grad_`, and leaves the flag as it is"
        case _:
            return f"`{found.name}` is an attribute that nothing reads; the flag keeps its value"


def _help(found: Misspelling) -> str:
    if _is_on_module(found):
        return "a module has a method: `requires_grad_(False)` freezes all its parameters"
    return f"write `{found.meant}`"


def _is_on_module(found: Misspelling) -> bool:
    return found.owner in ("module", "self") and found.use in ("stored", "setattr")


def _rename(function: FunctionNode, found: Misspelling) -> Fix | None:
    if _is_on_module(found):
        return None  # a module has no such flag, only the method
    text = f'"{found.meant}"' if found.use == "setattr" else found.meant
    edit = Edit(function.place(found.name_at), "replace", text)
    return Fix("safe" if found.use in _LOUD else "unsafe", f"write `{found.meant}`", (edit,))


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
```

## Flagged

### compared where it was to be set
```python
def freeze(model):
    for param in model.parameters():
        param.requires_grad == False  # GL501

# run: freeze(model)
# shows: all(param.requires_grad for param in model.parameters())
```

### near misses on a tensor
```python
import torch

x = torch.ones(3)
x.require_grad = True  # GL501
x.requires_grads = True  # GL501
x.require_grads = True  # GL501
x.required_grad = True  # GL501
x.requires_gard = True  # GL501
x.require_gradient = True  # GL501
x.requires_gradient = True  # GL501
x.requiresgrad = True  # GL501
x.requires_Grad = True  # GL501
x.requiers_grad = True  # GL501
# shows: not x.requires_grad
```

### frozen by name
```python
def freeze_backbone(model):
    for name, param in model.named_parameters():
        if not name.startswith("2."):
            param.require_grad = False  # GL501

# run: freeze_backbone(model)
# shows: all(param.requires_grad for param in model.parameters())
```

### on one parameter and on submodules
```python
from torch import nn

class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(8, 8)
        self.head = nn.Linear(8, 2)
        self.scale = nn.Parameter(torch.ones(1))
        self.scale.require_grad = False  # GL501
        self.head.weight.require_grad = False  # GL501
        for param in self.backbone.parameters():
            param.requires_grads = False  # GL501

# run: classifier = Classifier()
# shows: all(param.requires_grad for param in classifier.parameters())
```

### the method overwritten on a module
```python
from torch import nn

encoder = nn.Linear(8, 2)
encoder.requires_grad_ = False  # GL501
# shows: encoder.weight.requires_grad
```

### on something unknown, which nobody asks again
```python
import torch

def add_noise(batch, noise):
    inputs, _ = batch
    inputs.require_grad = True  # GL501
    return inputs + noise * torch.randn(3)

# run: out = add_noise((torch.ones(3), None), 0.1)
# shows: not out.requires_grad
```

### on a part of a model, in a file that has no need of torch itself
```python
def freeze_all_but_the_head(model):
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.fc.weight.required_grad = True  # GL501

# run: net = torch.nn.Sequential(); net.fc = torch.nn.Linear(2, 2)
# run: freeze_all_but_the_head(net)
# shows: not net.fc.weight.requires_grad
```

### as a keyword of a tensor factory
```python
import torch
from torch import nn

def a():
    return torch.randn(3, require_grad=True)  # GL501

def b():
    return torch.tensor([1.0], requires_grads=True)  # GL501

def c():
    return nn.Parameter(torch.ones(3), require_grad=False)  # GL501

def d():
    return torch.zeros(3, device="cpu", requires_gard=True)  # GL501

# run: a()
# run: b()
# run: c()
# run: d()
# raises: TypeError
```

### as a method
```python
import torch

def a():
    return torch.ones(3).require_grad_()  # GL501

def b(model):
    for param in model.parameters():
        param.requires_grads_(False)  # GL501

def c():
    encoder = torch.nn.Linear(8, 2)
    encoder.require_grad_(False)  # GL501

# run: a()
# run: b(model)
# run: c()
# raises: AttributeError
```

### read from a tensor
```python
import torch

def trainable(model):
    return [param for param in model.parameters() if param.require_grad]  # GL501

# run: trainable(model)
# raises: AttributeError: 'Parameter' object has no attribute 'require_grad'
```

### set by setattr
```python
def freeze(model):
    for param in model.parameters():
        setattr(param, "require_grad", False)  # GL501

# run: freeze(model)
# shows: all(param.requires_grad for param in model.parameters())
```

## Silent

### compared, and looked at
```python
def frozen(model):
    answers = [param.requires_grad == False for param in model.parameters()]
    assert model[0].weight.requires_grad == True
    if model[0].weight.requires_grad == True:
        return answers
    return None

model[0].weight.requires_grad == True

# run: answers = frozen(model)
# shows: not any(answers)
```

### spelt right
```python
import torch

x = torch.ones(3, requires_grad=True)
x.requires_grad = False
x.requires_grad_()
x.requires_grad_(requires_grad=False)
# shows: not x.requires_grad
```

### a class of the project that has such an attribute
```python
class LayerConfig:
    def __init__(self, require_grad=True):
        self.require_grad = require_grad

config = LayerConfig(require_grad=False)
config.require_grad = True
frozen = not config.require_grad
```

### a function of the project that has such a parameter
```python
import torch

def build(size, require_grad=False):
    return torch.zeros(size, requires_grad=require_grad)

weights = build(3, require_grad=True)
# shows: weights.requires_grad
```

### an object of unknown kind
```python
def describe(args, layer):
    layer.require_grad = args.require_grad
    return make(layer, requires_grads=args.requires_grads)

# run: from types import SimpleNamespace as space
# run: make = dict
# run: args = space(require_grad=True, requires_grads=False)
# run: describe(args, {"frozen": space()}["frozen"]) if False else None
```

### an object that keeps such a setting
```python
import torch

class Layer:
    def __init__(self, size):
        self.weight = torch.zeros(size)
        self.require_grad = True

def freeze(layers):
    for layer in layers:
        layer.require_grad = False

def plan(layers):
    return [vars(layer) for layer in layers]

# run: layers = [Layer(2)]
# run: freeze(layers)
# shows: not plan(layers)[0]["require_grad"]
```

### a property of a module that the project defines
```python
from torch import nn

class Encoder(nn.Linear):
    @property
    def require_grad(self):
        return self.weight.requires_grad

    @require_grad.setter
    def require_grad(self, value):
        self.requires_grad_(value)

encoder = Encoder(8, 2)
encoder.require_grad = False
# shows: not encoder.weight.requires_grad
```

### other words that start alike
```python
import torch

def step(model, required, gradient):
    requires = required
    grad = gradient
    return requires, grad, model.training

# run: step(model, True, None)
```

### said in words only
```python
def freeze(model):
    '''Sets require_grad of all parameters.'''
    print("require_grad_ is not a method")
    model.requires_grad_(False)

# run: freeze(model)
```
"""
