"""`backward()` meets a graph that another `backward()` has freed.

## Flagged

```python
def train_step(encoder, decoder, critic, images):
    features = encoder(images)
    loss = decoder(features).pow(2).mean()
    loss.backward()
    score = critic(features).mean()
    score.backward()  # GL403

# run: train_step(model, head, other, images)
# raises: RuntimeError: Trying to backward through the graph a second time
```

## Instead

```python
def train_step(encoder, decoder, critic, images):
    features = encoder(images)
    loss = decoder(features).pow(2).mean() + critic(features).mean()
    loss.backward()

# run: train_step(model, head, other, images)
```

## Fixed

```python
def train_step(encoder, decoder, critic, images):
    features = encoder(images)
    loss = decoder(features).pow(2).mean()
    loss.backward(retain_graph=True)
    score = critic(features).mean()
    score.backward()
```

## Why

`backward()` frees what a graph has saved as it walks it. What still holds a part of that graph, a second loss
on the same features, a hidden state carried to the next round, a GAN's fake image, leads the next `backward()`
back into it: `RuntimeError: Trying to backward through the graph a second time (or directly access saved
tensors after they have already been freed).` Where nothing was saved (`(w + 1).sum()`) it passes, and gradients
are added twice.

Add the losses and walk once; `.detach()` what is carried over, so that each round has a graph of its own; or
make a fresh forward. `retain_graph=True` keeps the graph for a second walk that is really wanted; if the
weights change in between, it raises all the same.

Where the two walks are no two statements of one block, or one meets what the round or the call before has left,
this is advice, off by default: what lies between them may have begun anew. A state that a module of a known class is
given again as it gave it, with its graph, has not.
"""

from collections.abc import Iterator

from gradlint.rule import (
    Act,
    Assign,
    CallEvent,
    Edit,
    Evaluate,
    Finding,
    Fix,
    FunctionNode,
    Name,
    Note,
    Project,
    SecondWalk,
    Severity,
    acts_of,
    blocks,
    dotted,
    expressions,
    rounds,
    rule,
    scope,
    statements,
    within,
)


@rule("GL403", severity="warning", since="0.2.0")
def repeated_backward(project: Project) -> Iterator[Finding]:
    """Find ``backward()`` on what holds a part of a graph that was walked and freed before."""
    for function in project.functions():
        found = [*project.walks.second(function)]
        if not found:
            continue
        silent = scope.expected_to_fail(function) | scope.tried(function)
        for walk in found:
            if walk.event.at in silent:
                continue
            if not walk.kept:
                yield _finding(project, function, walk)
            elif walk.first is not None and (step := _stepped_between(project, function, walk.first, walk.event)):
                yield _outdated(function, walk.first, walk.event, step)


def _stepped_between(project: Project, function: FunctionNode, first: CallEvent, second: CallEvent) -> Act | None:
    """The step that changes a module in the middle of the graph, between its two walks."""
    steps = [act for act in acts_of(project.order.steps.script(function)) if act.kind == "step" and act.path]
    steps = [act for act in steps if _follow(function, first.at, act.at, second.at)]
    modules = project.order.modules(function, {act.path for act in steps if act.path})
    if not modules or second.receiver is None:
        return None
    calls, loop = project.flow(function).calls, rounds.innermost_loop(function, second.at)
    made = [calls[o.at] for o in second.receiver.origins if o.function is function and o.at in calls]
    before = {e.name for e in made if e.forward and e.at < first.at and (loop is None or e.at in loop)}
    return next((act for act in steps if modules.get(act.path or "") in before), None)


def _follow(function: FunctionNode, *places: int) -> bool:
    """Whether statements of one block, with no condition around them alone, run at these places in this order."""
    body = function.facts.body
    for block in (body, *(inner for statement in statements(body) for inner in blocks(statement))):
        plain = [statement for statement in block if isinstance(statement, Assign | Evaluate)]
        numbers = [
            number
            for place in places
            for number, statement in enumerate(plain)
            if any(part.at == place for expression in expressions(statement) for part in within(expression))
        ]
        if len(numbers) == len(places) and numbers == sorted(numbers):
            return True
    return False


def _outdated(function: FunctionNode, first: CallEvent, second: CallEvent, step: Act) -> Finding:
    return Finding(
        function.place(second.at),
        function.name,
        f"`backward()` raises: `{step.path}` has changed weights that this graph was recorded with",
        (
            Note(function.place(first.at), "the graph is walked, and kept, here"),
            Note(function.place(step.at), "the weights are changed in place here"),
        ),
        help="run every `backward()` before the first step, or make a fresh forward",
    )


def _finding(project: Project, function: FunctionNode, walk: SecondWalk) -> Finding:
    fix: Fix | None = None
    if walk.first is None:
        text = "`backward()` raises in the second round: something computed in the round before is carried over"
        help_ = "detach what is carried over: `state = state.detach()`"
        note = Note(function.place(walk.at), "what the round before computed comes in here, with its graph")
    else:
        text = "`backward()` raises: a part of this graph was walked, and freed, before"
        help_ = "add the losses and call `backward()` once, or detach what they share"
        note = Note(function.place(walk.first.at), "it is walked here")
        fix = _mended(project, function, walk.first, walk.event)
    surely = walk.sure if walk.first is None else _follow(function, walk.first.at, walk.event.at)
    severity: Severity | None = None if surely else "advice"
    return Finding(function.place(walk.event.at), function.name, text, (note,), severity=severity, help=help_, fix=fix)


def _mended(project: Project, function: FunctionNode, first: CallEvent, second: CallEvent) -> Fix | None:
    """Detach what the first loss was given if an optimizer steps in between, as in a GAN; else keep the graph."""
    acts = acts_of(project.order.steps.script(function))
    if any(act.kind in ("step", "anything") and first.at < act.at < second.at for act in acts):
        return _detached(project, function, first, second)
    call = scope.call_at(function, first.at)
    name = dotted(call.function) if call is not None else None
    if first.at == second.at or call is None or name is None or call.arguments:
        return None
    edit = Edit(function.place(call.at), "replace", f"{name}(retain_graph=True)")
    return Fix("unsafe", "keep the graph for the second walk", (edit,))


def _detached(project: Project, function: FunctionNode, first: CallEvent, second: CallEvent) -> Fix | None:
    """``discriminator(fake)`` becomes ``discriminator(fake.detach())`` where it leads to the first ``backward()``."""
    calls = project.flow(function).calls.values()
    given: dict[str, list[int]] = {}
    for event in calls:
        for argument in event.arguments if event.forward and event.at < second.at else ():
            if isinstance(argument.expression, Name) and argument.value.origins:
                given.setdefault(argument.expression.id, []).append(argument.expression.at)
    shared = [places for places in given.values() if min(places) < first.at < max(places)]
    early = [place for place in shared[0] if place < first.at] if len(shared) == 1 else []
    if len(early) != 1:
        return None
    edit = Edit(function.place(early[0]), "after", ".detach()")
    return Fix("unsafe", "detach it for the first loss", (edit,))
