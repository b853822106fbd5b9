"""A training loop puts its model into evaluation mode and never back.

## Flagged

```python
def train(model, optimizer, loader, val_loader):
    model.train()
    for epoch in range(2):
        for images, labels in loader:
            optimizer.zero_grad()
            criterion(model(images), labels).backward()
            optimizer.step()
        model.eval()  # GL603
        print(hits(model, val_loader))

# run: train(model, optimizer, loader, loader)
# shows: model[1].num_batches_tracked == 2
```

## Instead

```python
def train(model, optimizer, loader, val_loader):
    for epoch in range(2):
        model.train()
        for images, labels in loader:
            optimizer.zero_grad()
            criterion(model(images), labels).backward()
            optimizer.step()
        model.eval()
        print(hits(model, val_loader))

# run: train(model, optimizer, loader, loader)
# shows: model[1].num_batches_tracked == 4
```

## Why

`eval()` holds until `train()` is called; leaving a function or beginning the next epoch does not end
it. From the second epoch on dropout is off and batch norm neither normalises by the batch nor updates
its running statistics. Nothing raises, and the loss may even look better for it.

This is advice, off by default: fine-tuning with frozen statistics is sometimes meant, and a model
without dropout and batch norm does not care.
"""

import re
from collections.abc import Iterator

from gradlint.rule import (
    GRAD,
    Assign,
    Call,
    Expression,
    Finding,
    For,
    FunctionNode,
    Name,
    Project,
    Statement,
    While,
    all_of,
    dotted,
    is_bound,
    matched,
    rounds,
    rule,
    scope,
    statements,
    within,
)

_TRAINS = frozenset({"backward", "manual_backward"})
_SWITCHING = re.compile(r"^(set_)?train(ing)?(_mode)?$|^(set|change|switch)_(mode|train|phase)|^reset$")


@rule("GL603", severity="advice", since="0.1.0")
def eval_mode_left_on(project: Project) -> Iterator[Finding]:
    """Find the call of ``eval`` in the outermost loop that trains and never calls ``train``."""
    for function in project.functions():
        trains = not _TRAINS.isdisjoint(function.facts.words)
        reported: set[int] = set()
        for loop in _loops(function):
            for call in _left_on(project, function, loop) if trains else _left_on_by_helpers(project, function, loop):
                if call.at not in reported:
                    reported.add(call.at)
                    yield Finding(
                        function.place(call.at),
                        function.name,
                        "the next round of this loop trains in evaluation mode",
                        help="call `.train()` at the start of each round",
                    )


def _loops(function: FunctionNode) -> Iterator[For | While]:
    for statement in statements(function.facts.body):
        if isinstance(statement, For | While):
            yield statement


def _left_on(project: Project, function: FunctionNode, loop: Statement) -> Iterator[Call]:
    """The calls of ``eval`` in a loop that also trains, if nothing in it goes back to training mode."""
    assert isinstance(loop, For | While)
    calls = all_of(Call, loop.body)
    names = [dotted(call.function) or _last(call.function) for call in calls]
    switched = {name.removesuffix(".eval"): call for name, call in zip(names, calls, strict=True) if _is_eval(name)}
    if not any(name.rpartition(".")[2] in _TRAINS for name in names):
        return
    below = project.calls.below(t for call in calls for t in _targets(project, function, call))
    if any(name.rpartition(".")[2] == "train" for name in names) or any("train" in f.facts.words for f in below):
        return
    for call in calls:
        if any(_evaluates_argument(project, function, call, target) for target in _targets(project, function, call)):
            yield call
    recorded = {n for n, c in zip(names, calls, strict=True) if project.calls.states_at(function, c.at) & GRAD}
    walked = min(c.at for n, c in zip(names, calls, strict=True) if n.rpartition(".")[2] in _TRAINS)
    for name, call in switched.items():
        meant = call.at < walked and rounds.in_each_round(function, call.at)  # this very round trains with it
        meant = meant and not _was_to_train(function, name, loop) and not _acts(project, function, name, call, walked)
        if name in recorded and not meant and name.partition(".")[0] not in _made_in(loop):
            yield call  # it is called in the loop too


