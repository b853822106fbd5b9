"""A parameter is given a new value by rebinding its name: the parameter itself stays as it was.

## Flagged

```python
import torch

def step(model, lr):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter = parameter - lr * parameter.grad  # GL210

# run: step(model, 0.1)
# shows: model.weight.tolist() == [[1.0, 1.0]]
```

## Instead

```python
import torch

def step(model, lr):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= lr * parameter.grad

# run: step(model, 0.1)
# shows: model.weight.tolist() != [[1.0, 1.0]]
```

## Why

`p = p - lr * p.grad` makes another tensor and gives it the name `p`. In a loop over a model's parameters the
new tensor is dropped at once: nothing is updated, and nothing says so. A weight of one's own becomes a computed
tensor: its `.grad` is `None` after the next `backward()`, and the second update raises `TypeError: unsupported
operand type(s) for *: 'float' and 'NoneType'`. Under `no_grad()` it becomes a tensor that does not require
grad, and the next `backward()` raises `RuntimeError: element 0 of tensors does not require grad and does not
have a grad_fn`. A module takes no such tensor in the place of a parameter: `layer.weight = layer.weight - 0.1 *
layer.weight.grad` raises `TypeError: cannot assign 'torch.FloatTensor' as parameter 'weight' (torch.nn.Parameter
or None expected)`.

`p -= lr * p.grad` under `no_grad()` changes the parameter.
"""

import re
from collections.abc import Container, Iterator

from gradlint.rule import (
    TENSOR_METHODS,
    Assign,
    Attribute,
    Augment,
    Block,
    Call,
    CallEvent,
    Constant,
    Evaluate,
    Expression,
    Finding,
    For,
    FunctionNode,
    Name,
    Note,
    Operation,
    Optimizer,
    Project,
    Return,
    Subscript,
    While,
    acts_of,
    all_expressions,
    dotted,
    names_in,
    parameter_loops,
    rounds,
    rule,
    scope,
    statements,
    within,
)

_PARAMETERS = frozenset({"torch.nn.Parameter", "torch.nn.parameter.Parameter"})
_LOOPED = frozenset({"grad", "parameters", "named_parameters"})
_ARITHMETIC = frozenset({"+", "-", "*", "/", "@", "**"})
_DROPPED = "nothing is updated: the new tensor is dropped, the parameter keeps its value"
_RAISING = {
    "leaf": "from the second time on it is no leaf and its `.grad` is None: the update raises",
    "parameter": "it is a parameter of a module, which takes nothing but another parameter and raises",
}
_FLAGGING = frozenset({"requires_grad", "requires_grad_", "retain_grad"})


@rule("GL210", severity="error", since="0.2.0")
def rebound_parameter(project: Project) -> Iterator[Finding]:
    """Find updates by a gradient that bind a name in a loop instead of changing a tensor."""
    for function in project.functions():
        if function.facts.words.isdisjoint(_LOOPED):
            continue
        silent = scope.expected_to_fail(function)
        for loop in statements(function.facts.body):
            if isinstance(loop, For | While):
                found = [*_dropped(function, loop), *_carried(function, loop)]
                if isinstance(loop, For):
                    found += _lost(project, function, loop, {update.at for update, *_ in found})
                yield from (_finding(function, *each) for each in found if each[0].at not in silent)
        rebound = [] if "grad" not in function.facts.words else [*_rebound(project, function)]
        silent |= scope.tried(function) if rebound else frozenset()
        yield from (_finding(function, *each) for each in rebound if each[0].at not in silent)
    for function in project.functions():
        yield from _replaced(project, function)
        yield from _replaced_by_method(project, function)
        yield from _replaced_by_helper(project, function)


def _rebound(project: Project, function: FunctionNode) -> Iterator[tuple[Assign, str, str]]:
    """``layer.weight = layer.weight - lr * layer.weight.grad``, ``self.w = self.w - lr * self.w.grad``."""
    for update, name in _updates(function.facts.body):
        (target,) = update.targets
        if isinstance(target, Attribute) and (lost := project.rebound_attributes.lost(function, target)) is not None:
            yield update, name, _RAISING[lost]


