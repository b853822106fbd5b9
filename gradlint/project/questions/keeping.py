"""What a function does with the names of what it keeps, as it is written: walks, replaces, detaches, empties."""

from collections.abc import Iterator

from gradlint.model.code import (
    Assign,
    Attribute,
    Augment,
    Call,
    Comprehension,
    Constant,
    Display,
    Expression,
    Name,
    Operation,
    Statement,
    Subscript,
    dotted,
)
from gradlint.model.torch_calls import BACKWARD_METHODS, CONTAINER_METHODS
from gradlint.model.torch_tensors import ADDING_IN_PLACE
from gradlint.model.traverse import all_of, statements, within
from gradlint.project.linking import rounds, scope
from gradlint.project.linking.backwards import backward_names, walked_expressions
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.running.flow import Flow
from gradlint.project.running.growth import adds_to, joined_to, spelt_item
from gradlint.project.running.values import COMPUTED, Value

CONVERTING = frozenset({"item", "detach", "data", "tolist", "numpy", "no_grad", "inference_mode", "detach_"})
_COLLECTING = CONTAINER_METHODS - {"update", "setdefault"} | {"for"} | ADDING_IN_PLACE  # and comprehensions
_DRAWING = frozenset({"sample", "choice", "choices", "randint", "randrange"})
_EMPTY = frozenset({"dict", "OrderedDict", "defaultdict"})


def walked_names(function: FunctionNode, loop: frozenset[int] | None) -> set[str]:
    """The names that ``backward()`` is called on, and the summands of that: ``(loss + penalty).backward()``."""
    found = backward_names(function, loop)
    return found | {name for each in walked_expressions(function, loop) for name in _summands(each)}


def _summands(expression: Expression) -> Iterator[str]:
    """The names that an expression adds up, perhaps weighted by a number that is spelt out."""
    match expression:
        case Operation(operator="+" | "-", operands=operands):
            for operand in operands:
                yield from _summand(operand)
        case Attribute() | Subscript():  # ``loss = outputs.loss``
            yield from _summand(expression)
        case _:
            pass


def _summand(operand: Expression) -> Iterator[str]:
    match operand:
        case Operation(operator="*", operands=(Constant(), weighted) | (weighted, Constant())):
            yield from _summand(weighted)
        case Operation():
            yield from _summands(operand)
        case _:
            if (name := dotted(operand) or spelt_item(operand)) is not None:
                yield name


def is_rebound(flow: Flow, loop: frozenset[int] | None, name: str, at: int) -> bool:
    """Whether a name gets what a call gives between ``backward()`` and a place: another value, perhaps a number.

    What is walked itself before that place, or as a part of a sum, is a loss of its own: that of the generator, after
    the discriminator's. What is seen to compute a tensor gives no number: ``spread = out.std()``.
    """
    function = flow.function
    calls = [e for e in all_of(Call, function.facts.body) if loop is None or e.at in loop]
    walks = [call for call in calls if (dotted(call.function) or "").rpartition(".")[2] in BACKWARD_METHODS]
    own = [call.at for call in walks if name in _walked_by(function, call)]
    for statement in statements(function.facts.body):
        if isinstance(statement, Assign) and isinstance(statement.value, Call | Comprehension | Display):
            place = statement.value.at
            if any(place < walk < at for walk in own) or not any(walk.at < place < at for walk in walks):
                continue
            if (event := flow.calls.get(place)) is not None and _has_graph(event.result):
                continue
            found = [value for target in statement.targets for value in assigned_to(target, statement.value, name)]
            if found and (loop is None or place in loop):
                return True
    return False


def _has_graph(value: Value) -> bool:
    return value.kind == "tensor" and bool(value.tensor & COMPUTED)


def _walked_by(function: FunctionNode, walk: Call) -> set[str]:
    """The names of what one ``backward()`` is called on or given, and of what those add up."""
    names = {(dotted(walk.function) or "").rpartition(".")[0], *(dotted(a.value) or "" for a in walk.arguments)}
    given = [value for name, value in scope.assigned(function) if name in names]
    return names | {name for each in given for name in _summands(each)}


def assigned_to(target: Expression, value: Expression, name: str) -> Iterator[Expression]:
    """The expressions that an assignment gives to a name; the whole where it is taken apart."""
    match target, value:
        case Display(items=targets), Display(items=values) if len(targets) == len(values):
            for each, given in zip(targets, values, strict=True):
                yield from assigned_to(each, given, name)
        case Display(items=targets), _:
            if any(dotted(each) == name for each in targets):
                yield target  # nobody knows of which part
        case _ if dotted(target) == name:
            yield value
        case _:
            pass


