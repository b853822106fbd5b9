"""A training loop puts its model into evaluation mode and never back.

## Flagged

```python
def train(model, optimizer, loader, val_loader):
    model.train()
    for epoch in range(2):
        for images, labels in loader:
            optimizer.zero_grad()
            criterion(model(images), labels).backward()
            optimizer.step()
        model.eval()  # GL603
        print(hits(model, val_loader))

# run: train(model, optimizer, loader, loader)
# shows: model[1].num_batches_tracked == 2
```

## Instead

```python
def train(model, optimizer, loader, val_loader):
    for epoch in range(2):
        model.train()
        for images, labels in loader:
            optimizer.zero_grad()
            criterion(model(images), labels).backward()
            optimizer.step()
        model.eval()
        print(hits(model, val_loader))

# run: train(model, optimizer, loader, loader)
# shows: model[1].num_batches_tracked == 4
```

## Why

`eval()` holds until `train()` is called; leaving a function or beginning the next epoch does not end
it. From the second epoch on dropout is off and batch norm neither normalises by the batch nor updates
its running statistics. Nothing raises, and the loss may even look better for it.

This is advice, off by default: fine-tuning with frozen statistics is sometimes meant, and a model
without dropout and batch norm does not care.
"""

import re
from collections.abc import Iterator

from gradlint.rule import (
    GRAD,
    Assign,
    Call,
    Expression,
    Finding,
    For,
    FunctionNode,
    Name,
    Project,
    Statement,
    While,
    all_of,
    dotted,
    is_bound,
    matched,
    rounds,
    rule,
    scope,
    statements,
    within,
)

_TRAINS = frozenset({"backward", "manual_backward"})
_SWITCHING = re.compile(r"^(set_)?train(ing)?(_mode)?$|^(set|change|switch)_(mode|train|phase)|^reset$")


@rule("GL603", severity="advice", since="0.1.0")
def eval_mode_left_on(project: Project) -> Iterator[Finding]:
    """Find the call of ``eval`` in the outermost loop that trains and never calls ``train``."""
    for function in project.functions():
        trains = not _TRAINS.isdisjoint(function.facts.words)
        reported: set[int] = set()
        for loop in _loops(function):
            for call in _left_on(project, function, loop) if trains else _left_on_by_helpers(project, function, loop):
                if call.at not in reported:
                    reported.add(call.at)
                    yield Finding(
                        function.place(call.at),
                        function.name,
                        "the next round of this loop trains in evaluation mode",
                        help="call `.train()` at the start of each round",
                    )


def _loops(function: FunctionNode) -> Iterator[For | While]:
    for statement in statements(function.facts.body):
        if isinstance(statement, For | While):
            yield statement


def _left_on(project: Project, function: FunctionNode, loop: Statement) -> Iterator[Call]:
    """The calls of ``eval`` in a loop that also trains, if nothing in it goes back to training mode."""
    assert isinstance(loop, For | While)
    calls = all_of(Call, loop.body)
    names = [dotted(call.function) or _last(call.function) for call in calls]
    switched = {name.removesuffix(".eval"): call for name, call in zip(names, calls, strict=True) if _is_eval(name)}
    if not any(name.rpartition(".")[2] in _TRAINS for name in names):
        return
    below = project.calls.below(t for call in calls for t in _targets(project, function, call))
    if any(name.rpartition(".")[2] == "train" for name in names) or any("train" in f.facts.words for f in below):
        return
    for call in calls:
        if any(_evaluates_argument(project, function, call, target) for target in _targets(project, function, call)):
            yield call
    recorded = {n for n, c in zip(names, calls, strict=True) if project.calls.states_at(function, c.at) & GRAD}
    walked = min(c.at for n, c in zip(names, calls, strict=True) if n.rpartition(".")[2] in _TRAINS)
    for name, call in switched.items():
        meant = call.at < walked and rounds.in_each_round(function, call.at)  # this very round trains with it
        meant = meant and not _was_to_train(function, name, loop) and not _acts(project, function, name, call, walked)
        if name in recorded and not meant and name.partition(".")[0] not in _made_in(loop):
            yield call  # it is called in the loop too


def _left_on_by_helpers(project: Project, function: FunctionNode, loop: For | While) -> Iterator[Call]:
    """The calls in a loop that evaluate a module, where another call trains it and nothing says ``train``."""
    found = project.calls.callees.get(function, {})
    calls = [call for call in all_of(Call, loop.body) if call.at in found]
    training = [call for call in calls if all(not _TRAINS.isdisjoint(t.facts.words) for t in found[call.at])]
    evaluating = [call for call in calls if any("eval" in t.facts.words for t in found[call.at])]
    if not training or not evaluating or _may_switch_back(project, function, loop):
        return
    trained = {name for call in training for name in _trained_by(project, function, call)} - _made_in(loop)
    for call in evaluating:
        if call not in training and not trained.isdisjoint(_evaluated_by(project, function, call)):
            yield call


