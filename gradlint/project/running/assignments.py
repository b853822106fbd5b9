"""What assignments do to names, attributes and containers."""

from typing import TYPE_CHECKING, Literal

from gradlint.model.code import (
    Attribute,
    Augment,
    Comprehension,
    Display,
    Expression,
    Name,
    Operation,
    Subscript,
    dotted,
)
from gradlint.model.record import replace
from gradlint.model.traverse import within
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.running import evaluate, growth, instances, tensors
from gradlint.project.running.flow import AttributeEvent
from gradlint.project.running.forward_parts import unpacked
from gradlint.project.running.sets import joined, together
from gradlint.project.running.values import NUMBER, UNKNOWN, Origin, Value, elsewhere, plain

if TYPE_CHECKING:
    from gradlint.project.running.interpret import Run


def bind(run: "Run", target: Expression, value: Value) -> None:
    """Give a target a value."""
    match target:
        case Name(id=name):
            run.forget(name)
            if name in run.flow.known:
                value = replace(value, constant=run.flow.known[name])
            run.env[name] = elsewhere(value) if name in run.rebound_by_others else value
            if name in run.function.facts.shared:
                run.flow.used(value.origins, "stored", target.at, name)
        case Display(items=items):
            run.take_apart(value)
            value = unpacked(value, len(items), run)
            for index, item in enumerate(items):
                bind(run, item, evaluate.item_of(value, index, len(items)))
        case Operation(operator="*", operands=(inner,)):
            bind(run, inner, plain(value.origins))
        case Attribute():
            _bind_attribute(run, target, value)
        case Subscript(value=container, index=index):
            if (path := dotted(container)) is not None and dotted(index) in run.counters:  # ``losses[step] = loss``
                held = run.env.get(path, UNKNOWN)
                own = growth.grown(run, "container", path, held, value, target, target.at)
                value = replace(value, origins=value.origins | own) if own else value
            _bind_item(run, container, value, target.at)
        case _:
            pass


def _bind_attribute(run: "Run", target: Attribute, value: Value) -> None:
    holder = evaluate.value_of(target.value, run)
    path = dotted(target)
    run.flow.attributes[(target.at, True)] = AttributeEvent(target.at, target.name, holder, path, value)
    if target.name == "requires_grad":
        _set_requires_grad(run, holder, value, target.at, dotted(target.value))
        return
    if target.name == "grad" and value.kind != "none":
        # Below, the gradient is known by this name; by other names of the tensor it is only not None.
        run.may_run_backward()
        run.touch((holder,), flags=False, retained=True)
    if path is None:
        return
    _remember(run, holder, value)
    run.forget(path)
    if holder.kind == "module" and holder.frozen and value.kind == "module" and not value.frozen:
        run.mark_frozen(dotted(target.value), None)  # a new part, which is not
    if value.is_tensor:
        _change_parameter(run, dotted(target.value))
    run.env[path] = value
    run.flow.used(value.origins, "stored", target.at, path)


def _remember(run: "Run", holder: Value, value: Value) -> None:
    """An object now holds a tensor: whoever gets the object gets the tensor."""
    if not value.memory <= holder.memory and holder.kind in ("unknown", "self", "module", "container"):
        run.replace_everywhere(holder, replace(holder, memory=holder.memory | value.memory))


def _change_parameter(run: "Run", module: str | None) -> None:
    """A module has another parameter, or one with another flag: of whoever gets it not all are known any more."""
    holder = run.env.get(module or "")
    if holder is not None and holder.kind == "module" and holder.born is not None:
        run.replace_everywhere(holder, replace(holder, born=None))


def _set_requires_grad(run: "Run", holder: Value, value: Value, at: int, path: str | None) -> None:
    if holder.kind == "parameters":
        run.mark_frozen(holder.of, value.constant is False)
    elif holder.kind in ("tensor", "unknown", "none"):
        if value.constant is True:
            run.note_leaf(at)
        wanted = value.constant if isinstance(value.constant, bool) else None
        flagged = tensors.flagged(tensors.new_copy(holder, run), wanted)
        run.change(path, holder, flagged)
        if path is not None and holder.kind == "tensor":  # ``layer.weight``, which is made anew at each look
            _change_parameter(run, path.rpartition(".")[0])
            run.env[path] = flagged


