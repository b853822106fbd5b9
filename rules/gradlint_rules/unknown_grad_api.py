"""A name of PyTorch's gradient interface is used that does not exist.

## Flagged

```python
import torch

def report(model):
    mode = torch.autograd.get_grad_mode()  # GL320
    print(f"recording: {mode}, training: {model.training}")

# run: report(model)
# raises: AttributeError: module 'torch.autograd' has no attribute 'get_grad_mode'
```

```python
import torch
from torch.autograd import Variable

def predict(model, image):
    image = Variable(image, volatile=True)  # GL320
    return model(image).argmax(1)  # GL101

# run: labels = predict(model, images)
# warns: UserWarning: volatile was removed and now has no effect. Use `with torch.no_grad():` instead.
# keeps: > 0 bytes
```

## Instead

```python
import torch

def report(model):
    mode = torch.is_grad_enabled()
    print(f"recording: {mode}, training: {model.training}")

# run: report(model)
```

```python
import torch

def predict(model, image):
    with torch.no_grad():
        return model(image).argmax(1)

# run: labels = predict(model, images)
```

## Why

These are what exists: `torch.is_grad_enabled()` and `torch.is_inference_mode_enabled()` ask,
without an argument; `torch.no_grad()`, `torch.inference_mode()`, `torch.enable_grad()` and
`torch.set_grad_enabled(mode)` switch. These four are also found under `torch.autograd`.

Other names that are met in articles and generated code raise: `AttributeError: module
'torch.autograd' has no attribute 'get_grad_mode'`; `is_grad_enabled` switches nothing: `TypeError:
torch.is_grad_enabled() takes no arguments (1 given)`.

`volatile` is quieter. It switched recording off until PyTorch 0.4; since then
`Variable(x, volatile=True)` only warns, ``UserWarning: volatile was removed and now has no effect.
Use `with torch.no_grad():` instead.``, and the forward below it records a graph like any other.
"""

from collections.abc import Iterator

from gradlint.rule import Finding, Project, rule


@rule("GL320", severity="error", since="0.1.0")
def unknown_grad_api(project: Project) -> Iterator[Finding]:
    """Find names and arguments of the gradient interface that PyTorch does not have."""
    yield from ()


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
images = torch.randn(4, 8)
```

## Flagged

### names that never existed
```python
import torch
import torch.autograd as autograd

def a():
    return torch.get_grad_mode()  # GL320

def b():
    return torch.get_grad_enabled()  # GL320

def c():
    return autograd.is_grad_enabled()  # GL320

def d():
    torch.set_grad_mode(False)  # GL320

def e():
    torch.disable_grad()  # GL320

def f(x):
    with torch.nograd():  # GL320
        return x * 2

def g(x):
    with torch.no_gradient():  # GL320
        return x * 2

def h():
    return torch.is_inference_mode()  # GL320

def i(x):
    with torch.autograd.disable_grad():  # GL320
        return x * 2

# run: a()
# run: b()
# run: c()
# run: d()
# run: e()
# run: f(images)
# run: g(images)
# run: h()
# run: i(images)
# raises: AttributeError: module 'torch
```

### as a decorator
```python
import torch

@torch.disable_grad()  # GL320
def forward(model, images):
    return model(images)

# raises: AttributeError: module 'torch' has no attribute 'disable_grad'
```

### imported by name
```python
from torch import disable_grad  # GL320
# raises: ImportError: cannot import name 'disable_grad' from 'torch'
```

### the query called with an argument
```python
import torch
from torch import is_grad_enabled

def a():
    torch.is_grad_enabled(False)  # GL320

def b():
    is_grad_enabled(True)  # GL320

def c():
    return torch.is_inference_mode_enabled(True)  # GL320

# run: a()
# run: b()
# run: c()
# raises: TypeError: torch.is_
```

### the query entered by with
```python
import torch

def forward(model, images):
    with torch.is_grad_enabled():  # GL320
        return model(images)

# run: forward(model, images)
# raises: TypeError: 'bool' object does not support the context manager, or AttributeError: __enter__
```

### volatile in its other places
```python
import torch
from torch.autograd import Variable

def a(x):
    return Variable(x, requires_grad=False, volatile=True)  # GL320

def b(x):
    return torch.autograd.Variable(x, volatile=not x.requires_grad)  # GL320

# run: outs = a(images), b(images)
# warns: UserWarning: volatile was removed and now has no effect.
```

### volatile set as an attribute
```python
from torch.autograd import Variable

def predict(model, images):
    images = Variable(images)
    images.volatile = True  # GL320
    return model(images).argmax(1)  # GL101

# run: labels = predict(model, images)
# warns: UserWarning: volatile was removed
# keeps: > 0 bytes
```

## Silent

### all that exists
```python
import torch
import torch.autograd as autograd
from torch.autograd import grad_mode

def modes(x):
    seen = [torch.is_grad_enabled(), torch.is_inference_mode_enabled()]
    with autograd.no_grad(), grad_mode.enable_grad(), autograd.set_grad_enabled(True):
        seen.append(torch.is_grad_enabled())
    with torch.autograd.inference_mode(), torch.inference_mode(False):
        seen.append(torch.is_grad_enabled())
    return seen

# run: seen = modes(images)
# shows: seen == [True, False, True, True]
```

### the project's own functions
```python
# file: modes.py
import torch

def get_grad_mode():
    return torch.is_grad_enabled()

# file: main.py
import modes
from modes import get_grad_mode

print(get_grad_mode(), modes.get_grad_mode())
# shows: get_grad_mode()
```

### another library's module of that name
```python
from autograd import get_grad_mode
from mxnet import autograd

def scaled(x):
    with autograd.is_grad_enabled(False):
        return x * 2
```

### asked for first
```python
import torch

def quiet():
    if hasattr(torch, "disable_grad"):
        return torch.disable_grad()
    return torch.no_grad()

# run: mode = quiet()
```

### tried first
```python
import torch

try:
    quiet = torch.disable_grad
except AttributeError:
    quiet = torch.no_grad

with quiet():
    out = torch.ones(1, requires_grad=True) * 2
# shows: not out.requires_grad
```

### volatile of something else
```python
class Register:
    def __init__(self, volatile=False):
        self.volatile = volatile

register = Register(volatile=True)
register.volatile = False
```
"""
