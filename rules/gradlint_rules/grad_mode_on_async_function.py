"""A grad mode decorates an `async def`: the body runs with grad on.

## Flagged

```python
import torch

@torch.inference_mode()  # GL307
async def score(model, request):
    model.eval()
    images = await request
    return model(images)  # GL101

# run: scores = asyncio.run(score(model, request()))
# shows: scores.requires_grad
# keeps: > 0 bytes
```

## Instead

```python
import torch

async def score(model, request):
    model.eval()
    images = await request
    with torch.inference_mode():
        return model(images)

# run: scores = asyncio.run(score(model, request()))
# shows: not scores.requires_grad
```

## Why

Calling an `async def` only makes a coroutine, and that is all the decorator switches grad off for.
The body runs later, when it is awaited, in the mode of whoever runs the event loop. PyTorch says
nothing: the forward records its graph, and keeps what it saves for backward as long as its result
lives. The same goes for an asynchronous generator.

What the decorator returns is no coroutine function any more: `inspect.iscoroutinefunction` is false,
so a web framework may run the handler in a thread and answer with a coroutine.

Inside the body, `with` around the lines that do not await is right. Around an `await` it is not: the
mode belongs to the thread, and other tasks run in it meanwhile.
"""

from collections.abc import Iterator

from gradlint.rule import Finding, Project, rule


@rule("GL307", severity="error", since="0.1.0")
def grad_mode_on_async_function(project: Project) -> Iterator[Finding]:
    """Find asynchronous functions whose innermost decorators are grad modes."""
    for function in project.functions():
        if not function.facts.is_async:
            continue
        scope = function.parent or function
        for decorator in reversed(function.facts.decorators):
            mode = project.modes.decorating(scope, decorator)
            if mode is None:
                break  # what another decorator makes of the function may well be called like one
            yield Finding(
                function.place(decorator.at),
                function.name,
                f"`{mode}` holds while the coroutine is made, not while its body runs",
                help="use `with` in the body, around what does not await",
            )


CASES = r"""
```python setup
import asyncio
import torch
from torch import nn

model = nn.Linear(8, 3)

async def request():
    return torch.randn(4, 8)
```

## Flagged

### a method, and a decorator above it
```python
import torch

def route(path):
    return lambda handler: handler

class Server:
    def __init__(self, model):
        self.model = model.eval()

    @route("/score")
    @torch.no_grad()  # GL307
    async def score(self, request):
        return self.model(await request)  # GL101

# run: scores = asyncio.run(Server(model).score(request()))
# shows: scores.requires_grad
```

### an asynchronous generator
```python
import torch

@torch.no_grad  # GL307
async def scores(model, requests):
    for request in requests:
        yield model(await request)

# run: async def consume(): return [score.requires_grad async for score in scores(model, [request()])]
# run: found = asyncio.run(consume())
# shows: found == [True]
```

### no coroutine function any more
```python
import inspect
import torch

guard = torch.no_grad()

@guard  # GL307
async def mode():
    return torch.is_grad_enabled()

# run: is_on = asyncio.run(mode())
# shows: is_on and not inspect.iscoroutinefunction(mode)
```

## Silent

### around what does not await
```python
import torch

async def score(model, request):
    images = await request
    with torch.no_grad():
        return model(images)

# run: scores = asyncio.run(score(model, request()))
# shows: not scores.requires_grad
```

### a coroutine that calls a decorated function
```python
import torch

@torch.no_grad()
def run(model, images):
    return model(images)

async def score(model, request):
    return run(model, await request)

# run: scores = asyncio.run(score(model, request()))
# shows: not scores.requires_grad
```

### above a decorator that makes it synchronous
```python
import asyncio
import functools
import torch

def synchronous(function):
    @functools.wraps(function)
    def wrapper(*args):
        return asyncio.run(function(*args))
    return wrapper

@torch.no_grad()
@synchronous
async def score(model, request):
    return model(await request)

# run: scores = score(model, request())
# shows: not scores.requires_grad
```
"""
