"""A generator yields inside a grad mode region: its consumer runs in that mode too.

## Flagged

```python
import torch

def embedded(encoder, loader):
    with torch.no_grad():
        for images, labels in loader:
            yield encoder(images), labels  # GL309

# run: for inputs, labels in embedded(encoder, loader): criterion(head(inputs), labels).backward()
# raises: RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn
```

## Instead

```python
import torch

@torch.no_grad()
def embedded(encoder, loader):
    for images, labels in loader:
        yield encoder(images), labels

# run: for inputs, labels in embedded(encoder, loader): criterion(head(inputs), labels).backward()
# shows: head.weight.grad is not None
```

## Fixed

```python
import torch

@torch.no_grad()
def embedded(encoder, loader):
    with torch.no_grad():
        for images, labels in loader:
            yield encoder(images), labels
```

## Why

The grad mode belongs to the thread, not to the function. At a `yield` the `with` block stays open,
so the code that consumes the generator runs with grad off between two items. A training loop there
raises `RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn`. A
generator that is started inside a `no_grad()` of its consumer and closed later leaves grad off for
the rest of the thread. Under `inference_mode()` the consumer makes inference tensors, which can
never be trained with.

As a decorator the same mode is right: it is left at each `yield` and entered again with the next
item. Or compute inside the `with`, and yield after it.
"""

import re
from collections.abc import Iterable, Iterator

from gradlint.rule import (
    GRAD,
    Call,
    Edit,
    Finding,
    Fix,
    FunctionNode,
    Note,
    Project,
    Severity,
    With,
    Yield,
    all_of,
    dotted,
    rule,
    scope,
)

# Decorators whose generators hand their mode on by purpose.
_HANDING_ON = re.compile(r"context|fixture|hook", re.I)
_LOADERS = frozenset({"torch.utils.data.DataLoader", "torch.utils.data.dataloader.DataLoader"})


@rule("GL309", severity="warning", since="0.1.0", measures="leak")
def yield_under_no_grad(project: Project) -> Iterator[Finding]:
    """Find yields inside a grad mode region of the same function."""
    for function in project.functions():
        if function.facts.is_generator and not _hands_on(project, function):
            leaking = [y.at for y in _yields(function) if project.states.disables(function, y.at)]
            if leaking and _is_felt(project, function):
                yield from (_finding(project, function, at, at == leaking[0]) for at in leaking)


def _is_felt(project: Project, function: FunctionNode) -> bool:
    """Nothing leaks under a decorator, which is left at each yield, nor where all callers hold a guard."""
    return bool(project.calls.entry(function) & GRAD) and not project.consumers.only_keep(function)


def _yields(function: FunctionNode) -> Iterable[Yield]:
    return all_of(Yield, function.facts.body)


def _hands_on(project: Project, function: FunctionNode) -> bool:
    outside = function.parent or function
    for named in scope.decorated_by(function):
        if _HANDING_ON.search(f"{dotted(named)} {project.modes.full_name(outside, named)}"):
            return True
    return False


def _finding(project: Project, function: FunctionNode, at: int, is_first: bool) -> Finding:
    context = project.states.guards.around(function, at)
    return Finding(
        function.place(at),
        function.name,
        "grad is off at this `yield`, and so it is for the code that consumes the generator",
        notes=(Note(function.place(context.at), "switched off here"),) if context is not None else (),
        help="decorate the generator instead, or yield outside the region",
        fix=_decorate(project, function) if is_first else None,
        severity=_severity(project, function),
    )


def _severity(project: Project, function: FunctionNode) -> Severity | None:
    """A data loader's consumer is a training loop."""
    cls = function.owner
    bases = {base.name for base in project.linker.ancestors(cls)} if cls is not None else frozenset()
    return "error" if function.facts.name == "__iter__" and not _LOADERS.isdisjoint(bases) else None


def _decorate(project: Project, function: FunctionNode) -> Fix | None:
    """With the whole body in the region the decorator does the same, and leaves the mode at each yield."""
    match function.facts.body:
        case (With(items=(item,)),) if isinstance(item.context, Call) and not function.facts.is_async:
            name = dotted(item.context.function)
            named = project.modes.mode(function.parent or function, item.context.function)
            if name is not None and named == "no_grad":
                edit = Edit(function.place(function.facts.keyword_at), "line-above", f"@{name}()")
                return Fix("safe", f"decorate the generator with `@{name}()`", (edit,))
            return None
        case _:
            return None


