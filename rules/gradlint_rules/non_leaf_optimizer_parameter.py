"""An optimizer is given what it cannot optimize: a computed tensor, or a generator that is used up.

## Flagged

```python
import torch

weight = torch.randn(3, requires_grad=True) * 0.01
optimizer = torch.optim.SGD([weight], lr=0.1)  # GL205
# raises: ValueError: can't optimize a non-leaf Tensor
```

## Instead

```python
import torch

weight = (torch.randn(3) * 0.01).requires_grad_()
optimizer = torch.optim.SGD([weight], lr=0.1)
# shows: weight.is_leaf
```

## Why

`backward()` fills the `.grad` of leaves. An optimizer of a computed tensor would never see a gradient, so it is
refused: `ValueError: can't optimize a non-leaf Tensor`. `model.parameters()` is a generator, which can be run
through once: counted or listed before, there is nothing left in it, `ValueError: optimizer got an empty
parameter list`. Where other groups have parameters, nothing is raised, and those of the empty one are never trained.
"""

from collections.abc import Iterator, Sequence

from gradlint.rule import (
    COMPUTED,
    Assign,
    Attribute,
    Call,
    CallEvent,
    ClassNode,
    Comprehension,
    Evaluate,
    Expression,
    Finding,
    For,
    FunctionNode,
    Name,
    Note,
    Optimizer,
    Project,
    Return,
    Statement,
    Value,
    dotted,
    expressions,
    names_in,
    rule,
    scope,
    statements,
    within,
)

_GENERATORS = frozenset({"parameters", "named_parameters"})
_CONSUMING = frozenset({"list", "tuple", "sum", "sorted", "set", "max", "min", "dict"})


@rule("GL205", severity="error", since="0.2.0")
def non_leaf_optimizer_parameter(project: Project) -> Iterator[Finding]:
    """Find optimizers of computed tensors, and of generators that were run through before."""
    for function in project.functions():
        for optimizer in project.optimizers.made(function):
            if optimizer.event.at in scope.expected_to_fail(function) | scope.tried(function):
                continue
            computed = [value for value in _items(optimizer.parameters.value) if _is_computed(value)]
            used = _used_up(project, function, optimizer)
            if computed:
                yield _refused(function, optimizer, computed[0])
            elif used is not None:
                yield _empty(function, optimizer, used)
            else:
                yield from (_left_out(function, optimizer, *each) for each in _emptied(function, optimizer))


def _items(value: Value) -> Iterator[Value]:
    for item in (value.items or ()) if value.kind == "container" else ():
        yield item
        yield from _items(item)


def _is_computed(value: Value) -> bool:
    return value.kind == "tensor" and value.tensor == COMPUTED


def _used_up(project: Project, function: FunctionNode, optimizer: Optimizer) -> int | None:
    """Where a generator of the function's own block was run through, before the optimizer of this block got it."""
    name = dotted(optimizer.parameters.expression)
    fresh, used = False, None
    for statement in function.facts.body:
        if any(part.at == optimizer.event.at for e in expressions(statement) for part in within(e)):
            return used if fresh else None
        if isinstance(statement, Assign) and any(isinstance(t, Name) and t.id == name for t in statement.targets):
            fresh, used = _gives_generator(project, function, statement.value), None
        elif fresh and used is None:
            used = _consumed(statement, name)
    return None


def _gives_generator(project: Project, function: FunctionNode, value: Expression) -> bool:
    """Whether an expression is a generator, or the call of a function of the project that gives one."""
    event = project.flow(function).calls.get(value.at) if isinstance(value, Call) else None
    own = _own_methods(project, event) if event is not None else ()
    return all(map(_makes_generator, own)) if own else _is_generator(value)


def _own_methods(project: Project, event: CallEvent) -> Sequence[FunctionNode]:
    """What a call may run of the project's own: a class may have a ``parameters`` that lists them."""
    if event.targets or event.receiver is None:
        return event.targets
    cls = event.receiver.target
    if isinstance(cls, ClassNode):
        return project.calls.callables.methods(cls, event.method)
    return project.linker.methods_named.get(event.method, ()) if cls is None else ()


def _makes_generator(function: FunctionNode) -> bool:
    if function.facts.is_generator or function.facts.decorators:
        return not function.facts.decorators
    returned = [statement.value for statement in statements(function.facts.body) if isinstance(statement, Return)]
    return bool(returned) and all(value is not None and _is_generator(value) for value in returned)


