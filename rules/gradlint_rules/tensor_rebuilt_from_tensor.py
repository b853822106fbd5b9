"""A tensor is made of tensors by `torch.tensor`, which copies their values and drops their graph.

## Flagged

```python
import torch

def total():
    weight = torch.ones(3, requires_grad=True)
    losses = torch.tensor([weight.square().sum(), weight.exp().sum()])  # GL211
    return losses.mean()

# run: loss = total()
# warns: UserWarning: Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.
# shows: not loss.requires_grad
```

## Instead

```python
import torch

def total():
    weight = torch.ones(3, requires_grad=True)
    losses = torch.stack([weight.square().sum(), weight.exp().sum()])
    return losses.mean()

# run: loss = total()
# shows: loss.requires_grad
```

## Why

`torch.tensor(...)` reads numbers and makes a new leaf of them. Of a list of tensors it takes each
value by itself, with one synchronisation per element on a GPU, and the graph behind them is gone: what
is trained on the result trains nothing. `torch.stack` and `torch.cat` keep it.

Of a single tensor it makes a detached copy and warns, ``UserWarning: To copy construct from a tensor,
it is recommended to use sourceTensor.detach().clone() ...``. Where no graph is lost that is advice,
off by default. `torch.as_tensor(t)` hands a tensor through as it is.
"""

import re
from collections.abc import Iterator

from gradlint.rule import (
    COMPUTED,
    GRAD,
    LEAF,
    PLAIN,
    Attribute,
    Call,
    CallEvent,
    Display,
    Edit,
    Expression,
    Finding,
    Fix,
    FunctionNode,
    Name,
    Operation,
    Project,
    Return,
    Value,
    all_of,
    dotted,
    gives_no_known_tensor,
    rule,
    scope,
    statements,
    within,
)

_COPYING = frozenset({"torch.tensor"})
_OF_LISTS = _COPYING | {"torch.Tensor", "torch.FloatTensor", "torch.as_tensor", "torch.asarray"}

_LOSS = re.compile(r"(^|_)(loss(es)?|l\d)$")
_TRAINING = frozenset({"backward", "manual_backward"})


@rule("GL211", severity="warning", since="0.1.0")
def tensor_rebuilt_from_tensor(project: Project) -> Iterator[Finding]:
    """Find tensors that are made of tensors; advice where no graph is lost."""
    for function in project.functions():
        for call, name in project.modes.calls(function, _OF_LISTS):
            copies = name in _COPYING and len(call.arguments) == 1 and not isinstance(call.arguments[0].value, Display)
            if not (copies or project.calls.records_somewhere(function)):
                continue  # no graph is lost
            if call.arguments and _may_hold_tensors(project, function, call):
                event = project.flow(function).calls.get(call.at)
                if event is not None:
                    yield from _finding(project, function, call, event, name)


def _may_hold_tensors(project: Project, function: FunctionNode, call: Call) -> bool:
    """Whether it is worth running a function to see what its tensor is made of."""
    known = _is_no_known_tensor(project, function, call.arguments[0].value)
    return not known or _is_handed_losses(project, function, call)


def _is_no_known_tensor(project: Project, function: FunctionNode, expression: Expression) -> bool:
    """Whether it is computed of what is no tensor, as far as a flow may tell: of a property it tells nothing."""
    if isinstance(expression, Operation):
        return all(_is_no_known_tensor(project, function, operand) for operand in expression.operands)
    name = dotted(expression) or ""
    if name.startswith("self.") and project.calls.callables.names_property(function, name):
        return True
    return gives_no_known_tensor(function.facts, expression)


def _finding(project: Project, function: FunctionNode, call: Call, event: CallEvent, name: str) -> Iterator[Finding]:
    given = event.arguments[0].value
    trained = _in_training(project, function, call)
    loses = any(map(_has_graph, (*_held(given), *_held(trained)))) or _holds_losses(project, function, event)
    loses = loses or _is_handed_losses(project, function, call) or _cuts_off_policy(project, function, call, event)
    if loses and _was_walked(project, function, event):
        return
    if loses:
        yield Finding(
            function.place(call.at),
            function.name,
            f"`{name}` takes the numbers out of these tensors: their graph is lost",
            help="use `torch.stack` or `torch.cat`",
        )
    elif name in _COPYING and len(call.arguments) == 1 and _is_tensor(project, function, given):
        yield Finding(
            function.place(call.at),
            function.name,
            f"`{name}` copies a tensor",
            help="write `.detach().clone()`",
            fix=_clone(function, call),
            severity=None if _has_graph(given) or _is_given_back(project, function, call, given) else "advice",
        )


def _in_training(project: Project, function: FunctionNode, call: Call) -> Value:
    """What goes into it in a ``forward`` while the module's own parameters are trained."""
    flow = project.gradients.trained(function)
    event = flow.calls.get(call.at) if flow is not None else None
    return event.arguments[0].value if event is not None else Value()


def _held(value: Value) -> Iterator[Value]:
    """What lists hold, and lists in them."""
    for item in value.items or ():
        yield item
        yield from _held(item)


