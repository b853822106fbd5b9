"""Context managers are joined by `and`: only the last one is entered.

## Flagged

```python
import torch

def embed(encoder, images):
    with torch.no_grad() and torch.autocast("cpu", dtype=torch.bfloat16):  # GL303
        features = encoder(images)
    return features

# run: features = embed(model, images)
# shows: features.requires_grad
# keeps: > 0 bytes
```

## Instead

```python
import torch

def embed(encoder, images):
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        features = encoder(images)
    return features

# run: features = embed(model, images)
# shows: not features.requires_grad
# shows: features.dtype == torch.bfloat16
```

## Fixed

```python
import torch

def embed(encoder, images):
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        features = encoder(images)
    return features
```

## Why

`a and b` is `b` when `a` is true, and a context manager is true. So `with a and b:` enters `b`
alone: with `no_grad()` first, grad stays on; with `no_grad()` last, the other one (autocast, a
lock, a profiler) is never entered. `a or b` is `a`: there the second is never entered. Neither Python
nor PyTorch says anything. A comma enters both.

When the first operand is a condition (`with evaluating and torch.no_grad():`), a false condition is
handed to `with`: `TypeError: 'bool' object does not support the context manager protocol`. Write
`torch.set_grad_enabled(not evaluating)`.
"""

from collections.abc import Iterator

from gradlint.rule import (
    Call,
    Edit,
    Expression,
    Finding,
    Fix,
    FunctionNode,
    Operation,
    Project,
    rule,
    scope,
)


@rule("GL303", severity="error", since="0.1.0")
def grad_mode_joined_by_and(project: Project) -> Iterator[Finding]:
    """Find grad modes that are operands of ``and`` where a context manager is expected."""
    for function in filter(project.modes.mentioned, project.functions()):
        entered = {context.at for context in scope.entered(function)}
        yield from _alternatives(project, function)
        for joined in _joined(function):
            *lost, last = [project.modes.made(function, operand) for operand in _operands(joined)]
            # In front a grad mode is lost wherever that stands; at the end only ``with`` makes it wrong.
            if any(lost) or (last is not None and joined.at in entered):
                yield _finding(project, function, joined, next(filter(None, lost), None))


def _alternatives(project: Project, function: FunctionNode) -> Iterator[Finding]:
    """``with a or b:`` where ``a`` is a context manager, which is always true."""
    for joined in scope.entered(function):
        if not (isinstance(joined, Operation) and joined.operator == "or"):
            continue
        chain = _chain(joined)
        operands = [chain[0].operands[0], *(operation.operands[1] for operation in chain)]
        modes = [name for operand in operands if (name := project.modes.made(function, operand))]
        if modes and all(_is_manager(project, function, operand) for operand in operands):
            is_item = _is_item(function, joined)
            yield Finding(
                function.place(joined.at),
                function.name,
                "only the first is entered: `or` gives its first operand alone when that is true, and this one is",
                help="join context managers by a comma",
                fix=_separate(project, function, chain, operands[1:]) if is_item else None,
            )


def _joined(function: FunctionNode) -> list[Operation]:
    """The outermost operations joined by ``and``."""
    found = [e for e in scope.evaluated(function) if isinstance(e, Operation) and e.operator == "and"]
    inner = {operand.at for joined in found for operand in joined.operands}
    return [joined for joined in found if joined.at not in inner]


def _operands(joined: Expression) -> list[Expression]:
    if isinstance(joined, Operation) and joined.operator == "and":
        return [inner for operand in joined.operands for inner in _operands(operand)]
    return [joined]


def _finding(project: Project, function: FunctionNode, joined: Operation, lost: str | None) -> Finding:
    chain = _chain(joined)
    operands = [chain[0].operands[0], *(operation.operands[1] for operation in chain)]
    managers = all(_is_manager(project, function, operand) for operand in operands)
    if lost is not None:
        what = f"`{lost}` is never entered: `and` gives its last operand alone"
    elif managers:
        what = "only the grad mode is entered: `and` gives its last operand alone"
    else:
        what = "`and` hands its first operand to `with` when that is false, and drops it when it is true"
    return Finding(
        function.place(joined.at),
        function.name,
        what,
        help="join context managers by a comma, and give conditions to `torch.set_grad_enabled(...)`",
        fix=_separate(project, function, chain, operands[:-1]) if managers and _is_item(function, joined) else None,
    )


def _is_manager(project: Project, function: FunctionNode, operand: Expression) -> bool:
    """Whether an operand is a context manager of torch's or Python's, and no condition."""
    if not isinstance(operand, Call):
        return False
    home, _, name = (project.modes.full_name(function, operand.function) or "").rpartition(".")
    return home.partition(".")[0] in ("torch", "contextlib") and not name.startswith("is_")


def _is_item(function: FunctionNode, joined: Operation) -> bool:
    return any(item.at == joined.at for item in scope.with_items(function))


