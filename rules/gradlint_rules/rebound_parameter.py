"""A parameter is given a new value by rebinding its name: the parameter itself stays as it was.

## Flagged

```python
import torch

def step(model, lr):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter = parameter - lr * parameter.grad  # GL210

# run: step(model, 0.1)
# shows: model.weight.tolist() == [[1.0, 1.0]]
```

## Instead

```python
import torch

def step(model, lr):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= lr * parameter.grad

# run: step(model, 0.1)
# shows: model.weight.tolist() != [[1.0, 1.0]]
```

## Why

`p = p - lr * p.grad` makes another tensor and gives it the name `p`. In a loop over a model's parameters the
new tensor is dropped at once: nothing is updated, and nothing says so. A weight of one's own becomes a computed
tensor: its `.grad` is `None` after the next `backward()`, and the second update raises `TypeError: unsupported
operand type(s) for *: 'float' and 'NoneType'`. Under `no_grad()` it becomes a tensor that does not require
grad, and the next `backward()` raises `RuntimeError: element 0 of tensors does not require grad and does not
have a grad_fn`.

`p -= lr * p.grad` under `no_grad()` changes the parameter.
"""

from collections.abc import Container, Iterator

from gradlint.rule import (
    TENSOR_METHODS,
    Assign,
    Attribute,
    Block,
    Call,
    CallEvent,
    Constant,
    Expression,
    Finding,
    For,
    FunctionNode,
    Name,
    Note,
    Operation,
    Optimizer,
    Project,
    Return,
    Subscript,
    While,
    acts_of,
    all_expressions,
    dotted,
    names_in,
    parameter_loops,
    rounds,
    rule,
    scope,
    statements,
    within,
)

_PARAMETERS = frozenset({"torch.nn.Parameter", "torch.nn.parameter.Parameter"})
_LOOPED = frozenset({"grad", "parameters", "named_parameters"})
_ARITHMETIC = frozenset({"+", "-", "*", "/", "@", "**"})
_DROPPED = "nothing is updated: the new tensor is dropped, the parameter keeps its value"
_FLAGGING = frozenset({"requires_grad", "requires_grad_", "retain_grad"})


@rule("GL210", severity="error", since="0.2.0")
def rebound_parameter(project: Project) -> Iterator[Finding]:
    """Find updates by a gradient that bind a name in a loop instead of changing a tensor."""
    for function in project.functions():
        if function.facts.words.isdisjoint(_LOOPED):
            continue
        silent = scope.expected_to_fail(function)
        for loop in statements(function.facts.body):
            if isinstance(loop, For | While):
                found = [*_dropped(function, loop), *_carried(function, loop)]
                if isinstance(loop, For):
                    found += _lost(project, function, loop, {update.at for update, *_ in found})
                yield from (_finding(function, *each) for each in found if each[0].at not in silent)
    for function in project.functions():
        yield from _replaced(project, function)


def _replaced(project: Project, function: FunctionNode) -> Iterator[Finding]:
    """``model.fc = nn.Linear(...)`` after the optimizer of the model was made, which steps later."""
    made = [optimizer for optimizer in project.optimizers.made(function) if optimizer.path is not None]
    if not made or "add_param_group" in function.facts.words:
        return
    acts = list(acts_of(project.order.steps.script(function)))
    for path, value in _given(function):
        for optimizer in made:
            model = optimizer.parameters.value.of
            start = optimizer.event.at
            again = any(each.path == optimizer.path and each.event.at > value.at for each in made)
            steps = any(act.kind == "step" and act.path == optimizer.path and act.at > value.at for act in acts)
            steps = steps or _other_method_steps(project, function, optimizer)
            is_part = model and path.startswith((f"{model}.", f"{model}["))
            if is_part and start < value.at and steps and not again:
                loop = rounds.innermost_loop(function, value.at)
                if _has_parameters(project, function, value) and (loop is None or start not in loop):
                    yield _late(function, optimizer, path, value)


def _given(function: FunctionNode) -> Iterator[tuple[str, Expression]]:
    """What a function assigns to names and to items: ``model.fc = ...``, ``model.classifier[6] = ...``."""
    yield from scope.assigned(function)
    for statement in statements(function.facts.body):
        match statement:
            case Assign(targets=(Subscript(value=owner, index=Constant(value=index)),), value=value):
                if (name := dotted(owner)) is not None:
                    yield f"{name}[{index!r}]", value
            case _:
                pass


