"""A loss without a graph is made to require grad: `backward()` runs, and trains nothing.

## Flagged

```python
import torch

def train_step(model, criterion, optimizer, images, labels):
    optimizer.zero_grad()
    loss = criterion(model(images).detach(), labels)
    loss.requires_grad = True  # GL402
    loss.backward()
    optimizer.step()

# run: train_step(model, criterion, optimizer, images, labels)
# shows: model.weight.grad is None
```

## Instead

```python
def train_step(model, criterion, optimizer, images, labels):
    optimizer.zero_grad()
    loss = criterion(model(images), labels)
    loss.backward()
    optimizer.step()

# run: train_step(model, criterion, optimizer, images, labels)
# shows: model.weight.grad is not None
```

## Why

`RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn` says that the way from
the loss back to the parameters is cut. Setting the flag, or wrapping the loss in `Variable(loss,
requires_grad=True)` or `torch.tensor(loss.item(), requires_grad=True)`, makes the loss a leaf of its own:
`backward()` computes its derivative with respect to itself, which is 1, and no parameter ever gets a gradient.
The error is gone, and so is the training.

If the loss has its graph, `loss.requires_grad = True` raises `RuntimeError: you can only change requires_grad
flags of leaf variables.`: the line is wrong in either case. Look for what cut the graph: `.detach()`, `.data`,
`.item()`, NumPy, `argmax`, `no_grad()`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gradlint.rule import (
    COMPUTED,
    LABELS,
    LEAF,
    PLAIN,
    Attribute,
    AttributeEvent,
    Call,
    CallEvent,
    Display,
    Expression,
    Finding,
    FunctionNode,
    Name,
    Note,
    Origin,
    Passed,
    Project,
    Value,
    dotted,
    given_to_framework,
    rule,
    scope,
    within,
)

_LOSS = re.compile(r"(^|_)(loss(es)?|kl|nll)(_|$)")
_BACKWARD = frozenset({"backward", "manual_backward"})


@dataclass(frozen=True, slots=True)
class _Start:
    """Where ``backward()`` sets out: what it is called on, by its name if it has one, or what a framework is given."""

    at: int
    name: str
    value: Value
    by_framework: bool = False


@rule("GL402", severity="error", since="0.2.0")
def revived_loss(project: Project) -> Iterator[Finding]:
    """Find ``backward()`` on leaves that hold what was computed, and flags set on what it is called on."""
    for function in project.functions():
        starts = [*_starts(project, function)]
        if not starts:
            continue
        flow = project.flow(function)
        silent = scope.expected_to_fail(function) | scope.tried(function)
        flagged = {event.at: event for event in flow.attributes.values() if _sets_flag(event)}
        for start in starts:
            if start.at in silent:
                continue
            setting = _setting_before(function, start, flagged.values())
            if setting is not None:
                yield _set(function, setting, start)
            else:
                made = _made_a_leaf(flow.calls, start, steps="step" in function.facts.words)
                made = made if made is not None else _set_by_method(flow.calls.values(), start)
                made = made if made is not None else _walked_as_made(function, flow.calls, start)
                if made is not None or _is_revived(start.value):
                    yield _wrapped(function, start, made if made is not None else start.at)


def _starts(project: Project, function: FunctionNode) -> Iterator[_Start]:
    if not _BACKWARD.isdisjoint(function.facts.words):
        for event in project.flow(function).calls.values():
            if event.method in _BACKWARD and not event.arguments and event.receiver is not None:
                owner = event.name.rpartition(".")[0]
                yield _Start(event.at, "" if "?" in owner else owner, event.receiver)
        return
    for loss in given_to_framework(project.linker, function):
        flow, name = project.flow(function), dotted(loss)
        made = flow.calls.get(loss.at)
        value = flow.env.get(name) if name is not None else made.result if made is not None else None
        if value is not None:
            yield _Start(loss.at, name or "", value, by_framework=True)


def _sets_flag(event: AttributeEvent) -> bool:
    return event.name == "requires_grad" and event.stored is not None and event.stored.constant is True


def _setting_before(function: FunctionNode, start: _Start, flagged: Iterable[AttributeEvent]) -> AttributeEvent | None:
    """``loss.requires_grad = True`` before ``loss.backward()``, with nothing assigned to the name in between."""
    name = start.name
    for event in flagged if name else ():
        if event.path == f"{name}.requires_grad" and event.at < start.at:
            if _is_data(event.owner) and not _is_computed_loss(function, name, event.at):
                continue
            bound = (value.at for path, value in scope.assigned(function) if path == name)
            if not any(event.at < at < start.at for at in bound):
                return event
    return None


def _is_data(value: Value) -> bool:
    """Whether a tensor was made of numbers: a leaf like any other."""
    return value.lost is not None and value.lost.how.startswith("torch.") and not value.shadow


def _is_computed_loss(function: FunctionNode, name: str, at: int) -> bool:
    """``loss = torch.tensor(losses).mean()`` in a function that steps: of numbers, but not of spelt out ones."""
    made = [value for path, value in scope.assigned(function) if path == name and value.at < at][-1:]
    computed = any(isinstance(part, Call | Name) for value in made for part in _numbers(value))
    return _LOSS.search(name) is not None and "step" in function.facts.words and computed


def _is_revived(value: Value) -> bool:
    return value.kind == "tensor" and value.tensor == LEAF and bool(value.shadow)


def _made_a_leaf(calls: Mapping[int, CallEvent], start: _Start, *, steps: bool) -> int | None:
    """Where the loss was made a leaf: a call, in the function, whose result it is, or a mean of which it is."""
    value = start.value
    made = (e for e in calls.values() if e.at <= start.at and e.result.tensor == LEAF and _asks_for_gradient(e))
    if _is_revived(value):
        same = [event.at for event in made if event.result.shadow == value.shadow]
    elif value.kind == "tensor" and value.tensor == COMPUTED and not value.origins:
        same = [
            event.at
            for event in made
            if event.result.shadow == value.shadow
            and any(_is_loss(each) or (steps and _holds_computed(calls, each)) for each in event.arguments)
        ]
    else:
        same = []
    return max(same, default=None)


def _set_by_method(calls: Iterable[CallEvent], start: _Start) -> int | None:
    """``loss.requires_grad_()``, where nothing has a graph that the loss was computed from, as far as labels go."""
    for event in calls:
        owner = event.receiver
        if owner is None or event.method != "requires_grad_" or not _is_called_on(event, start):
            continue
        # Whatever it was computed from; a framework calls with grad on, whoever else calls under a guard.
        guarded = owner.tensor == PLAIN and (_is_under_guard(owner) or not start.by_framework)
        given = [] if guarded else [origin for origin in owner.origins if not _is_label(origin)]
        forward = any(origin.at >= 0 for origin in (owner.traces if guarded else owner.shadow))
        if forward and not given and owner.tensor & PLAIN and not _is_off(event):
            return event.at
    return None


def _is_called_on(event: CallEvent, start: _Start) -> bool:
    """``loss.requires_grad_()`` before the loss is walked, or ``return loss.requires_grad_()``."""
    if event.at == start.at:
        return True
    return bool(start.name) and event.at < start.at and event.name == f"{start.name}.requires_grad_"


def _is_under_guard(value: Value) -> bool:
    """Whether a guard that the function, or the forward that it runs, has of its own cut the graph off."""
    return value.lost is not None and value.lost.how in ("no_grad", "inference_mode")


def _walked_as_made(function: FunctionNode, calls: Mapping[int, CallEvent], start: _Start) -> int | None:
    """``loss = torch.tensor(sum(losses), requires_grad=True)``: walked from the leaf that it is, before a step."""
    name, value = start.name, start.value
    if value.kind != "tensor" or value.tensor != LEAF or not name:
        return None
    if not start.by_framework and "step" not in function.facts.words:
        return None
    given = [each for path, each in scope.assigned(function) if path == name]
    last = [each for each in given if each.at < start.at][-1:]
    parts = [part for each in last for part in _numbers(each)]
    if not any(_LOSS.search(each) for each in (name, *(dotted(part) or "" for part in parts))):
        return None
    wraps = any(dotted(part) == name for each in last for part in within(each))  # ``loss = torch.tensor(loss, ..)``
    made = calls.get(last[0].at) if last and (len(given) == 1 or wraps) else None
    if made is None or not _asks_for_gradient(made) or _is_off(made):
        return None
    return made.at if any(isinstance(part, Call | Name) for part in parts) else None


def _numbers(made: Expression) -> Iterator[Expression]:
    """What goes into a tensor that is made of data, settings left out."""
    match made:
        case Call(function=Attribute(value=Call() as owner, name="requires_grad_" | "mean" | "sum")):
            yield from _numbers(owner)
        case Call(arguments=(first, *_)):
            yield from within(first.value)
        case _:
            pass


def _is_off(event: CallEvent) -> bool:
    return any(argument.value.constant is False for argument in event.arguments)


def _is_label(origin: Origin) -> bool:
    """Whether it is a parameter called like what a loss compares with."""
    parameters = origin.function.facts.parameters
    return origin.at < 0 and LABELS.search(parameters[-origin.at - 1].name) is not None


def _asks_for_gradient(event: CallEvent) -> bool:
    return event.method == "requires_grad_" or any(a.keyword == "requires_grad" for a in event.arguments)


def _is_loss(argument: Passed) -> bool:
    return _LOSS.search(dotted(argument.expression) or "") is not None


def _holds_computed(calls: Mapping[int, CallEvent], argument: Passed) -> bool:
    """``torch.tensor([first, second], requires_grad=True)`` of what has a graph each.

    Or ``torch.tensor(terms, requires_grad=True)`` of a list that has the graph of a forward that ran here.
    """
    items = argument.value.items if isinstance(argument.expression, Display) else None
    if items:
        return all(item.is_tensor and item.tensor & COMPUTED and item.origins for item in items)
    made = (calls.get(origin.at) for origin in argument.value.origins)
    return argument.value.kind == "container" and any(event is not None and event.forward for event in made)


def _set(function: FunctionNode, setting: AttributeEvent, start: _Start) -> Finding:
    walk = "`backward()`" if start.by_framework else f"`{start.name}.backward()`"
    return Finding(
        function.place(setting.at),
        function.name,
        f"with `requires_grad` set on it `{start.name}` is a leaf of its own: {walk} runs and trains nothing",
        (Note(function.place(start.at), "no gradient reaches a parameter from here"),),
        help=f"look for what cut the graph of `{start.name}`; if nothing did, this line raises",
    )


def _wrapped(function: FunctionNode, start: _Start, made: int) -> Finding:
    what = f"`{start.name}`" if start.name else "the tensor"
    return Finding(
        function.place(made),
        function.name,
        f"{what} is a leaf of its own, without the graph it was computed with: `backward()` runs and trains nothing",
        (Note(function.place(start.at), "no gradient reaches a parameter from here"),),
        help="return the loss itself" if start.by_framework else "call `backward()` on the loss itself",
    )
