"""A tensor that autograd saved is changed in place before `backward()`.

## Flagged

```python
import torch

weight = torch.ones(3, requires_grad=True)
y = torch.sigmoid(weight)
y += 1  # GL217
y.sum().backward()
# raises: RuntimeError: one of the variables needed for gradient computation has been modified by an inplace operation
```

## Instead

```python
import torch

weight = torch.ones(3, requires_grad=True)
y = torch.sigmoid(weight)
y = y + 1
y.sum().backward()
# shows: weight.grad is not None
```

## Why

The derivative of `sigmoid` is computed from its result, so autograd keeps the result, with the number of its
last change. `backward()` finds that it was changed since: `RuntimeError: one of the variables needed for
gradient computation has been modified by an inplace operation`. The same is true of `tanh`, `exp`, `softmax`,
`sqrt`, `relu` and others; a sum or a product with a number keeps nothing of its result, and may be followed by
an operation in place. A change of a `.detach()`ed alias is noticed too, one of `.data` is not.
"""

from collections.abc import Iterable, Iterator

from gradlint.rule import (
    COMPUTED,
    GRAD,
    RESULT_SAVING,
    TENSOR_METHODS,
    Assign,
    Attribute,
    Augment,
    Call,
    CallEvent,
    ChangeEvent,
    Edge,
    Evaluate,
    Expression,
    Finding,
    Flow,
    For,
    FunctionNode,
    Name,
    Note,
    Operation,
    Project,
    Return,
    Statement,
    changes,
    dotted,
    names_in,
    rebinding,
    rule,
    scope,
    statements,
    within,
)


@rule("GL217", severity="warning", since="0.2.0")
def in_place_on_saved(project: Project) -> Iterator[Finding]:
    """Find changes in place of results that their own operation saved, with a ``backward()`` to come."""
    for function in project.functions():
        yield from _inputs(project, function)
        if function.facts.words.isdisjoint(RESULT_SAVING):
            continue
        if "backward" in function.facts.words:
            yield from _walked_here(project, function)
        elif changes.may_change_in_place(function) and (flow := project.gradients.trained(function)) is not None:
            yield from _walked_later(function, flow)
        elif changes.may_change_in_place(function) and (edges := _walking_callers(project, function)):
            yield from _walked_by_caller(project, function, edges)


def _inputs(project: Project, function: FunctionNode) -> Iterator[Finding]:
    """What products, powers and layers have saved of what they were given."""
    found = [*project.saved_inputs.changed(function)]
    silent = scope.expected_to_fail(function) | scope.tried(function) if found else frozenset()
    for saved in found:
        if saved.at not in silent:
            yield Finding(
                function.place(saved.at),
                function.name,
                f"`backward()` raises: {saved.by} saved its input `{saved.path}`, and it is changed here",
                (Note(function.place(saved.saved_at), "it is saved here"),),
                help="compute a new tensor instead of changing this one",
            )


def _walked_here(project: Project, function: FunctionNode) -> Iterator[Finding]:
    flow = project.flow(function)
    silent = scope.expected_to_fail(function) | scope.tried(function)
    walks = [event for event in flow.calls.values() if event.method == "backward"]
    for change in flow.changes.values():
        made = _saved(flow.calls, function, change)
        if made is None or change.at in silent or (change.path or "").endswith(".data"):
            continue
        between = (walk for walk in walks if made.at < walk.at < change.at)
        if any(map(_frees, between)):
            continue  # what was saved is gone, and a later ``backward()`` walks something else
        if any(walk.at > change.at and _reaches(function, walk, made) for walk in walks):
            yield _finding(function, change, made)


def _walked_later(forward: FunctionNode, flow: Flow) -> Iterator[Finding]:
    """What a ``forward`` changes, with a graph that leads on to what it gives back."""
    returned = _returned_names(forward)
    for change in flow.changes.values():
        made = _saved(flow.calls, forward, change)
        if made is not None and made.result.tensor == COMPUTED and change.path in returned:
            yield _finding(forward, change, made)


def _walking_callers(project: Project, function: FunctionNode) -> list[Edge]:
    """The calls of a function that gives something back, in functions that run ``backward()``."""
    edges = project.calls.callers.get(function, ()) if function.facts.gives_back else ()
    return [edge for edge in edges if edge.certain and "backward" in edge.caller.facts.words]


def _walked_by_caller(project: Project, function: FunctionNode, edges: Iterable[Edge]) -> Iterator[Finding]:
    """What a function makes of a parameter, changes and returns, where a caller hands over what requires grad."""
    flow = project.flow(function)
    parameters = {p.name for p in function.facts.parameters if not [*rebinding.given_to(function, p.name)]}
    for change in flow.changes.values():
        made = _saved(flow.calls, function, change)
        given = (_operand(function, made) if made is not None else None) or ""
        if made is None or given not in parameters or project.calls.states_at(function, made.at) != GRAD:
            continue
        returned = [s.value for s in statements(function.facts.body) if isinstance(s, Return) and s.value is not None]
        if len(returned) != 1 or not _leads_to(flow, returned[0], change.path or ""):
            continue
        if any(_walks_result(project, edge, given) for edge in edges):
            yield _finding(function, change, made)


def _operand(function: FunctionNode, made: CallEvent) -> str | None:
    """What an operation is done to: ``x`` of ``torch.exp(x)``, of ``x.exp()``."""
    if made.callee.kind == "callable":
        return dotted(made.arguments[0].expression) if made.arguments else None
    call = scope.call_at(function, made.at)
    return dotted(call.function.value) if call is not None and isinstance(call.function, Attribute) else None


