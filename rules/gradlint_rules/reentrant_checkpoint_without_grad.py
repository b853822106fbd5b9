"""A reentrant checkpoint is given inputs that require no grad: what it computes gets no gradient.

## Flagged

```python
import torch
from torch.utils.checkpoint import checkpoint

def loss(backbone, block, head, images, labels):
    with torch.no_grad():
        features = backbone(images)
    hidden = checkpoint(block, features, use_reentrant=True)  # GL412
    return nn.functional.cross_entropy(head(hidden), labels)

# run: loss(backbone, block, head, images, labels).backward()
# warns: UserWarning: None of the inputs have requires_grad=True. Gradients will be None
# shows: block.weight.grad is None and head.weight.grad is not None
```

## Instead

```python
import torch
from torch.utils.checkpoint import checkpoint

def loss(backbone, block, head, images, labels):
    with torch.no_grad():
        features = backbone(images)
    hidden = checkpoint(block, features, use_reentrant=False)
    return nn.functional.cross_entropy(head(hidden), labels)

# run: loss(backbone, block, head, images, labels).backward()
# shows: block.weight.grad is not None
```

## Fixed

```python
import torch
from torch.utils.checkpoint import checkpoint

def loss(backbone, block, head, images, labels):
    with torch.no_grad():
        features = backbone(images)
    hidden = checkpoint(block, features, use_reentrant=False)
    return nn.functional.cross_entropy(head(hidden), labels)
```

## Why

A reentrant checkpoint is one operation of the graph, made of the tensors it is given. If none of them
requires grad, autograd sees no reason to record it: the parameters inside it get no gradient and are
never trained, while what comes after it is. The only sign is a warning, ``UserWarning: None of the
inputs have requires_grad=True. Gradients will be None``. With nothing trainable behind it,
`backward()` raises.

`use_reentrant=False` has no such limit, and PyTorch recommends it. Where the argument is left out,
2.13 still takes the reentrant kind.
"""

import re
from collections.abc import Iterator

from gradlint.rule import (
    PLAIN,
    Argument,
    Attribute,
    Call,
    CallEvent,
    Constant,
    Delete,
    Edit,
    Expression,
    Finding,
    Fix,
    For,
    FunctionNode,
    Name,
    Passed,
    Project,
    Value,
    dotted,
    rebinding,
    rule,
    scope,
    statements,
    within,
)

_CHECKPOINT = frozenset({"torch.utils.checkpoint.checkpoint", "torch.utils.checkpoint.checkpoint_sequential"})
_BEFORE_INPUTS = {"checkpoint": 1, "checkpoint_sequential": 2}  # what to run; and in how many pieces
_BATCHES = re.compile(r"(^|_)((data)?_?loaders?|dl|batches|data(set)?)$", re.I)
_MOVING = frozenset({"to", "cuda", "cpu", "float", "half"})
_UNSEEN = Passed(None, 1, Value(), Constant(0, None))
_SETTINGS = frozenset({"use_reentrant", "preserve_rng_state", "context_fn", "determinism_check", "debug", "early_stop"})


@rule("GL412", severity="warning", since="0.1.0")
def reentrant_checkpoint_without_grad(project: Project) -> Iterator[Finding]:
    """Find reentrant checkpoints all of whose tensors are known to require no grad, and that nobody asked."""
    for function in project.functions():
        for call, name in project.modes.calls(function, _CHECKPOINT):
            event = project.flow(function).calls.get(call.at)
            if (
                event is not None
                and _is_reentrant(call)
                and not scope.asked_before(function, call.at, "requires_grad")
                and _gets_no_grad(project, function, call, _inputs(event, name))
            ):
                yield _finding(function, call)


def _setting(call: Call) -> Argument | None:
    return next((argument for argument in call.arguments if argument.keyword == "use_reentrant"), None)


def _is_reentrant(call: Call) -> bool:
    if any(argument.stars == 2 for argument in call.arguments):
        return False
    setting = _setting(call)
    return setting is None or (isinstance(setting.value, Constant) and setting.value.value is True)