def _may_switch_back(project: Project, function: FunctionNode, loop: For | While) -> bool:
    """Whether something that a loop calls speaks of training mode, or may and cannot be seen."""
    targets = [(call, _targets(project, function, call)) for call in all_of(Call, loop.body)]
    if any(not found and _SWITCHING.search(_last(call.function)) for call, found in targets):
        return True
    below = project.calls.below(target for _, found in targets for target in found)
    return any(_SWITCHING.search(word) for each in below for word in each.facts.words)


def _trained_by(project: Project, function: FunctionNode, call: Call) -> Iterator[str]:
    """What a call hands to a function that trains it, and what it trains of its own object, by name."""
    for target in _targets(project, function, call):
        if "eval" in target.facts.words:
            continue  # in whichever mode
        runs = [each for each in project.flow(target).calls.values() if each.forward]
        names = {each.name for each in runs if project.calls.states_at(target, each.at) & GRAD}
        yield from _seen_by_caller(project, function, call, target, names)


def _evaluated_by(project: Project, function: FunctionNode, call: Call) -> Iterator[str]:
    """What a call hands to a function that puts it into evaluation mode, and what it puts so of its own object."""
    for target in _targets(project, function, call):
        names = {each.callee.removesuffix(".eval") for each in target.facts.calls if each.callee.endswith(".eval")}
        yield from _seen_by_caller(project, function, call, target, names)


def _seen_by_caller(
    project: Project, function: FunctionNode, call: Call, target: FunctionNode, names: set[str]
) -> Iterator[str]:
    """What names of a function that is called stand for where it is called."""
    if _is_own(call):
        yield from (name for name in names if name.startswith("self."))
    event = project.flow(function).calls.get(call.at)
    passed = matched(event.arguments, target, bound=is_bound(event, target)) if event is not None else {}
    for argument in event.arguments if event is not None else ():
        path = dotted(argument.expression)
        if path is not None and any(passed.get(name) is argument.value for name in names):
            yield path


def _was_to_train(function: FunctionNode, name: str, loop: For | While) -> bool:
    """Whether a module was put into training mode before a loop: for the rounds of that, as it seems."""
    calls = (call for call in function.facts.calls if call.at < min(scope.places_of(loop.body)))
    return any(call.callee == f"{name}.train" for call in calls)


def _acts(project: Project, function: FunctionNode, name: str, switch: Call, walked: int) -> bool:
    """Whether a module, once it is switched, first runs where nothing is recorded: it acts, and is trained later."""
    runs = (call for call in function.facts.calls if call.callee == name and switch.at < call.at < walked)
    first = next(runs, None)
    return first is not None and not project.calls.states_at(function, first.at) & GRAD


def _made_in(loop: For | While) -> set[str]:
    """The names that are given another object in each round of a loop."""
    inside = [*statements(loop.body)]
    assigned = [target for s in inside if isinstance(s, Assign) for target in s.targets]
    targets = [*assigned, *(s.target for s in inside if isinstance(s, For))]
    return {part.id for target in targets for part in within(target) if isinstance(part, Name)}


def _evaluates_argument(project: Project, function: FunctionNode, call: Call, target: FunctionNode) -> bool:
    """Whether a function puts what it is handed, or holds, into evaluation mode: a module which the caller runs."""
    if "train" in target.facts.words:
        return False
    event = project.flow(function).calls.get(call.at)
    evaluated = {c.callee.removesuffix(".eval") for c in target.facts.calls if c.callee.endswith(".eval")}
    named = {p.name for p in target.facts.parameters} & evaluated
    handed = {dotted(argument.expression) for argument in event.arguments} if event is not None else set()
    held = {name for name in evaluated if name.startswith("self.")} if _is_own(call) else set[str]()
    forwards = [each for each in project.flow(function).calls.values() if each.forward]
    if any(each.name in held and project.calls.states_at(function, each.at) & GRAD for each in forwards):
        return True
    return bool(named) and any(each.name in handed for each in forwards)


def _is_own(call: Call) -> bool:
    """Whether a call is one of another method of the same object."""
    name = dotted(call.function) or ""
    return name.startswith("self.") and name.count(".") == 1


def _is_eval(name: str) -> bool:
    return name.endswith(".eval")


def _last(called: Expression) -> str:
    return getattr(called, "name", "")


def _targets(project: Project, function: FunctionNode, call: Call) -> tuple[FunctionNode, ...]:
    event = project.flow(function).calls.get(call.at)
    return event.targets if event is not None else ()
