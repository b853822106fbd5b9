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

from gradlint.rule import Finding, FunctionNode, Note, Project, rule


@rule("GL307", severity="error", since="0.1.0")
def grad_mode_on_async_function(project: Project) -> Iterator[Finding]:
    """Find asynchronous functions whose innermost decorators are grad modes."""
    for function in project.functions():
        if not function.facts.is_async:
            continue
        scope = function.parent or function
        for decorator in reversed(function.facts.decorators):
            mode = project.modes.decorating(scope, decorator)
            wrapper = project.states.decorators.starts_under(decorator, scope) if mode is None else None
            if mode is None and wrapper is None:
                break  # what another decorator makes of the function may well be called like one
            yield Finding(
                function.place(decorator.at),
                function.name,
                f"{_called(mode, wrapper)} holds while the coroutine is made, not while its body runs",
                notes=() if wrapper is None else (Note(wrapper.place(wrapper.facts.at), "it is called here"),),
                help="use `with` in the body, around what does not await",
            )


def _called(mode: str | None, wrapper: FunctionNode | None) -> str:
    return f"`{mode}`" if wrapper is None else f"the grad mode of `{wrapper.facts.name}`"


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

### wrappers of the project
```python
# file: guards.py
import functools
import torch

def quiet(function):
    return torch.no_grad()(function)

def evaluated(function):
    @functools.wraps(function)
    def wrapper(*args):
        with torch.inference_mode():
            return function(*args)
    return wrapper

# file: main.py
from guards import evaluated, quiet

@quiet  # GL307
async def score(model, request):
    return model(await request)

@evaluated  # GL307
async def rank(model, request):
    return model(await request)

# run: scores = [asyncio.run(score(model, request())), asyncio.run(rank(model, request()))]
# shows: all(each.requires_grad for each in scores)
```

## Silent

### wrappers that wait
```python
import asyncio
import functools
import torch

def evaluated(function):
    @functools.wraps(function)
    async def wrapper(*args):
        images = await args[1]
        with torch.no_grad():
            return await function(args[0], images)  # GL310
    return wrapper

def synchronous(function):
    def wrapper(*args):
        with torch.no_grad():
            return asyncio.run(function(*args))
    return wrapper

@evaluated
async def score(model, images):
    return model(images)

@synchronous
async def rank(model, request):
    return model(await request)

# run: scores = [asyncio.run(score(model, request())), rank(model, request())]
# shows: not any(each.requires_grad for each in scores)
```

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