def _chain(joined: Operation) -> list[Operation]:
    """``a and b and c`` as its two operations, from left to right."""
    chain = [joined]
    while isinstance(first := chain[0].operands[0], Operation) and first.operator == joined.operator:
        chain.insert(0, first)
    return chain


def _separate(project: Project, function: FunctionNode, chain: list[Operation], lost: list[Expression]) -> Fix:
    places = [operation.operator_at for operation in chain]
    edits = tuple(Edit(function.place(at), "replace", ", ") for at in places if at is not None)
    # Another kind of context may change values (autocast), or wait (a lock), once it is entered.
    is_safe = all(project.modes.made(function, operand) for operand in lost)
    return Fix("safe" if is_safe else "unsafe", "join them by a comma", edits)


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Linear(8, 2)
images = torch.randn(4, 8)
```

## Flagged

### the guard comes last, the other one is lost
```python
import torch
from torch import inference_mode

def embed(encoder, images):
    with torch.autocast("cpu") and inference_mode():  # GL303
        return encoder(images)

# run: out = embed(model, images)
# shows: out.dtype == torch.float32
```

### three of them
```python
import torch

def embed(encoder, images, lock):
    with torch.no_grad() and torch.autocast("cpu") and lock:  # GL303
        return encoder(images)

# run: import threading
# run: out = embed(model, images, threading.Lock())
# shows: out.requires_grad
# shows: out.dtype == torch.float32
```

### joined by or, the second one is lost
```python
import torch

def embed(encoder, images):
    with torch.autocast("cpu") or torch.no_grad():  # GL303
        return encoder(images)

# run: out = embed(model, images)
# shows: out.requires_grad
```

### a condition that may be false
```python
import torch

def embed(encoder, images, evaluating):
    with evaluating and torch.no_grad():  # GL303
        return encoder(images)

# run: embed(model, images, False)
# raises: TypeError: 'bool' object does not support the context manager, or AttributeError: __enter__
```

### one of several items
```python
import torch

def embed(encoder, images):
    with open("log.txt", "w") as log, torch.no_grad() and torch.autocast("cpu"):  # GL303
        log.write("embedding")
        return encoder(images)

# run: out = embed(model, images)
# shows: out.requires_grad
```

### the combination kept in a name
```python
import torch

def embed(encoder, images):
    modes = torch.no_grad() and torch.autocast("cpu")  # GL303
    with modes:
        return encoder(images)

# run: out = embed(model, images)
# shows: out.requires_grad
```

### handed on to somebody's with
```python
import torch

def modes():
    return torch.no_grad() and torch.autocast("cpu")  # GL303

def embed(encoder, images):
    with modes():
        return encoder(images)

# run: out = embed(model, images)
# shows: out.requires_grad
```

### on an exit stack
```python
import torch
from contextlib import ExitStack

def embed(encoder, images):
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad() and torch.autocast("cpu"))  # GL303
        return encoder(images)

# run: out = embed(model, images)
# shows: out.requires_grad
```

## Silent

### a guard where there is none yet
```python
import torch

def embed(encoder, images, context=None):
    with context or torch.no_grad():
        return encoder(images)

# run: embed(model, images)
```

### joined by commas, on one line and in parentheses
```python
import torch

def embed(encoder, images):
    with torch.no_grad(), torch.autocast("cpu"):
        return encoder(images)

def score(encoder, images):
    with (
        torch.inference_mode(),
        torch.autocast("cpu"),
    ):
        return encoder(images)

# run: outs = embed(model, images), score(model, images)
# shows: not any(out.requires_grad for out in outs)
```

### the conditional of old Python
```python
import torch

def embed(encoder, images, training):
    with training and torch.enable_grad() or torch.no_grad():
        return encoder(images)

# run: on, off = embed(model, images, True), embed(model, images, False)
# shows: on.requires_grad and not off.requires_grad
```

### a condition that decides later
```python
import contextlib
import torch

def embed(encoder, images, frozen):
    guard = frozen and torch.no_grad()
    with guard or contextlib.nullcontext():
        return encoder(images)

# run: on, off = embed(model, images, False), embed(model, images, True)
# shows: on.requires_grad and not off.requires_grad
```

### a default by or
```python
import torch

def embed(encoder, images, mode=None):
    with mode or torch.no_grad():
        return encoder(images)

# run: out = embed(model, images)
# shows: not out.requires_grad
```

### and inside the argument
```python
import torch

def embed(encoder, images, training, warm):
    with torch.set_grad_enabled(training and warm):
        return encoder(images)

# run: out = embed(model, images, True, False)
# shows: not out.requires_grad
```

### and next to the with
```python
import torch

def embed(encoder, images, fast):
    if fast and torch.is_grad_enabled():
        with torch.no_grad():
            return encoder(images)
    return encoder(images)

# run: out = embed(model, images, True)
# shows: not out.requires_grad
```

### other context managers joined by and
```python
import torch

def embed(encoder, images, lock, other):
    with lock and other:
        return encoder(images)

# run: import threading
# run: out = embed(model, images, threading.Lock(), threading.Lock())
```
"""
