"""A grad mode or its query is named but not called.

## Flagged

```python
import torch

def embed(encoder, images):
    with torch.no_grad:  # GL302
        return encoder(images)

# run: embed(model, images)
# raises: TypeError: 'type' object does not support the context manager, or AttributeError: __enter__
```

```python
import torch

def attend(query, key):
    scores = query @ key.T
    if torch.is_grad_enabled:  # GL302
        return scores
    return scores.half()

# run: with torch.no_grad(): scores = attend(images, images)
# shows: scores.dtype == torch.float32
```

## Instead

```python
import torch

def embed(encoder, images):
    with torch.no_grad():
        return encoder(images)

# run: out = embed(model, images)
# shows: not out.requires_grad
```

```python
import torch

def attend(query, key):
    scores = query @ key.T
    if torch.is_grad_enabled():
        return scores
    return scores.half()

# run: with torch.no_grad(): scores = attend(images, images)
# shows: scores.dtype == torch.float16
```

## Why

`torch.no_grad` is a class, and a class is no context manager: `with torch.no_grad:` raises
`TypeError: 'type' object does not support the context manager protocol` (up to Python 3.10
`AttributeError: __enter__`) when the line is reached, which for an evaluation may be hours into a
run.

`torch.is_grad_enabled` without a call is a function, and a function is always true: the branch is
taken in every mode, and nothing is said.

As a decorator, `@torch.no_grad` without a call is right since PyTorch 2.1.
`@torch.set_grad_enabled` is not: it raises at import, `TypeError: set_grad_enabled(): argument
'enabled' (position 1) must be bool, not function`.
"""

from collections.abc import Iterator

from gradlint.rule import Finding, Project, rule


@rule("GL302", severity="error", since="0.1.0")
def uncalled_grad_mode(project: Project) -> Iterator[Finding]:
    """Find grad modes entered, and queries tested, without a call."""
    yield from ()


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Linear(8, 2)
images = torch.randn(4, 8)
```

## Flagged

### every mode, under every name
```python
import torch
import torch.autograd as autograd
from torch import inference_mode
from torch import no_grad as ng
from torch.autograd import grad_mode

def a(x):
    with ng:  # GL302
        return x * 2

def b(x):
    with inference_mode:  # GL302
        return x * 2

def c(x):
    with torch.enable_grad:  # GL302
        return x * 2

def d(x):
    with torch.set_grad_enabled:  # GL302
        return x * 2

def e(x):
    with autograd.no_grad:  # GL302
        return x * 2

def f(x):
    with grad_mode.no_grad:  # GL302
        return x * 2

# run: a(images)
# run: b(images)
# run: c(images)
# run: d(images)
# run: e(images)
# run: f(images)
# raises: TypeError: 'type' object does not support the context manager, or AttributeError: __enter__
```

### next to another context manager
```python
import torch

def embed(encoder, images):
    with torch.autocast("cpu"), torch.no_grad:  # GL302
        return encoder(images)

# run: embed(model, images)
# raises: TypeError: 'type' object does not support the context manager, or AttributeError: __enter__
```

### by way of a name
```python
import torch

def embed(encoder, images):
    guard = torch.no_grad
    with guard:  # GL302
        return encoder(images)

# run: embed(model, images)
# raises: TypeError: 'type' object does not support the context manager, or AttributeError: __enter__
```

### on an exit stack
```python
import torch
from contextlib import ExitStack

def embed(encoder, images):
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad)  # GL302
        return encoder(images)

# run: embed(model, images)
# raises: TypeError: 'builtins.type' object does not support the context manager, or AttributeError
```

### a bare set_grad_enabled decorator
```python
import torch

@torch.set_grad_enabled  # GL302
def embed(encoder, images):
    return encoder(images)

# raises: TypeError: set_grad_enabled(): argument 'enabled' (position 1) must be bool, not function
```

### the query in every kind of condition
```python
import torch
from torch import is_grad_enabled

def modes(x):
    if not torch.is_grad_enabled:  # GL302
        yield "not"
    if is_grad_enabled and x.requires_grad:  # GL302
        yield "and"
    yield "train" if torch.is_grad_enabled else "eval"  # GL302
    while torch.is_inference_mode_enabled:  # GL302
        yield "while"
        break
    if torch.is_grad_enabled == False:  # GL302
        yield "equal"
    assert torch.is_grad_enabled, "needs grad"  # GL302

# run: with torch.no_grad(): seen = list(modes(torch.ones(1, requires_grad=True)))
# shows: seen == ["and", "train", "while"]
```

### the query chosen as the mode
```python
import torch

def embed(encoder, images):
    context = torch.no_grad() if not torch.is_grad_enabled else torch.enable_grad()  # GL302
    with context:
        return encoder(images).relu()

# run: with torch.no_grad(): out = embed(model, images)
# shows: out.requires_grad
```

## Silent

### bare decorators are right since PyTorch 2.1
```python
import torch

@torch.no_grad
def embed(encoder, images):
    return encoder(images)

@torch.inference_mode
def score(encoder, images):
    return encoder(images)

@torch.enable_grad
def penalty(encoder, images):
    return encoder(images).sum()

# run: outs = embed(model, images), score(model, images), penalty(model, images)
# shows: [out.requires_grad for out in outs] == [False, False, True]
```

### an instance made before
```python
import torch

no_grad = torch.no_grad()

def embed(encoder, images):
    with no_grad:
        return encoder(images)

# run: out = embed(model, images)
# shows: not out.requires_grad
```

### the class chosen first, called later
```python
import torch

def embed(encoder, images, training):
    mode = torch.enable_grad if training else torch.no_grad
    with mode():
        return encoder(images)

# run: out = embed(model, images, training=False)
# shows: not out.requires_grad
```

### handed on as a function
```python
import torch

def under(mode, function, *inputs):
    with mode():
        return function(*inputs)

# run: out = under(torch.no_grad, model, images)
# shows: not out.requires_grad
```

### the query handed on, named and compared with itself
```python
import torch

def report(query=torch.is_grad_enabled):
    is_on = torch.is_grad_enabled
    return is_on(), query() == torch.is_grad_enabled()

# run: with torch.no_grad(): answer = report()
# shows: answer == (False, True)
```

### called in conditions
```python
import torch

def attend(scores):
    if torch.is_grad_enabled() and scores.requires_grad:
        return scores
    return scores if torch.is_inference_mode_enabled() else scores.clone()

# run: out = attend(images)
```

### an object of the project that has the same name
```python
import contextlib

class Engine:
    def __init__(self):
        self.no_grad = contextlib.nullcontext()
        self.is_grad_enabled = False

    def embed(self, x):
        with self.no_grad:
            return x if self.is_grad_enabled else -x

# run: out = Engine().embed(images)
```

### a name that may be either
```python
import torch

def embed(encoder, images, guard=None):
    guard = guard or torch.no_grad()
    with guard:
        return encoder(images)

# run: out = embed(model, images)
# shows: not out.requires_grad
```
"""