def _inputs(event: CallEvent, name: str) -> list[Passed]:
    start = _BEFORE_INPUTS[name.rpartition(".")[2]]
    return [argument for argument in event.arguments[start:] if argument.keyword not in _SETTINGS]


def _gets_no_grad(project: Project, function: FunctionNode, call: Call, given: list[Passed]) -> bool:
    """Whether there are tensors among the inputs, and all of them are known to require no grad."""
    if any(argument.stars for argument in given):
        return False
    tensors = [argument for argument in given if not _is_none(argument.value)]
    return bool(tensors) and all(
        _is_plain(passed.value)
        or _is_data(project, function, passed.value.parameter)
        or _is_own_batch(function, passed)
        or _goes_round(project, function, call, passed)
        for passed in tensors
    )


def _goes_round(project: Project, function: FunctionNode, call: Call, passed: Passed) -> bool:
    """``for block in blocks: x = checkpoint(block, x)``: where the first gets no grad, so do all others."""
    name = dotted(passed.expression)
    given = [value for assigned, value in scope.assigned(function) if name == assigned]
    begun = [value for value in given if value.at != call.at]
    if name is None or len(begun) == len(given) or "." in name or _may_change(function, name, len(given)):
        return False
    if begun:
        events = [project.flow(function).calls.get(value.at) for value in begun]
        made = all(event is not None and _is_plain(event.result) for event in events)
        return made and name not in {parameter.name for parameter in function.facts.parameters}
    return _is_data(project, function, name)


def _may_change(function: FunctionNode, name: str, plainly: int) -> bool:
    """Whether a name gets something in other ways than by ``plainly`` many assignments, or a flag."""
    if not function.facts.words.isdisjoint({"requires_grad", "requires_grad_"}):
        return True
    binding = (each for each in statements(function.facts.body) if not isinstance(each, Delete))
    targets = [target for each in binding for target in rebinding.targets(each)]
    return sum(isinstance(part, Name) and part.id == name for each in targets for part in within(each)) != plainly


def _is_data(project: Project, function: FunctionNode, name: str | None) -> bool:
    """Whether it is what a ``forward`` is called with, and all its callers call it with data."""
    if name not in {parameter.name for parameter in function.facts.parameters[1:]}:
        return False
    if name is None or not project.calls.modules.is_forward(function):
        return False
    given = [*_handed_over(project, function, name)]
    return bool(given) and all(_is_plain(passed.value) or _is_batch(caller, passed) for caller, passed in given)


def _handed_over(project: Project, function: FunctionNode, name: str) -> Iterator[tuple[FunctionNode, Passed]]:
    """The callers of a ``forward``, each with what it hands over for one of its inputs."""
    index = [p.name for p in function.facts.parameters].index(name) - 1
    for edge in project.calls.callers.get(function, ()):
        event = project.flow(edge.caller).calls.get(edge.at)
        passed = [] if event is None else [a for i, a in enumerate(event.arguments) if name == a.keyword or i == index]
        yield edge.caller, passed[0] if passed else _UNSEEN


def _is_own_batch(function: FunctionNode, passed: Passed) -> bool:
    """Whether it comes out of a loader in the function's own loop, and was only moved since."""
    computed = passed.value.kind != "unknown" or any(origin.at >= 0 for origin in passed.value.origins)
    if computed or not _is_batch(function, passed):
        return False
    name = dotted(_moved(passed.expression))
    return all(dotted(_moved(value)) == name for assigned, value in scope.assigned(function) if assigned == name)


def _moved(given: Expression) -> Expression:
    while isinstance(given, Call) and isinstance(given.function, Attribute) and given.function.name in _MOVING:
        given = given.function.value
    return given


def _is_batch(caller: FunctionNode, passed: Passed) -> bool:
    """``for images, labels in loader``: what comes out of a loader requires no grad."""
    name = _moved(passed.expression)
    if passed.value.tensor & PLAIN == 0 or not isinstance(name, Name):
        return False
    loops = (s for s in statements(caller.facts.body) if isinstance(s, For) and _gives_batches(s.iterable))
    return any(isinstance(part, Name) and part.id == name.id for loop in loops for part in within(loop.target))


