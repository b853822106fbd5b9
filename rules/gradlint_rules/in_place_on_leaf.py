"""A leaf that requires grad is changed in place while operations are recorded.

## Flagged

```python
import torch

weight = torch.ones(3, requires_grad=True)
weight.mul_(0.1)  # GL208
# raises: RuntimeError: a leaf Variable that requires grad is being used in an in-place operation.
```

## Instead

```python
import torch

weight = torch.ones(3, requires_grad=True)
with torch.no_grad():
    weight.mul_(0.1)
# shows: weight.is_leaf and weight.requires_grad
```

## Fixed

```python
import torch

weight = torch.ones(3, requires_grad=True)
with torch.no_grad():
    weight.mul_(0.1)
```

## Why

A leaf's gradient belongs to the value it has; an operation in place would make it a computed tensor and lose
the leaf. torch refuses: `RuntimeError: a leaf Variable that requires grad is being used in an in-place
operation.`, or for a part of it (`weight[0] = 0`) `RuntimeError: a view of a leaf Variable that requires grad
is being used in an in-place operation.` Under `no_grad()` the value changes and the leaf stays one. The
functions of `torch.nn.init` hold that guard themselves.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from gradlint.rule import (
    COMPUTED,
    LEAF,
    Call,
    CallEvent,
    ChangeEvent,
    Constant,
    Display,
    Evaluate,
    Expression,
    Finding,
    Fix,
    Flow,
    FunctionNode,
    Note,
    Operation,
    Passed,
    Project,
    Subscript,
    Value,
    all_of,
    changes,
    dotted,
    expressions,
    gives_no_known_tensor,
    parameter_loops,
    rewrites,
    rule,
    scope,
    within,
)

_FACTORIES = frozenset("tensor rand randn zeros ones full empty eye".split())
_MAKING = frozenset({"Parameter", "parameters", "requires_grad", "requires_grad_"})


@rule("GL208", severity="error", since="0.2.0")
def in_place_on_leaf(project: Project) -> Iterator[Finding]:
    """Find changes in place of tensors that are proved to be leaves, where recording is on."""
    for function in project.functions():
        if not _may_change_leaf(function) or not project.calls.records_somewhere(function):
            continue
        silent = scope.expected_to_fail(function) | scope.tried(function)
        found = {each.at: each for each in _of_new_modules(project, function)}
        found |= {each.at: each for each in _of_new_objects(project, function)}
        if _may_make_leaf(function):
            found |= {each.at: each for each in _of_known_leaves(project, function)}
        for at, change in sorted(found.items()):
            if at not in silent and project.certainly_records(function, at):
                yield _finding(function, change)


@dataclass(frozen=True, slots=True)
class _Change:
    """A change in place of what is proved to be a leaf, or a view of one; the note says where that is seen."""

    at: int
    path: str | None
    how: str
    note: Note | None = None
    is_view: bool = False


def _of_known_leaves(project: Project, function: FunctionNode) -> Iterator[_Change]:
    flow = project.flow(function)
    updates, looped = changes.gradient_updates(function), frozenset(parameter_loops.looped_parameters(function))
    for event in flow.changes.values():
        if event.at in updates:
            continue
        base = event.owner if _is_leaf(event, looped) else _leaf_below(flow, event.owner)
        if base is not None:
            yield _Change(event.at, event.path, event.how, _made(function, base), base is not event.owner)
        elif (walk := _trained(project, function, event, looped)) is not None:
            note = Note(function.place(walk), "`backward()` goes through it here")
            yield _Change(event.at, event.path, event.how, note)
    for call in flow.calls.values():
        if (target := _written(call)) is not None:
            yield _Change(call.at, dotted(target.expression), call.method, _made(function, target.value))


def _of_new_modules(project: Project, function: FunctionNode) -> Iterator[_Change]:
    """What a constructor, or a function that it runs or applies, does to the layers it has made."""
    for change in project.initialised_parts.changed(function):
        note = Note(change.maker.place(change.made_at), "the module is made here")
        yield _Change(change.at, change.path, change.how, note)


def _of_new_objects(project: Project, function: FunctionNode) -> Iterator[_Change]:
    """What a method does to a parameter of its object, where it is run on one that was just made."""
    spelt = (dotted(changed) or "" for changed in changes.changed_in_place(function))
    if not any(name.startswith("self.") for name in spelt):
        return
    for event in project.flow(function).changes.values():
        if (run := project.trained_leaves.new_object(function, event)) is not None:
            caller, at = run
            note = Note(caller.place(at), "it is run here, on a module that was just made")
            yield _Change(event.at, event.path, event.how, note)


def _made(function: FunctionNode, leaf: Value) -> Note | None:
    return Note(function.place(leaf.made_at), "the leaf is made here") if leaf.made_at is not None else None


def _may_make_leaf(function: FunctionNode) -> bool:
    """Whether a function spells how a leaf is made: by its flag, as a parameter, or as one of a new module's."""
    words = function.facts.words
    if not words.isdisjoint(_MAKING) or "backward" in words or ("nn" in words and any(map(_is_class_name, words))):
        return True
    if words.isdisjoint(_FACTORIES):
        return False
    calls = all_of(Call, function.facts.body)
    return any(argument.keyword == "requires_grad" for call in calls for argument in call.arguments)