def _replaced(project: Project, function: FunctionNode) -> Iterator[Finding]:
    """``model.fc = nn.Linear(...)`` after the optimizer of the model was made, which steps later."""
    made = [optimizer for optimizer in project.optimizers.made(function) if optimizer.path is not None]
    if not made or "add_param_group" in function.facts.words:
        return
    acts = list(acts_of(project.order.steps.script(function)))
    for path, value in _given(function):
        for optimizer in made:
            model = optimizer.parameters.value.of
            start = optimizer.event.at
            again = any(each.path == optimizer.path and each.event.at > value.at for each in made)
            steps = any(act.kind == "step" and act.path == optimizer.path and act.at > value.at for act in acts)
            steps = steps or _other_method_steps(project, function, optimizer)
            is_part = model and path.startswith((f"{model}.", f"{model}["))
            if is_part and start < value.at and steps and not again:
                loop = rounds.innermost_loop(function, value.at)
                if _has_parameters(project, function, value) and (loop is None or start not in loop):
                    yield _late(function, optimizer, path, value, function)


def _replaced_by_method(project: Project, function: FunctionNode) -> Iterator[Finding]:
    """``self.net.head = nn.Linear(...)`` in a method of an object whose constructor makes the only optimizer."""
    cls, given = function.owner, [(path, value) for path, value in _given(function) if _is_part_of_own(path)]
    constructor = cls.method("__init__") if cls is not None and given else None
    if constructor is None or constructor is function or function.facts.name in constructor.facts.words:
        return
    for optimizer in project.optimizers.made(constructor):
        model = optimizer.parameters.value.of
        for path, value in given:
            is_part = model and path.startswith((f"{model}.", f"{model}["))
            new = is_part and _has_parameters(project, function, _once_named(function, value))
            if new and _stays(project, constructor, optimizer):
                yield _late(function, optimizer, path, value, constructor)


def _replaced_by_helper(project: Project, function: FunctionNode) -> Iterator[Finding]:
    """``net.head = nn.Linear(...)`` in a function that is handed the net and its optimizer, and steps with that."""
    names = {parameter.name for parameter in function.facts.parameters}
    called = [(path, value) for path, value in _given(function) if isinstance(value, Call)]
    given = [(path, value) for path, value in called if re.split(r"[.\[]", path)[0] in names - {path}]
    if not given or "add_param_group" in function.facts.words or "param_groups" in function.facts.words:
        return
    if not project.order.steps.handed.may_step(function):
        return
    steps = [act for act in acts_of(project.order.steps.script(function)) if act.kind == "step" and act.path in names]
    modules = project.order.modules(function, {act.path for act in steps if act.path})
    for path, value in given:
        for step in [act for act in steps if act.at > value.at][:1]:
            model, loop = modules.get(step.path or ""), rounds.innermost_loop(function, value.at)
            is_part = model in names and path.startswith((f"{model}.", f"{model}["))
            rebound = any(name in (model, step.path) for name, _ in scope.assigned(function))
            if is_part and loop is None and not rebound and _has_parameters(project, function, value):
                yield Finding(
                    function.place(value.at),
                    function.name,
                    f"`{path}` is never trained: `{step.path}` was made before, and goes on with what was there then",
                    (Note(function.place(step.at), "the optimizer that is handed in steps here"),),
                    help="make the optimizer afterwards, or change the values in place under `torch.no_grad()`",
                )


def _is_part_of_own(path: str) -> bool:
    """``self.net.head``, ``self.net[2]``."""
    return path.startswith("self.") and ("." in path[5:] or "[" in path)


def _once_named(function: FunctionNode, value: Expression) -> Expression:
    """What a name is assigned, once: ``head = nn.Linear(...)``."""
    found = [each for name, each in scope.assigned(function) if name == dotted(value)]
    return found[0] if len(found) == 1 else value


def _stays(project: Project, constructor: FunctionNode, optimizer: Optimizer) -> bool:
    """Whether an object steps for good with the optimizer of its constructor, and gives it no more parameters."""
    attribute = (optimizer.path or "").removeprefix("self.")
    users = [f for f in project.linker.mentions.of(attribute) if f is not constructor]
    others = [f for f in users if not _is_of(project, f, constructor)]
    own = [f for f in users if f not in others]
    given = [name for f in own for name, _ in scope.assigned(f)]
    given += [name for f in others for name, _ in scope.assigned(f) if name != f"self.{attribute}"]
    if any(name.endswith(f".{attribute}") for name in given):
        return False
    grown = any("add_param_group" in f.facts.words or "param_groups" in f.facts.words for f in own)
    return not grown and _other_method_steps(project, constructor, optimizer)


def _is_of(project: Project, function: FunctionNode, constructor: FunctionNode) -> bool:
    """Whether a function is no method, or one of the constructor's class, of its bases or of what derives from it."""
    cls, own = function.owner, constructor.owner
    if cls is None or own is None:
        return True
    return own in project.linker.ancestors(cls) or cls in project.linker.ancestors(own)