def _other_method_steps(project: Project, function: FunctionNode, optimizer: Optimizer) -> bool:
    """Whether an object's constructor makes an optimizer, once and for all, that another of its methods steps with."""
    cls, path = function.owner, optimizer.path or ""
    if cls is None or function.facts.name != "__init__" or not path.startswith("self."):
        return False
    others = [method for method in cls.methods if method is not function]
    if any(path == name for method in others for name, _ in scope.assigned(method)):
        return False
    acts = (act for method in others for act in acts_of(project.order.steps.script(method)))
    return any(act.kind == "step" and act.path == path for act in acts)


def _has_parameters(project: Project, function: FunctionNode, value: Expression) -> bool:
    """Whether an expression makes a parameter, or a module that has some."""
    event = project.flow(function).calls.get(value.at) if isinstance(value, Call) else None
    if event is None or event.callee.kind != "callable":
        return False
    new = event.result.kind == "module" and event.result.born is not None and event.result.frozen is None
    parameter = getattr(event.callee.target, "name", "") in _PARAMETERS
    return (new and not _wraps_old(project, function, event)) or parameter


def _wraps_old(project: Project, function: FunctionNode, made: CallEvent) -> bool:
    """Whether a new module is given one that was there before: ``Wrapped(model.fc)``."""
    calls = project.flow(function).calls
    for argument in made.arguments:
        if argument.value.kind == "module":
            event = calls.get(argument.expression.at) if isinstance(argument.expression, Call) else None
            if event is None or event.result.born is None or _wraps_old(project, function, event):
                return True
    return False


def _late(function: FunctionNode, optimizer: Optimizer, path: str, value: Expression) -> Finding:
    return Finding(
        function.place(value.at),
        function.name,
        f"`{path}` is never trained: `{optimizer.path}` was made before, and goes on with what was there then",
        (Note(function.place(optimizer.event.at), "the optimizer is made here"),),
        help="make the optimizer afterwards, or change the values in place under `torch.no_grad()`",
    )


def _dropped(function: FunctionNode, loop: For | While) -> Iterator[tuple[Assign, str, str]]:
    """``for p in parameters: p = p - lr * p.grad``, the new tensor used for nothing."""
    targets = names_in(loop.target) if isinstance(loop, For) else set()
    for update, name in _updates(loop.body):
        if name in targets and not _read_after(function, loop, update, name):
            yield update, name, _DROPPED


def _lost(
    project: Project, function: FunctionNode, loop: For, known: Container[int]
) -> Iterator[tuple[Assign, str, str]]:
    """``for e, p in zip(average.parameters(), model.parameters()): e = 0.9 * e + 0.1 * p``, used for nothing."""
    names = set(parameter_loops.given_parameters(function, loop))
    for statement in statements(loop.body) if names else ():
        match statement:
            case Assign(targets=(Name(id=name),), value=value) if name in names and statement.at not in known:
                if _is_new_tensor(project, function, value) and not _is_read_later(function, loop, statement, name):
                    yield statement, name, _DROPPED
            case _:
                pass


def _is_new_tensor(project: Project, function: FunctionNode, value: Expression) -> bool:
    """Whether an expression computes a tensor, and leaves what it is computed from as it is."""
    match value:
        case Operation(operator=operator):
            return operator in _ARITHMETIC
        case Call(function=Attribute(name=method)) if method.endswith("_"):
            return False
        case Call(function=Attribute(name=method) as called):
            name = project.name_of(function, dotted(called) or "") or ""
            return name.startswith("torch.") if name else method in TENSOR_METHODS | {"detach"}
        case _:
            return False


def _is_read_later(function: FunctionNode, loop: For, update: Assign, name: str) -> bool:
    """Whether a name is read after an assignment, by more than loops that give it another value."""
    others = [s for s in statements(function.facts.body) if isinstance(s, For) and s is not loop]
    again = [each for each in others if any(isinstance(p, Name) and p.id == name for p in within(each.target))]
    hidden = {part.at for each in again for part in (*within(each.target), *all_expressions(each.body))}
    last = max(part.at for each in (update.value, *update.targets) for part in within(each))
    parts = all_expressions(function.facts.body)
    return any(isinstance(p, Name) and p.id == name and p.at > last and p.at not in hidden for p in parts)


