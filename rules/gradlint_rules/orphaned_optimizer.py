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
                new = scope.unconverted(value)
                if (
                    path == optimizer.parameters.value.of
                    and (_is_new(project, function, path, new) or _is_made_alike(function, path, new, optimizer))
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
        new = scope.unconverted(value)
        copied = isinstance(new, Call) and new.arguments and dotted(new.arguments[0].value) == path
        if not (path.startswith("self.") and (copied or resets) and _is_new(project, method, path, new)):
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


def _is_new(project: Project, function: FunctionNode, replaced: str, value: Expression) -> bool:
    """Whether a call makes a model with parameters of its own: not what wraps the one that it replaces."""
    event = project.flow(function).calls.get(value.at) if isinstance(value, Call) else None
    if event is None or event.callee.kind != "callable":
        return False
    target = event.callee.target
    given = any(a.value.kind == "module" or dotted(a.expression) == replaced for a in event.arguments)
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