def _given(function: FunctionNode) -> Iterator[tuple[str, Expression]]:
    """What a function assigns to names and to items: ``model.fc = ...``, ``model.classifier[6] = ...``."""
    yield from scope.assigned(function)
    for statement in statements(function.facts.body):
        match statement:
            case Assign(targets=(Subscript(value=owner, index=Constant(value=index)),), value=value):
                if (name := dotted(owner)) is not None:
                    yield f"{name}[{index!r}]", value
            case _:
                pass


def _other_method_steps(project: Project, function: FunctionNode, optimizer: Optimizer) -> bool:
    """Whether an object's constructor makes an optimizer, once and for all, that another of its methods steps with."""
    cls, path = function.owner, optimizer.path or ""
    if cls is None or function.facts.name != "__init__" or not path.startswith("self."):
        return False
    others = [method for method in cls.methods if method is not function]
    if any(path == name for method in others for name, _ in scope.assigned(method)):
        return False
    acts = (act for method in others for act in acts_of(project.order.steps.script(method)))
    return any(act.kind == "step" and act.path == path for act in acts)


def _has_parameters(project: Project, function: FunctionNode, value: Expression) -> bool:
    """Whether an expression makes a parameter, or a module that has some."""
    event = project.flow(function).calls.get(value.at) if isinstance(value, Call) else None
    if event is None or event.callee.kind != "callable":
        return False
    new = event.result.kind == "module" and event.result.born is not None and event.result.frozen is None
    parameter = getattr(event.callee.target, "name", "") in _PARAMETERS
    return (new and not _wraps_old(project, function, event)) or parameter


def _wraps_old(project: Project, function: FunctionNode, made: CallEvent) -> bool:
    """Whether a new module is given one that was there before: ``Wrapped(model.fc)``."""
    calls = project.flow(function).calls
    for argument in made.arguments:
        if argument.value.kind == "module":
            event = calls.get(argument.expression.at) if isinstance(argument.expression, Call) else None
            if event is None or event.result.born is None or _wraps_old(project, function, event):
                return True
    return False


def _late(function: FunctionNode, optimizer: Optimizer, path: str, value: Expression, maker: FunctionNode) -> Finding:
    return Finding(
        function.place(value.at),
        function.name,
        f"`{path}` is never trained: `{optimizer.path}` was made before, and goes on with what was there then",
        (Note(maker.place(optimizer.event.at), "the optimizer is made here"),),
        help="make the optimizer afterwards, or change the values in place under `torch.no_grad()`",
    )


def _dropped(function: FunctionNode, loop: For | While) -> Iterator[tuple[Assign, str, str]]:
    """``for p in parameters: p = p - lr * p.grad``, the new tensor used for nothing."""
    targets = names_in(loop.target) if isinstance(loop, For) else set()
    for update, name in _updates(loop.body):
        if name in targets and not _read_after(function, loop, update, name):
            yield update, name, _DROPPED


def _lost(
    project: Project, function: FunctionNode, loop: For, known: Container[int]
) -> Iterator[tuple[Assign, str, str]]:
    """``for e, p in zip(average.parameters(), model.parameters()): e = 0.9 * e + 0.1 * p``, used for nothing."""
    names = set(parameter_loops.given_parameters(function, loop))
    for statement in statements(loop.body) if names else ():
        match statement:
            case Assign(targets=(Name(id=name),), value=value) if name in names and statement.at not in known:
                if _is_new_tensor(project, function, value) and not _is_read_later(function, loop, statement, name):
                    yield statement, name, _DROPPED
            case _:
                pass


def _is_new_tensor(project: Project, function: FunctionNode, value: Expression) -> bool:
    """Whether an expression computes a tensor, and leaves what it is computed from as it is."""
    match value:
        case Operation(operator=operator):
            return operator in _ARITHMETIC
        case Call(function=Attribute(name=method)) if method.endswith("_"):
            return False
        case Call(function=Attribute(name=method) as called):
            name = project.name_of(function, dotted(called) or "") or ""
            return name.startswith("torch.") if name else method in TENSOR_METHODS | {"detach"}
        case _:
            return False


def _is_read_later(function: FunctionNode, loop: For, update: Assign, name: str) -> bool:
    """Whether a name is read after an assignment, by more than loops that give it another value."""
    others = [s for s in statements(function.facts.body) if isinstance(s, For) and s is not loop]
    again = [each for each in others if any(isinstance(p, Name) and p.id == name for p in within(each.target))]
    hidden = {part.at for each in again for part in (*within(each.target), *all_expressions(each.body))}
    last = max(part.at for each in (update.value, *update.targets) for part in within(each))
    parts = all_expressions(function.facts.body)
    return any(isinstance(p, Name) and p.id == name and p.at > last and p.at not in hidden for p in parts)


