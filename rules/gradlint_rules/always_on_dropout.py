"""`F.dropout` is called without `training=`: it drops in evaluation mode too.

## Flagged

```python
import torch.nn.functional as F
from torch import nn

class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 3)

    def forward(self, hidden):
        hidden = F.dropout(hidden, p=0.5)  # GL602
        return self.linear(hidden)

# run: head = Head().eval()
# run: first, second = head(hidden), head(hidden)
# shows: not first.equal(second)
```

## Instead

```python
import torch.nn.functional as F
from torch import nn

class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 3)

    def forward(self, hidden):
        hidden = F.dropout(hidden, p=0.5, training=self.training)
        return self.linear(hidden)

# run: head = Head().eval()
# run: first, second = head(hidden), head(hidden)
# shows: first.equal(second)
```

or an `nn.Dropout` made in `__init__`.

## Fixed

```python
import torch.nn.functional as F
from torch import nn

class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 3)

    def forward(self, hidden):
        hidden = F.dropout(hidden, p=0.5, training=self.training)
        return self.linear(hidden)
```

## Why

The function knows no module: its parameter `training` is `True` unless something else is given. After
`model.eval()` it goes on dropping half of its input at random, and scaling the rest. Predictions
differ from one call to the next and are worse than the model could make them, and nothing is said.

Where dropout is meant to stay on (Tacotron's prenet, Monte Carlo dropout), `training=True` says so.
"""

import re
from collections.abc import Iterator
from itertools import chain, repeat

from gradlint.rule import (
    GRAD,
    Attribute,
    Call,
    Constant,
    Edit,
    Expression,
    Finding,
    Fix,
    FunctionNode,
    Project,
    dotted,
    rule,
    scope,
    within,
)

_FUNCTIONS = frozenset(f"torch.nn.functional.{name}" for name in ("dropout", "dropout1d", "dropout2d", "dropout3d"))
_TRAINING = 2  # its place among the positional arguments
# Dropout of such models is part of what they compute.
_MEANT = re.compile(r"prenet|mc_?drop|monte|bayes|uncertain|stochastic|always|nois|corrupt", re.I)


@rule("GL602", severity="warning", since="0.1.0")
def always_on_dropout(project: Project) -> Iterator[Finding]:
    """Find calls of the function in methods of modules that do not say when they drop."""
    for function in project.functions():
        for call, _ in project.modes.calls(function, _FUNCTIONS):
            if not _belongs_to_module(project, function) or _is_told(project, function, call):
                continue
            trains = project.calls.own_states(function, call.at) & GRAD  # else it is meant: nothing is learnt there
            if trains and not _is_asked(project, function, call.at):
                yield _finding(function, call)


def _belongs_to_module(project: Project, function: FunctionNode) -> bool:
    """Whether it is a method of a module that has a training flag to ask, and does not drop by intention."""
    cls = function.owner
    if cls is None or _MEANT.search(f"{cls.name} {function.facts.name}"):
        return False
    return project.calls.modules.is_module_class(cls) and function.facts.parameters[:1] != ()


def _is_told(project: Project, function: FunctionNode, call: Call) -> bool:
    """Whether it is told when to drop, or how much then, or drops nothing."""
    arguments = call.arguments
    if any(argument.stars or argument.keyword == "training" for argument in arguments):
        return True
    positional = [argument for argument in arguments if argument.keyword is None]
    share = next((a.value for a in arguments if a.keyword == "p"), positional[1].value if positional[1:] else None)
    if len(positional) > _TRAINING or share is None:
        return len(positional) > _TRAINING
    given = [value for name, value in scope.assigned(function) if name == dotted(share)]
    handed = _handed(project, function, dotted(share) or "")
    return any(_depends(value) for value in (share, *given, *handed))


def _handed(project: Project, function: FunctionNode, name: str) -> Iterator[Expression]:
    """What callers hand over for a parameter, and what it is without them: ``dropout_p=0.0``."""
    names = [parameter.name for parameter in function.facts.parameters]
    if name not in names:
        return
    default = function.facts.parameters[names.index(name)].default
    if default is not None:
        yield default
    for edge in project.calls.callers.get(function, ()):
        call = scope.own_call_at(edge.caller, edge.at)
        positional = chain(names[1:], repeat(""))  # the first is the module itself
        for argument, taken in zip(call.arguments if call is not None else (), positional, strict=False):
            if name == (argument.keyword or taken):
                yield argument.value


def _depends(share: Expression) -> bool:
    """Whether a share is 0, or chosen by the flag: ``self.p if self.training else 0.0``."""
    if isinstance(share, Constant):
        return share.value == 0
    return any(isinstance(part, Attribute) and part.name == "training" for part in within(share))


def _is_asked(project: Project, function: FunctionNode, at: int, depth: int = 0) -> bool:
    """Whether the code is reached in training mode only, by its own question or by that of every caller."""
    if scope.asked_before(function, at, "training"):
        return True
    edges = project.calls.callers.get(function, ()) if depth == 0 else ()
    return bool(edges) and all(_is_asked(project, edge.caller, edge.at, 1) for edge in edges)


