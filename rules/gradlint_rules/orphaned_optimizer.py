"""A model is replaced after its optimizer was built: the optimizer trains the old one.

## Flagged

```python
import copy

import torch

def train(model, images):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model = copy.deepcopy(model)  # GL215
    model(images).sum().backward()
    optimizer.step()
    return model

# run: trained = train(model, images)
# shows: trained.weight.tolist() == model.weight.tolist()
```

## Instead

```python
import copy

import torch

def train(model, images):
    model = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(images).sum().backward()
    optimizer.step()
    return model

# run: trained = train(model, images)
# shows: trained.weight.tolist() != model.weight.tolist()
```

## Why

An optimizer holds the parameters it was given, not the model. A copy, or a new model under the old name, has
parameters of its own: `backward()` fills their gradients, the step looks at those of the old ones, finds
`None`, and does nothing. The loss never falls, and nothing says why. Moving a model (`.cuda()`, `.to()`) and
wrapping it keeps its parameters.
"""

import re
from collections.abc import Iterator

from gradlint.rule import (
    Assign,
    Call,
    ClassNode,
    Expression,
    External,
    Finding,
    For,
    FunctionNode,
    Jump,
    Note,
    Optimizer,
    Project,
    Return,
    While,
    acts_of,
    dotted,
    rounds,
    rule,
    scope,
    statements,
    within,
)

_COPY = re.compile(r"^copy\.deepcopy$|^torch\.load$|\.from_pretrained$|\.load_from_checkpoint$")
_LAYER = re.compile(r"torch\.nn\.(?!(parallel|utils)\.)")
# What is done to begin again, and not to load what was trained.
_RESETTING = re.compile(r"(^|_)re_?(set|init\w*|build|create|start|new|make)(_|$)", re.I)


@rule("GL215", severity="warning", since="0.2.0")
def orphaned_optimizer(project: Project) -> Iterator[Finding]:
    """Find names that are given another model between the making of an optimizer and its step."""
    for function in project.functions():
        yield from _replaced_in_method(project, function)
        made = [optimizer for optimizer in project.optimizers.made(function) if optimizer.path is not None]
        for optimizer in made:
            others = [each.event.at for each in made if each.path == optimizer.path and each is not optimizer]
            for path, value in scope.assigned(function):
                made_anew = scope.unconverted(value)
                if (
                    path == optimizer.parameters.value.of
                    and (_is_new(project, function, made_anew) or _is_made_alike(function, path, made_anew, optimizer))
                    and _steps_after(project, function, optimizer, value.at, others)
                ):
                    yield _finding(function, optimizer, path, value)


def _replaced_in_method(project: Project, method: FunctionNode) -> Iterator[Finding]:
    """``self.model = copy.deepcopy(self.model)`` in another method than the one that makes the optimizer."""
    cls = method.owner
    resets = _RESETTING.search(method.facts.name) is not None
    if cls is None or not (resets or "deepcopy" in method.facts.words):
        return
    for path, value in scope.assigned(method):
        made_anew = scope.unconverted(value)
        copied = isinstance(made_anew, Call) and made_anew.arguments and dotted(made_anew.arguments[0].value) == path
        if not (path.startswith("self.") and (copied or resets) and _is_new(project, method, made_anew)):
            continue
        makers = [other for other in cls.methods for made in project.optimizers.made(other)
                  if made.path is not None and made.parameters.value.of == path]  # fmt: skip
        if len(makers) != 1 or makers[0] is method or makers[0].facts.name != "__init__":
            continue
        (optimizer,) = (o for o in project.optimizers.made(makers[0]) if o.parameters.value.of == path)
        steps = (act for m in cls.methods for act in acts_of(project.order.steps.script(m)) if m is not method)
        name = optimizer.path or ""
        stepped = any(act.kind == "step" and act.path == name for act in steps)
        if stepped and not _is_made_anew(project, method, name):
            yield _finding(method, optimizer, path, value, makers[0])


def _is_made_anew(project: Project, method: FunctionNode, optimizer: str) -> bool:
    """Whether a method, or what calls it (the constructor, too) or is called by it, makes the optimizer."""
    callers = {edge.caller for edge in project.calls.callers.get(method, ())}
    attribute = optimizer.rpartition(".")[2]
    near = callers.union(project.calls.below((method,)))
    assigned = {path.rpartition(".")[2] for each in near for path, _ in scope.assigned(each)}
    return attribute in assigned