def _carried(function: FunctionNode, loop: For | While) -> Iterator[tuple[Assign, str, str]]:
    """``w = w - lr * w.grad`` in the loop that also runs ``backward()``."""
    targets = names_in(loop.target) if isinstance(loop, For) else set()
    parts = list(all_expressions(loop.body))
    if not any(isinstance(part, Attribute) and part.name == "backward" for part in parts):
        return
    for update, name in _updates(loop.body):
        flagged = any(isinstance(p, Attribute) and p.name in _FLAGGING and dotted(p.value) == name for p in parts)
        again = any(isinstance(p, Attribute) and p.name in _FLAGGING for p in within(update.value))
        if (
            name not in targets
            and _only_goes_on(loop, update, name)
            and not flagged
            and not again
            and name in function.facts.local
            and not any(p.name == name for p in function.facts.parameters)
        ):
            yield update, name, "from the second round on it is no leaf and its `.grad` is None: the update raises"


def _only_goes_on(loop: For | While, update: Assign, name: str) -> bool:
    """Whether a loop gives a name but what it computes from it: ``patch = patch.clamp(0, 1)`` after the update."""
    bound = [s for s in statements(loop.body) if isinstance(s, Assign) and name in map(dotted, s.targets)]
    return all(each is update or _is_computed_from(each.value, name) for each in bound)


def _is_computed_from(value: Expression, name: str) -> bool:
    """Whether an operation makes a tensor with a graph of what a name holds."""
    match value:
        case Operation(operator=operator, operands=operands):
            return operator in _ARITHMETIC and name in map(dotted, operands)
        case Call(function=Attribute(value=owner, name=method), arguments=arguments):
            given = [dotted(argument.value) for argument in arguments if argument.keyword is None]
            flagged = any(argument.keyword == "requires_grad" for argument in arguments)
            return method in TENSOR_METHODS and not flagged and name in (dotted(owner), *given[:1])
        case _:
            return False


def _updates(body: Block) -> Iterator[tuple[Assign, str]]:
    """``name = name - ... name.grad``, with the name; the gradient may have gone through other names."""
    for statement in statements(body):
        match statement:
            case Assign(
                targets=(Name() | Attribute() as target,), value=Operation(operator="-" | "+", operands=operands)
            ):
                name = dotted(target)
                if name is not None and any(dotted(operand) == name for operand in operands):
                    gradients = _made_of_gradient(body, statement, name)
                    if any(dotted(part) in gradients for operand in operands for part in within(operand)):
                        yield statement, name
            case _:
                pass


def _made_of_gradient(body: Block, update: Assign, name: str) -> set[str]:
    """``p.grad``, and what statements before an update make of it: ``velocity`` of ``velocity[:] = ... p.grad``."""
    found = {f"{name}.grad"}
    for statement in statements(body):
        if statement.at >= update.at:
            break
        match statement:
            case Assign(targets=(target,), value=value) | Augment(target=target, value=value):
                changed: Expression = target.value if isinstance(target, Subscript) else target
            case Evaluate(value=Call(function=Attribute()) as value):
                changed = value
                while isinstance(changed, Call) and isinstance(changed.function, Attribute):
                    changed = changed.function.value
            case _:
                continue
        made = isinstance(changed, Name) and changed.id != name
        if made and any(dotted(part) in found for part in within(value)):
            found.add(dotted(changed) or "")
    return found


def _read_after(function: FunctionNode, loop: For | While, update: Assign, name: str) -> bool:
    own = {part.at for part in within(update.value)}
    own.update(target.at for target in update.targets)
    start = min(own)
    # ``p.grad = None`` does nothing with the values of the new tensor.
    own.update(p.value.at for p in all_expressions(loop.body) if isinstance(p, Attribute) and p.name == "grad")
    inside = (p for p in all_expressions(loop.body) if p.at not in own and p.at > start)
    returned = (
        p for s in statements(function.facts.body) if isinstance(s, Return) and s.value for p in within(s.value)
    )
    return any(isinstance(part, Name) and part.id == name for part in (*inside, *returned))


def _finding(function: FunctionNode, update: Assign, name: str, what: str) -> Finding:
    kind = "the name" if isinstance(update.targets[0], Name) else "the attribute"
    return Finding(
        function.place(update.targets[0].at),
        function.name,
        f"`{name} = {name} ...` binds {kind} `{name}` to another tensor: {what}",
        help=f"change it in place: `{name} -= ...` under `torch.no_grad()`",
    )