def _bind_item(run: "Run", container: Expression, value: Value, at: int) -> None:
    path = dotted(container)
    held = evaluate.value_of(container, run)
    if held.is_tensor or held.kind == "parameters" or (held.kind == "unknown" and (path or "").startswith("self.")):
        run.note_change(at, "[]=", path, held, value)
    if held.is_tensor:
        run.change(path, held, tensors.changed(held, (value,), at, run))  # ``rows[i][j] = x``: a view has no name
        if path is not None:
            _keep(run, path, held, value, at)
    elif path is None:
        run.effects.changes = True
    else:
        hold(run, path, held, value, at)


def hold(run: "Run", path: str, held: Value, value: Value, at: int) -> None:
    """Put a value into a container that a dotted name holds."""
    if held.kind in ("module", "array", "optimizer"):
        return
    if held.kind != "container" or held.parameter is not None:
        run.effects.changes = True
    if held.kind == "unknown":  # a tensor, for all we know
        run.touch_views(held, flags=True)
    origins, memory = joined(held.origins, value.origins), joined(held.memory, value.memory)
    held_class = instances.class_of(value) or (held.target if instances.held_in(held) is not None else None)
    new = Value("container", origins=origins, memory=memory, parameter=held.parameter, target=held_class)
    if held.items is not None:
        run.replace_everywhere(held, new)  # other names of the list see it, too
    run.env[path] = new
    _keep(run, path, held, value, at)


def _keep(run: "Run", path: str, held: Value, value: Value, at: int) -> None:
    root = path.partition(".")[0]
    if "." in path or root not in run.function.facts.local or held.parameter is not None:
        run.flow.used(value.origins, "stored", at, path)


def augment(run: "Run", statement: Augment) -> None:
    """``target operator= value``."""
    added = evaluate.value_of(statement.value, run)
    path = dotted(statement.target)
    held = evaluate.value_of(statement.target, run)
    run.reads.dereferenced(held)
    run.reads.dereferenced(added)
    if held.is_tensor or held.kind == "parameters" or (held.kind == "unknown" and _by_own_gradient(statement, path)):
        run.note_change(statement.target.at, f"{statement.operator}=", path, held)
    if path is None:
        if isinstance(statement.target, Subscript):
            container = dotted(statement.target.value)
            if container is not None and growth.is_sum(statement):  # ``totals["loss"] += loss``
                whole = run.env.get(container, UNKNOWN)
                own = growth.grown(run, _how(added), container, whole, added, statement.value, statement.at)
                added = replace(added, origins=added.origins | own) if own else added
            _bind_item(run, statement.target.value, added, statement.target.at)
        return
    if growth.is_sum(statement):
        own = growth.grown(run, _how(added), path, held, added, statement.value, statement.at)
        added = replace(added, origins=added.origins | own) if own else added
    _augmented(run, path, held, added, statement.target.at)
    if "." in path or path in run.function.facts.shared:
        run.flow.used(added.origins, "stored", statement.at, path)


def _how(added: Value) -> Literal["sum", "container"]:
    """Whether ``+=`` adds a number to a number, or puts the items of a list into a list."""
    return "container" if added.kind == "container" else "sum"


def _by_own_gradient(statement: Augment, path: str | None) -> bool:
    """``w -= lr * w.grad``: what has a gradient is a tensor."""
    return path is not None and any(dotted(part) == f"{path}.grad" for part in within(statement.value))


def _augmented(run: "Run", path: str, held: Value, added: Value, at: int) -> None:
    origins = joined(held.origins, added.origins)
    if held.kind == "tensor" or (held.kind == "parameters" and held.of is None):
        run.change(path, held, tensors.changed(held, (added,), at, run))
    elif held.kind == added.kind == "number" and not origins:
        run.env[path] = replace(NUMBER, lost=held.lost or added.lost)
    elif held.kind == "number":
        run.env[path] = tensors.operated((held, added), origins, at, run)
    else:
        run.touch_views(held, flags=True)
        if held.is_tensor:
            run.replace_everywhere(held, elsewhere(held))
        run.effects.changes |= held.kind == "unknown"
        run.env[path] = plain(origins)


