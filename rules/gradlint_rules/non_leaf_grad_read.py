"""`.grad` of a computed tensor is read: it is `None`, whatever `backward()` does.

## Flagged

```python
import torch

x = torch.tensor([1.0, 2.0], requires_grad=True)
y = x * x
y.sum().backward()
print(y.grad)  # GL201
# warns: UserWarning: The .grad attribute of a Tensor that is not a leaf Tensor is being accessed.
# shows: x.grad.tolist() == [2.0, 4.0]
```

## Instead

```python
import torch

x = torch.tensor([1.0, 2.0], requires_grad=True)
y = x * x
y.retain_grad()
y.sum().backward()
print(y.grad)
# shows: y.grad.tolist() == [1.0, 1.0]
```

## Fixed

```python
import torch

x = torch.tensor([1.0, 2.0], requires_grad=True)
y = x * x
y.retain_grad()
y.sum().backward()
print(y.grad)
```

## Why

`backward()` stores gradients in leaves only: tensors made by you (with `requires_grad=True`, or a
parameter), not by an operation. The gradient of a computed tensor is used on the way and dropped.
Its `.grad` is `None`, and each access warns: `UserWarning: The .grad attribute of a Tensor that is
not a leaf Tensor is being accessed. Its .grad attribute won't be populated during
autograd.backward().` `hasattr(y, "grad")` warns as well. An indexed, reshaped, transposed, cloned
or converted leaf (`x[0]`, `w.T`, `x.double()`) is a computed tensor too.

If the leaf was meant, read the leaf. If this very gradient is wanted, call `y.retain_grad()` before
`backward()`; afterwards it is too late, `y.grad` stays `None`, and the warning is gone.
"""

from collections.abc import Iterator

from gradlint.rule import (
    COMPUTED,
    LEAF,
    AttributeEvent,
    Edit,
    Finding,
    Fix,
    FunctionNode,
    Note,
    Project,
    rule,
    scope,
)


@rule("GL201", severity="warning", since="0.1.0")
def non_leaf_grad_read(project: Project) -> Iterator[Finding]:
    """Find reads of ``.grad`` on tensors that an operation made."""
    for function in project.functions():
        found = [event for event in project.gradients.reads(function) if _is_lost(event)]
        if found:
            silent = scope.expected_to_fail(function)
            yield from (_finding(project, function, event) for event in found if event.at not in silent)


def _is_lost(event: AttributeEvent) -> bool:
    owner = event.owner
    computed = owner.is_tensor and owner.tensor & COMPUTED and not owner.tensor & LEAF
    return bool(computed) and event.unretained and not event.guarded


def _finding(project: Project, function: FunctionNode, event: AttributeEvent) -> Finding:
    name = (event.path or "").removesuffix(".grad")
    what = f"`{name}.grad`" if name else "`.grad` of a computed tensor"
    made = event.owner.made_at
    when = "None from the second round on" if scope.is_carried_over(function, made, event.at) else "always None"
    return Finding(
        function.place(event.at),
        function.name,
        f"{what} is {when}: it was computed, and `backward()` fills the `.grad` of leaves only",
        (Note(function.place(made), "it is computed here"),) if made is not None else (),
        help=f"call `{name or 'y'}.retain_grad()` before `backward()`, or read the leaf it was computed from",
        fix=_retained(project, function, event, name),
    )


def _retained(project: Project, function: FunctionNode, event: AttributeEvent, name: str) -> Fix | None:
    """The offer to retain it, where one ``backward()`` stands between the making and the read."""
    made = event.owner.made_at
    calls = project.flow(function).calls.values()
    between = [call for call in calls if call.method == "backward" and made is not None and made < call.at < event.at]
    if len(between) != 1 or not name.isidentifier():
        return None
    edit = Edit(function.place(between[0].at), "line-above", f"{name}.retain_grad()")
    return Fix("unsafe", f"call `{name}.retain_grad()` before `backward()`", (edit,))


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
images = torch.randn(2, 4)
```

## Flagged

### views, copies and conversions of a leaf
```python
import torch

x = torch.tensor([1.0, 2.0], requires_grad=True)
flat = x.view(-1)
first = x[0]
copy = x.clone()
double = x.double()
wide = x.unsqueeze(0)
(flat.sum() + first + copy.sum() + double.sum() + wide.sum()).backward()
print(flat.grad)  # GL201
print(first.grad)  # GL201
print(copy.grad)  # GL201
print(double.grad)  # GL201
print(wide.grad)  # GL201
# warns: UserWarning: The .grad attribute of a Tensor that is not a leaf Tensor is being accessed.
```

### made non-leaf on the line that makes it
```python
import torch

weight = torch.randn(3, requires_grad=True) * 0.01
weight.sum().backward()
print(weight.grad)  # GL201
# warns: UserWarning: The .grad attribute of a Tensor that is not a leaf Tensor is being accessed.
```

### bound to itself
```python
import torch

