"""A grad mode decorates a class: its methods run as if nothing had been said.

## Flagged

```python
import torch
from torch import nn

@torch.no_grad()  # GL305
class Scorer(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 1)

    def forward(self, images):
        return self.head(images)

# run: scores = Scorer()(images)
# warns: FutureWarning: Decorating classes is deprecated
# shows: scores.requires_grad and not isinstance(Scorer, type)
# keeps: > 0 bytes
```

## Instead

```python
import torch
from torch import nn

class Scorer(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 1)

    @torch.no_grad()
    def forward(self, images):
        return self.head(images)

# run: scores = Scorer()(images)
# shows: not scores.requires_grad and isinstance(Scorer, type)
```

## Why

The decorator wraps what is called, and a class is called to make an object. So the mode holds while
`__init__` runs and nowhere else: every method, `forward` included, records its graph as before and
keeps what it saves for backward.

What is left under the class's name is a function. `isinstance(x, Scorer)` and a subclass of it raise
`TypeError`. PyTorch says ``FutureWarning: Decorating classes is deprecated and will be disabled in
future versions. You should only decorate functions or methods.`` Under `inference_mode()` the
parameters that `__init__` makes are inference tensors, which cannot be trained.
"""

from collections.abc import Iterator

from gradlint.rule import Finding, Project, rule


@rule("GL305", severity="error", since="0.1.0")
def grad_mode_on_class(project: Project) -> Iterator[Finding]:
    """Find classes decorated with one of torch's grad modes."""
    for module in project.modules:
        for cls in module.classes:
            scope = module.functions[cls.facts.parent]
            for decorator in cls.facts.decorators:
                if (mode := project.modes.decorating(scope, decorator)) is not None:
                    yield Finding(
                        scope.place(decorator.at),
                        cls.name,
                        f"`{mode}` on a class holds in its `__init__` only, and makes the class a function",
                        help="decorate the methods it is meant for",
                    )


CASES = r"""
```python setup
import torch
from torch import nn

images = torch.randn(4, 8)
```

## Flagged

### every way to name the mode
```python
import torch
from torch.autograd import no_grad as frozen

guard = torch.inference_mode()

@frozen  # GL305
class A:
    def mode(self):
        return torch.is_grad_enabled()

@guard  # GL305
class B:
    def mode(self):
        return torch.is_grad_enabled()

@torch.set_grad_enabled(False)  # GL305
class C:
    def mode(self):
        return torch.is_grad_enabled()

# run: modes = A().mode(), B().mode(), C().mode()
# shows: modes == (True, True, True)
```

### next to another decorator, inside a function
```python
import torch
from dataclasses import dataclass

def make():
    @torch.no_grad()  # GL305
    @dataclass
    class Evaluator:
        model: object

        def __call__(self, images):
            return self.model(images)

    return Evaluator

# run: out = make()(nn.Linear(8, 1))(images)
# shows: out.requires_grad
```

### the parameters are inference tensors
```python
import torch
from torch import nn

@torch.inference_mode()  # GL305
class Scorer(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 1)

# run: scorer = Scorer()
# shows: scorer.head.weight.is_inference()
```

## Silent

### on functions and methods
```python
import torch
from torch import nn

class Scorer(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 1)

    @torch.no_grad
    def forward(self, images):
        return self.head(images)

@torch.inference_mode()
def score(scorer, images):
    return scorer(images)

# run: out = score(Scorer(), images)
# shows: not out.requires_grad
```

### a class decorator of the project with that name
```python
def no_grad(cls):
    for parameter in cls.parts:
        parameter.requires_grad = False
    return cls

@no_grad
class Frozen:
    parts = ()

# shows: isinstance(Frozen, type)
```

### a class that is a grad mode
```python
import torch

class frozen(torch.no_grad):
    pass

@frozen()
def score(scorer, images):
    return scorer(images)

# run: out = score(nn.Linear(8, 1), images)
# shows: not out.requires_grad
```
"""
