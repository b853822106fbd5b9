"""`.data` reaches past autograd: what is changed through it is not noticed, and gradients come out wrong.

## Flagged

```python
import torch

x = torch.zeros(3, requires_grad=True)
y = torch.sigmoid(x)
y.data.zero_()  # GL409
y.sum().backward()
# shows: x.grad.tolist() == [0.0, 0.0, 0.0]
```

## Instead

```python
import torch

x = torch.zeros(3, requires_grad=True)
y = torch.sigmoid(x)
shown = y.detach().clone().zero_()
y.sum().backward()
# shows: x.grad.tolist() == [0.25, 0.25, 0.25]
```

## Why

autograd counts the changes of each tensor it saved, and `backward()` refuses to go on with one that was
changed. A change through `.data` is not counted: `backward()` computes with the new values and gives a wrong
gradient without a word. Above it is 0 where 0.25 is right. The same change through `.detach()` raises
`RuntimeError: one of the variables needed for gradient computation has been modified by an inplace operation`.

Where nothing was saved, in initialization, in an optimizer or a moving average, `.data` does no harm; under
`no_grad()` the tensor itself can be changed as well, and the change is counted. Where something is added to a
result, gradients only come out wrong if autograd saved it. A read of `.data` is a `.detach()`, which says what it
does. All of these are advice, shown when the rule is selected.
"""

import re
from collections.abc import Iterator

from gradlint.rule import (
    COMPUTED,
    RESULT_SAVING,
    Assign,
    Attribute,
    AttributeEvent,
    Augment,
    Call,
    ClassNode,
    Constant,
    Edit,
    External,
    Finding,
    Fix,
    Flow,
    FunctionNode,
    Note,
    Project,
    Subscript,
    all_expressions,
    all_of,
    dotted,
    rule,
    scope,
    statements,
)

_LOSS = re.compile(r"(^|[._])(\w*_)?loss(_?\w{1,2})?$")
_DATA_SET = re.compile(r"((?<!off)set|mnist|cifar\d*)s?$", re.I)
# ``packed.data`` of a packed sequence is a tensor with its graph, and what is packed cannot be detached.
_PACKING = frozenset({"pack_padded_sequence", "pack_sequence", "PackedSequence"})
_WRITING = frozenset("add_ sub_ mul_ div_ copy_ fill_ zero_ addcmul_ addcdiv_ lerp_ clamp_ normal_ uniform_".split())
_ADDING = frozenset({"add_", "sub_"})
_SAVING = RESULT_SAVING - {"relu", "elu", "selu"}  # of these it may be the sign alone that counts
_READING = frozenset("cpu numpy item tolist clone size dim max min sum mean view squeeze argmax norm abs".split())


@rule("GL409", severity="warning", since="0.2.0")
def data_bypass(project: Project) -> Iterator[Finding]:
    """Find `.data` of tensors: changed where the tensor is computed, and, as advice, all others."""
    for function in project.functions():
        if not _reads_data(function):
            continue
        silent = scope.expected_to_fail(function)
        called = dict(_called(function))
        changed = {at for at, name in called.items() if name.endswith("_") and name[0] != "_"} | {*_assigned(function)}
        moved = {at for at, name in called.items() if name in _ADDING} | {*_added(function)}
        packs = not function.facts.words.isdisjoint(_PACKING)
        known = set() if packs else {at for at, name in called.items() if name in _READING | _WRITING}
        views = {*_of_views(project.flow(function), function)}
        for event in project.flow(function).attributes.values():
            if event.name != "data" or event.at in silent:
                continue
            owner = event.owner
            computed = _is_computed(event) and event.at not in views
            if event.at in changed - moved and (computed or _is_saved(project, function, event)):
                yield _wrong(function, event)
            elif owner.is_tensor or owner.kind == "parameters" or (event.at in known and not _is_no_tensor(event)):
                yield _advice(function, event, changed=event.at in changed or event.stored is not None)


def _reads_data(function: FunctionNode) -> bool:
    """Whether ``.data`` is taken of anything but the object that a method is called on, which is no tensor."""
    if "data" not in function.facts.words:
        return False
    read = (dotted(each.value) for each in all_of(Attribute, function.facts.body) if each.name == "data")
    return any(function.owner is None or owner != "self" for owner in read)


def _is_computed(event: AttributeEvent) -> bool:
    return event.owner.kind == "tensor" and event.owner.tensor == COMPUTED


def _is_saved(project: Project, function: FunctionNode, event: AttributeEvent) -> bool:
    """Whether a ``forward`` computes it from parameters that are trained, by an operation that saved its result.

    Another result may be changed before anything else has saved it: scores are masked so, and parameters begun.
    """
    flow = project.gradients.trained(function)
    seen = flow.attributes.get((event.at, event.stored is not None)) if flow is not None else None
    if flow is None or seen is None or not _is_computed(seen):
        return False
    made = flow.calls.get(seen.owner.made_at or -1)
    return made is not None and made.method in _SAVING