def _left_on_by_helpers(project: Project, function: FunctionNode, loop: For | While) -> Iterator[Call]:
    """The calls in a loop that evaluate a module, where another call trains it and nothing says ``train``."""
    found = project.calls.callees.get(function, {})
    calls = [call for call in all_of(Call, loop.body) if call.at in found]
    training = [call for call in calls if all(not _TRAINS.isdisjoint(t.facts.words) for t in found[call.at])]
    evaluating = [call for call in calls if any("eval" in t.facts.words for t in found[call.at])]
    if not training or not evaluating or _may_switch_back(project, function, loop):
        return
    trained = {name for call in training for name in _trained_by(project, function, call)} - _made_in(loop)
    for call in evaluating:
        if call not in training and not trained.isdisjoint(_evaluated_by(project, function, call)):
            yield call


def _may_switch_back(project: Project, function: FunctionNode, loop: For | While) -> bool:
    """Whether something that a loop calls speaks of training mode, or may and cannot be seen."""
    targets = [(call, _targets(project, function, call)) for call in all_of(Call, loop.body)]
    if any(not found and _SWITCHING.search(_last(call.function)) for call, found in targets):
        return True
    below = project.calls.below(target for _, found in targets for target in found)
    return any(_SWITCHING.search(word) for each in below for word in each.facts.words)


def _trained_by(project: Project, function: FunctionNode, call: Call) -> Iterator[str]:
    """What a call hands to a function that trains it, and what it trains of its own object, by name."""
    for target in _targets(project, function, call):
        if "eval" in target.facts.words:
            continue  # in whichever mode
        runs = [each for each in project.flow(target).calls.values() if each.forward]
        names = {each.name for each in runs if project.calls.states_at(target, each.at) & GRAD}
        yield from _seen_by_caller(project, function, call, target, names)


def _evaluated_by(project: Project, function: FunctionNode, call: Call) -> Iterator[str]:
    """What a call hands to a function that puts it into evaluation mode, and what it puts so of its own object."""
    for target in _targets(project, function, call):
        names = {each.callee.removesuffix(".eval") for each in target.facts.calls if each.callee.endswith(".eval")}
        yield from _seen_by_caller(project, function, call, target, names)


def _seen_by_caller(
    project: Project, function: FunctionNode, call: Call, target: FunctionNode, names: set[str]
) -> Iterator[str]:
    """What names of a function that is called stand for where it is called."""
    if _is_own(call):
        yield from (name for name in names if name.startswith("self."))
    event = project.flow(function).calls.get(call.at)
    passed = matched(event.arguments, target, bound=is_bound(event, target)) if event is not None else {}
    for argument in event.arguments if event is not None else ():
        path = dotted(argument.expression)
        if path is not None and any(passed.get(name) is argument.value for name in names):
            yield path


def _was_to_train(function: FunctionNode, name: str, loop: For | While) -> bool:
    """Whether a module was put into training mode before a loop: for the rounds of that, as it seems."""
    calls = (call for call in function.facts.calls if call.at < min(scope.places_of(loop.body)))
    return any(call.callee == f"{name}.train" for call in calls)


def _acts(project: Project, function: FunctionNode, name: str, switch: Call, walked: int) -> bool:
    """Whether a module, once it is switched, first runs where nothing is recorded: it acts, and is trained later."""
    runs = (call for call in function.facts.calls if call.callee == name and switch.at < call.at < walked)
    first = next(runs, None)
    return first is not None and not project.calls.states_at(function, first.at) & GRAD


