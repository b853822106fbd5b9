"""Work is handed to a thread inside a grad mode region: the thread starts with grad on.

## Flagged

```python
from concurrent.futures import ThreadPoolExecutor
import torch

def score(model, images):
    return model(images).softmax(1)

@torch.no_grad()
def score_all(model, batches):
    model.eval()
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(score, model, images) for images in batches]  # GL312
    return [job.result() for job in jobs]

# run: scores = score_all(model, [images])
# shows: scores[0].requires_grad
```

## Instead

```python
from concurrent.futures import ThreadPoolExecutor
import torch

@torch.no_grad()
def score(model, images):
    return model(images).softmax(1)

def score_all(model, batches):
    model.eval()
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(score, model, images) for images in batches]
    return [job.result() for job in jobs]

# run: scores = score_all(model, [images])
# shows: not scores[0].requires_grad
```

## Why

Grad mode belongs to the thread. A thread, a job of a `ThreadPoolExecutor` and a function given to
`asyncio.to_thread` or `run_in_executor` begin with grad on, whatever mode they were started in. Each
forward there records its graph and keeps what it saves for backward as long as its result lives.

Put the guard into the function that the thread runs.
"""

from collections.abc import Iterator

from gradlint.rule import (
    GRAD,
    INFERENCE,
    NO_GRAD,
    CallEvent,
    Finding,
    FunctionNode,
    Note,
    Place,
    Project,
    Value,
    rule,
)

_STARTERS = ("Thread", "Timer", "submit", "to_thread", "run_in_executor", "map", "apply_async", "starmap")


@rule("GL312", severity="warning", since="0.1.0")
def grad_mode_lost_in_thread(project: Project) -> Iterator[Finding]:
    """Find threads started with grad off that run a module with grad on."""
    spellings = project.modes.spellings(_STARTERS)
    for function in project.functions():
        if spellings.isdisjoint(function.facts.words) or not _may_be_off(project, function):
            continue
        for event in project.flow(function).calls.values():
            if _is_off(project, function, event.at) and project.calls.starts_thread(function, event.name):
                for argument in event.arguments:
                    yield from _findings(project, function, event, argument.value)


def _may_be_off(project: Project, function: FunctionNode) -> bool:
    return bool(project.calls.entry(function) & (NO_GRAD | INFERENCE)) or project.modes.involved(function)


def _is_off(project: Project, function: FunctionNode, at: int) -> bool:
    """Whether a place runs with grad off, and never otherwise."""
    states = project.calls.states_at(function, at)
    return bool(states) and not states & ~(NO_GRAD | INFERENCE)


def _findings(project: Project, function: FunctionNode, event: CallEvent, job: Value) -> Iterator[Finding]:
    if job.kind == "module" and event.arguments and event.arguments[0].value is job and not job.frozen:
        yield _finding(function, event, None)
    elif job.kind == "callable" and isinstance(job.target, FunctionNode):
        forward = _recorded(project, job.target, frozenset())
        if forward is not None:
            yield _finding(function, event, forward)


def _recorded(project: Project, function: FunctionNode, seen: frozenset[FunctionNode]) -> Place | None:
    """A forward that a function runs with grad on when it is called so, itself or in what it calls."""
    seen |= {function}
    for event in project.flow(function).calls.values():
        if not project.calls.own_states(function, event.at) & GRAD:
            continue
        guarded = [not project.calls.own_states(target, -1) & GRAD for target in event.targets]
        if event.forward and event.callee.frozen is not True and not (guarded and all(guarded)):
            return function.place(event.at)
        for target in event.targets:
            if target not in seen and (found := _recorded(project, target, seen)) is not None:
                return found
    return None


def _finding(function: FunctionNode, event: CallEvent, forward: Place | None) -> Finding:
    return Finding(
        function.place(event.at),
        function.name,
        "what is started here runs with grad on: the mode does not reach into another thread",
        notes=(Note(forward, "records a graph there"),) if forward is not None else (),
        help="put the guard into the function that is started",
    )


CASES = r"""
```python setup
import asyncio
import torch
from torch import nn

model = nn.Linear(8, 3)
images = torch.randn(4, 8)
```

## Flagged

### a thread, and what it calls
```python
import threading
import torch

class Worker:
    def __init__(self, model):
        self.model = model.eval()
        self.scores = []

    def embed(self, images):
        return self.model(images)  # GL101

    def work(self, images):
        self.scores.append(self.embed(images).softmax(1))

    def start(self, images):
        with torch.inference_mode():
            thread = threading.Thread(target=self.work, args=(images,))  # GL312
            thread.start()
            thread.join()
        return self.scores

# run: scores = Worker(model).start(images)
# shows: scores[0].requires_grad
```

### from a coroutine
```python
import asyncio
import torch

def score(model, images):
    return model(images)

async def answer(model, images):
    with torch.no_grad():
        job = asyncio.to_thread(score, model, images)  # GL312
    return await job

# run: out = asyncio.run(answer(model, images))
# shows: out.requires_grad
```

### the model itself, mapped over batches
```python
from multiprocessing.pool import ThreadPool
import torch

@torch.no_grad()
def scores(model, batches):
    model.eval()
    pool = ThreadPool(2)
    return pool.map(model, batches)  # GL312

# run: found = scores(model, [images, images])
# shows: found[0].requires_grad
```

## Silent

### the guard in the worker
```python
import threading
import torch

def work(model, images, found):
    with torch.no_grad():
        found.append(model(images))

def start(model, images):
    found = []
    with torch.no_grad():
        thread = threading.Thread(target=work, args=(model, images, found))
        thread.start()
        thread.join()
    return found

# run: found = start(model, images)
# shows: not found[0].requires_grad
```

### a worker that runs no model
```python
from concurrent.futures import ThreadPoolExecutor
import torch

def save(path, scores):
    return path, scores.tolist()

@torch.no_grad()
def score_all(model, batches):
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(save, str(n), model(images)) for n, images in enumerate(batches)]
    return [job.result() for job in jobs]

# run: found = score_all(model, [images])
```

### no guard to be lost
```python
from concurrent.futures import ThreadPoolExecutor
import torch

def loss(model, images):
    return model(images).square().mean()

def train(model, batches):
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(loss, model, images) for images in batches]
    sum(job.result() for job in jobs).backward()

# run: train(model, [images])
# shows: model.weight.grad is not None
```

### a model that guards itself
```python
import threading
import torch
from torch import nn

class Scorer(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 3)

    @torch.no_grad()
    def score(self, images):
        return self.head(images)

@torch.no_grad()
def start(images):
    scorer = Scorer()
    thread = threading.Thread(target=scorer.score, args=(images,))
    thread.start()
    thread.join()

# run: start(images)
```
"""