def _is_generator(value: Expression) -> bool:
    if isinstance(value, Comprehension):
        return value.kind == "generator"
    if not isinstance(value, Call):
        return False
    if isinstance(value.function, Attribute):
        return value.function.name in _GENERATORS
    return dotted(value.function) == "filter"


def _emptied(function: FunctionNode, optimizer: Optimizer) -> Iterator[tuple[Comprehension, str, int]]:
    """The lists in an optimizer's groups that a generator was to fill that an earlier one has run through."""
    if _GENERATORS.isdisjoint(function.facts.words):
        return
    given = {part.at for value in _leading_to(function, optimizer) for part in within(value)}
    left: dict[str, int | None] = {}  # the generators of the function's own block, and where each was run through
    for statement in function.facts.body:
        if not isinstance(statement, Assign | Evaluate):
            left = {}  # perhaps made anew, perhaps run through
            continue
        for made in sorted(_listed(statement.value), key=lambda part: part.at):
            name = dotted(made.loops[0].iterable) or ""
            used = left.get(name)
            if used is not None and made.at in given:
                yield made, name, used
            elif name in left and used is None:
                left[name] = made.at
        for target in statement.targets if isinstance(statement, Assign) else ():
            left.pop(dotted(target) or "", None)
            if isinstance(target, Name) and isinstance(statement.value, Call) and _is_generator(statement.value):
                left[target.id] = None


def _listed(value: Expression) -> list[Comprehension]:
    """The lists that comprehensions make, in an expression."""
    return [part for part in within(value) if isinstance(part, Comprehension) and part.kind == "list"]


def _leading_to(function: FunctionNode, optimizer: Optimizer) -> list[Expression]:
    """What an optimizer is given, and what the names in that were assigned."""
    found, seen = [optimizer.parameters.expression], {""}
    for value in found:
        names = names_in(value) - seen
        seen |= names
        found.extend(assigned for name, assigned in scope.assigned(function) if name in names)
    return found


def _consumed(statement: Statement, name: str | None) -> int | None:
    """Where a statement that surely runs runs through what a name holds."""
    if isinstance(statement, For) and dotted(statement.iterable) == name:
        return statement.iterable.at
    if not isinstance(statement, Assign | Evaluate):
        return None
    for part in within(statement.value):
        match part:
            case Comprehension(loops=(first, *_), kind="list" | "set" | "dict") if dotted(first.iterable) == name:
                return part.at
            case Call(function=Name(id=called), arguments=(argument, *_)) if called in _CONSUMING:
                inner = argument.value
                over = inner.loops[0].iterable if isinstance(inner, Comprehension) else inner
                if dotted(over) == name:
                    return part.at
            case _:
                pass
    return None


def _refused(function: FunctionNode, optimizer: Optimizer, value: Value) -> Finding:
    return Finding(
        function.place(optimizer.event.at),
        function.name,
        f"`{optimizer.event.method}` raises: it is given a computed tensor, and only leaves can be optimized",
        (Note(function.place(value.made_at), "it is computed here"),) if value.made_at is not None else (),
        help="make the leaf last: `(...).requires_grad_()`",
    )


def _empty(function: FunctionNode, optimizer: Optimizer, used: int) -> Finding:
    name = dotted(optimizer.parameters.expression)
    return Finding(
        function.place(optimizer.event.at),
        function.name,
        f"`{optimizer.event.method}` raises: `{name}` is a generator, and there is nothing left in it",
        (Note(function.place(used), "it is run through here"),),
        help="make a list of it first: `list(model.parameters())`",
    )


def _left_out(function: FunctionNode, optimizer: Optimizer, made: Comprehension, name: str, used: int) -> Finding:
    return Finding(
        function.place(made.at),
        function.name,
        f"this list is empty, and `{optimizer.event.method}` trains none of it: `{name}` is a generator",
        (Note(function.place(used), "it is run through here"),),
        help="make a list of it first: `list(model.named_parameters())`",
    )


