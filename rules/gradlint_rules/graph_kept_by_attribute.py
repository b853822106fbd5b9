"""A buffer is updated with a tensor that has a graph: from then on it carries the graph of every forward.

## Flagged

```python
import torch
from torch import nn

class Centred(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("mean", torch.zeros(2))

    def forward(self, x):
        y = self.layer(x)
        self.mean = 0.9 * self.mean + 0.1 * y.mean(0)  # GL104
        return y - self.mean

# run: model = Centred()
# run: model(torch.ones(3, 2)).sum()
# shows: model.mean.requires_grad
```

## Instead

```python
import torch
from torch import nn

class Centred(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("mean", torch.zeros(2))

    def forward(self, x):
        y = self.layer(x)
        self.mean = 0.9 * self.mean + 0.1 * y.detach().mean(0)
        return y - self.mean

# run: model = Centred()
# run: model(torch.ones(3, 2)).sum()
# shows: not model.mean.requires_grad
```

## Fixed

```python
import torch
from torch import nn

class Centred(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("mean", torch.zeros(2))

    def forward(self, x):
        y = self.layer(x)
        with torch.no_grad():
            self.mean = 0.9 * self.mean + 0.1 * y.mean(0)
        return y - self.mean
```

## Why

The new value is computed from the layer's output, so the buffer requires grad and holds on to that graph; the
next forward computes with it, and chains another graph to it. Memory grows with each step. Where the buffer
takes part in the loss, the second `backward()` walks into the first one's graph: `RuntimeError: Trying to
backward through the graph a second time`. `copy.deepcopy` of the module raises as well, and `state_dict()`
hides it all, its tensors are detached.

Running statistics are no part of what is trained: `.detach()` what goes into them, or update them under
`no_grad()`.
"""

from collections.abc import Iterator

from gradlint.rule import BufferUpdate, CarriedState, Finding, Fix, FunctionNode, Note, Project, rewrites, rule, scope


@rule("GL104", severity="warning", since="0.2.0")
def graph_kept_by_attribute(project: Project) -> Iterator[Finding]:
    """Find updates of buffers by what was computed with a graph."""
    for function in project.functions():
        yield from (_list(function, update) for update in project.buffers.gathered(function))
        found = {update.at: update for update in project.buffers.updates(function)}
        states = {state.at: state for state in project.carried_states.of(function) if state.at not in found}
        yield from (_state(function, state) for state in states.values())
        yield from (_last(function, update) for update in project.buffers.pinned(function) if update.at not in states)
        if found:
            silent = scope.expected_to_fail(function)
            yield from (_finding(function, update) for at, update in found.items() if at not in silent)


def _finding(function: FunctionNode, update: BufferUpdate) -> Finding:
    made = update.made_at
    return Finding(
        function.place(update.at),
        function.name,
        f"the buffer `{update.path}` keeps the graph of every forward: what it is updated with has one",
        (Note(function.place(made), "this forward records the graph"),) if made is not None else (),
        help="`.detach()` what goes into it, or update it under `torch.no_grad()`",
        fix=_guarded(function, update),
    )


def _list(function: FunctionNode, update: BufferUpdate) -> Finding:
    return Finding(
        function.place(update.at),
        function.name,
        f"`{update.path}` grows with every forward, and keeps the graphs of all of them: nobody empties it",
        (Note(function.place(update.made_at), "this forward records the graph"),) if update.made_at else (),
        help="begin a new list in each forward, or put in `.detach()` of the tensor",
    )


def _last(function: FunctionNode, update: BufferUpdate) -> Finding:
    return Finding(
        function.place(update.at),
        function.name,
        f"`{update.path}` pins the graph of the last forward until the next one, and `deepcopy` of the module raises",
        (Note(function.place(update.made_at), "this forward records the graph"),) if update.made_at else (),
        help="keep `.detach()` of it",
        severity="advice",
    )


def _state(function: FunctionNode, state: CarriedState) -> Finding:
    return Finding(
        function.place(state.at),
        function.name,
        f"`{state.path}` takes the graph of each forward into the next: `backward()` raises in the second round",
        (Note(function.place(state.made_at), "this goes on from what the forward before has left"),),
        help="keep `.detach()` of the state, or begin a new one with each batch",
    )


def _guarded(function: FunctionNode, update: BufferUpdate) -> Fix | None:
    edits = rewrites.under_no_grad(function, update.at)
    return Fix("unsafe", "put the update under `torch.no_grad()`", edits) if edits else None