def _finding(function: FunctionNode, call: Call) -> Finding:
    first = function.facts.parameters[0].name
    text = f", training={first}.training"
    edit = Edit(function.place(call.arguments[-1].value.at), "after", text) if call.arguments else None
    return Finding(
        function.place(call.at),
        function.name,
        "this drops in evaluation mode too",
        help=f"pass `training={first}.training`",
        fix=Fix("unsafe", f"pass `training={first}.training`", (edit,)) if edit is not None else None,
    )


CASES = r"""
```python setup
import torch
from torch import nn

hidden = torch.ones(4, 8)
```

## Flagged

### other spellings
```python
import torch
from torch import nn
from torch.nn.functional import dropout as drop

class Block(nn.Module):
    def forward(self, x):
        x = torch.nn.functional.dropout2d(x, 0.5)  # GL602
        x = nn.functional.dropout(input=x)  # GL602
        return self.last(x)

    def last(self, x):
        return drop(x.relu(), 0.2, inplace=True)  # GL602

# run: out = Block().eval()(torch.ones(2, 3, 8, 8))
# shows: (out == 0).any()
```

### two functions renamed at once
```python
import torch.nn.functional as F
from torch import nn

drop, activate = F.dropout, F.relu

class Layer(nn.Module):
    def forward(self, x):
        return activate(drop(x))  # GL602

# run: out = Layer().eval()(hidden)
# shows: (out == 0).any()
```

### a class between
```python
import torch.nn.functional as F
from torch import nn

class Base(nn.Module):
    rate = 0.5

class Layer(Base):
    def forward(self, x):
        if self.rate > 0:
            x = F.dropout(x, self.rate)  # GL602
        return x

# run: out = Layer().eval()(hidden)
# shows: (out == 0).any()
```

### though who calls the model asks for settings of the training
```python
import torch
from torch import nn

class Messages(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        self.dropout = dropout
        self.layer = nn.Linear(8, 3)

    def forward(self, features):
        features = {key: self.layer(value) for key, value in features.items()}
        if self.dropout > 0:
            features = {key: nn.functional.dropout(value, p=self.dropout) for key, value in features.items()}  # GL602
        return features

def main(config, batch, start=0):
    if start >= config.training.epochs:
        return None
    torch.manual_seed(0)
    model = Messages(config.training.dropout).eval()
    with torch.no_grad():
        return model(batch)

# run: from types import SimpleNamespace
# run: settings = [SimpleNamespace(training=SimpleNamespace(epochs=2, dropout=share)) for share in (0.0, 0.5)]
# run: whole, dropped = [main(each, {0: hidden})[0] for each in settings]
# shows: (dropped.eq(whole * 2) | dropped.eq(0)).all() and not dropped.equal(whole)
```

## Silent

### as much as a caller says, which asks the flag
```python
import torch
import torch.nn.functional as F
from torch import nn

class Attention(nn.Module):
    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def weighted(self, weights, values, rate):
        return F.dropout(weights, p=rate) @ values

    def plain(self, weights, values, dropout_p=0.0):
        return F.dropout(weights, p=dropout_p) @ values

    def forward(self, weights, values):
        return self.weighted(weights, values, self.rate if self.training else 0.0)

layer = Attention(0.9).eval()
layer.plain(layer(torch.eye(4), torch.eye(4)), torch.eye(4))
```

### told when to drop
```python
import torch.nn.functional as F
from torch import nn

class Block(nn.Module):
    def forward(self, x, **settings):
        x = F.dropout(x, 0.5, self.training)
        x = F.dropout(x, training=self.training)
        x = F.dropout(x, p=0.0)
        return F.dropout(x, **settings)

# run: out = Block().eval()(hidden, training=False)
# shows: out.equal(hidden)
```

### asked before
```python
import torch.nn.functional as F
from torch import nn

class Block(nn.Module):
    def forward(self, x):
        if self.training and x.dim() == 2:
            x = F.dropout(x, 0.5)
        x = F.dropout(x) if self.training else x
        return self.mixed(x) if self.training else self.last(x)

    def mixed(self, x):
        return F.dropout(x, 0.1)

    def last(self, x):
        if not self.training:
            return x
        return F.dropout(x, 0.1)

# run: out = Block().eval()(hidden)
# shows: out.equal(hidden)
```

### a share that is nothing in evaluation mode
```python
import torch.nn.functional as F
from torch import nn

class Block(nn.Module):
    def forward(self, x):
        share = 0.3 if self.training else 0.0
        return F.dropout(F.dropout(x, p=share), 0.5 * self.training)

# run: out = Block().eval()(hidden)
# shows: out.equal(hidden)
```

### meant to stay on
```python
import torch.nn.functional as F
from torch import nn

class Prenet(nn.Module):
    def forward(self, x):
        return F.dropout(F.dropout(x, 0.5, training=True), 0.5)

class Sampler(nn.Module):
    def mc_dropout(self, x):
        return F.dropout(x, 0.5)
```

### a module, and a function that is no method
```python
import torch.nn.functional as F
from torch import nn

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout()

    def forward(self, x):
        return self.dropout(x)

def corrupted(images):
    return F.dropout(images, 0.1)

# run: out = Block().eval()(hidden)
# shows: out.equal(hidden)
```

### noise that is dropped while samples are drawn
```python
import torch
from torch import nn
from torch.nn import functional as F

class Sampler(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(2, 2)

    @torch.no_grad()
    def step(self, x, share):
        return self.net(x) + F.dropout(torch.randn_like(x), p=share)
```
"""