def _made_in(loop: For | While) -> set[str]:
    """The names that are given another object in each round of a loop."""
    inside = [*statements(loop.body)]
    assigned = [target for s in inside if isinstance(s, Assign) for target in s.targets]
    targets = [*assigned, *(s.target for s in inside if isinstance(s, For))]
    return {part.id for target in targets for part in within(target) if isinstance(part, Name)}


def _evaluates_argument(project: Project, function: FunctionNode, call: Call, target: FunctionNode) -> bool:
    """Whether a function puts what it is handed, or holds, into evaluation mode: a module which the caller runs."""
    if "train" in target.facts.words:
        return False
    event = project.flow(function).calls.get(call.at)
    evaluated = {c.callee.removesuffix(".eval") for c in target.facts.calls if c.callee.endswith(".eval")}
    named = {p.name for p in target.facts.parameters} & evaluated
    handed = {dotted(argument.expression) for argument in event.arguments} if event is not None else set()
    held = {name for name in evaluated if name.startswith("self.")} if _is_own(call) else set[str]()
    forwards = [each for each in project.flow(function).calls.values() if each.forward]
    if any(each.name in held and project.calls.states_at(function, each.at) & GRAD for each in forwards):
        return True
    return bool(named) and any(each.name in handed for each in forwards)


def _is_own(call: Call) -> bool:
    """Whether a call is one of another method of the same object."""
    name = dotted(call.function) or ""
    return name.startswith("self.") and name.count(".") == 1


def _is_eval(name: str) -> bool:
    return name.endswith(".eval")


def _last(called: Expression) -> str:
    return getattr(called, "name", "")


def _targets(project: Project, function: FunctionNode, call: Call) -> tuple[FunctionNode, ...]:
    event = project.flow(function).calls.get(call.at)
    return event.targets if event is not None else ()


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loader = [(torch.randn(4, 8), torch.randint(3, (4,))) for _ in range(2)]

@torch.no_grad()
def hits(model, loader):
    return sum((model(images).argmax(1) == labels).sum().item() for images, labels in loader)