CASES = r"""
```python setup
from torch import nn

model = nn.Linear(2, 2)
```

## Flagged

### converted after it was made a leaf
```python
import torch
from torch.optim import Adam

def fit(points):
    offset = torch.zeros(3, requires_grad=True).double()  # GL204
    scale = torch.ones(3, requires_grad=True)
    optimizer = Adam([scale, offset], lr=0.1)  # GL205
    return optimizer

# run: fit(None)
# raises: ValueError: can't optimize a non-leaf Tensor
```

### counted before
```python
import torch

def build(model):
    parameters = model.parameters()
    print(sum(p.numel() for p in parameters))
    return torch.optim.SGD(parameters, lr=0.1)  # GL205

# run: build(model)
# raises: ValueError: optimizer got an empty parameter list
```

### filtered, and printed
```python
import torch

def build(model):
    trained = filter(lambda p: p.requires_grad, model.parameters())
    for parameter in trained:
        print(parameter.shape)
    return torch.optim.SGD(trained, lr=0.1)  # GL205

# run: build(model)
# raises: ValueError: optimizer got an empty parameter list
```

### in a group of parameters
```python
import torch

def optimize():
    latent = torch.randn(1, 8, requires_grad=True)
    latent = latent.repeat(4, 1)
    return torch.optim.Adam([{"params": [latent], "lr": 0.1}])  # GL205

# run: optimize()
# raises: ValueError: can't optimize a non-leaf Tensor
```

### of a class that has no other way to list its parameters
```python
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x):
        return self.layer(x)

def build():
    params = Net().parameters()
    print(sum(p.numel() for p in params))
    return torch.optim.SGD(params, lr=0.1)  # GL205

# run: build()
# raises: ValueError: optimizer got an empty parameter list
```

### a generator expression, made here or by a function
```python
import torch
from torch import nn

def weights(model):
    return (p for name, p in model.named_parameters() if name.endswith("weight"))

def biases(model):
    for name, p in model.named_parameters():
        if name.endswith("bias"):
            yield p

def a(model):
    params = (p for p in model.parameters())
    print(sum(p.numel() for p in params))
    return torch.optim.SGD(params, 0.1)  # GL205

def b(model):
    params = weights(model)
    print("trained:", sum(p.numel() for p in params))
    return torch.optim.SGD(params, 0.1)  # GL205

def c(model):
    params = biases(model)
    names = [p.shape for p in params]
    return names, torch.optim.SGD(params, 0.1)  # GL205

# run: a(nn.Linear(2, 2))
# run: b(nn.Linear(2, 2))
# run: c(nn.Linear(2, 2))
# raises: ValueError: optimizer got an empty parameter list
```

### two groups of one generator
```python
import torch

def grouped(model):
    named = model.named_parameters()
    decayed = [p for name, p in named if not name.endswith("bias")]
    rest = [p for name, p in named if name.endswith("bias")]  # GL205
    return torch.optim.AdamW([{"params": decayed}, {"params": rest, "weight_decay": 0.0}])

def spelt(model):
    named = model.named_parameters()
    groups = [
        {"params": [p for name, p in named if name == "weight"]},
        {"params": [p for name, p in named if name == "bias"], "weight_decay": 0.0},  # GL205
    ]
    return torch.optim.SGD(groups, lr=0.1)

# run: one, other = grouped(model), spelt(model)
# shows: one.param_groups[1]["params"] == [] and other.param_groups[1]["params"] == []
```

### stacked out of leaves
```python
import torch

def invert(decoder, targets):
    codes = [torch.randn(2, requires_grad=True) for _ in targets]
    code = torch.stack(codes)
    optimizer = torch.optim.SGD([code], lr=0.1)  # GL205
    (decoder(code) - targets).pow(2).mean().backward()
    optimizer.step()

# run: invert(torch.nn.Linear(2, 2), torch.ones(3, 2))
# raises: ValueError: can't optimize a non-leaf Tensor
```

## Silent

### stacked out of leaves where nothing is recorded, cut off, or of others
```python
import torch

def invert(decoder, targets):
    codes = [torch.randn(2, requires_grad=True) for _ in targets]
    starts = [torch.randn(2, requires_grad=True) for _ in targets]
    flat = [torch.randn(2, requires_grad=True) for _ in targets]
    for code in flat:
        code.requires_grad_(False)
    for number in range(len(starts)):
        starts[number] = starts[number].detach()
    with torch.no_grad():
        first = torch.stack(codes).requires_grad_()
    second = torch.stack(codes).detach().requires_grad_()
    third = torch.stack(starts).requires_grad_()
    fourth = torch.stack(flat).requires_grad_()
    for parameters in ([first], [second], [third], [fourth], codes):
        optimizer = torch.optim.SGD(parameters, lr=0.1)
        optimizer.step()
    optimizer = torch.optim.SGD([first, second, third, fourth, *codes], lr=0.1)
    optimizer.zero_grad()
    (decoder(torch.stack(codes)) - targets).pow(2).mean().backward()
    optimizer.step()
    return [code.grad for code in codes]

# run: grads = invert(torch.nn.Linear(2, 2), torch.ones(3, 2))
# shows: all(grad is not None for grad in grads)
```

### two groups of a list, of a generator that is made anew, or run through for something else
```python
import torch

def grouped(model):
    named = list(model.named_parameters())
    decayed = [p for name, p in named if not name.endswith("bias")]
    rest = [p for name, p in named if name.endswith("bias")]
    return torch.optim.AdamW([{"params": decayed}, {"params": rest, "weight_decay": 0.0}])

def anew(model):
    named = model.named_parameters()
    names = [name for name, _ in named]
    named = model.named_parameters()
    decayed = [p for name, p in named if not name.endswith("bias")]
    sizes = [p.numel() for name, p in named]
    print(names, sizes)
    return torch.optim.AdamW([{"params": decayed}])

def chosen(model, wanted):
    named = model.named_parameters()
    first = [p for name, p in named if name in wanted]
    if wanted:
        named = model.named_parameters()
    rest = [p for name, p in named if name not in wanted]
    return torch.optim.AdamW([{"params": first}, {"params": rest}])

# run: found = [grouped(model), anew(model), chosen(model, ["bias"])]
# shows: [len(group["params"]) for group in found[2].param_groups] == [1, 1]
```

### leaves
```python
import torch

def fit(image):
    weight = torch.randn(3, requires_grad=True)
    copy = (weight * 2).detach().requires_grad_()
    made = image.clone().requires_grad_()
    return torch.optim.Adam([weight, copy, made], lr=0.1)

# run: fit(torch.ones(2))
```

### a list of parameters can be run through again
```python
import torch

def build(model):
    parameters = list(model.parameters())
    print(sum(p.numel() for p in parameters))
    return torch.optim.SGD(parameters, lr=0.1)

# run: build(model)
```

### another generator
```python
import torch

def build(model, verbose=False):
    parameters = model.parameters()
    if verbose:
        print(len(list(parameters)))
    print(sum(p.numel() for p in model.parameters()))
    parameters = model.parameters()
    return torch.optim.SGD(parameters, lr=0.1)

# run: build(model)
```

### computed where nothing is recorded
```python
import torch

def fit(start):
    with torch.no_grad():
        weight = start * 2
    weight.requires_grad_()
    return torch.optim.SGD([weight], lr=0.1)

# run: fit(torch.ones(2, requires_grad=True))
```

### lists of parameters are joined, not added
```python
import torch
from torch import nn

class Tuned:
    def __init__(self):
        self.text, self.image = nn.Linear(2, 2), nn.Linear(2, 2)

    def optimizer(self):
        for param in self.text.parameters():
            param.requires_grad = True
        for param in self.image.parameters():
            param.requires_grad = True
        params = list(self.text.parameters()) + list(self.image.parameters())
        return torch.optim.AdamW([{"params": params, "lr": 0.1}])

    def other(self):
        for param in self.text.parameters():
            param.requires_grad = True
        text, image = list(self.text.parameters()), [*self.image.parameters()]
        return torch.optim.AdamW([{"params": text + image}])

print(Tuned().optimizer(), Tuned().other())
```

### a module that lists its parameters itself, and who is handed one
```python
import torch
from torch import nn

class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 2)

    def parameters(self, recurse=True):
        return [p for p in super().parameters(recurse) if p.requires_grad]

def build():
    params = Frozen().parameters()
    print(sum(p.numel() for p in params))
    return torch.optim.SGD(params, lr=0.1)

def build_of(model):
    params = model.parameters()
    print(sum(p.numel() for p in params))
    return torch.optim.SGD(params, lr=0.1)

# run: build()
# run: build_of(Frozen())
```

### a list that a function gives, a generator made anew, and one of which only the first is taken
```python
import torch
from torch import nn

def weights(model):
    return [p for name, p in model.named_parameters() if name.endswith("weight")]

def listed(generator):
    return lambda model: list(generator(model))

@listed
def biases(model):
    yield from (p for name, p in model.named_parameters() if name.endswith("bias"))

def make(model):
    params = weights(model)
    print(sum(p.numel() for p in params))
    others = (p for p in model.parameters())
    print(next(others).numel())
    third = biases(model)
    print(sum(p.numel() for p in third))
    fourth = (p for p in model.parameters())
    print(sum(p.numel() for p in fourth))
    fourth = (p for p in model.parameters())
    first, second = torch.optim.SGD(params, 0.1), torch.optim.SGD(others, 0.1)
    return first, second, torch.optim.SGD(third, 0.1), torch.optim.SGD(fourth, 0.1)

# run: make(nn.Linear(2, 2))
```
"""