def _leads_to(flow: Flow, expression: Expression, name: str) -> bool:
    """Whether what has a name goes into the graph of an expression: by arithmetic and by operations that record."""
    match expression:
        case Name(id=found):
            return found == name
        case Operation(operator="+" | "-" | "*" | "/" | "@" | "**", operands=operands):
            return any(_leads_to(flow, operand, name) for operand in operands)
        case Call(function=Attribute(value=owner, name=method), arguments=arguments) if method in TENSOR_METHODS:
            event = flow.calls.get(expression.at)
            parts = (owner, *(argument.value for argument in arguments[:1]))
            recorded = event is not None and bool(event.result.tensor & COMPUTED)
            return recorded and any(_leads_to(flow, part, name) for part in parts)
        case _:
            return False


def _walks_result(project: Project, edge: Edge, parameter: str) -> bool:
    """Whether a caller walks what a call gives, for which it hands over a tensor that requires grad."""
    caller = edge.caller
    if edge.at in scope.expected_to_fail(caller) | scope.tried(caller):
        return False
    flow = project.flow(caller)
    given = project.flows.argument(flow, edge.at, parameter, edge.callee)
    if not (given.is_tensor and given.requires_grad) or project.calls.states_at(caller, edge.at) != GRAD:
        return False
    walks = [scope.call_at(caller, event.at) for event in flow.calls.values() if event.method == "backward"]
    for walk in walks:
        walked = walk.function.value if walk is not None and isinstance(walk.function, Attribute) else None
        if isinstance(walked, Name):
            values = [*rebinding.given_to(caller, walked.id)]
            walked = values[0] if len(values) == 1 else None
        if walked is not None and walked.at == edge.at:
            return True
    return False


def _returned_names(function: FunctionNode) -> set[str]:
    """The names of what a function returns, and of what goes into that."""
    returned = [s.value for s in statements(function.facts.body) if isinstance(s, Return) and s.value is not None]
    return set[str]().union(*map(names_in, _going_into(returned, scope.assigned(function))))


def _saved(calls: dict[int, CallEvent], function: FunctionNode, change: ChangeEvent) -> CallEvent | None:
    """The operation whose saved result is changed, by its own name or by that of a ``.detach()`` of it."""
    made = calls.get(change.owner.made_at or -1)
    if change.owner.lost is not None and change.owner.lost.how == "detach":
        made = _detached(calls, function, change)
    elif not change.owner.own_memory:
        return None
    return made if made is not None and made.method in RESULT_SAVING and made.result.tensor & COMPUTED else None


def _detached(calls: dict[int, CallEvent], function: FunctionNode, change: ChangeEvent) -> CallEvent | None:
    """``alias = y.detach()``: the call that made ``y``, if both names are bound once."""
    bound = [(name, value) for name, value in scope.assigned(function) if isinstance(value, Call)]
    aliases = [
        value.function.value for name, value in bound if name == change.path and isinstance(value.function, Attribute)
    ]
    wholes = [calls.get(value.at) for name, value in bound if len(aliases) == 1 and name == dotted(aliases[0])]
    return wholes[0] if len(wholes) == 1 else None


def _reaches(function: FunctionNode, walk: CallEvent, made: CallEvent) -> bool:
    """Whether a ``backward()`` walks the operation.

    What it saved is proved to have a graph, and goes into what is walked; or it shares its forward with that.
    """
    if made.result.tensor == COMPUTED:
        call = scope.call_at(function, walk.at)
        bound = (each for statement in statements(function.facts.body) for each in _bound(statement))
        values = _going_into([call] if call is not None else [], bound)
        return any(part.at == made.at for value in values for part in within(value))
    return walk.receiver is not None and bool(walk.receiver.origins & made.result.origins)


def _going_into(ends: Iterable[Expression], bound: Iterable[tuple[str, Expression]]) -> Iterator[Expression]:
    """Some expressions, and the values of all names that go into them; ``bound`` are names, each with a value."""
    values, pending = [*bound], [*ends]
    seen: set[str] = set()
    while pending:
        value = pending.pop()
        yield value
        new = names_in(value) - seen
        seen |= new
        pending.extend(given for name, given in values if name in new)


def _bound(statement: Statement) -> Iterator[tuple[str, Expression]]:
    """The names that a statement puts something into, each with that: ``losses.append(loss)`` does so, too."""
    match statement:
        case Assign(targets=targets, value=value):
            yield from ((name, value) for target in targets for name in names_in(target))
        case Augment(target=target, value=value) | For(target=target, iterable=value):
            yield from ((name, value) for name in names_in(target))
        case Evaluate(value=Call(function=Attribute(value=Name(id=name)), arguments=arguments)):
            yield from ((name, argument.value) for argument in arguments)
        case _:
            pass


def _frees(walk: CallEvent) -> bool:
    """Whether a ``backward()`` leaves nothing of the graph it walked."""
    return not any(argument.keyword in ("retain_graph", "create_graph") for argument in walk.arguments)


def _finding(function: FunctionNode, change: ChangeEvent, made: CallEvent) -> Finding:
    return Finding(
        function.place(change.at),
        function.name,
        f"`backward()` raises: `{made.method}` saved its result `{change.path or ''}`, and it is changed here",
        (Note(function.place(made.at), "it is computed, and saved, here"),),
        help="compute a new tensor instead of changing this one",
    )
