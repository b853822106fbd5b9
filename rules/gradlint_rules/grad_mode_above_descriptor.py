"""A grad mode stands above `@classmethod`, `@property` or `@staticmethod`, which must come first.

## Flagged

```python
import torch

class Encoder:
    @torch.no_grad()  # GL306
    @classmethod
    def width(cls, images):
        return images.shape[1]

# run: Encoder.width(images)
# raises: TypeError: 'classmethod' object is not callable
```

## Instead

```python
import torch

class Encoder:
    @classmethod
    @torch.no_grad()
    def width(cls, images):
        return images.shape[1]

# run: width = Encoder.width(images)
# shows: width == 8
```

## Fixed

```python
import torch

class Encoder:
    @classmethod
    @torch.no_grad()
    def width(cls, images):
        return images.shape[1]
```

## Why

A grad mode wraps what is below it in a function that calls it, and these three are no functions
before a class hands them out. Above `@classmethod` the call raises `TypeError: 'classmethod' object
is not callable`. Above `@property` nothing is read any more: the attribute is a bound method, which
is true in every condition, and calling it raises `TypeError: 'property' object is not callable`.
Above `@staticmethod` a call on the class works and a call on an object raises, because the object is
passed too. None of this is seen before the line is reached.
"""

from collections.abc import Iterator
from itertools import pairwise

from gradlint.rule import Call, Edit, Expression, Finding, Fix, FunctionNode, Project, dotted, rule

_BUILTINS = {f"builtins.{name}": name for name in ("classmethod", "staticmethod", "property")}
_DESCRIPTORS = {
    **_BUILTINS,
    "functools.cached_property": "cached_property",
    "abc.abstractproperty": "abstractproperty",
}
_ACCESSORS = frozenset({"setter", "getter", "deleter"})


@rule("GL306", severity="error", since="0.1.0")
def grad_mode_above_descriptor(project: Project) -> Iterator[Finding]:
    """Find grad modes that decorate a descriptor instead of a function."""
    for function in filter(lambda f: f.owner is not None, project.functions()):
        scope = function.parent or function
        for above, below in pairwise(function.facts.decorators):
            mode = project.modes.decorating(scope, above)
            descriptor = _descriptor(project, scope, below)
            if mode is not None and descriptor is not None:
                yield Finding(
                    function.place(above.at),
                    function.name,
                    f"`{mode}` wraps a `{descriptor}` here, which is no function",
                    help=f"put it below `@{descriptor}`",
                    fix=_swap(function, above, below),
                )


def _descriptor(project: Project, scope: FunctionNode, decorator: Expression) -> str | None:
    """What a decorator makes of a method, if that is a descriptor."""
    name = dotted(decorator) or ""
    if name.rpartition(".")[2] in _ACCESSORS and name.count(".") == 1:
        return "property"
    return _DESCRIPTORS.get(project.modes.full_name(scope, decorator) or "")


def _swap(function: FunctionNode, above: Expression, below: Expression) -> Fix | None:
    """Only what raises when it is used is changed, and a name or a call without arguments can be written anew."""
    upper, lower = _spelling(above), _spelling(below)
    if upper is None or lower is None:
        return None
    edits = (Edit(function.place(above.at), "replace", lower), Edit(function.place(below.at), "replace", upper))
    return Fix("safe", f"put `@{upper}` below `@{lower}`", edits)


def _spelling(decorator: Expression) -> str | None:
    match decorator:
        case Call(function=named, arguments=()):
            name = dotted(named)
            return f"{name}()" if name is not None else None
        case _:
            return dotted(decorator)


CASES = r"""
```python setup
import torch

images = torch.randn(4, 8)
```

## Flagged

### a property is a method now
```python
import torch

class Encoder:
    def __init__(self, weight):
        self.weight = weight

    @torch.no_grad()  # GL306
    @property
    def norm(self):
        return self.weight.norm()

# run: encoder = Encoder(images)
# shows: callable(encoder.norm)
```

### a static method called on an object
```python
import torch
from torch import inference_mode

class Encoder:
    @inference_mode  # GL306
    @staticmethod
    def norm(weight):
        return weight.norm()

def on_object(images):
    try:
        return Encoder().norm(images) > 0
    except TypeError as error:
        return str(error)

# run: norm = Encoder.norm(images)
# shows: norm > 0 and "positional argument" in on_object(images)
```

### a setter, a cached property
```python
import functools
import torch

class Encoder:
    weight = None

    @property
    def scale(self):
        return self.weight

    @torch.set_grad_enabled(False)  # GL306
    @scale.setter
    def scale(self, value):
        self.weight = value

    @torch.no_grad()  # GL306
    @functools.cached_property
    def norm(self):
        return 1.0

# run: encoder = Encoder()
# run: encoder.scale = 3
# shows: encoder.weight is None and callable(encoder.norm)
```

## Silent

### below the descriptor
```python
import torch

class Encoder:
    weight = torch.ones(2)

    @property
    @torch.no_grad()
    def norm(self):
        return self.weight.norm()

    @classmethod
    @torch.inference_mode()
    def zeros(cls):
        return cls.weight * 0

    @staticmethod
    @torch.no_grad
    def twice(weight):
        return weight * 2

# run: outs = Encoder().norm, Encoder.zeros(), Encoder().twice(images)
# shows: not any(out.requires_grad for out in outs)
```

### above other decorators
```python
import functools
import torch

class Encoder:
    @torch.no_grad()
    @functools.lru_cache(maxsize=None)
    def norm(self, scale):
        return torch.ones(3).norm() * scale

# run: out = Encoder().norm(2)
```

### a descriptor of the project that can be called
```python
import torch

class property:
    def __init__(self, function):
        self.function = function

    def __call__(self, images):
        return self.function(self, images)

class Encoder:
    @torch.no_grad()
    @property
    def norm(self, images):
        return images.norm()

# run: out = Encoder.norm(images)
```
"""