def _carried(function: FunctionNode, loop: For | While) -> Iterator[tuple[Assign, str, str]]:
    """``w = w - lr * w.grad`` in the loop that also runs ``backward()``."""
    targets = names_in(loop.target) if isinstance(loop, For) else set()
    parts = list(all_expressions(loop.body))
    if not any(isinstance(part, Attribute) and part.name == "backward" for part in parts):
        return
    bound = [t.id for s in statements(loop.body) if isinstance(s, Assign) for t in s.targets if isinstance(t, Name)]
    for update, name in _updates(loop.body):
        flagged = any(isinstance(p, Attribute) and p.name in _FLAGGING and dotted(p.value) == name for p in parts)
        again = any(isinstance(p, Attribute) and p.name in _FLAGGING for p in within(update.value))
        if (
            name not in targets
            and bound.count(name) == 1
            and not flagged
            and not again
            and name in function.facts.local
            and not any(p.name == name for p in function.facts.parameters)
        ):
            yield update, name, "from the second round on it is no leaf and its `.grad` is None: the update raises"


def _updates(body: Block) -> Iterator[tuple[Assign, str]]:
    """``name = name - ... name.grad``, with the name."""
    for statement in statements(body):
        match statement:
            case Assign(targets=(Name(id=name),), value=Operation(operator="-" | "+", operands=operands)):
                grads = (dotted(part) == f"{name}.grad" for operand in operands for part in within(operand))
                if any(dotted(operand) == name for operand in operands) and any(grads):
                    yield statement, name
            case _:
                pass


def _read_after(function: FunctionNode, loop: For | While, update: Assign, name: str) -> bool:
    own = {part.at for part in within(update.value)}
    own.update(target.at for target in update.targets)
    # ``p.grad = None`` does nothing with the values of the new tensor.
    own.update(p.value.at for p in all_expressions(loop.body) if isinstance(p, Attribute) and p.name == "grad")
    inside = (p for p in all_expressions(loop.body) if p.at not in own and p.at > min(own))
    returned = (
        p for s in statements(function.facts.body) if isinstance(s, Return) and s.value for p in within(s.value)
    )
    return any(isinstance(part, Name) and part.id == name for part in (*inside, *returned))


def _finding(function: FunctionNode, update: Assign, name: str, what: str) -> Finding:
    return Finding(
        function.place(update.targets[0].at),
        function.name,
        f"`{name} = {name} ...` binds the name `{name}` to another tensor: {what}",
        help=f"change it in place: `{name} -= ...` under `torch.no_grad()`",
    )


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Linear(2, 1, bias=False)
nn.init.ones_(model.weight)
model(torch.ones(3, 2)).sum().backward()
```

## Flagged

### averaged, clipped, cut off and moved, all for nothing
```python
import torch

def average(ema, model):
    for kept, live in zip(ema.parameters(), model.parameters()):
        kept = 0.9 * kept + 0.1 * live  # GL210

def clip(critic, bound):
    for parameter in critic.parameters():
        parameter = torch.clamp(parameter, -bound, bound)  # GL210

def freeze(model):
    for name, parameter in model.named_parameters():
        parameter = parameter.detach()  # GL210
    for parameter in list(model.parameters()):
        parameter = parameter.double()  # GL210

# run: average(model, nn.Linear(2, 1, bias=False))
# run: clip(model, 0.5)
# run: freeze(model)
# shows: model.weight.tolist() == [[1.0, 1.0]] and model.weight.requires_grad and model.weight.dtype == torch.float32
```

### a layer of a container
```python
import torch
from torch import nn

def train(images):
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 10))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    network[2] = nn.Sequential(nn.Linear(network[2].in_features, 3), nn.ReLU())  # GL210
    before = network[2][0].weight.clone()
    for _ in range(3):
        optimizer.zero_grad()
        network(images).sum().backward()
        optimizer.step()
    return network, before

# run: network, before = train(torch.ones(4, 2))
# shows: network[2][0].weight.equal(before)
```

### by the constructor that has just made the optimizer
```python
import torch
from torch import nn

class Trainer:
    def __init__(self, body):
        self.body = nn.Sequential(body, nn.Linear(2, 10))
        self.optimizer = torch.optim.SGD(self.body.parameters(), lr=0.1)
        self.body.head = nn.Linear(10, 1)  # GL210

    def step(self, images):
        self.optimizer.zero_grad()
        self.body(images).sum().backward()
        self.optimizer.step()

# run: trainer = Trainer(nn.Linear(2, 2)); weight = trainer.body.head.weight.clone(); trainer.step(torch.ones(4, 2))
# shows: trainer.body.head.weight.equal(weight)
```

### weights of one's own, recorded
```python
import torch

def fit(rows, targets, lr=0.1):
    weight = torch.zeros(2, requires_grad=True)
    for _ in range(2):
        ((rows @ weight - targets) ** 2).mean().backward()
        weight = weight - lr * weight.grad  # GL201 GL210

# run: fit(torch.ones(3, 2), torch.ones(3))
# raises: TypeError: unsupported operand type(s) for *: 'float' and 'NoneType'
```

### under no_grad
```python
import torch