def _is_new(project: Project, function: FunctionNode, value: Expression) -> bool:
    event = project.flow(function).calls.get(value.at) if isinstance(value, Call) else None
    if event is None or event.callee.kind != "callable":
        return False
    target = event.callee.target
    given = any(argument.value.kind == "module" for argument in event.arguments)
    if isinstance(target, ClassNode):
        return project.calls.modules.is_module_class(target) and not given
    if isinstance(target, External) and _LAYER.match(target.name):
        return event.result.kind == "module" and not given
    return isinstance(target, External) and _COPY.search(target.name) is not None


def _is_made_alike(function: FunctionNode, path: str, value: Expression, optimizer: Optimizer) -> bool:
    """Whether a call makes another model, as the one that the optimizer has was made: ``model = build(config)``."""
    if not isinstance(value, Call) or any(dotted(part) == path for part in within(value)):
        return False
    name = dotted(value.function)
    assigned = ((made.at, scope.unconverted(made)) for held, made in scope.assigned(function) if held == path)
    earlier = (made for at, made in assigned if at < optimizer.event.at)
    return name is not None and any(isinstance(made, Call) and dotted(made.function) == name for made in earlier)


def _steps_after(project: Project, function: FunctionNode, optimizer: Optimizer, at: int, others: list[int]) -> bool:
    """Whether the optimizer steps after the model was replaced, and was not made anew in between."""
    if at < optimizer.event.at or any(optimizer.event.at < other for other in others):
        return False
    if rounds.never_both(function, optimizer.event.at, at):
        return False
    loop = rounds.innermost_loop(function, at)
    if loop is not None and optimizer.event.at in loop:
        return False  # the next round makes another
    acts = acts_of(project.order.steps.script(function))
    steps = {act.at for act in acts if act.kind == "step" and act.path == optimizer.path}
    if any(step > at and not rounds.never_both(function, at, step) for step in steps):
        return True
    return loop is not None and not steps.isdisjoint(loop) and _ends_each_round(function, at)


def _ends_each_round(function: FunctionNode, at: int) -> bool:
    """Whether a loop's own statement assigns a value, in every round, and goes on with the next."""
    loops = (each for each in statements(function.facts.body) if isinstance(each, For | While))
    for body in (loop.body for loop in loops):
        if any(isinstance(each, Assign) and each.value.at == at for each in body):
            return not any(isinstance(each, Jump | Return) for each in body)
    return False


def _finding(
    function: FunctionNode, optimizer: Optimizer, path: str, value: Expression, maker: FunctionNode | None = None
) -> Finding:
    return Finding(
        function.place(value.at),
        function.name,
        f"`{optimizer.path}` goes on with the parameters of the old `{path}`: the new one is never trained",
        (Note((maker or function).place(optimizer.event.at), "the optimizer is made here"),),
        help=f"make the optimizer after `{path}`, or load the values into the model: `load_state_dict`",
    )


