"""The gradients are zeroed between `backward()` and `step()`: the step does nothing.

## Flagged

```python
def train_step(model, criterion, optimizer, images, labels):
    loss = criterion(model(images), labels)
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()  # GL404

# run: train_step(model, criterion, optimizer, images, labels)
# shows: model.weight.tolist() == [[1.0, 1.0]]
```

## Instead

```python
def train_step(model, criterion, optimizer, images, labels):
    loss = criterion(model(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: train_step(model, criterion, optimizer, images, labels)
# shows: model.weight.tolist() != [[1.0, 1.0]]
```

## Fixed

```python
def train_step(model, criterion, optimizer, images, labels):
    loss = criterion(model(images), labels)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
```

## Why

`zero_grad()` sets each `.grad` to `None`, and `step()` passes over parameters whose gradient is `None`: no
update, no weight decay, no message. The loss is computed and printed as ever, and never falls.
"""

from collections.abc import Iterable, Iterator

from gradlint.rule import Finding, Fix, FunctionNode, If, Moment, Note, Project, rewrites, rule, scope, statements

_WALKING = frozenset({"backward", "manual_backward"})


@rule("GL404", severity="error", since="0.2.0")
def zeroed_before_step(project: Project) -> Iterator[Finding]:
    """Find steps that on every path come after ``backward()`` and then ``zero_grad()``."""
    for function in project.functions():
        if not project.order.steps.may_step(function):
            continue
        silent = scope.expected_to_fail(function)
        moments = [*project.order.moments(function)]
        for moment in moments:
            if (
                moment.act.kind == "step"
                and (moment.act.inside is None or _zeroes_by_itself(moment) or _is_told_to_step(moment))
                and moment.act.at not in silent
                and moment.grads == {"none"}
                and moment.zeroed is not None
                and moment.before is not None
                and not _skips(function, moment, moments)
            ):
                yield _finding(function, moment, moment.zeroed, moment.before)


def _skips(function: FunctionNode, moment: Moment, moments: Iterable[Moment]) -> bool:
    """Whether a branch zeroes and steps to skip an update, and otherwise the optimizer steps with the gradients."""
    for statement in statements(function.facts.body):
        for block in (statement.then, statement.otherwise) if isinstance(statement, If) else ():
            places = frozenset(scope.places_of(block))
            if places >= {moment.zeroed, moment.act.at} and moment.before not in places:
                others = (m for m in moments if m.act.kind == "step" and m.optimizer == moment.optimizer)
                return any(other.act.at not in places for other in others)
    return False


def _zeroes_by_itself(moment: Moment) -> bool:
    """Whether the step is made by a function that zeroes before it, and of which the caller runs ``backward()``."""
    callee = moment.act.inside[0] if moment.act.inside is not None else None
    own = callee is not None and callee.facts.words.isdisjoint(_WALKING)
    return own and moment.act.path == moment.optimizer and moment.zeroed == moment.act.at


def _is_told_to_step(moment: Moment) -> bool:
    """Whether a callee makes the step with the gradients that its caller has zeroed, or had zeroed."""
    return moment.act.path == moment.optimizer and moment.zeroed != moment.act.at and not moment.walks


def _finding(function: FunctionNode, moment: Moment, zeroed: int, backward: int) -> Finding:
    if moment.act.inside is not None and moment.zeroed == moment.act.at:
        return _by_callee(function, moment, backward)
    edits = rewrites.exchanged(function, zeroed, moment.act.at)
    return Finding(
        function.place(moment.act.at),
        function.name,
        f"`{moment.name}.step()` does nothing: the gradients were zeroed after `backward()`",
        (
            Note(function.place(backward), "`backward()` computes them here"),
            Note(function.place(zeroed), "they are set to None here"),
        ),
        help="zero them before `backward()`, or after the step",
        fix=Fix("unsafe", "zero them after the step", edits) if edits else None,
    )


def _by_callee(caller: FunctionNode, moment: Moment, backward: int) -> Finding:
    callee, at = moment.act.inside or (caller, moment.act.at)
    return Finding(
        callee.place(at),
        callee.name,
        "this step does nothing: the gradients are zeroed right before it",
        (Note(caller.place(backward), "`backward()` computes them here"),),
        help="zero them before `backward()`, or after the step",
    )
