"""A coroutine awaits inside a grad mode region: other tasks run in that mode meanwhile.

## Flagged

```python
import asyncio
import torch

async def score(model, queue):
    with torch.no_grad():
        images = await queue.get()  # GL310
        return model(images)

async def serve(model, queue):
    return await asyncio.gather(score(model, queue), score(model, queue))

# run: scores = asyncio.run(serve(model, Queue()))
# shows: not torch.is_grad_enabled()
```

## Instead

```python
import asyncio
import torch

async def score(model, queue):
    images = await queue.get()
    with torch.no_grad():
        return model(images)

async def serve(model, queue):
    return await asyncio.gather(score(model, queue), score(model, queue))

# run: scores = asyncio.run(serve(model, Queue()))
# shows: torch.is_grad_enabled()
```

## Why

The grad mode belongs to the thread, and an `await` hands the thread to other tasks while the `with`
block is open. A task that trains there raises `RuntimeError: element 0 of tensors does not require
grad and does not have a grad_fn`.

When two tasks are in such blocks at once and leave them in the order they came, which is the usual
one, the second block records graphs after the first has ended, and then puts back what it found when
it began: grad off. The thread stays so for good. One task alone, or blocks that are left in the
opposite order, do no harm, so a test seldom shows it.

Do the waiting outside, and let the block hold only the code that computes.
"""

from collections.abc import Iterator

from gradlint.rule import (
    Await,
    Expression,
    Finding,
    For,
    FunctionNode,
    Note,
    Project,
    Statement,
    With,
    all_of,
    rule,
    statements,
)


@rule("GL310", severity="error", since="0.1.0", measures="leak")
def await_under_no_grad(project: Project) -> Iterator[Finding]:
    """Find the first place in each grad mode region where a coroutine waits."""
    for function in filter(lambda f: f.facts.is_async, project.functions()):
        regions: dict[int, Finding] = {}
        for waiting in sorted(_waits(function), key=lambda expression: expression.at):
            if project.states.disables(function, waiting.at):
                region = project.states.guards.around(function, waiting.at)
                regions.setdefault(region.at if region is not None else -1, _finding(function, waiting, region))
        yield from regions.values()


def _waits(function: FunctionNode) -> Iterator[Expression]:
    """Where a coroutine waits: ``await``, and what ``async for`` and ``async with`` take."""
    yield from all_of(Await, function.facts.body)
    for statement in statements(function.facts.body):
        yield from _waited_for(statement)


def _waited_for(statement: Statement) -> Iterator[Expression]:
    match statement:
        case For(is_async=True, iterable=iterable):
            yield iterable
        case With(is_async=True, items=items):
            yield from (item.context for item in items)
        case _:
            pass


def _finding(function: FunctionNode, waiting: Expression, region: Expression | None) -> Finding:
    return Finding(
        function.place(waiting.at),
        function.name,
        "grad is off for every other task of this thread while this one waits",
        notes=(Note(function.place(region.at), "switched off here"),) if region is not None else (),
        help="wait outside the region",
    )


CASES = r"""
```python setup
import asyncio
import torch
from torch import nn

model = nn.Linear(8, 3)

class Queue:
    async def get(self):
        await asyncio.sleep(0.01)
        return torch.randn(4, 8)

    async def __aenter__(self):
        await asyncio.sleep(0.01)

    async def __aexit__(self, *details):
        await asyncio.sleep(0.01)

    async def __aiter__(self):
        for _ in range(2):
            yield await self.get()

async def other():
    await asyncio.sleep(0.005)
    return torch.is_grad_enabled()

async def beside(coroutine):
    return (await asyncio.gather(coroutine, other()))[1]
```

## Flagged

### once for each region
```python
import torch

async def scores(model, queue):
    with torch.inference_mode():
        first = model(await queue.get())  # GL310
        second = model(await queue.get())
    with torch.set_grad_enabled(False):
        third = model(await queue.get())  # GL310
    return first, second, third

# run: is_on = asyncio.run(beside(scores(model, Queue())))
# shows: not is_on
```

### loops and context managers that wait
```python
import torch

async def scores(model, queue):
    found = []
    with torch.no_grad():
        async for images in queue:  # GL310
            found.append(model(images))
    return found

async def locked(model, lock, images):
    with torch.no_grad():
        async with lock:  # GL310
            return model(images)

# run: modes = asyncio.run(beside(scores(model, Queue()))), asyncio.run(beside(locked(model, Queue(), torch.ones(8))))
# shows: modes == (False, False)
```

### a task that trains meanwhile
```python
import torch

async def score(model, queue):
    guard = torch.no_grad()
    with guard:
        return model(await queue.get())  # GL310

async def train(model, images):
    await asyncio.sleep(0)
    model(images).sum().backward()

async def both(model, queue, images):
    await asyncio.gather(score(model, queue), train(model, images))

# run: asyncio.run(both(model, Queue(), torch.ones(8)))
# raises: RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn
```

## Silent

### waiting outside
```python
import torch

async def scores(model, queue):
    found = []
    async for images in queue:
        with torch.no_grad():
            found.append(model(images))
        await asyncio.sleep(0)
    return found

# run: is_on = asyncio.run(beside(scores(model, Queue())))
# shows: is_on
```

### another kind of region
```python
import torch

async def first(model, queue, lock):
    with lock, torch.autocast("cpu"):
        images = await queue.get()
    return images

# run: import threading
# run: is_on = asyncio.run(beside(first(model, Queue(), threading.Lock())))
# shows: is_on
```

### a coroutine only made there
```python
import torch

def start(model, queue):
    with torch.no_grad():
        async def score():
            images = await queue.get()
            with torch.no_grad():
                return model(images)

        return score()

# run: is_on = asyncio.run(beside(start(model, Queue())))
# shows: is_on
```
"""