CASES = r"""
```python setup
import torch
images = torch.ones(3, 2)
```

## Flagged

### in place
```python
import torch
from torch import nn

class Centred(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("mean", torch.zeros(2))

    def forward(self, x):
        y = self.layer(x)
        if self.training:
            self.mean.mul_(0.9).add_(0.1 * y.mean(0))  # GL104
        return y - self.mean

# run: model = Centred()
# run: model(images)
# shows: model.mean.requires_grad
```

### of what comes in
```python
import torch
from torch import nn

class Norm(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(size))
        self.momentum = 0.1

    def forward(self, x):
        mean = x.mean(dim=0)
        self.running_mean = (1 - self.momentum) * self.running_mean + self.momentum * mean  # GL104
        return x - mean

# run: norm = Norm(2)
# run: norm(images.clone().requires_grad_())
# shows: norm.running_mean.requires_grad
```

### items, a tensor that is no buffer, a power iteration
```python
import torch
from torch import nn

class Bank(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        self.register_buffer("bank", torch.zeros(4, 2))

    def forward(self, x, index):
        z = self.encoder(x)
        self.bank[index] = z  # GL104
        return z @ self.bank.t()

class Centred(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        self.center = torch.zeros(2)

    def forward(self, x):
        z = self.encoder(x)
        self.center = self.center * 0.9 + z.mean(0) * 0.1  # GL104
        return z - self.center

class Normed(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.register_buffer("u", torch.ones(2))

    def forward(self, x):
        weight = self.layer.weight
        v = torch.mv(weight.t(), self.u)
        self.u = torch.mv(weight, v / v.norm())  # GL104
        return self.layer(x)

# run: made = Bank(nn.Linear(2, 2)), Centred(nn.Linear(2, 2)), Normed(nn.Linear(2, 2))
# run: made[0](images, [0, 1, 2]), made[1](images), made[2](images)
# shows: made[0].bank.requires_grad and made[1].center.requires_grad and made[2].u.requires_grad
```

### a list that nobody empties, and, as advice, what is kept until the next forward
```python
from torch import nn

class Recording(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.activations = []
        self.kept_output = None

    def forward(self, x):
        y = self.layer(x)
        self.activations.append(y)  # GL104
        self.kept_output = y  # GL104
        return y

# run: module = Recording()
# run: module(images), module(images)
# shows: len(module.activations) == 2 and module.kept_output.requires_grad
```

### an average of the input, into items
```python
import torch
from torch import nn

class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("stored", torch.zeros(2))

    def forward(self, x):
        mean = x.mean(0)
        self.stored[:] = 0.9 * self.stored + 0.1 * mean  # GL104
        return x - mean

# run: module = Norm(); module(images.clone().requires_grad_())
# shows: module.stored.requires_grad
```

### of what is passed back through a transform
```python
import torch
from torch import nn
from torch.distributions import Transform

class Normalised(Transform, nn.Module):
    def __init__(self):
        Transform.__init__(self)
        nn.Module.__init__(self)
        self.register_buffer("moving_mean", torch.zeros(2))

    def _inverse(self, y):
        mean = y.mean(0)
        if self.training:
            self.moving_mean.mul_(0.9).add_(mean * 0.1)  # GL104
        return y - mean

# run: module = Normalised(); module._inverse(images.clone().requires_grad_())
# shows: module.moving_mean.requires_grad
```

### by a method that the forward hands it to
```python
import torch
from torch import nn

class Queue(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.encoder = nn.Linear(size, 2)
        self.register_buffer("queue", torch.zeros(6, 2))
        self.start = 0

    def put(self, features):
        end = self.start + len(features)
        self.queue[self.start:end] = features  # GL104
        self.start = end % 6

    def forward(self, x):
        features = self.encoder(x)
        self.put(features)
        return features

# run: model = Queue(2)
# run: model(images)
# shows: model.queue.requires_grad
```

### a hidden state that goes from one forward into the next
```python
import torch
from torch import nn

class Memory(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 8)
        self.head = nn.Linear(8, 1)
        self.hidden = None

    def forward(self, x):
        out, self.hidden = self.lstm(x, self.hidden)  # GL104
        return self.head(out)

def train(batches):
    model = Memory()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for images, labels in batches:
        loss = (model(images) - labels).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

# run: train([(torch.ones(3, 2, 4), torch.ones(3, 2, 1))] * 2)
# raises: RuntimeError: Trying to backward through the graph a second time
```

### one that is begun where there is none yet, through a name, and a pair of two
```python
import torch
from torch import nn

class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(4, 8)
        self.state = None

    def forward(self, x):
        if self.state is None:
            self.state = torch.zeros(x.shape[1], 8)
        for each in x:
            state = self.cell(each, self.state)
            self.state = state  # GL104
        return self.state

class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 8)
        self.memory, self.held = torch.zeros(1, 2, 8), torch.zeros(1, 2, 8)

    def forward(self, x):
        out, (self.memory, self.held) = self.lstm(x, (self.memory, self.held))  # GL104
        return out

def train(model, batches):
    for batch in batches:
        model(batch).square().mean().backward()

# run: train(Cell(), [torch.ones(3, 2, 4)] * 2)
# run: train(Pair(), [torch.ones(3, 2, 4)] * 2)
# raises: RuntimeError: Trying to backward through the graph a second time
```

### of a module of the project's own
```python
import torch
from torch import nn

class Step(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x, state):
        return torch.tanh(self.layer(x) + state)

class Chain(nn.Module):
    def __init__(self):
        super().__init__()
        self.step = Step()
        self.kept_state = torch.zeros(4)

    def forward(self, x):
        self.kept_state = self.step(x, self.kept_state)  # GL104
        return self.kept_state

def train(model, batches):
    for batch in batches:
        model(batch).square().mean().backward()

# run: train(Chain(), [torch.ones(2, 4), torch.ones(2, 4)])
# raises: RuntimeError: Trying to backward through the graph a second time
```

### an average that begins with the first output
```python
import torch
from torch import nn

class Remembering(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.remembered = None

    def forward(self, x):
        out = self.layer(x)
        if self.remembered is None:
            self.remembered = torch.zeros_like(out)
        self.remembered = 0.5 * self.remembered + 0.5 * out  # GL104
        return self.remembered

def train(batches):
    model = Remembering()
    for batch in batches:
        model(batch).square().mean().backward()

# run: train([images, images])
# raises: RuntimeError: Trying to backward through the graph a second time
```

## Silent

### by a method that the forward hands it to, without its graph
```python
import torch
from torch import nn

class Queue(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.encoder = nn.Linear(size, 2)
        self.register_buffer("queue", torch.zeros(6, 2))
        self.register_buffer("seen", torch.zeros(6, 2))
        self.register_buffer("labels", torch.zeros(6, dtype=torch.long))

    @torch.no_grad()
    def put(self, features):
        self.queue[: len(features)] = features

    def note(self, features, images, labels):
        self.queue[-len(features):] = features
        self.seen[: len(images)] = images
        self.labels[: len(labels)] = labels

    def forward(self, x):
        features = self.encoder(x)
        self.put(features)
        self.note(features.detach(), x, features.argmax(1))
        return features

# run: model = Queue(2)
# run: model(images)
# shows: not model.queue.requires_grad and not model.seen.requires_grad
```

### detached, under no_grad, through data
```python
import torch
from torch import nn

class Centred(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x):
        y = self.layer(x)
        self.mean = 0.9 * self.mean + 0.1 * y.detach().mean(0)
        with torch.no_grad():
            self.mean.mul_(0.9).add_(0.1 * y.mean(0))
        self.mean.data.add_(y.data.mean(0))
        self.count += len(x)
        return y - self.mean

# run: model = Centred()
# run: model(images)
# shows: not model.mean.requires_grad
```

### replaced, not updated
```python
import torch
from torch import nn

class Remembering(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("last", torch.zeros(2))

    def forward(self, x):
        self.last = self.layer(x)
        return self.last

# run: Remembering()(images)
```

### replaced, and asked only where it is
```python
import torch
from torch import nn

class Remembering(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("last", torch.zeros(2))

    def forward(self, x):
        x = x.to(self.last.device).reshape(-1, self.last.size(-1))
        self.last = self.layer(x)
        return self.last

# run: module = Remembering()
# run: module(images).sum().backward(), module(images).sum().backward()
```

### a parameter, a number
```python
import torch
from torch import nn

class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("seen", torch.zeros(1))
        self.total = 0.0

    def forward(self, x):
        y = self.layer(x)
        self.seen = self.seen + (y > 0).sum()
        self.total = self.total + y.sum().item()
        return y

# run: Scale()(images)
```

### an average of what is gathered from everywhere, by settings that come in
```python
import torch
from torch import nn

@torch.no_grad()
def gathered(features):
    return torch.cat([torch.ones_like(features) for _ in range(2)])

class Prototypes(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("prototypes", torch.zeros(3, 2))

    def forward(self, x, args):
        features = self.layer(x)
        for index, feature in enumerate(gathered(features)[:3]):
            self.prototypes[index] = self.prototypes[index] * args.momentum + (1 - args.momentum) * feature
        return features

# run: from types import SimpleNamespace
# run: model = Prototypes()
# run: model(images, SimpleNamespace(momentum=0.9)).sum()
# shows: not model.prototypes.requires_grad
```

### lists that are begun anew, or that somebody reads
```python
from torch import nn

class Fresh(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.outputs = []

    def forward(self, x):
        self.outputs = []
        for _ in range(2):
            x = self.layer(x)
            self.outputs.append(x)
        return x

class Auxiliary(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.penalties = []

    def forward(self, x):
        y = self.layer(x)
        self.penalties.append(y)
        return y

def train_step(module, images):
    loss = module(images).sum() + sum(p.pow(2).sum() for p in module.penalties)
    module.penalties.clear()
    loss.backward()

# run: Fresh()(images)
# run: train_step(Auxiliary(), images)
```

### moved to where the input is, and a variable of the same name
```python
import torch
from torch import nn

class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("weights", torch.ones(2))

    def forward(self, x):
        self.weights = self.weights.to(x).expand(2)
        weights = torch.zeros(2)
        weights[0] = x.sum()
        return x * self.weights + weights

# run: module = Scaled()
# run: module(images.clone().requires_grad_())
# shows: not module.weights.requires_grad
```

### a state that is trained through time
```python
import torch
from torch import nn

class Leaky(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("mem", torch.zeros(2))

    def reset_mem(self):
        self.mem = torch.zeros(2)

    def forward(self, x):
        self.mem = 0.9 * self.mem + self.layer(x).mean(0)
        return self.mem

class Memory(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("memory", torch.zeros(4, 2))

    def detach(self):
        self.memory.detach_()

    def forward(self, x, index):
        self.memory[index] = self.layer(x)
        return self.memory

# run: Leaky()(images), Memory()(images, [0, 1, 2])
```

### centers of what a frozen teacher gives
```python
import copy
import torch
from torch import nn

class Distillation(nn.Module):
    def __init__(self):
        super().__init__()
        self.student = nn.Linear(2, 2)
        self.register_buffer("centers", torch.zeros(2))

    def teacher(self):
        teacher = copy.deepcopy(self.student)
        teacher.requires_grad_(False)
        return teacher

    def forward(self, images):
        with torch.no_grad():
            teacher = self.teacher()
            first, second = teacher(images), teacher(images + 1)
        self.centers.copy_(torch.cat((first, second)).mean(dim=0))
        return (self.student(images) - first).pow(2).mean()

# run: module = Distillation()
# run: module(torch.ones(2, 2))
# shows: module.centers.grad_fn is None
```

### a hidden state that is detached, begun anew by the caller, by a flag, or by another method
```python
import torch
from torch import nn

class Cutting(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 8)
        self.cut = None

    def forward(self, x):
        out, state = self.lstm(x, self.cut)
        self.cut = tuple(part.detach() for part in state)
        return out

class Handed(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 8)
        self.handed = None

    def forward(self, x):
        out, self.handed = self.lstm(x, self.handed)
        return out

class Flagged(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 8)
        self.flagged = None

    def forward(self, x, first=True):
        if first:
            self.flagged = None
        out, self.flagged = self.lstm(x, self.flagged)
        return out

class Begun(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 8)
        self.begun = None

    def begin(self):
        self.begun = None

    def forward(self, x):
        out, self.begun = self.lstm(x, self.begun)
        return out

def train(cutting, handed, flagged, begun, batches):
    for batch in batches:
        handed.handed = None
        begun.begin()
        for model in (cutting, handed, flagged, begun):
            model(batch).square().mean().backward()

# run: train(Cutting(), Handed(), Flagged(), Begun(), [torch.ones(3, 2, 4)] * 2)
```

### a module of the project that detaches its state, and one that looks at what it gave before
```python
import torch
from torch import nn

class Step(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x, state):
        return torch.tanh(self.layer(x) + state.detach())

class Chain(nn.Module):
    def __init__(self):
        super().__init__()
        self.step = Step()
        self.chained = torch.zeros(4)

    def forward(self, x):
        self.chained = self.step(x, self.chained)
        return self.chained

class Watching(nn.Module):
    def __init__(self):
        super().__init__()
        self.step = nn.Linear(4, 4)
        self.seen = torch.zeros(4)

    def forward(self, x):
        print(self.seen.shape)
        self.seen = torch.zeros_like(x)
        return self.step(x)

def train(model, batches):
    for batch in batches:
        model(batch).square().mean().backward()

# run: train(Chain(), [torch.ones(2, 4), torch.ones(2, 4)])
# run: train(Watching(), [torch.ones(2, 4), torch.ones(2, 4)])
```

### an average of what is detached, or of numbers
```python
import torch
from torch import nn

class Remembering(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.remembered, self.counted = None, 0

    def forward(self, x):
        out = self.layer(x)
        if self.remembered is None:
            self.remembered = torch.zeros_like(out)
        self.remembered = 0.5 * self.remembered + 0.5 * out.detach()
        return out - self.remembered

class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.counted = 0

    def forward(self, x):
        out = self.layer(x)
        self.counted = self.counted + len(out)
        return out

def train(model, batches):
    for batch in batches:
        model(batch).square().mean().backward()

# run: train(Remembering(), [images, images])
# run: train(Counting(), [images, images])
```
"""