CASES = r"""
```python setup
import torch
from torch import nn

encoder, head, criterion = nn.Linear(8, 4), nn.Linear(4, 3), nn.CrossEntropyLoss()
loader = [(torch.randn(4, 8), torch.randint(3, (4,))) for _ in range(2)]
```

## Flagged

### the consumer's mode
```python
import torch

def batches(loader):
    with torch.set_grad_enabled(False):
        for images, labels in loader:
            yield images / 255, labels  # GL309

# run: modes = [torch.is_grad_enabled() for batch in batches(loader)]
# shows: modes == [False, False]
```

### inference mode marks the consumer's tensors
```python
import torch

def batches(loader):
    with torch.inference_mode():
        for images, labels in loader:
            yield images / 255  # GL309

# run: marked = [torch.ones(1).is_inference() for batch in batches(loader)]
# shows: all(marked)
```

### under another name, and in the middle
```python
from torch import no_grad as ng
from torch.autograd import no_grad

def batches(loader):
    yield "start"
    with open("log.txt", "w") as log, ng():
        log.write("first")
        yield loader[0]  # GL309
    with no_grad():
        yield from loader  # GL309
    yield "end"

# run: modes = [torch.is_grad_enabled() for _ in batches(loader)]
# shows: modes == [True, False, False, False, True]
```

### the iteration of a loader class
```python
import torch

class Embedded:
    def __init__(self, encoder, loader):
        self.encoder = encoder
        self.loader = loader

    def __iter__(self):
        for images, labels in self.loader:
            with torch.no_grad():
                hidden = self.encoder(images)
                yield hidden, labels  # GL309

# run: modes = [torch.is_grad_enabled() for _ in Embedded(encoder, loader)]
# shows: modes == [False, False]
```

### closed after its consumer's own guard
```python
import torch

def batches(loader):
    with torch.no_grad():
        for batch in loader:
            yield batch  # GL309

# run: source = batches(loader)
# run: with torch.no_grad(): next(source)
# run: source.close()
# shows: not torch.is_grad_enabled()
```

### one of its consumers trains
```python
import torch

def embedded(encoder, loader):
    with torch.no_grad():
        for images, labels in loader:
            yield encoder(images), labels  # GL309

def count(encoder, loader):
    return len(list(embedded(encoder, loader)))

def train(encoder, head, criterion, loader):
    for inputs, labels in embedded(encoder, loader):
        criterion(head(inputs), labels).backward()

# run: train(encoder, head, criterion, loader)
# raises: RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn
```

### an asynchronous generator
```python
import torch

async def embedded(encoder, loader):
    with torch.no_grad():
        for images, _ in loader:
            yield encoder(images)  # GL309

# run: import asyncio
# run: async def consume(): return [torch.is_grad_enabled() async for _ in embedded(encoder, loader)]
# run: modes = asyncio.run(consume())
# shows: modes == [False, False]
```

### a value sent back
```python
import torch

def answers(encoder):
    with torch.no_grad():
        images = yield  # GL309
        while images is not None:
            images = yield encoder(images)  # GL309

# run: source = answers(encoder)
# run: next(source)
# shows: not torch.is_grad_enabled()
```

## Silent

### a decorated generator
```python
import torch

@torch.inference_mode()
def predictions(encoder, loader):
    encoder.eval()
    for images, _ in loader:
        yield encoder(images).argmax(1)

# run: modes = [torch.is_grad_enabled() for _ in predictions(encoder, loader)]
# shows: modes == [True, True]
```

### yielded after the region
```python
import torch

def predictions(encoder, loader):
    encoder.eval()
    for images, _ in loader:
        with torch.no_grad():
            labels = encoder(images).argmax(1)
        yield labels

# run: modes = [torch.is_grad_enabled() for _ in predictions(encoder, loader)]
# shows: modes == [True, True]
```

### a context manager is meant to pass its mode on
```python
import contextlib
from contextlib import contextmanager
import torch

@contextmanager
def evaluating(model):
    model.eval()
    with torch.no_grad():
        yield model
    model.train()

@contextlib.contextmanager
def frozen():
    with torch.no_grad():
        yield

@contextlib.asynccontextmanager
async def serving(model):
    with torch.inference_mode():
        yield model

# run: with evaluating(encoder): inside = torch.is_grad_enabled()
# shows: not inside
```

### a fixture too
```python
import pytest
import torch

@pytest.fixture(autouse=True)
def without_grad():
    with torch.no_grad():
        yield

@pytest.fixture
def frozen():
    with torch.no_grad():
        yield torch.ones(3)
```

### all who consume it only keep what they get
```python
import torch

class Sampler:
    def __init__(self, denoiser, steps):
        self.denoiser = denoiser
        self.steps = steps

    def images(self, image):
        for step in range(self.steps):
            with torch.no_grad():
                image = image - self.denoiser(image) / (step + 1)
                yield image

    def last(self, image):
        for image in self.images(image):
            final = image
        return final

    def all(self, image):
        found = []
        for step, image in enumerate(self.images(image)):
            print(step)
            found.append(image.cpu())
        return found, list(self.images(image)), [len(each) for each in self.images(image)]

# run: sampler = Sampler(nn.Linear(8, 8), 3)
# run: outs = sampler.last(torch.ones(2, 8)), *sampler.all(torch.ones(2, 8))[0]
# shows: not any(out.requires_grad for out in outs) and torch.is_grad_enabled()
```

### a generator inside, a comprehension, a lambda
```python
import torch

def make(loader):
    with torch.no_grad():
        def images():
            for image, _ in loader:
                yield image

        labels = [label for _, label in loader]
        return images, labels, (lambda: (yield))

# run: images, labels, answer = make(loader)
# run: modes = [torch.is_grad_enabled() for _ in images()]
# shows: modes == [True, True]
```

### another mode than a grad mode
```python
import torch

def batches(loader, lock):
    with lock, torch.autocast("cpu"):
        for batch in loader:
            yield batch

# run: import threading
# run: seen = list(batches(loader, threading.Lock()))
```
"""