def fit(rows, targets, lr=0.1):
    weight = torch.zeros(2, requires_grad=True)
    for _ in range(2):
        ((rows @ weight - targets) ** 2).mean().backward()
        with torch.no_grad():
            weight = weight - lr * weight.grad  # GL210

# run: fit(torch.ones(3, 2), torch.ones(3))
# raises: RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn
```

### one of a list
```python
import torch

def step(weights, lr):
    with torch.no_grad():
        for number, weight in enumerate(weights):
            print(number)
            weight = weight - lr * weight.grad  # GL210

# run: step(list(model.parameters()), 0.1)
# shows: model.weight.tolist() == [[1.0, 1.0]]
```

### with a gradient that is cleared afterwards
```python
def step(model, lr):
    for p in model.parameters():
        p = p - lr * p.grad  # GL210
        p.grad = None

# run: step(model, 0.1)
# shows: model.weight.tolist() == [[1.0, 1.0]]
```

### replaced after the optimizer was made
```python
import torch
from torch import nn

def tune(net, images):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net.head = nn.Linear(2, 1)  # GL210
    net.bias = nn.Parameter(torch.zeros(1))  # GL210
    for _ in range(2):
        optimizer.zero_grad()
        (net.head(images) + net.bias).sum().backward()
        optimizer.step()
    return net.bias

# run: bias = tune(nn.Sequential(nn.Linear(2, 2)), torch.ones(3, 2))
# shows: bias.item() == 0.0
```

## Silent

### new tensors that are used, changes in place, and names that are no parameters
```python
from torch import nn

def norms(model):
    found, total = {}, 0.0
    for index, (name, parameter) in enumerate(model.named_parameters()):
        index, name = index + 1, name.replace("module.", "")
        parameter = parameter.detach()
        total += parameter.norm().item()
        found[name] = index
    for parameter in model.parameters():
        doubled = parameter * 2
        parameter = nn.init.zeros_(parameter)
    return found, total, doubled

# run: found, total, doubled = norms(model)
# shows: found == {"weight": 1} and model.weight.tolist() == [[0.0, 0.0]]
```

### a wrapper around the layer that was there, and a layer that comes before the optimizer
```python
import torch
from torch import nn

class Trainer:
    def __init__(self, body):
        self.body = nn.Sequential(body, nn.Linear(2, 10))
        self.body[1] = nn.Linear(2, 3)
        self.optimizer = torch.optim.SGD(self.body.parameters(), lr=0.1)
        self.body[1] = nn.Sequential(self.body[1], nn.ReLU())

    def step(self, images):
        self.optimizer.zero_grad()
        self.body(images).sum().backward()
        self.optimizer.step()

# run: Trainer(nn.Linear(2, 2)).step(torch.ones(4, 2))
```

### in place, or made a leaf again
```python
import torch

def fit(rows, targets, lr=0.1):
    weight = torch.zeros(2, requires_grad=True)
    other = torch.zeros(2, requires_grad=True)
    for _ in range(2):
        ((rows @ (weight + other) - targets) ** 2).mean().backward()
        with torch.no_grad():
            weight -= lr * weight.grad
            weight.grad = None
            other = other - lr * other.grad
        other.requires_grad_()

# run: fit(torch.ones(3, 2), torch.ones(3))
```

### the new tensors are kept
```python
def adapted(model, lr):
    fast = []
    for parameter in model.parameters():
        parameter = parameter - lr * parameter.grad
        fast.append(parameter)
    return fast

# run: adapted(model, 0.1)
```

### once
```python
import torch

w = torch.ones(2, requires_grad=True)
(w**2).sum().backward()
w = w - 0.1 * w.grad
print(w)
```

### made anew in each round
```python
import torch

def attack(model, images, steps=2):
    for _ in range(steps):
        image = images.clone().requires_grad_()
        model(image).sum().backward()
        image = image + 0.1 * image.grad
    return image

# run: attack(model, torch.ones(1, 2))
```

### replaced before, made anew, or added
```python
import torch
from torch import nn

def tune(net, images):
    net.head = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net.head(images).sum().backward()
    optimizer.step()
    net.head = nn.Linear(2, 1)
    net.activation = nn.ReLU()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    optimizer.step()

def grow(net, images):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net.head = nn.Linear(2, 1)
    optimizer.add_param_group({"params": net.head.parameters()})
    net.head(images).sum().backward()
    optimizer.step()

# run: tune(nn.Sequential(nn.Linear(2, 2)), torch.ones(3, 2))
# run: grow(nn.Sequential(nn.Linear(2, 2)), torch.ones(3, 2))
```
"""
