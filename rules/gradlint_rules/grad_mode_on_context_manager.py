"""A grad mode decorates a `@contextmanager`: the code under its `with` runs as before.

## Flagged

```python
import contextlib
import torch

@torch.no_grad()  # GL308
@contextlib.contextmanager
def evaluating(model):
    model.eval()
    yield model
    model.train()

def predict(model, images):
    with evaluating(model):
        return model(images)

# run: labels = predict(model, images)
# shows: labels.requires_grad
# keeps: > 0 bytes
```

## Instead

```python
import contextlib
import torch

@contextlib.contextmanager
def evaluating(model):
    model.eval()
    with torch.no_grad():
        yield model
    model.train()

def predict(model, images):
    with evaluating(model):
        return model(images)

# run: labels = predict(model, images)
# shows: not labels.requires_grad
```

## Why

A decorated generator is in the mode while its own lines run, and leaves it at each `yield`. The body
of a `with` runs at the `yield`, so it sees nothing of it. With the grad mode on top even the
generator's own lines run as before: all it covers is the call that makes the context manager.

PyTorch says nothing. What runs under the `with` records its graph, and what that keeps is freed no
sooner than without.

Below `@contextmanager` the decorator does have a use, for lines of the generator itself that change
parameters, such as swapping averaged weights in and out; that is not reported.
"""

import re
from collections.abc import Iterator

from gradlint.rule import (
    Attribute,
    Augment,
    Call,
    Expression,
    Finding,
    FunctionNode,
    Project,
    all_of,
    dotted,
    rule,
    statements,
)

_MANAGERS = frozenset({"contextlib.contextmanager", "contextlib.asynccontextmanager"})
# Calls that no grad mode matters to.
_SETTING = re.compile(
    r"^(eval|train|requires_grad_|print|time|perf_counter|info|debug|append|pop|format|modules|is_\w+)$"
)


@rule("GL308", severity="error", since="0.1.0")
def grad_mode_on_context_manager(project: Project) -> Iterator[Finding]:
    """Find grad modes beside a ``contextmanager`` decorator that cover nothing."""
    for function in filter(lambda f: f.facts.is_generator, project.functions()):
        scope = function.parent or function
        names = [project.modes.full_name(scope, decorator) for decorator in function.facts.decorators]
        manager = next((index for index, name in enumerate(names) if name in _MANAGERS), None)
        if manager is None:
            continue
        for index, decorator in enumerate(function.facts.decorators):
            mode = project.modes.decorating(scope, decorator)
            if mode is not None and (index < manager or not _computes(function)):
                yield _finding(function, decorator, mode)


def _computes(function: FunctionNode) -> bool:
    """Whether a generator's own lines may do something that a grad mode matters to."""
    if any(isinstance(statement, Augment) for statement in statements(function.facts.body)):
        return True
    calls = (e.function for e in all_of(Call, function.facts.body))
    return not all(_SETTING.match(_last(called)) for called in calls)


def _last(called: Expression) -> str:
    return called.name if isinstance(called, Attribute) else (dotted(called) or "")


def _finding(function: FunctionNode, decorator: Expression, mode: str) -> Finding:
    return Finding(
        function.place(decorator.at),
        function.name,
        f"`{mode}` does not reach the body of `with {function.facts.name}(...)`",
        help="use `with` in the generator, around its `yield`",
    )


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Linear(8, 3)
images = torch.randn(4, 8)
```

## Flagged

### below the other decorator
```python
from contextlib import contextmanager
import torch

@contextmanager
@torch.inference_mode()  # GL308
def evaluating(model):
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)

# run: with evaluating(model): out = model(images)
# shows: out.requires_grad and model.training
```

### on top, whatever the generator does
```python
from contextlib import contextmanager
import torch

@torch.no_grad()  # GL308
@contextmanager
def scaled(weight, scale):
    weight *= scale
    yield weight
    weight /= scale

# run: with scaled(model.weight, 2): pass
# raises: RuntimeError: a leaf Variable that requires grad is being used in an in-place operation.
```

### an asynchronous one
```python
from contextlib import asynccontextmanager
import torch

@asynccontextmanager
@torch.no_grad()  # GL308 GL307
async def serving(model):
    yield model.eval()

async def score(images):
    async with serving(model) as served:
        return served(images)

# run: import asyncio
# run: recorded = asyncio.run(score(images)).requires_grad
# shows: recorded
```

## Silent

### the guard around the yield
```python
from contextlib import contextmanager
import torch

@contextmanager
def evaluating(model):
    model.eval()
    with torch.inference_mode():
        yield

# run: with evaluating(model): out = model(images)
# shows: not out.requires_grad
```

### for lines of its own
```python
from contextlib import contextmanager
import torch

@contextmanager
@torch.no_grad()
def averaged(model, average):
    kept = [parameter.clone() for parameter in model.parameters()]
    for parameter, mean in zip(model.parameters(), average):
        parameter.copy_(mean)
    yield
    for parameter, old in zip(model.parameters(), kept):
        parameter.copy_(old)

@contextmanager
@torch.no_grad()
def scaled(weight, scale):
    weight *= scale
    yield weight
    weight /= scale

# run: with averaged(model, [torch.zeros(3, 8), torch.zeros(3)]): out = model(images)
# run: with scaled(model.weight, 2): pass
# shows: out.sum() == 0
```

### a generator that is no context manager
```python
import torch

@torch.no_grad()
def scores(model, loader):
    model.eval()
    for images in loader:
        yield model(images)

# run: found = [score.requires_grad for score in scores(model, [images])]
# shows: found == [False]
```
"""