def _may_change_leaf(function: FunctionNode) -> bool:
    """Whether a function changes in place what is not seen to be no leaf: a count, a list, what it is handed."""
    return any(not gives_no_known_tensor(function.facts, changed) for changed in changes.changed_in_place(function))


def _is_class_name(word: str) -> bool:
    return word[:1].isupper() and not word.isupper()


def _written(call: CallEvent) -> Passed | None:
    """The leaf that a function of torch writes to: ``out=w``, or the first argument with ``inplace=True``."""
    for argument in call.arguments:
        in_place = argument.keyword == "inplace" and argument.value.constant is True
        target = argument if argument.keyword == "out" else call.arguments[0] if in_place else None
        name = getattr(call.callee.target, "name", "")
        if target is not None and name.startswith("torch.") and _leaf(target.value):
            return target
    return None


def _is_leaf(event: ChangeEvent, looped: frozenset[str]) -> bool:
    """Whether a leaf is changed, and not a list of parameters made longer."""
    if event.owner.kind == "parameters" and event.how.endswith("=") and event.path not in looped:
        return False
    return _leaf(event.owner)


def _trained(project: Project, function: FunctionNode, event: ChangeEvent, looped: frozenset[str]) -> int | None:
    """Where ``backward()`` has gone through a parameter that a loop comes to, or through an attribute."""
    may_be_trained = event.path in looped if event.owner.kind == "parameters" else event.owner.kind == "tensor"
    return project.trained_leaves.walk_before(function, event) if may_be_trained else None


def _leaf(value: Value) -> bool:
    return value.kind in ("tensor", "parameters") and value.tensor == LEAF and value.born is not None


def _leaf_below(flow: Flow, value: Value) -> Value | None:
    """The leaf that something is surely a view of: ``flat = weight.view(-1)``, ``weight[0]``."""
    while value.kind == "tensor" and value.tensor == COMPUTED and value.made_at in flow.views:
        if value.own_memory is not False and not _is_slice(flow.function, value.made_at):
            return None
        value = flow.views[value.made_at]
        if _leaf(value):
            return value
    return None


def _is_slice(function: FunctionNode, at: int) -> bool:
    """Whether a part is taken by numbers and slices, and so shares memory: a list or a mask makes a copy."""
    return any(part.at == at and _is_basic(part.index) for part in all_of(Subscript, function.facts.body))


def _is_basic(index: Expression) -> bool:
    match index:
        case Constant(value=value):
            return value is None or value is Ellipsis or type(value) is int
        case Operation(operator=":") | Operation(operator="-", operands=(Constant(),)):
            return True
        case Display(kind="tuple", items=items):
            return all(map(_is_basic, items))
        case _:
            return False


def _finding(function: FunctionNode, change: _Change) -> Finding:
    name = change.path or "it"
    what = {"[]=": f"assigning to items of `{name}`"}.get(change.how, f"`{name}.{change.how}()`")
    if change.how != "[]=" and change.how.endswith("="):
        what = f"`{name} {change.how} ...`"
    whole = "a view of a leaf" if change.is_view else "a leaf"
    return Finding(
        function.place(change.at),
        function.name,
        f"{what} raises: it changes {whole} that requires grad, and operations are recorded here",
        (change.note,) if change.note is not None else (),
        help="change it under `torch.no_grad()`",
        fix=_guarded(function, change.at),
    )


def _guarded(function: FunctionNode, at: int) -> Fix | None:
    """The guard, unless the statement calls what may want to record, or keeps a result."""
    edits = rewrites.under_no_grad(function, at)
    statement = rewrites.simple_statement(function, at)
    if not edits or statement is None or (isinstance(statement, Evaluate) and statement.value.at != at):
        return None
    found = (part for expression in expressions(statement) for part in within(expression))
    calls = [part for part in found if isinstance(part, Call) and part.at != at]
    own = all((dotted(call.function) or "").startswith("torch.") for call in calls)  # others may want to record
    return Fix("safe" if own else "unsafe", "put it under `torch.no_grad()`", edits)