def _gives_batches(iterable: Expression) -> bool:
    while isinstance(iterable, Call) and iterable.arguments:  # ``enumerate(loader)``, ``tqdm(loader)``
        iterable = iterable.arguments[0].value
    return _BATCHES.search(dotted(iterable) or "") is not None


def _is_plain(value: Value) -> bool:
    return value.is_tensor and value.tensor == PLAIN


def _is_none(value: Value) -> bool:
    return value.kind in ("none", "number", "callable")


def _finding(function: FunctionNode, call: Call) -> Finding:
    return Finding(
        function.place(call.at),
        function.name,
        "no input of this reentrant checkpoint requires grad: the parameters inside it get no gradient",
        help="pass `use_reentrant=False`",
        fix=_other_kind(function, call),
    )


def _other_kind(function: FunctionNode, call: Call) -> Fix:
    setting = _setting(call)
    if setting is not None:
        edit = Edit(function.place(setting.value.at), "replace", "False")
    else:
        edit = Edit(function.place(call.arguments[-1].value.at), "after", ", use_reentrant=False")
    return Fix("unsafe", "pass `use_reentrant=False`", (edit,))


CASES = r"""
```python setup
import torch
from torch import nn

backbone, block, head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)
images, labels = torch.randn(4, 8), torch.randint(3, (4,))
```

## Flagged

### the argument left out, and detached inputs
```python
import torch
import torch.utils.checkpoint as cp
from torch.utils import checkpoint

def loss(backbone, block, head, images):
    features = torch.zeros(4, 8) + images.detach()
    first = cp.checkpoint(block, features)  # GL412
    second = checkpoint.checkpoint(block, features, None, preserve_rng_state=False)  # GL412
    return head(first).sum()

# run: loss(backbone, lambda *parts: block(parts[0]), head, images).backward()
# warns: UserWarning: None of the inputs have requires_grad=True. Gradients will be None
```

### a sequence of layers
```python
import torch
from torch.utils.checkpoint import checkpoint_sequential

def loss(layers, head):
    total = 0.0
    for images in torch.ones(2, 4, 8):
        hidden = checkpoint_sequential(layers, 2, images, use_reentrant=True)  # GL412
        total = total + head(hidden).sum()
    return total

# run: layers = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
# run: loss(layers, head).backward()
# shows: layers[0].weight.grad is None and layers[1].weight.grad is not None
```

### the first block of a model
```python
import torch
from torch.utils.checkpoint import checkpoint

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(checkpoint(self.stem, x, use_reentrant=True))  # GL412

def train(loader):
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for images, labels in loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(images.cpu().to(torch.float)), labels).backward()
        optimizer.step()
    return net

# run: net = train([(images, labels)])
# shows: net.stem.weight.grad is None and net.head.weight.grad is not None
```

### the first block, given batches as they come
```python
import torch
from torch.utils.checkpoint import checkpoint

def train(first, head, data):
    optimizer = torch.optim.SGD([*first.parameters(), *head.parameters()], 0.1)
    for x, y in data:
        x = x.to("cpu")
        hidden = checkpoint(first, x, use_reentrant=True)  # GL412
        optimizer.zero_grad()
        nn.functional.cross_entropy(head(hidden), y).backward()
        optimizer.step()

# run: train(block, head, [(images, labels)])
# shows: block.weight.grad is None and head.weight.grad is not None
```

### one block after the other, from the first on
```python
import torch
from torch.utils.checkpoint import checkpoint

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks, self.head = nn.ModuleList([nn.Linear(8, 8) for _ in range(2)]), nn.Linear(8, 3)

    def forward(self, x):
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=True)  # GL412
        return self.head(x)

def train(loader):
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for images, labels in loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()
    return net

def noise(blocks, head):
    hidden = torch.ones(4, 8)
    for block in blocks:
        hidden = checkpoint(block, hidden, use_reentrant=True)  # GL412
    return head(hidden).sum()

# run: net = train([(images, labels)])
# run: noise([block], head).backward()
# shows: all(p.grad is None for p in net.blocks.parameters()) and block.weight.grad is None
```

## Silent

### one block after the other, of what requires grad before the first, or from the second on
```python
import torch
from torch.utils.checkpoint import checkpoint

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.bias = nn.Linear(8, 8), nn.Parameter(torch.zeros(8))
        self.blocks, self.head = nn.ModuleList([nn.Linear(8, 8) for _ in range(2)]), nn.Linear(8, 3)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=True)
        return self.head(x)

class Adding(Net):
    def forward(self, x):
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=True)
            x += self.bias
        return self.head(x)

class Marking(Net):
    def forward(self, x):
        x.requires_grad_()
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=True)
        return self.head(x)

def train(loader):
    for net in (Net(), Adding(), Marking()):
        for images, labels in loader:
            nn.functional.cross_entropy(net(images), labels).backward()
    return net

# run: net = train([(images.clone(), labels)])
# shows: net.blocks[1].weight.grad is not None
```

### a block in the middle of a model, and inputs that are told to require grad
```python
import torch
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def forward(self, x):
        return checkpoint(self.inner, x, use_reentrant=True)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.block = nn.Linear(8, 8), Block()

    def forward(self, x):
        return self.block(self.stem(x))

def train(loader, layers):
    net, block = Net(), Block()
    for images, labels in loader:
        images.requires_grad_()
        loss = net(images).sum() + block(images).sum() + checkpoint_sequential(layers, 2, images).sum()
        loss.backward()
    return net

# run: net = train([(images.clone(), labels)], nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8)))
# shows: net.block.inner.weight.grad is not None
```

### inputs that require grad
```python
import torch
from torch.utils.checkpoint import checkpoint

def loss(backbone, block, head, images):
    features = backbone(images)
    return head(checkpoint(block, features, use_reentrant=True)).sum()

def marked(block, head):
    noise = torch.randn(4, 8).requires_grad_()
    return head(checkpoint(block, noise, use_reentrant=True)).sum()

# run: loss(backbone, block, head, images).backward()
# shows: block.weight.grad is not None
```

### the other kind
```python
import torch
from torch.utils.checkpoint import checkpoint

def loss(block, head, images, settings):
    features = torch.zeros(4, 8)
    first = checkpoint(block, features, use_reentrant=False)
    second = checkpoint(block, features, **settings)
    return head(first).sum() + head(second).sum()

# run: loss(block, head, images, {"use_reentrant": False}).backward()
# shows: block.weight.grad is not None
```

### inputs that are not known, and another checkpoint
```python
from torch.utils.checkpoint import checkpoint as recompute

def checkpoint(model, epoch):
    return {"model": model.state_dict(), "epoch": epoch}

def forward(block, x):
    return recompute(block, x, use_reentrant=True)

# run: saved = checkpoint(block, 3)
# run: out = forward(block, images.requires_grad_())
# shows: out.requires_grad
```

### batches that are embedded or marked first
```python
import torch
from torch.utils.checkpoint import checkpoint

def train(prepare, first, head, data, loader):
    for x, y in data:
        x = prepare(x)
        hidden = checkpoint(first, x, use_reentrant=True)
        nn.functional.cross_entropy(head(hidden), y).backward()
    for z, y in data:
        z.requires_grad_()
        hidden = checkpoint(first, z, use_reentrant=True)
        nn.functional.cross_entropy(head(hidden), y).backward()
    for images, y in loader:
        images.requires_grad = True
        hidden = checkpoint(first, images, use_reentrant=True)
        nn.functional.cross_entropy(head(hidden), y).backward()

# run: train(nn.Linear(8, 8), block, head, [(images.clone(), labels)], [(images.clone(), labels)])
# shows: block.weight.grad is not None
```

### behind the question whether its input requires grad
```python
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        if x.requires_grad:
            return checkpoint(self.layer, x, use_reentrant=True)
        return self.layer(x)

block = Block()
for images in torch.randn(2, 4, 3):
    block(images).sum().backward()
# shows: block.layer.weight.grad is not None
```
"""