x = torch.ones(3, requires_grad=True)
x = x / 255
x.sum().backward()
print(x.grad)  # GL201
# warns: UserWarning: The .grad attribute of a Tensor that is not a leaf Tensor is being accessed.
```

### the loss
```python
from torch.nn import functional as F

def step(model, images):
    loss = F.mse_loss(model(images), images[:, :1])
    loss.backward()
    return loss.grad  # GL201

# run: grad = step(model, images)
# warns: UserWarning: The .grad attribute of a Tensor that is not a leaf Tensor is being accessed.
# shows: grad is None
```

### the activation of Grad-CAM
```python
def grad_cam(backbone, head, image):
    activation = backbone(image)
    head(activation).max().backward()
    return (activation.grad * activation).sum(1)  # GL201

# run: grad_cam(model[:2], model[2], images)
# warns: UserWarning: The .grad attribute of a Tensor that is not a leaf Tensor is being accessed.
# raises: TypeError: unsupported operand type(s) for *: 'NoneType' and 'Tensor'
```

### by getattr and hasattr
```python
import torch

x = torch.ones(3, requires_grad=True)
y = x.exp()
y.sum().backward()
if hasattr(y, "grad"):  # GL201
    print(getattr(y, "grad", None))  # GL201
# warns: UserWarning: The .grad attribute of a Tensor that is not a leaf Tensor is being accessed.
```

### retain_grad comes too late
```python
import torch

x = torch.ones(3, requires_grad=True)
y = x.exp()
y.sum().backward()
y.retain_grad()
print(y.grad)  # GL201
# shows: y.grad is None
```

### read under no_grad
```python
import torch

x = torch.ones(3, requires_grad=True)
y = x.exp()
y.sum().backward()
with torch.no_grad():
    print(y.grad)  # GL201
# warns: UserWarning: The .grad attribute of a Tensor that is not a leaf Tensor is being accessed.
```

### a parameter rebound in a training loop
```python
import torch

def fit(rows, targets, lr=0.1):
    weight = torch.zeros(4, requires_grad=True)
    for _ in range(2):
        ((rows @ weight - targets) ** 2).mean().backward()
        weight = weight - lr * weight.grad  # GL201 GL210

# run: fit(images, torch.ones(2))
# warns: UserWarning: The .grad attribute of a Tensor that is not a leaf Tensor is being accessed.
# raises: TypeError: unsupported operand type(s) for *: 'float' and 'NoneType'
```

### before any backward
```python
import torch

x = torch.tensor(2.0, requires_grad=True)
y = x * x
print(x.grad)  # GL202
print(y.grad)  # GL201 GL202
# warns: UserWarning: The .grad attribute of a Tensor that is not a leaf Tensor is being accessed.
```

### of what a function of the project computes
```python
# file: ops.py
def scaled(tensor, factor):
    return tensor * factor

# file: main.py
import torch
from ops import scaled

x = torch.ones(3, requires_grad=True)
y = torch.relu(scaled(x, 2))
y.sum().backward()
print(y.grad)  # GL201
# warns: UserWarning: The .grad attribute of a Tensor that is not a leaf Tensor is being accessed.
```

### of one round's result, in the next round
```python
import torch

state = torch.ones(3, requires_grad=True)
for step in range(2):
    loss = (state**2).sum()
    loss.backward()
    print(state.grad)  # GL201
    state = state - 0.1
# warns: UserWarning: The .grad attribute of a Tensor that is not a leaf Tensor is being accessed.
```

### of an input that was scaled
```python
import torch

def saliency(model, image, label):
    image = image.clone().requires_grad_(True)
    scaled = image / 255
    score = model(scaled)[0, label]
    score.backward()
    return scaled.grad  # GL201

# run: found = saliency(torch.nn.Linear(3, 3), torch.ones(1, 3), 0)
# shows: found is None
# warns: UserWarning: The .grad attribute of a Tensor that is not a leaf Tensor is being accessed.
```

### of an adversarial image that is kept near to the clean one
```python
import torch
import torch.nn.functional as F

def attack(model, x, y, eps=0.03, alpha=0.01):
    adv = x.clone().detach().requires_grad_(True)
    for _ in range(2):
        F.mse_loss(model(adv), y).backward()
        adv = adv + alpha * adv.grad.sign()  # GL201
        adv = torch.min(torch.max(adv, x - eps), x + eps)
    return adv.detach()

# run: attack(model, images, torch.ones(2, 1))
# raises: AttributeError: 'NoneType' object has no attribute 'sign'
```

## Silent

### the leaf itself
```python
import torch

x = torch.tensor([1.0, 2.0], requires_grad=True)
y = x * x
y.sum().backward()
print(x.grad)
# shows: x.grad is not None
```

### parameters of a model
```python
def report(model, images):
    model(images).sum().backward()
    for name, param in model.named_parameters():
        print(name, param.grad.norm())
    return model[0].weight.grad

# run: report(model, images)
```

### retained before backward
```python
import torch

