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
    Call,
    CallEvent,
    Finding,
    FunctionNode,
    Note,
    Passed,
    Place,
    Project,
    dotted,
    rule,
    scope,
)

_STARTERS = (
    "Thread",
    "Timer",
    "submit",
    "to_thread",
    "run_in_executor",
    "map",
    "apply_async",
    "starmap",
    "run",
    "serve",
)

_SERVING = frozenset({"run", "serve"})
_APPS = frozenset({"Flask", "FastAPI", "Starlette", "Quart"})
_ROUTES = frozenset({"route", "get", "post", "put", "patch", "delete"})


@rule("GL312", severity="warning", since="0.1.0")
def grad_mode_lost_in_thread(project: Project) -> Iterator[Finding]:
    """Find threads started with grad off that run a module with grad on."""
    spellings = project.modes.spellings(_STARTERS)
    for function in project.functions():
        if spellings.isdisjoint(function.facts.words) or not _may_be_off(project, function):
            continue
        yield from _served(project, function)
        for event in project.flow(function).calls.values():
            if _is_off(project, function, event.at) and project.calls.starts_thread(function, event.name):
                for argument in event.arguments:
                    yield from _findings(project, function, event, argument)


def _may_be_off(project: Project, function: FunctionNode) -> bool:
    return bool(project.calls.entry(function) & (NO_GRAD | INFERENCE)) or project.modes.involved(function)


def _is_off(project: Project, function: FunctionNode, at: int) -> bool:
    """Whether a place runs with grad off, and never otherwise."""
    states = project.calls.states_at(function, at)
    return bool(states) and not states & ~(NO_GRAD | INFERENCE)


def _findings(project: Project, function: FunctionNode, event: CallEvent, given: Passed) -> Iterator[Finding]:
    job, first = given.value, int(event.method == "run_in_executor")  # after the executor, or None
    is_job = event.arguments.index(given) == first
    if is_job and project.evidence.is_module(given.expression, job) and not job.frozen:
        yield _finding(function, event, None)
    elif job.kind == "callable" and isinstance(job.target, FunctionNode):
        forward = _recorded(project, job.target, frozenset())
        if forward is not None:
            yield _finding(function, event, forward)


def _served(project: Project, function: FunctionNode) -> Iterator[Finding]:
    """Servers that answer each request in a thread of its own, started with grad off."""
    if _SERVING.isdisjoint(function.facts.words):
        return
    for event in project.flow(function).calls.values():
        if event.method in _SERVING and _is_off(project, function, event.at):
            app = event.name.rpartition(".")[0] if event.method == "run" else None
            named = {dotted(argument.expression) for argument in event.arguments} | {app}
            for handler in _handlers(project, function, named - {None}):
                forward = _recorded(project, handler, frozenset())
                if forward is not None:
                    yield _finding(function, event, forward)
                    break


def _handlers(project: Project, function: FunctionNode, names: set[str | None]) -> Iterator[FunctionNode]:
    """The functions that are routes of an app of one of these names; an ``async def`` runs in the server's thread."""
    for other in function.module.functions:
        for called in scope.decorated_by(other) if not other.facts.is_async else ():
            app, _, verb = (dotted(called) or "").rpartition(".")
            made = (value for _, value in project.bindings.values(function, app) if isinstance(value, Call))
            kinds = {(dotted(value.function) or "").rpartition(".")[2] for value in made}
            if app in names and verb in _ROUTES and not kinds.isdisjoint(_APPS):
                yield other


def _recorded(project: Project, function: FunctionNode, seen: frozenset[FunctionNode]) -> Place | None:
    """A forward that a function runs with grad on when it is called so, itself or in what it calls."""
    seen |= {function}
    for event in project.flow(function).calls.values():
        if not project.calls.own_states(function, event.at) & GRAD or not _is_known(event):
            continue
        guarded = [not project.calls.own_states(target, -1) & GRAD for target in event.targets]
        if event.forward and event.callee.frozen is not True and not (guarded and all(guarded)):
            return function.place(event.at)
        for target in event.targets:
            if target not in seen and (found := _recorded(project, target, seen)) is not None:
                return found
    return None


def _is_known(event: CallEvent) -> bool:
    """Whether more than the name of a method tells what is called: ``stream.encode(frame)`` may be anybody's."""
    return event.callee.kind != "unknown" or (event.receiver is not None and event.receiver.kind in ("module", "self"))


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

### the model itself, by a pool
```python
from concurrent.futures import ThreadPoolExecutor
import torch

def score_all(model, batches):
    with torch.no_grad():
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(model, batches))  # GL312

# run: scores = score_all(model, [images])
# shows: scores[0].requires_grad
```

### the model itself, by the executor of a loop
```python
import asyncio
import torch

async def predict(model, images):
    loop = asyncio.get_running_loop()
    with torch.no_grad():
        running = loop.run_in_executor(None, model, images)  # GL312
    return await running

# run: output = asyncio.run(predict(model, images))
# shows: output.requires_grad
```

### the requests that a server answers
```python setup
# file: flask.py
import threading
import types

import torch

request = types.SimpleNamespace(json={"images": [[1.0] * 8]})

def jsonify(answer):
    return torch.is_grad_enabled()

class Flask:
    def __init__(self, name):
        self.answers = []

    def route(self, path, methods):
        def decorate(handler):
            self.handler = handler
            return handler
        return decorate

    def run(self, host):
        thread = threading.Thread(target=lambda: self.answers.append(self.handler()))
        thread.start()
        thread.join()
```

```python
import torch
from torch import nn
from flask import Flask, jsonify, request

app = Flask(__name__)
model = nn.Linear(8, 3).eval()

@app.route("/predict", methods=["POST"])
def predict():
    return jsonify(model(torch.tensor(request.json["images"])).tolist())  # GL101

def main():
    with torch.no_grad():
        app.run(host="0.0.0.0")  # GL312

# run: main()
# shows: app.answers == [True]
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

### what is written in the background has a method of the same name as a module
```python
import threading
import torch
from torch import nn

class Codec(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def encode(self, frame):
        return self.layer(frame)

def write(container, stream, frames):
    for frame in frames:
        for packet in stream.encode(frame):
            container.mux(packet)

@torch.no_grad()
def evaluate(container, stream, frames):
    thread = threading.Thread(target=write, args=(container, stream, frames))
    thread.start()
    thread.join()
```
"""