def _is_no_tensor(event: AttributeEvent) -> bool:
    """``train_set.data``: no tensor's, but all samples of ``datasets.MNIST(...)``, or of a class of the project."""
    target = event.owner.target
    if isinstance(target, External):
        foreign = not target.name.startswith("torch.") and target.name.rpartition(".")[2][:1].isupper()
        if foreign or target.name.startswith("torch.nn.utils.rnn."):
            return True
    return isinstance(target, ClassNode) or _DATA_SET.search((event.path or "").removesuffix(".data")) is not None


def _called(function: FunctionNode) -> Iterator[tuple[int, str]]:
    """The places of ``.data`` on which methods are called, each with the method."""
    for expression in all_expressions(function.facts.body):
        match expression:
            case Call(function=Attribute(value=Attribute(at=at, name="data"), name=name)):
                yield at, name
            case _:
                pass


def _of_views(flow: Flow, function: FunctionNode) -> Iterator[int]:
    """The places of ``.data`` of a part of a module's own tensor: ``layer.bias[n:].data.fill_(1)`` changes the leaf."""
    for expression in all_expressions(function.facts.body):
        match expression:
            case Attribute(at=at, name="data", value=Subscript(value=Attribute(at=inner))):
                whole = flow.attributes.get((inner, False))
                if function.facts.name == "__init__" or (whole is not None and whole.owner.kind == "module"):
                    yield at
            case _:
                pass


def _assigned(function: FunctionNode) -> Iterator[int]:
    """The places of ``.data`` that an assignment changes in place."""
    for statement in statements(function.facts.body):
        targets = statement.targets if isinstance(statement, Assign) else ()
        if isinstance(statement, Augment):
            yield from (target.at for target in (statement.target,) if isinstance(target, Attribute))
            targets = (statement.target,)
        for target in targets:
            match target:
                case Subscript(value=Attribute(at=at, name="data")):
                    yield at
                case _:
                    pass


def _added(function: FunctionNode) -> Iterator[int]:
    """Where something is added in place: gradients stay as they are if autograd did not save what it is added to."""
    for statement in statements(function.facts.body):
        if isinstance(statement, Augment) and statement.operator in "+-":
            yield statement.target.at


def _wrong(function: FunctionNode, event: AttributeEvent) -> Finding:
    name = (event.path or "the tensor").removesuffix(".data")
    made = event.owner.made_at
    return Finding(
        function.place(event.at),
        function.name,
        f"`{name}` is part of a graph, and changing its `.data` goes unnoticed: `backward()` computes a wrong gradient",
        (Note(function.place(made), "it is computed here"),) if made is not None else (),
        help=f"change a copy, or `{name}` itself: autograd says if that is not possible",
    )


def _number_of_loss(function: FunctionNode, event: AttributeEvent) -> Fix | None:
    """``loss.data[0]`` of old code raises an IndexError since a loss has no dimensions; it wants the number."""
    name = (event.path or "").removesuffix(".data")
    for part in all_expressions(function.facts.body) if _LOSS.search(name) else ():
        match part:
            case Subscript(at=at, value=Attribute(at=inner), index=Constant(value=0)) if inner == event.at:
                edit = Edit(function.place(at), "replace", f"{name}.item()")
                return Fix("unsafe", f"write `{name}.item()`", (edit,))
            case _:
                pass
    return None


def _advice(function: FunctionNode, event: AttributeEvent, *, changed: bool) -> Finding:
    text = "changes through `.data` go unnoticed by autograd" if changed else "`.data` is a `.detach()` in disguise"
    remedy = "change the tensor itself under `torch.no_grad()`" if changed else "write `.detach()`"
    edit = Edit(function.place(event.at + 1), "replace", "detach()")
    number = _number_of_loss(function, event)
    fix = Fix("safe", "write `.detach()`", (edit,)) if number is None else number
    return Finding(
        function.place(event.at),
        function.name,
        text,
        help=remedy,
        fix=None if changed else fix,
        severity="advice",
    )