def step(x):
    hidden = x.exp()
    hidden.retain_grad()
    hidden.sum().backward()
    return hidden.grad

# run: grad = step(torch.ones(3, requires_grad=True))
# shows: grad.tolist() == [1.0, 1.0, 1.0]
```

### made where nothing is recorded
```python
import torch

x = torch.ones(3, requires_grad=True)
with torch.no_grad():
    y = x * 2
z = x.detach() * 2
n = x.exp().long()
(x * y).sum().backward()
print(y.grad, z.grad, n.grad)
# shows: y.is_leaf and z.is_leaf and n.is_leaf
```

### computed first, a leaf afterwards
```python
import torch

x = (torch.randn(3) * 0.01).requires_grad_()
y = torch.randn(3) / 255
y.requires_grad = True
w = x.detach().clone().requires_grad_()
(x * y * w).sum().backward()
print(x.grad, y.grad, w.grad)
# shows: x.grad is not None and y.grad is not None and w.grad is not None
```

### a leaf in one branch
```python
import torch

def prepare(x, scale):
    if scale:
        x = x * scale
    x.retain_grad()
    x.sum().backward()
    return x.grad

# run: prepare(torch.ones(3, requires_grad=True), 2)
```

### asked first
```python
import torch

def grad_of(tensor):
    y = tensor.view(-1)
    y.sum().backward()
    return y.grad if y.is_leaf or y.retains_grad else None

# run: grad_of(torch.ones(3, requires_grad=True))
```

### an argument of unknown origin
```python
def grad_norm(tensor):
    return tensor.grad.norm() if tensor.grad is not None else 0.0

# run: grad_norm(images)
```

### stored, not read
```python
import torch

x = torch.ones(3, requires_grad=True)
y = x * 2
y.grad = torch.ones(3)
print(y.grad)
# shows: y.grad.tolist() == [1.0, 1.0, 1.0]
```

### other things that have a grad
```python
class Slope:
    def __init__(self, value):
        self.grad = value * 2

slope = Slope(3)
steep = slope
print(steep.grad)
```

### conversions that change nothing
```python
import torch

x = torch.ones(3, requires_grad=True)
y = x.float()
z = x.to("cpu").contiguous()
(y + z).sum().backward()
print(y.grad, z.grad)
# shows: y is x and z is x
```

### a view made under no_grad
```python
import torch

x = torch.ones(3, requires_grad=True)
with torch.no_grad():
    flat = x.view(-1)
flat.sum().backward()
print(flat.grad)
# shows: flat.is_leaf
```

### retained by a function that gets it
```python
# file: probes.py
def watch(*tensors):
    for tensor in tensors:
        tensor.retain_grad()

# file: main.py
import torch
from probes import watch

x = torch.ones(3, requires_grad=True)
y = x.exp()
watch(x, y)
y.sum().backward()
print(y.grad)
# shows: y.grad is not None
```

### retained by another name
```python
import torch

x = torch.ones(3, requires_grad=True)
y = x.exp()
kept = {"y": y}
for tensor in (x, y):
    tensor.retain_grad()
y.sum().backward()
print(y.grad, kept["y"].grad)
# shows: y.grad is not None
```

### handed back by a function, or by a module
```python
import torch
from torch import nn

class Skip(nn.Module):
    def forward(self, x):
        return x

def checked(x):
    assert x.dim() == 1
    return x

x = torch.ones(3, requires_grad=True)
y = checked(x)
z = Skip()(x)
(y + z).sum().backward()
print(y.grad, z.grad)
# shows: y is x and z is x
```

### shown to be None on purpose
```python
import torch

def test_only_leaves_have_gradients():
    x = torch.ones(3, requires_grad=True)
    y = x.exp()
    y.sum().backward()
    assert x.grad is not None
    assert y.grad is None

# run: test_only_leaves_have_gradients()
```

### a scalar of one's own
```python
class Scalar:
    def __init__(self, data):
        self.data, self.grad = data, 0.0

    def __mul__(self, other):
        return Scalar(self.data * other.data)

    def backward(self):
        self.grad = 1.0

def slope(a, b):
    c = a * b
    c.backward()
    return c.grad

# run: print(slope(Scalar(2), Scalar(3)))
```

### of an adversarial image that is made a leaf in each round, and indices along a dimension that is computed
```python
import torch
import torch.nn.functional as F

def attack(model, x, y, eps=0.03, alpha=0.01):
    adv = x.clone().detach().requires_grad_(True)
    for _ in range(2):
        F.mse_loss(model(adv), y).backward()
        adv = adv + alpha * adv.grad.sign()
        adv = torch.min(torch.max(adv, x - eps), x + eps).detach().requires_grad_(True)
    return adv.detach()

def best(weight, dim, axis):
    x = torch.ones(2, 2, requires_grad=True) * 2
    _, first = torch.max(x, dim - axis)
    _, second = torch.max(x, dim - 1)
    return first.grad, second.grad

# run: attack(model, images, torch.ones(2, 1)), best(None, 1, 0)
```
"""