CASES = r"""
```python setup
import torch
from torch import nn

model, images, labels = nn.Linear(2, 1), torch.ones(3, 2), torch.ones(3, 1)
criterion = nn.MSELoss()
```

## Flagged

### made anew
```python
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x):
        return self.layer(x)

def train(images):
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net = Net()  # GL215
    before = net.layer.weight.tolist()
    net(images).sum().backward()
    optimizer.step()
    return before == net.layer.weight.tolist()

# run: unchanged = train(images)
# shows: unchanged
```

### begun again at the end of each round
```python
import copy

import torch
from torch import nn

def prune(network, batches):
    first = copy.deepcopy(network)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(2):
        for images in batches:
            optimizer.zero_grad()
            network(images).sum().backward()
            optimizer.step()
        trained = network.weight.tolist()
        network = copy.deepcopy(first)  # GL215
    return first.weight.tolist() == trained

# shows: prune(nn.Linear(2, 1), [torch.ones(3, 2)])
```

### by another method
```python
import copy

import torch

class Trainer:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)

    def reset(self):
        self.model = copy.deepcopy(self.model)  # GL215

    def step(self, images):
        self.optimizer.zero_grad()
        self.model(images).sum().backward()
        self.optimizer.step()

# run: trainer = Trainer(model); trainer.reset(); before = trainer.model.weight.tolist(); trainer.step(images)
# shows: trainer.model.weight.tolist() == before
```

### by a method that begins again
```python
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x):
        return self.layer(x)

class Trainer:
    def __init__(self):
        self.model, self.head = Net(), nn.Linear(2, 1)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.head_optimizer = torch.optim.SGD(self.head.parameters(), lr=0.1)

    def reset(self):
        self.model = Net()  # GL215
        self.head = nn.Linear(2, 1)  # GL215

    def step(self, images):
        self.optimizer.zero_grad()
        self.head_optimizer.zero_grad()
        (self.model(images) + self.head(images)).sum().backward()
        self.optimizer.step()
        self.head_optimizer.step()

# run: trainer = Trainer(); trainer.reset()
# run: before = trainer.model.layer.weight.tolist(), trainer.head.weight.tolist(); trainer.step(images)
# shows: (trainer.model.layer.weight.tolist(), trainer.head.weight.tolist()) == before
```

### made anew for each fold, by whoever calls
```python
import torch

def train(make, folds, criterion):
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for images, labels in folds:
        model = make()  # GL215
        optimizer.zero_grad()
        criterion(model(images), labels).backward()
        optimizer.step()
    return model

# run: made = []
# run: model = train(lambda: made.append(nn.Linear(2, 1)) or made[-1], [(images, labels)], criterion)
# shows: model.weight.grad is not None and made[0].weight.grad is None
```

### loaded whole, to go on with
```python
import torch
from torch import nn

def resume(path):
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    if path is not None:
        model = torch.load(path, weights_only=False)  # GL215
    before = model.weight.clone()
    criterion(model(images), labels).backward()
    optimizer.step()
    return model, before

# run: torch.save(nn.Linear(2, 1), "whole.pt")
# run: resumed, before = resume("whole.pt")
# shows: resumed.weight.equal(before)
```

### converted as it is made
```python
import copy
import torch
from torch import nn

def restart(images, labels):
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model = nn.Linear(2, 1).train().float()  # GL215
    before = model.weight.clone()
    criterion(model(images), labels).backward()
    optimizer.step()
    return model.weight.equal(before)

def go_on_in_double(model, images, labels):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model = copy.deepcopy(model).double()  # GL215
    before = model.weight.clone()
    criterion(model(images.double()), labels.double()).backward()
    optimizer.step()
    return model.weight.equal(before)

class Trainer:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)

    def keep(self):
        self.model = copy.deepcopy(self.model).float()  # GL215

    def step(self, images, labels):
        self.optimizer.zero_grad()
        criterion(self.model(images), labels).backward()
        self.optimizer.step()

# run: same, too = restart(images, labels), go_on_in_double(nn.Linear(2, 1), images, labels)
# run: trainer = Trainer(nn.Linear(2, 1))
# run: trainer.keep()
# run: before = trainer.model.weight.clone()
# run: trainer.step(images, labels)
# shows: same and too and trainer.model.weight.equal(before)
```

### replaced in one branch of a loop, and stepped in the other
```python
import torch
from torch import nn

def train(batches):
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for number, images in enumerate(batches):
        if number == 0:
            net = nn.Linear(2, 1)  # GL215
            before = net.weight.tolist()
        else:
            optimizer.zero_grad()
            net(images).sum().backward()
            optimizer.step()
    return before == net.weight.tolist()

# run: unchanged = train([torch.ones(3, 2)] * 2)
# shows: unchanged
```

## Silent

### made in the last round, in one of several cases, or with an optimizer
```python
import copy

import torch
from torch import nn

def searched(network, batches):
    optimizer, best = torch.optim.SGD(network.parameters(), lr=0.1), copy.deepcopy(network)
    for number in range(3):
        for images in batches:
            optimizer.zero_grad()
            network(images).sum().backward()
            optimizer.step()
        if number == 2:
            network = copy.deepcopy(best)
    return network

def once(network, images):
    optimizer, first = torch.optim.SGD(network.parameters(), lr=0.1), copy.deepcopy(network)
    while True:
        optimizer.zero_grad()
        network(images).sum().backward()
        optimizer.step()
        network = copy.deepcopy(first)
        break
    return network

def restarted(first, batches):
    network = copy.deepcopy(first)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for images in batches:
        optimizer.zero_grad()
        network(images).sum().backward()
        optimizer.step()
        network = copy.deepcopy(first)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    return network

# run: searched(nn.Linear(2, 1), [images]), once(nn.Linear(2, 1), images), restarted(nn.Linear(2, 1), [images])
```

### loaded before the optimizer is made, or after the last step, or as values
```python
import torch
from torch import nn

def resume(path):
    model = nn.Linear(2, 1)
    if path is not None:
        model = torch.load(path, weights_only=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.load_state_dict(torch.load(path, weights_only=False).state_dict())
    before = model.weight.clone()
    criterion(model(images), labels).backward()
    optimizer.step()
    after = model.weight.clone()
    model = torch.load(path, weights_only=False)
    return model, before, after

# run: torch.save(nn.Linear(2, 1), "whole.pt")
# run: resumed, before, after = resume("whole.pt")
# shows: not after.equal(before)
```

### made by a function of the same name, of the one before
```python
import torch

def train(model, prepare, batches, criterion):
    model = prepare(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for images, labels in batches:
        model = prepare(model)
        optimizer.zero_grad()
        criterion(model(images), labels).backward()
        optimizer.step()

# run: train(nn.Linear(2, 1), lambda model: model, [(images, labels)], criterion)
```

### moved, wrapped, copied under another name
```python
import copy

import torch
from torch import nn

def train(model, images):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model = model.to("cpu")
    model = nn.DataParallel(model)
    best = copy.deepcopy(model)
    model(images).sum().backward()
    optimizer.step()
    return best

# run: train(model, images)
```

### with an optimizer for each
```python
import copy

import torch

def train(model, images):
    for _ in range(2):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model(images).sum().backward()
        optimizer.step()
        model = copy.deepcopy(model)

# run: train(model, images)
```

### by a method that begins again, optimizer and all, or begins
```python
import torch
from torch import nn

def slow(model):
    return torch.optim.SGD(model.parameters(), lr=0.1)

class Trainer:
    def __init__(self):
        self.model = nn.Linear(2, 1)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)

    def reset(self):
        self.model = nn.Linear(2, 1)
        self.prepare()

    def prepare(self):
        self.optimizer = slow(self.model)

    def step(self, images):
        self.optimizer.zero_grad()
        self.model(images).sum().backward()
        self.optimizer.step()

class Beginner:
    def __init__(self):
        self.reset_model()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)

    def reset_model(self):
        self.model = nn.Linear(2, 1)

    def step(self, images):
        self.optimizer.zero_grad()
        self.model(images).sum().backward()
        self.optimizer.step()

# run: trainer, beginner = Trainer(), Beginner(); trainer.reset()
# run: before = trainer.model.weight.tolist(), beginner.model.weight.tolist()
# run: trainer.step(images); beginner.step(images)
# shows: trainer.model.weight.tolist() != before[0] and beginner.model.weight.tolist() != before[1]
```

### by a method that makes the optimizer anew
```python
import copy

import torch

class Trainer:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)

    def reset(self):
        self.model = copy.deepcopy(self.model)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)

    def step(self, images):
        self.optimizer.zero_grad()
        self.model(images).sum().backward()
        self.optimizer.step()

# run: trainer = Trainer(model); trainer.reset(); before = trainer.model.weight.tolist(); trainer.step(images)
# shows: trainer.model.weight.tolist() != before
```

### made in another branch than the optimizer
```python
import torch
from torch import nn

def main(phase, batches):
    if phase == "train":
        net = nn.Linear(2, 1)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    else:
        net = nn.Linear(2, 1)
    if phase == "train":
        before = net.weight.tolist()
        for images in batches:
            optimizer.zero_grad()
            net(images).sum().backward()
            optimizer.step()
        assert before != net.weight.tolist()
    return net

# run: main("train", [torch.ones(3, 2)])
# run: main("test", [])
```

### made anew where nothing is trained any more
```python
import torch
from torch import nn

def train(images, fresh):
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    before = net.weight.tolist()
    if fresh:
        net = nn.Linear(2, 1)
    else:
        net(images).sum().backward()
        optimizer.step()
    assert fresh or before != net.weight.tolist()
    return net

# run: train(torch.ones(3, 2), False)
```
"""