def _was_walked(project: Project, function: FunctionNode, event: CallEvent) -> bool:
    """Whether ``backward()`` has run on the graph before its numbers are taken: to be written down, as a rule."""
    given = event.arguments[0].value
    origins = frozenset().union(given.origins, *(item.origins for item in given.items or ()))
    walks = (e.receiver for e in project.flow(function).calls.values() if e.method in _TRAINING and e.at < event.at)
    return any(walked is not None and walked.origins & origins for walked in walks)


def _holds_losses(project: Project, function: FunctionNode, event: CallEvent) -> bool:
    """Whether losses of forwards go into it, by their names, and ``backward()`` runs on what comes out."""
    given = event.arguments[0]
    if given.value.kind != "container" or not event.result.tensor & PLAIN:
        return False
    walks = (e.receiver for e in project.flow(function).calls.values() if e.method in _TRAINING and e.receiver)
    walked = [value for value in walks if value.shadow & given.value.origins]
    lost = any(value.tensor == PLAIN for value in walked)  # nothing else goes into it
    if not walked or not (lost or any(_LOSS.search(dotted(part) or "") for part in within(given.expression))):
        return False
    return _is_recorded(project, function, given.value)


def _is_handed_losses(project: Project, function: FunctionNode, call: Call) -> bool:
    """Whether a module is handed losses by who trains on what it gives, and takes nothing but their numbers."""
    name = dotted(call.arguments[0].value)
    if name is None or _LOSS.search(name) is None or not project.calls.modules.is_forward(function):
        return False
    if sum(each.id == name for each in all_of(Name, function.facts.body)) > 1:
        return False  # the numbers may be weights
    callers = [
        caller for caller, value in project.flows.handed_over(function, name) if _is_recorded(project, caller, value)
    ]
    return any(not _TRAINING.isdisjoint(caller.facts.words) for caller in callers)


def _cuts_off_policy(project: Project, function: FunctionNode, call: Call, event: CallEvent) -> bool:
    """``torch.tensor(log_probs, requires_grad=True)``, which ``backward()`` starts from instead of from a policy."""
    name, given = dotted(call.arguments[0].value), event.arguments[0].value
    asks = any(argument.keyword == "requires_grad" and argument.value.constant is True for argument in event.arguments)
    if name is None or not asks or not _gathers_log_probs(function, name):
        return False
    walks = (e.receiver for e in project.flow(function).calls.values() if e.method in _TRAINING)
    walked = any(value is not None and value.shadow & given.origins for value in walks)
    return walked and _is_recorded(project, function, given)


def _gathers_log_probs(function: FunctionNode, name: str) -> bool:
    """Whether all that is appended to a list is what distributions give for an action: ``policy.log_prob(action)``."""
    added = [
        made.arguments[0].value
        for made in all_of(Call, function.facts.body)
        if isinstance(made.function, Attribute) and made.function.name == "append" and len(made.arguments) == 1
        if dotted(made.function.value) == name
    ]
    return bool(added) and all(any(map(_gives_log_prob, _meant(function, each))) for each in added)


def _meant(function: FunctionNode, expression: Expression) -> Iterator[Expression]:
    """An expression, and what is assigned to the name that it is."""
    yield expression
    yield from (value for name, value in scope.assigned(function) if name == dotted(expression))


def _gives_log_prob(expression: Expression) -> bool:
    return isinstance(expression, Call) and getattr(expression.function, "name", "") == "log_prob"


def _is_recorded(project: Project, function: FunctionNode, losses: Value) -> bool:
    """Whether what is handed over holds what forwards have recorded."""
    calls = project.flow(function).calls
    forwards = (calls.get(o.at) for o in losses.origins if o.function is function)
    return any(e is not None and e.forward and project.calls.states_at(function, e.at) == GRAD for e in forwards)


def _is_given_back(project: Project, function: FunctionNode, call: Call, given: Value) -> bool:
    """Whether a module's ``forward`` returns a copy of what it computes from its inputs: a loss nobody can train on."""
    if not project.calls.modules.is_forward(function):
        return False
    returned = any(isinstance(s, Return) and s.value is call for s in statements(function.facts.body))
    from_inputs = any(o.function is function and o.at < 0 for o in given.origins)
    return returned and from_inputs and bool(given.tensor & COMPUTED)


def _is_tensor(project: Project, function: FunctionNode, value: Value) -> bool:
    """Whether a tensor is copied; the ``.data`` of what nobody knows may be a number: other libraries have it, too."""
    read = (project.flow(function).attributes.get((at, False)) for at in value.memory)
    unknown = any(
        e is not None and e.name == "data" and e.owner.kind == "unknown" and not e.owner.is_tensor for e in read
    )
    return value.kind == "tensor" and not unknown


def _has_graph(value: Value) -> bool:
    return value.kind == "tensor" and value.tensor in (COMPUTED, COMPUTED | LEAF)


def _clone(function: FunctionNode, call: Call) -> Fix | None:
    name = dotted(call.arguments[0].value)
    if name is None:
        return None
    text = f"{name}.detach().clone()"
    return Fix("unsafe", f"write `{text}`", (Edit(function.place(call.at), "replace", text),))