CASES = r"""
## Flagged

### what a `forward` computes with parameters of its own
```python
import torch
from torch import nn

class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x):
        gate = torch.sigmoid(self.layer(x))
        out = gate * x
        gate.data.mul_(0.5)  # GL409
        return out

class Plain(Gate):
    def forward(self, x):
        return torch.sigmoid(self.layer(x)) * x

# run: gate, plain = Gate(), Plain()
# run: state = plain.load_state_dict(gate.state_dict())
# run: first = gate(torch.ones(1, 2)).sum().backward()
# run: second = plain(torch.ones(1, 2)).sum().backward()
# shows: not torch.allclose(gate.layer.weight.grad, plain.layer.weight.grad)
```

### clamped, scaled, assigned to
```python
import torch

def squash(x):
    weight = torch.ones(3, requires_grad=True)
    y = torch.exp(weight * x)
    y.data.clamp_(max=1.0)  # GL409
    y.data[0] = 0.0  # GL409
    y.data *= 2  # GL409
    y.sum().backward()
    return weight.grad

# run: grad = squash(torch.ones(3))
# shows: grad.tolist() == [0.0, 2.0, 2.0]
```

### in a `forward`, before anything has saved it: scores are masked, parameters begun; as advice
```python
import torch
from torch import nn

class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.bias = nn.Parameter(torch.zeros(1, 4))

    def forward(self, x, mask, fresh):
        if fresh:
            self.bias.squeeze().data.copy_(x.mean(0))  # GL409
        scores = self.layer(x) * 2 + self.bias
        scores.data.masked_fill_(mask, -float("inf"))  # GL409
        return scores.softmax(-1)

class Masked(Attention):
    def forward(self, x, mask, fresh):
        return (self.layer(x) * 2 + self.bias).masked_fill(mask, -float("inf")).softmax(-1)

# run: x, mask = torch.randn(3, 4), torch.tensor([[False, True, False, False]])
# run: attention, masked = Attention(), Masked()
# run: first = attention(x, mask, True); state = masked.load_state_dict(attention.state_dict())
# run: first[:, 0].sum().backward(); masked(x, mask, False)[:, 0].sum().backward()
# shows: torch.allclose(attention.layer.weight.grad, masked.layer.weight.grad, atol=1e-6)
```

### a part of weights that are begun, as advice
```python
import torch
from torch import nn

class Highway(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.layer = nn.Linear(size, 2 * size)
        self.scale = nn.Parameter(torch.zeros(2))
        self.layer.bias[size:].data.fill_(1)  # GL409
        self.scale[1:].data.fill_(2)  # GL409

    def forward(self, x):
        return self.layer(x)

# run: highway = Highway(3)
# run: highway(torch.ones(1, 3)).sum().backward()
# shows: highway.layer.bias.tolist()[3:] == [1.0] * 3 and highway.layer.bias.grad.tolist() == [1.0] * 6
```

### something is added to it, as advice
```python
import torch

def jittered(x):
    weight = torch.ones(3, requires_grad=True)
    y = torch.exp(weight * x)
    y.data += 1  # GL409
    y.data.add_(1)  # GL409
    y.sum().backward()
    return weight.grad, y

# run: grad, y = jittered(torch.ones(3))
# shows: bool((grad == y).all()) and bool((grad > 4).all())
```

### read, as advice
```python
import torch

def show(loss):
    print(loss.data.item())  # GL409

x = torch.ones(3, requires_grad=True)
print((x * 2).data)  # GL409
# run: show((x * 2).sum())
# shows: x.is_leaf
```

### weights, as advice
```python
from torch import nn

def initialize(model):
    for parameter in model.parameters():
        parameter.data.zero_()  # GL409
    model.weight.data = model.weight.data + 1  # GL409 GL409

# run: initialize(nn.Linear(2, 2))
# shows: True
```

### what an optimizer of one's own steps with, as advice
```python
import torch

class Descent(torch.optim.Optimizer):
    def __init__(self, parameters):
        super().__init__(parameters, {"lr": 0.1})

    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data.add_(parameter.grad, alpha=-group["lr"])  # GL409

# run: weight = torch.ones(1, requires_grad=True); weight.sum().backward(); Descent([weight]).step()
# shows: weight.item() < 1
```

### the number of a loss, in code of old, as advice
```python
def train_step(model, criterion, images, labels):
    loss = criterion(model(images), labels)
    loss.backward()
    return loss.data[0]  # GL409

# run: import torch; train_step(torch.nn.Linear(2, 1), torch.nn.MSELoss(), torch.ones(3, 2), torch.ones(3, 1))
# raises: IndexError: invalid index of a 0-dim tensor.
```

## Silent

### of a packed sequence that only an annotation names
```python
from torch.nn.utils.rnn import PackedSequence, pack_sequence

def total(packed: PackedSequence):
    return packed.data.view(-1).sum()

# run: import torch
# run: weights = torch.ones(2, requires_grad=True)
# run: total(pack_sequence([weights, weights])).backward()
# shows: weights.grad is not None
```

### the tensor itself, and what is detached
```python
import torch

x = torch.ones(3, requires_grad=True)
y = x * 2
with torch.no_grad():
    x.mul_(2)
print(y.detach().cpu(), y.sum().item())
```

### other things that have data
```python
class Batch:
    def __init__(self, data):
        self.data = data

def first(batch):
    return batch.data[0]

# run: first(Batch([1, 2]))
```

### the samples of a data set
```python
import torch

class Digits:
    def __init__(self, train):
        self.data = torch.rand(4, 28, 28)

def load(test_set, dataset):
    train_set = Digits(train=True)
    images = train_set.data.view(-1, 1, 28, 28)
    return images, test_set.data.mean(), dataset.data.numpy()

# run: load(Digits(False), Digits(False))
```

### a packed sequence, whose data have the graph
```python
import torch
from torch.nn.utils.rnn import pack_padded_sequence

def loss(scores, labels, lengths):
    packed = pack_padded_sequence(scores, lengths, batch_first=True)
    wanted = pack_padded_sequence(labels, lengths, batch_first=True).data.view(-1)
    return torch.nn.functional.cross_entropy(packed.data.view(-1, 3), wanted)

scores = torch.randn(2, 3, 3, requires_grad=True)
loss(scores, torch.zeros(2, 3).long(), [3, 2]).backward()
# shows: scores.grad is not None
```
"""
