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

from collections.abc import Iterator

from gradlint.rule import (
    Call,
    ClassNode,
    Expression,
    External,
    Finding,
    FunctionNode,
    Note,
    Optimizer,
    Project,
    acts_of,
    rule,
    scope,
)


@rule("GL215", severity="warning", since="0.2.0")
def orphaned_optimizer(project: Project) -> Iterator[Finding]:
    """Find names that are given another model between the making of an optimizer and its step."""
    for function in project.functions():
        made = [optimizer for optimizer in project.optimizers.made(function) if optimizer.path is not None]
        for optimizer in made:
            others = [each.event.at for each in made if each.path == optimizer.path and each is not optimizer]
            for path, value in scope.assigned(function):
                if (
                    path == optimizer.parameters.value.of
                    and _is_new(project, function, value)
                    and _steps_after(project, function, optimizer, value.at, others)
                ):
                    yield _finding(function, optimizer, path, value)


def _is_new(project: Project, function: FunctionNode, value: Expression) -> bool:
    event = project.flow(function).calls.get(value.at) if isinstance(value, Call) else None
    if event is None or event.callee.kind != "callable":
        return False
    target = event.callee.target
    if isinstance(target, ClassNode):
        return project.calls.modules.is_module_class(target) and not any(
            argument.value.kind == "module" for argument in event.arguments
        )
    return target == External("copy.deepcopy")


def _steps_after(project: Project, function: FunctionNode, optimizer: Optimizer, at: int, others: list[int]) -> bool:
    """Whether the optimizer steps after the model was replaced, and was not made anew in between."""
    if at < optimizer.event.at or any(optimizer.event.at < other for other in others):
        return False
    loop = scope.innermost_loop(function, at)
    if loop is not None and optimizer.event.at in loop:
        return False  # the next round makes another
    acts = list(acts_of(project.order.steps.script(function)))
    return any(act.kind == "step" and act.path == optimizer.path and act.at > at for act in acts)


def _finding(function: FunctionNode, optimizer: Optimizer, path: str, value: Expression) -> Finding:
    return Finding(
        function.place(value.at),
        function.name,
        f"`{optimizer.path}` goes on with the parameters of the old `{path}`: the new one is never trained",
        (Note(function.place(optimizer.event.at), "the optimizer is made here"),),
        help=f"make the optimizer after `{path}`, or load the values into the model: `load_state_dict`",
    )


CASES = r"""
```python setup
import torch
from torch import nn

model, images = nn.Linear(2, 1), torch.ones(3, 2)
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

## Silent

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
"""
