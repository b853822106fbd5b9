"""A reentrant checkpoint is given inputs that require no grad: what it computes gets no gradient.

## Flagged

```python
import torch
from torch.utils.checkpoint import checkpoint

def loss(backbone, block, head, images, labels):
    with torch.no_grad():
        features = backbone(images)
    hidden = checkpoint(block, features, use_reentrant=True)  # GL412
    return nn.functional.cross_entropy(head(hidden), labels)

# run: loss(backbone, block, head, images, labels).backward()
# warns: UserWarning: None of the inputs have requires_grad=True. Gradients will be None
# shows: block.weight.grad is None and head.weight.grad is not None
```

## Instead

```python
import torch
from torch.utils.checkpoint import checkpoint

def loss(backbone, block, head, images, labels):
    with torch.no_grad():
        features = backbone(images)
    hidden = checkpoint(block, features, use_reentrant=False)
    return nn.functional.cross_entropy(head(hidden), labels)

# run: loss(backbone, block, head, images, labels).backward()
# shows: block.weight.grad is not None
```

## Fixed

```python
import torch
from torch.utils.checkpoint import checkpoint

def loss(backbone, block, head, images, labels):
    with torch.no_grad():
        features = backbone(images)
    hidden = checkpoint(block, features, use_reentrant=False)
    return nn.functional.cross_entropy(head(hidden), labels)
```

## Why

A reentrant checkpoint is one operation of the graph, made of the tensors it is given. If none of them
requires grad, autograd sees no reason to record it: the parameters inside it get no gradient and are
never trained, while what comes after it is. The only sign is a warning, ``UserWarning: None of the
inputs have requires_grad=True. Gradients will be None``. With nothing trainable behind it,
`backward()` raises.

`use_reentrant=False` has no such limit, and PyTorch recommends it. Where the argument is left out,
2.13 still takes the reentrant kind.
"""

from collections.abc import Iterator

from gradlint.rule import (
    PLAIN,
    Argument,
    Call,
    CallEvent,
    Constant,
    Edit,
    Finding,
    Fix,
    FunctionNode,
    Project,
    Value,
    rule,
)

_CHECKPOINT = frozenset({"torch.utils.checkpoint.checkpoint"})
_SETTINGS = frozenset({"use_reentrant", "preserve_rng_state", "context_fn", "determinism_check", "debug", "early_stop"})


@rule("GL412", severity="warning", since="0.1.0")
def reentrant_checkpoint_without_grad(project: Project) -> Iterator[Finding]:
    """Find reentrant checkpoints all of whose tensors are known to require no grad."""
    for function in project.functions():
        for call, _ in project.modes.calls(function, _CHECKPOINT):
            event = project.flow(function).calls.get(call.at)
            if event is not None and _is_reentrant(call) and _gets_no_grad(event):
                yield _finding(function, call)


def _setting(call: Call) -> Argument | None:
    return next((argument for argument in call.arguments if argument.keyword == "use_reentrant"), None)


def _is_reentrant(call: Call) -> bool:
    if any(argument.stars == 2 for argument in call.arguments):
        return False
    setting = _setting(call)
    return setting is None or (isinstance(setting.value, Constant) and setting.value.value is True)


def _gets_no_grad(event: CallEvent) -> bool:
    """Whether there are tensors among the inputs, and all of them are known to require no grad."""
    given = [a for a in event.arguments[1:] if a.keyword not in _SETTINGS]
    if not given or any(argument.stars for argument in given):
        return False
    return all(_is_plain(a.value) or _is_none(a.value) for a in given) and any(_is_plain(a.value) for a in given)


def _is_plain(value: Value) -> bool:
    return value.is_tensor and value.tensor == PLAIN


def _is_none(value: Value) -> bool:
    return value.kind in ("none", "number", "callable")


def _finding(function: FunctionNode, call: Call) -> Finding:
    return Finding(
        function.place(call.at),
        function.name,
        "no input of this reentrant checkpoint requires grad: the parameters inside it get no gradient",
        help="pass `use_reentrant=False`",
        fix=_other_kind(function, call),
    )


def _other_kind(function: FunctionNode, call: Call) -> Fix:
    setting = _setting(call)
    if setting is not None:
        edit = Edit(function.place(setting.value.at), "replace", "False")
    else:
        edit = Edit(function.place(call.arguments[-1].value.at), "after", ", use_reentrant=False")
    return Fix("unsafe", "pass `use_reentrant=False`", (edit,))


CASES = r"""
```python setup
import torch
from torch import nn

backbone, block, head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)
images, labels = torch.randn(4, 8), torch.randint(3, (4,))
```

## Flagged

### the argument left out, and detached inputs
```python
import torch
import torch.utils.checkpoint as cp
from torch.utils import checkpoint

def loss(backbone, block, head, images):
    features = torch.zeros(4, 8) + images.detach()
    first = cp.checkpoint(block, features)  # GL412
    second = checkpoint.checkpoint(block, features, None, preserve_rng_state=False)  # GL412
    return head(first).sum()

# run: loss(backbone, lambda *parts: block(parts[0]), head, images).backward()
# warns: UserWarning: None of the inputs have requires_grad=True. Gradients will be None
```

## Silent

### inputs that require grad
```python
import torch
from torch.utils.checkpoint import checkpoint

def loss(backbone, block, head, images):
    features = backbone(images)
    return head(checkpoint(block, features, use_reentrant=True)).sum()

def marked(block, head):
    noise = torch.randn(4, 8).requires_grad_()
    return head(checkpoint(block, noise, use_reentrant=True)).sum()

# run: loss(backbone, block, head, images).backward()
# shows: block.weight.grad is not None
```

### the other kind
```python
import torch
from torch.utils.checkpoint import checkpoint

def loss(block, head, images, settings):
    features = torch.zeros(4, 8)
    first = checkpoint(block, features, use_reentrant=False)
    second = checkpoint(block, features, **settings)
    return head(first).sum() + head(second).sum()

# run: loss(block, head, images, {"use_reentrant": False}).backward()
# shows: block.weight.grad is not None
```

### inputs that are not known, and another checkpoint
```python
from torch.utils.checkpoint import checkpoint as recompute

def checkpoint(model, epoch):
    return {"model": model.state_dict(), "epoch": epoch}

def forward(block, x):
    return recompute(block, x, use_reentrant=True)

# run: saved = checkpoint(block, 3)
# run: out = forward(block, images.requires_grad_())
# shows: out.requires_grad
```
"""
