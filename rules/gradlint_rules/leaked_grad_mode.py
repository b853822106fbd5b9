"""A grad mode is switched and never switched back.

## Flagged

```python
import torch

def predict(model, images):
    model.eval()
    torch.set_grad_enabled(False)  # GL311
    return model(images).argmax(1)

# run: predict(model, images)
# shows: not torch.is_grad_enabled()
```

## Instead

```python
import torch

def predict(model, images):
    model.eval()
    with torch.set_grad_enabled(False):
        return model(images).argmax(1)

# run: predict(model, images)
# shows: torch.is_grad_enabled()
```

or, for a fixed `False`, `torch.no_grad()`.

## Fixed

```python
import torch

@torch.no_grad()
def predict(model, images):
    model.eval()
    torch.set_grad_enabled(False)
    return model(images).argmax(1)
```

## Why

`torch.set_grad_enabled(False)` acts at once and for the whole thread; only leaving an enclosing
`with` undoes it. After the function has returned, its caller runs with grad off too, and so does
all code after it. The next training step raises `RuntimeError: element 0 of tensors does not
require grad and does not have a grad_fn`, far from the cause. `torch.no_grad().__enter__()` without
`__exit__()` does the same (an `inference_mode()` ends at the latest when its object dies). At the
top of a module that others import, the import switches grad off for all of them.

A `set_grad_enabled(True)` at the end is half a repair: an exception jumps over it, and inside a
caller's `no_grad()` it switches grad back on. A script may switch grad off for good at its top;
that is not reported.
"""

from collections.abc import Iterator

from gradlint.rule import Attribute, Finding, Fix, FunctionNode, Leak, Note, Project, rewrites, rule


@rule("GL311", severity="warning", since="0.1.0", measures="leak")
def leaked_grad_mode(project: Project) -> Iterator[Finding]:
    """Find grad modes switched off by a statement and not restored."""
    for function in project.functions():
        if (leak := project.leaks.of(function)) is not None:
            yield _finding(project, leak)


def _finding(project: Project, leak: Leak) -> Finding:
    function = leak.function
    on_import = function.is_module_body
    felt = "imported here" if on_import else "called here, with grad off afterwards"
    return Finding(
        function.place(leak.call.at),
        function.name,
        "importing this module switches grad off for the whole program"
        if on_import
        else "grad stays off when this function has returned",
        notes=(Note(leak.felt_at, felt),) if leak.felt_at is not None else (),
        help="use `with torch.no_grad():` around what needs no gradient",
        fix=None if on_import else _decorate(function, leak),
    )


def _decorate(function: FunctionNode, leak: Leak) -> Fix | None:
    """A decorator puts back what was before; not for a constructor, whose mode is meant to last."""
    facts = function.facts
    if facts.is_async or facts.is_generator or facts.is_lambda or facts.name == "__init__":
        return None
    entered = isinstance(leak.call.function, Attribute) and leak.call.function.name == "__enter__"
    if function.parent is None or entered or "backward" in facts.words:
        return None
    edits = rewrites.decorated(function)
    return Fix("unsafe", "decorate the function with `@torch.no_grad()`", edits) if edits else None


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Linear(8, 3)
images = torch.randn(4, 8)
```

## Flagged

### entered by hand
```python
import torch

def predict(model, images):
    torch.no_grad().__enter__()  # GL311
    return model(images).argmax(1)

def score(model, images):
    guard = torch.no_grad()
    guard.__enter__()  # GL311
    return model(images).softmax(1)

# run: predict(model, images)
# run: first = torch.is_grad_enabled()
# run: torch.set_grad_enabled(True)
# run: score(model, images)
# shows: not first and not torch.is_grad_enabled()
```

### an inference mode that an object keeps alive
```python
import torch

class Predictor:
    def __init__(self, model):
        self.model = model.eval()
        self.guard = torch.inference_mode()
        self.guard.__enter__()  # GL311

# run: predictor = Predictor(model)
# shows: torch.is_inference_mode_enabled()
```

### a module that others import
```python
# file: shop/__init__.py
# file: shop/predict.py
import torch

torch.set_grad_enabled(False)  # GL311

def label(model, images):
    return model(images).argmax(1)

# file: train.py
import torch
from shop.predict import label
# shows: not torch.is_grad_enabled()
```

### the caller's training
```python
import torch
from torch.autograd import set_grad_enabled