def is_detached_before(
    function: FunctionNode, loop: frozenset[int] | None, names: set[str], at: int | None = None
) -> bool:
    """Whether one of the names is bound to what it holds without its graph: ``loss = loss.detach()``.

    Below a place that does not matter to it where the name is given something new above it, in each round.
    """
    given = [(name, value) for name, value in scope.assigned(function) if name in names]
    inside = [(name, value) for name, value in given if loop is None or value.at in loop]
    cut_off = [(name, value.at) for name, value in inside if _is_cut_off(value, name)]
    if at is None:
        return bool(cut_off)
    anew = {name for name, value in inside if value.at < at and rounds.in_each_round(function, value.at)}
    return any(place < at or name not in anew for name, place in cut_off)


def _is_cut_off(expression: Expression, name: str) -> bool:
    """Whether it is what a name holds, less its graph: ``loss.data[0]``, ``loss.detach().cpu()``."""
    links: set[str] = set()
    while dotted(expression) != name:
        match expression:
            case Call(function=Attribute() as inner):
                expression = inner
            case Attribute(value=inner, name=link):
                links.add(link)
                expression = inner
            case Subscript(value=inner):
                expression = inner
            case _:
                return False
    return not links.isdisjoint(CONVERTING)


def has_items_replaced(function: FunctionNode, name: str) -> bool:
    """Whether items may be put in the place of others: ``output["loss"] = output["loss"].detach()``."""
    setting = [s for s in statements(function.facts.body) if isinstance(s, Assign) and _sets_item(s, name)]
    if not setting or not _begins_empty(function, name):
        return bool(setting)
    iterables = (loop.iterable for s in setting for loop in rounds.loops_around(function, s.value.at))
    return any(dotted(part) == name for each in (*(s.value for s in setting), *iterables) for part in within(each))


def _sets_item(statement: Assign, name: str) -> bool:
    return any(isinstance(target, Subscript) and dotted(target.value) == name for target in statement.targets)


def _begins_empty(function: FunctionNode, name: str) -> bool:
    """Whether all that a name is ever given is a new container with nothing in it."""
    given = [value for path, value in scope.assigned(function) if path == name]
    return bool(given) and all(map(_is_empty, given))


def _is_empty(value: Expression) -> bool:
    if isinstance(value, Call):
        return (dotted(value.function) or "").rpartition(".")[2] in _EMPTY and not any(a.stars for a in value.arguments)
    return isinstance(value, Display) and not value.items


def is_emptied(function: FunctionNode, path: str) -> bool:
    """Whether a function, or a method beside it, takes out again what is put into a container: a queue."""
    beside = function.owner.methods if function.owner is not None else ()
    names = {f"{path}.{method}" for method in ("get", "get_nowait", "pop", "popleft", "clear")}
    return any(call.callee in names for f in (function, *beside) for call in f.facts.calls)


def is_replayed(function: FunctionNode, path: str) -> bool:
    """Whether what a container holds is drawn from it at random, again and again: the memory of an agent.

    Nobody begins it anew, so what was drawn may be drawn once more, when its graph has been walked and is gone.
    """
    beside = function.owner.methods if function.owner is not None and path.startswith("self.") else (function,)
    drawn = any(_draws_from(call, path) for each in beside for call in all_of(Call, each.facts.body))
    later = (each for each in beside if each.facts.name != "__init__" and each is not function)
    return drawn and not any(name == path for each in later for name, _ in scope.assigned(each))


def _draws_from(call: Call, path: str) -> bool:
    """``random.sample(self.memory, 32)``, ``np.random.choice(len(memory), 32)``."""
    name = (dotted(call.function) or "").rpartition(".")[2]
    return name in _DRAWING and any(dotted(part) == path for each in call.arguments for part in within(each.value))


def adds_to_what_outlives(function: FunctionNode) -> bool:
    """Whether a function spells that it adds to something other than its own variables."""
    if not function.facts.words.isdisjoint(CONTAINER_METHODS | ADDING_IN_PLACE):
        return True
    for statement in statements(function.facts.body):
        targets = statement.targets if isinstance(statement, Assign) else ()
        for target in (statement.target,) if isinstance(statement, Augment) else targets:
            if not isinstance(target, Name) or target.id in function.facts.shared:
                return True
    return False


def collects(function: FunctionNode) -> bool:
    """Whether a function spells that it puts something into a container, or adds something up."""
    if not function.facts.words.isdisjoint(_COLLECTING):
        return True
    return any(isinstance(each, Augment) or _adds_to_itself(each) for each in statements(function.facts.body))


def _adds_to_itself(statement: Statement) -> bool:
    """``total = total + loss``, ``rows = torch.cat((rows, row))``."""
    match statement:
        case Assign(targets=(target,), value=value):
            return adds_to(target, value) is not None or joined_to(target, value) is not None
        case _:
            return False