def added_to(run: "Run", target: Expression, value: Expression, found: Value, at: int) -> Value:
    """The value of ``total = total + loss``: a sum that goes on from what the target holds; others as they are."""
    if isinstance(target, Display) and isinstance(value, Display):
        return _each_added_to(run, target, value, found)
    if (joined := growth.joined_to(target, value)) is not None:
        return _longer_by(run, target, joined, found, at)
    if (items := growth.listed_after(target, value)) is not None:
        return _listed_after(run, target, items, found, at)
    path = growth.holder(target)
    if path is None or growth.adds_to(target, value) is None:
        return found
    held = run.env.get(path, UNKNOWN)
    added = _summand(run, path, value)
    if added is None and growth.scales(path, value):
        return found  # what it is scaled by has no graph, for all we know
    joined_to = held.kind if not isinstance(target, Subscript) else None
    joins = not isinstance(value, Comprehension)
    if joins and "container" in (joined_to, added.kind if added is not None else None):
        return found  # lists are joined, to another one
    if added is not None and found.kind == "tensor":
        added = replace(added, kind="tensor")  # by what it is added to
    own = growth.grown(run, "sum", path, held, added or found, value, at, whole=added is None)
    return replace(found, origins=found.origins | own) if own else found


def _longer_by(run: "Run", target: Expression, joined: Display, found: Value, at: int) -> Value:
    """``rows = torch.cat((rows, more))``: as what holds them all keeps the graphs that a list of them would keep."""
    path = dotted(target) or ""
    more = [known for item in joined.items if (known := _summand(run, path, item)) is not None]
    first = next((known for known in more if known.origins), None)
    if first is None or Origin(run.function, at) in first.origins:  # computed from those before, as in decoding
        return found
    own = growth.grown(run, "container", path, run.env.get(path, UNKNOWN), first, joined, at)
    return replace(found, origins=found.origins | own) if own else found


def _listed_after(run: "Run", target: Expression, items: Display, found: Value, at: int) -> Value:
    """``losses = losses + [loss]``: another list, with all that was in the one before."""
    path = dotted(target) or ""
    added = evaluate.value_of(items, run)
    own = growth.grown(run, "container", path, run.env.get(path, UNKNOWN), added, items, at)
    return Value("container", origins=found.origins | own, memory=found.memory)


def _each_added_to(run: "Run", target: Display, value: Display, found: Value) -> Value:
    """``one, two = one + first, two + second``."""
    pairs = list(zip(target.items, value.items, found.items or (), strict=False))
    if len(pairs) != len(target.items) or len(pairs) != len(found.items or ()):
        return found
    return replace(found, items=tuple(added_to(run, *pair, pair[1].at) for pair in pairs))


def _summand(run: "Run", path: str, expression: Expression) -> Value | None:
    """What is added in ``total = total + loss``: of the sum nobody knows whether it still is the number it began as.

    Of arithmetic that is the first operand with a graph, with what all go into.
    """
    if growth.is_item_of(path, expression):
        return None
    if isinstance(expression, Operation):
        found = [known for each in expression.operands if (known := _summand(run, path, each)) is not None]
        graphs = [known for known in found if known.origins]
        first = next((known for known in graphs if known.is_tensor), next(iter(graphs), None))
        return replace(first, origins=together(known.origins for known in found)) if first is not None else None
    event = run.flow.calls.get(expression.at)
    if event is not None:
        return event.result
    if growth.spelt_item(expression) is not None:
        return evaluate.value_of(expression, run)
    name = dotted(expression) or ""
    return run.env.get(name) if name != path else None


def rebound_by_others(function: FunctionNode) -> frozenset[str]:
    """The function's variables that functions nested in it, or the module's functions, assign."""
    shared = [f.facts.shared for f in function.module.functions if f is not function and f.facts.shared]
    return frozenset().union(*shared)