def warm_up(model, images):
    set_grad_enabled(False)  # GL311
    model(images)

# run: warm_up(model, images)
# run: loss = model(images).sum()
# shows: not loss.requires_grad
```

### kept in a variable that nobody looks at
```python
import torch

def predict(model, images):
    guard = torch.set_grad_enabled(False)  # GL311
    return model(images).argmax(1)

# run: predict(model, images)
# shows: not torch.is_grad_enabled()
```

### in a method
```python
import torch

class Predictor:
    def __init__(self, model):
        self.model = model.eval()
        torch.set_grad_enabled(False)  # GL311

    def predict(self, images):
        return self.model(images).argmax(1)

# run: Predictor(model)
# shows: not torch.is_grad_enabled()
```

### entered by a method, and left by none
```python
import torch

class Engine:
    def start(self):
        self.guard = torch.no_grad()
        self.guard.__enter__()  # GL311

    def run(self, model, images):
        return model(images)

# run: engine = Engine(); engine.start()
# shows: not torch.is_grad_enabled()
```

### a program that trains again afterwards
```python
import torch
from torch import nn

def validate(model, images):
    torch.set_grad_enabled(False)  # GL311
    return model.eval()(images).argmax(1)

def main():
    model, images = nn.Linear(8, 3), torch.randn(4, 8)
    for epoch in range(2):
        model.train()
        loss = model(images).sum()
        loss.backward()
        print(validate(model, images))

if __name__ == "__main__":
    main()
# raises: RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn
```

### told by its caller
```python
# file: modes.py
import torch

def quiet():
    torch.set_grad_enabled(False)

# file: main.py
from modes import quiet as no_gradients

def predict(model, images):
    no_gradients()  # GL311
    return model(images).argmax(1)

# run: predict(model, images)
# run: import torch
# shows: not torch.is_grad_enabled()
```

### restored on one path only
```python
import torch

def predict(model, images, fast):
    torch.set_grad_enabled(False)  # GL311
    if fast:
        return model(images).argmax(1)
    scores = model(images)
    torch.set_grad_enabled(True)
    return scores

# run: predict(model, images, fast=True)
# shows: not torch.is_grad_enabled()
```

### next to one that restores
```python
import torch

def embed(model, images):
    torch.set_grad_enabled(False)  # GL311
    return model(images)

def careful(model, images):
    before = torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    try:
        return model(images)
    finally:
        torch.set_grad_enabled(before)

# run: embed(model, images)
# shows: not torch.is_grad_enabled()
```

## Silent

### as a context manager and as a decorator
```python
import torch

@torch.set_grad_enabled(False)
def predict(model, images):
    return model(images).argmax(1)

def forward(model, images, train):
    with torch.set_grad_enabled(train):
        return model(images)

# run: predict(model, images)
# run: forward(model, images, False)
# shows: torch.is_grad_enabled()
```

### a script's own decision
```python
import torch

torch.set_grad_enabled(False)
torch.no_grad().__enter__()
print(torch.ones(3).sum())
# shows: not torch.is_grad_enabled()
```

### a program that does without autograd, in all of its modules
```python
# file: layers.py
import torch

torch.set_grad_enabled(False)

def linear(weight, x):
    return x @ weight.T

# file: main.py
import torch
from layers import linear

torch.set_grad_enabled(False)
print(linear(torch.ones(3, 8), torch.ones(4, 8)))
# shows: not torch.is_grad_enabled()
```

### under __main__, and in the main function it calls
```python
import torch

def main():
    torch.set_grad_enabled(False)
    print(torch.ones(3).sum())

if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
# shows: not torch.is_grad_enabled()
```

### restored in finally
```python
import torch

def predict(model, images):
    before = torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    try:
        return model(images).argmax(1)
    finally:
        torch.set_grad_enabled(before)

# run: predict(model, images)
# shows: torch.is_grad_enabled()
```

### restored at the end
```python
import torch

def count(model, images):
    torch.set_grad_enabled(False)
    labels = model(images).argmax(1)
    torch.set_grad_enabled(True)
    return len(labels)

# run: count(model, images)
# shows: torch.is_grad_enabled()
```

### entered and left by hand
```python
import torch

def count(model, images):
    guard = torch.no_grad()
    guard.__enter__()
    try:
        return len(model(images).argmax(1))
    finally:
        guard.__exit__(None, None, None)