```

## Flagged

### in a while loop
```python
def train(model, optimizer, loader):
    step = 0
    while step < 4:
        for images, labels in loader:
            step += 1
            loss = criterion(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % 2 == 0:
                model.eval()  # GL603
                print(hits(model, loader))

# run: train(model, optimizer, loader)
# shows: not model.training
```

### by a function that evaluates
```python
import torch

@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    return [model(images).argmax(1) for images in loader]

def train(model, loader, optimizer):
    model.train()
    for _ in range(2):
        for images in loader:
            optimizer.zero_grad()
            model(images).sum().backward()
            optimizer.step()
        print(evaluate(model, loader))  # GL603
    return model

# run: net = torch.nn.Linear(8, 3)
# run: train(net, [torch.ones(2, 8)], torch.optim.SGD(net.parameters(), lr=0.1))
# shows: not net.training
```

### by another method of a trainer
```python
import torch

class Trainer:
    def __init__(self, net, optimizer):
        self.net, self.optimizer = net, optimizer

    def validate(self, loader):
        self.net.eval()
        with torch.no_grad():
            return [self.net(images).argmax(1) for images, _ in loader]

    def fit(self, loader):
        self.net.train()
        for _ in range(2):
            for images, labels in loader:
                self.optimizer.zero_grad()
                criterion(self.net(images), labels).backward()
                self.optimizer.step()
            self.validate(loader)  # GL603

# run: Trainer(model, optimizer).fit(loader)
# shows: not model.training
```

### to act with, before what was gathered is trained on
```python
import torch

def train(policy, optimizer, episodes):
    for observations in episodes:
        seen = []
        for observation in observations:
            policy.eval()  # GL603
            with torch.no_grad():
                action = policy(observation).argmax(1)
            seen.append((observation, action))
        for observation, action in seen:
            loss = criterion(policy(observation), action)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

# run: train(model, optimizer, [[images for images, _ in loader]])
# shows: not model.training
```

### in each round, after it was put into training mode for them all
```python
import torch

def train(policy, optimizer, loader):
    policy.train()
    for images, labels in loader:
        policy.eval()  # GL603
        loss = criterion(policy(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

# run: train(model, optimizer, loader)
# shows: not model.training
```

### by one function, where another trains
```python
import torch

@torch.no_grad()
def evaluate(net, loader):
    net.eval()
    return sum((net(images).argmax(1) == labels).sum().item() for images, labels in loader)

def train_epoch(net, optimizer, loader):
    for images, labels in loader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()

def main(model, optimizer, loader):
    model.train()
    for epoch in range(2):
        train_epoch(model, optimizer, loader)
        print(evaluate(model, loader))  # GL603

# run: main(model, optimizer, loader)
# shows: model[1].num_batches_tracked == 2
```

### by one method, where another trains
```python
import torch

class Trainer:
    def __init__(self, net, optimizer):
        self.net, self.optimizer = net, optimizer

    def validate(self, loader):
        self.net.eval()
        with torch.no_grad():
            return [self.net(images).argmax(1) for images, _ in loader]

    def step(self, images, labels):
        self.optimizer.zero_grad()
        criterion(self.net(images), labels).backward()
        self.optimizer.step()

    def fit(self, loader):
        for _ in range(2):
            for images, labels in loader:
                self.step(images, labels)
            self.validate(loader)  # GL603

# run: Trainer(model, optimizer).fit(loader)
# shows: model[1].num_batches_tracked == 2
```

## Silent

### by one function, where another trains another model, one made anew, or in the mode it chooses
```python
import torch
from torch import nn

@torch.no_grad()
def evaluate(net, loader):
    net.eval()
    return sum((net(images).argmax(1) == labels).sum().item() for images, labels in loader)

def train_epoch(net, optimizer, loader):
    for images, labels in loader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()

def tune_epoch(net, optimizer, loader):
    net.eval()
    train_epoch(net, optimizer, loader)

def begin(net):
    net.train()

def distill(model, teacher, optimizer, loader):
    for epoch in range(2):
        train_epoch(model, optimizer, loader)
        print(evaluate(teacher, loader))

def search(loader):
    for rate in (0.1, 0.2):
        model = nn.Linear(8, 3)
        train_epoch(model, torch.optim.SGD(model.parameters(), lr=rate), loader)
        print(evaluate(model, loader))

def tune(model, optimizer, loader):
    for epoch in range(2):
        tune_epoch(model, optimizer, loader)
        print(evaluate(model, loader))

def again(model, optimizer, loader):
    for epoch in range(2):
        begin(model)
        train_epoch(model, optimizer, loader)
        print(evaluate(model, loader))

def once(model, optimizer, loader):
    train_epoch(model, optimizer, loader)
    for batch in loader:
        print(evaluate(model, [batch]))

# run: again(model, optimizer, loader)
# shows: model[1].num_batches_tracked == 4
# run: distill(model, nn.Linear(8, 3), optimizer, loader); search(loader); tune(model, optimizer, loader)
```

### by one method, where another goes back, or what is trained chooses its mode
```python
import torch

class Trainer:
    def __init__(self, net, optimizer):
        self.net, self.optimizer = net, optimizer

    def validate(self, loader):
        was = self.net.training
        self.net.eval()
        with torch.no_grad():
            found = [self.net(images).argmax(1) for images, _ in loader]
        self.net.train(was)
        return found

    def step(self, images, labels):
        self.optimizer.zero_grad()
        criterion(self.net(images), labels).backward()
        self.optimizer.step()

    def fit(self, loader):
        for _ in range(2):
            for images, labels in loader:
                self.step(images, labels)
            self.validate(loader)

# run: Trainer(model, optimizer).fit(loader)
# shows: model[1].num_batches_tracked == 4
```

### in each round, with frozen statistics
```python
def tune(model, optimizer, loader):
    for images, labels in loader:
        model.eval()
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

# run: tune(model, optimizer, loader)
# shows: model[1].num_batches_tracked == 0
```

### to act with, and back again
```python
import torch

def train(policy, optimizer, episodes):
    policy.train()
    for observations in episodes:
        policy.eval()
        with torch.no_grad():
            seen = [(observation, policy(observation).argmax(1)) for observation in observations]
        policy.train()
        for observation, action in seen:
            loss = criterion(policy(observation), action)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

# run: train(model, optimizer, [[images for images, _ in loader]])
# shows: model.training
```

### back again
```python
def train(model, optimizer, loader):
    for epoch in range(2):
        for images, labels in loader:
            optimizer.zero_grad()
            criterion(model(images), labels).backward()
            optimizer.step()
        model.eval()
        print(hits(model, loader))
        model.train()

# run: train(model, optimizer, loader)
# shows: model.training
```

### by a function that is called
```python
def validate(model, loader):
    model.eval()
    found = hits(model, loader)
    return found

def train_epoch(model, optimizer, loader):
    model.train()
    for images, labels in loader:
        optimizer.zero_grad()
        criterion(model(images), labels).backward()
        optimizer.step()

def train(model, optimizer, loader):
    for epoch in range(2):
        train_epoch(model, optimizer, loader)
        model.eval()
        print(validate(model, loader))

# run: train(model, optimizer, loader)
```

### after the loop
```python
def train(model, optimizer, loader):
    for images, labels in loader:
        optimizer.zero_grad()
        criterion(model(images), labels).backward()
        optimizer.step()
    model.eval()
    return hits(model, loader)

# run: found = train(model, optimizer, loader)
```

### of another model
```python
def distill(model, teacher, optimizer, loader):
    for images, _ in loader:
        teacher.eval()
        target = hits(teacher, loader)
        optimizer.zero_grad()
        (model(images).sum() - target).backward()
        optimizer.step()

# run: distill(model, nn.Linear(8, 3), optimizer, loader)
```

### a head on features that are frozen, in evaluation mode from the start of each round
```python
from torch import nn

def train(model, head, optimizer, loader):
    for images, labels in loader:
        model.eval()
        loss = criterion(head(model(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

# run: head = nn.Linear(3, 3)
# run: train(model, head, torch.optim.SGD(head.parameters(), lr=0.1), loader)
```

### a model of its own for each round
```python
from torch import nn

def check(classes, images):
    for cls in classes:
        model = cls(8, 3)
        if images.dim() > 1:
            model.eval()
        model(images).sum().backward()

# run: check([nn.Linear, nn.Linear], torch.ones(2, 8))
```

### back in training mode each time
```python
import torch

@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    return [model(images).argmax(1) for images in loader]

def train(model, loader, optimizer):
    for _ in range(2):
        model.train()
        for images in loader:
            optimizer.zero_grad()
            model(images).sum().backward()
            optimizer.step()
        print(evaluate(model, loader))
```

### by another method of a trainer, and back by a third
```python
import torch

class Trainer:
    def __init__(self, net, teacher, optimizer):
        self.net, self.teacher, self.optimizer = net, teacher, optimizer

    def validate(self, loader):
        self.net.eval()
        with torch.no_grad():
            return [self.net(images).argmax(1) for images, _ in loader]

    def guess(self, images):
        self.teacher.eval()
        with torch.no_grad():
            return self.teacher(images).argmax(1)

    def begin(self):
        self.net.train()

    def fit(self, loader):
        for _ in range(2):
            self.begin()
            for images, labels in loader:
                self.optimizer.zero_grad()
                criterion(self.net(images), self.guess(images)).backward()
                self.optimizer.step()
            self.validate(loader)

    def distil(self, loader):
        for images, labels in loader:
            self.optimizer.zero_grad()
            criterion(self.net(images), self.guess(images)).backward()
            self.optimizer.step()

# run: Trainer(model, model, optimizer).fit(loader)
```
"""