# run: count(model, images)
# shows: torch.is_grad_enabled()
```

### entered by a method, and left by who made the object
```python
import torch

class Engine:
    def start(self):
        self.guard = torch.no_grad()
        self.guard.__enter__()

def run(model, images):
    engine = Engine()
    engine.start()
    try:
        return model(images)
    finally:
        engine.guard.__exit__(None, None, None)

# run: run(model, images)
# shows: torch.is_grad_enabled()
```

### an inference mode that ends with the function
```python
import torch

def score(model, images):
    guard = torch.inference_mode()
    guard.__enter__()
    return model(images).softmax(1)

# run: scores = score(model, images)
# shows: scores.is_inference() and not torch.is_inference_mode_enabled()
```

### a context manager class
```python
import torch

class Evaluation:
    def __enter__(self):
        self.before = torch.is_grad_enabled()
        torch.set_grad_enabled(False)

    def __exit__(self, *error):
        torch.set_grad_enabled(self.before)

class Frozen:
    def __enter__(self):
        self.guard = torch.no_grad()
        self.guard.__enter__()

    def __exit__(self, *error):
        self.guard.__exit__(*error)

# run: with Evaluation(), Frozen(): inside = torch.is_grad_enabled()
# shows: not inside and torch.is_grad_enabled()
```

### a context manager made from a generator
```python
import contextlib
import torch

@contextlib.contextmanager
def evaluating():
    before = torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    yield
    torch.set_grad_enabled(before)

# run: with evaluating(): inside = torch.is_grad_enabled()
# shows: not inside and torch.is_grad_enabled()
```

### inside an enclosing with that undoes it
```python
import torch

def count(model, images):
    with torch.enable_grad():
        torch.set_grad_enabled(False)
        return len(model(images).argmax(1))

# run: count(model, images)
# shows: torch.is_grad_enabled()
```

### kept in a variable and entered later
```python
import torch

def predict(model, images):
    guard = torch.set_grad_enabled(False)
    with guard:
        return model(images).argmax(1)

# run: predict(model, images)
# shows: torch.is_grad_enabled()
```

### an exit stack restores
```python
import torch
from contextlib import ExitStack

def count(model, images):
    with ExitStack() as stack:
        stack.enter_context(torch.set_grad_enabled(False))
        return len(model(images).argmax(1))

# run: count(model, images)
# shows: torch.is_grad_enabled()
```

### the last thing that a program does
```python
# file: testing.py
import torch

def test(model, images):
    torch.set_grad_enabled(False)
    return model.eval()(images).argmax(1)

# file: main.py
import torch
from testing import test
from torch import nn

def train(model, images):
    model(images).sum().backward()

def run():
    model, images = nn.Linear(8, 3), torch.randn(4, 8)
    for _ in range(2):
        train(model, images)
    print(test(model, images))

if __name__ == "__main__":
    run()
# shows: not torch.is_grad_enabled()
```

### a function whose only job it is
```python
import torch

def without_grad(model):
    model.eval()
    torch.set_grad_enabled(False)

def with_grad_as_it_was(before):
    torch.set_grad_enabled(before)

# run: without_grad(model)
# run: with_grad_as_it_was(True)
# shows: torch.is_grad_enabled()
```

### in a thread, which ends
```python
import threading
import torch

def work(model, images, results):
    torch.set_grad_enabled(False)
    results.append(model(images).argmax(1))

def start(model, images):
    results = []
    thread = threading.Thread(target=work, args=(model, images, results))
    thread.start()
    thread.join()
    return results

# run: results = start(model, images)
# shows: torch.is_grad_enabled()
```

### set up and torn down by a test case
```python
import unittest
import torch

class FrozenTest(unittest.TestCase):
    def setUp(self):
        torch.set_grad_enabled(False)

    def tearDown(self):
        torch.set_grad_enabled(True)

# run: case = FrozenTest()
# run: case.setUp(), case.tearDown()
# shows: torch.is_grad_enabled()
```

### set again for each phase
```python
import torch

def run_epoch(model, loader, training):
    model.train(training)
    torch.set_grad_enabled(training)
    return [model(images) for images in loader]

# run: run_epoch(model, [images], False), run_epoch(model, [images], True)
# shows: torch.is_grad_enabled()
```

### switched on
```python
import torch

def prepare():
    torch.set_grad_enabled(True)

# run: prepare()
# shows: torch.is_grad_enabled()
```
"""
