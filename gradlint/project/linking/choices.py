"""Which of several functions is called: ``search = self.beam if wide else self.greedy``, ``TASKS[name](x)``."""

from collections.abc import Iterable, Iterator

from gradlint.model.code import (
    Attribute,
    Call,
    Comprehension,
    Conditional,
    Constant,
    Display,
    Expression,
    Iteration,
    Name,
    Operation,
    Subscript,
    dotted,
)
from gradlint.project.linking.bindings import Bindings
from gradlint.project.linking.nodes import ClassNode, FunctionNode
from gradlint.project.linking.returns import returned

Choice = tuple[FunctionNode, str]  # a dotted name, and the function it is looked up in


def chosen_by_name(
    bindings: Bindings, function: FunctionNode, name: str, gone_over: Iterable[Expression]
) -> Iterator[Choice]:
    """The names that a variable or attribute is assigned, or that are in the tables its loops go over."""
    values = bindings.values(function, name)
    for where, value in values:
        yield from _names(bindings, where, value)
    if not values and all(p.name != name for p in function.facts.parameters):
        for table in gone_over:
            yield from _items(bindings, function, table)


def chosen_by_attribute(bindings: Bindings, cls: ClassNode, name: str) -> Iterator[Choice]:
    """The names that an attribute of an object is assigned by the object's own methods."""
    for where, value in bindings.attribute(cls, name):
        yield from _names(bindings, where, value)


def chosen_by_key(bindings: Bindings, function: FunctionNode, call: Expression | None) -> Iterator[Choice]:
    """The names that a call takes one of out of a table, which it looks up in place."""
    if isinstance(call, Call) and isinstance(call.function, Subscript):
        yield from _items(bindings, function, call.function.value)


def _names(bindings: Bindings, where: FunctionNode, value: Expression) -> Iterator[Choice]:
    match value:
        case Conditional(then=then, otherwise=otherwise):
            yield from _names(bindings, where, then)
            yield from _names(bindings, where, otherwise)
        case Operation(operator="or", operands=operands):
            for operand in operands:
                yield from _names(bindings, where, operand)
        case Subscript(value=table) | Call(function=Attribute(value=table, name="get")):
            yield from _items(bindings, where, table)
        case _ if (path := looked_up(value)) is not None:
            yield where, path
        case Call(function=called) if (factory := dotted(called)) is not None:
            yield from _made_by(bindings, where, factory)
        case _ if (name := dotted(value)) is not None:
            yield where, name
        case _:
            pass


def _made_by(bindings: Bindings, where: FunctionNode, name: str) -> Iterator[Choice]:
    """The functions that a factory defines and gives: ``step = make_step(model)``."""
    factory = bindings.linker.resolve(where, name)
    if not isinstance(factory, FunctionNode):
        return
    for given in map(dotted, returned(factory)):
        made = bindings.linker.resolve(factory, given) if given is not None else None
        if given is not None and isinstance(made, FunctionNode) and made.parent is factory:
            yield factory, given


def looked_up(value: Expression) -> str | None:
    """The attribute that ``getattr(callback, "on_batch")`` asks for."""
    match value:
        case Call(function=Name(id="getattr"), arguments=(owner, name, *_)) if isinstance(name.value, Constant):
            path, attribute = dotted(owner.value), name.value.value
            return f"{path}.{attribute}" if path is not None and isinstance(attribute, str) else None
        case _:
            return None


def _items(
    bindings: Bindings, where: FunctionNode, table: Expression, around: tuple[Expression, ...] = ()
) -> Iterator[Choice]:
    """The names in a display, or in what goes over one: ``{cls.name: cls for cls in (A, B)}``; it may have a name.

    ``around`` are the tables that this one is a part of: ``fns = [f for f in fns if f.wanted]`` goes over itself.
    """
    match table:
        case Display(items=items):
            yield from ((where, name) for item in items if (name := dotted(item)) is not None)
        case Comprehension(element=Name(id=each), loops=(Iteration(target=Name(id=target), iterable=gone_over),)):
            yield from _items(bindings, where, gone_over, (*around, table)) if each == target else ()
        case _ if (name := dotted(table)) is not None:
            for place, value in bindings.values(where, name):
                if isinstance(value, Display | Comprehension) and not any(value is each for each in around):
                    yield from _items(bindings, place, value, around)
                if place.is_module_body:
                    registered = bindings.registered.functions(place.module, name.rpartition(".")[2])
                    yield from ((each.parent or each.module.body, each.facts.name) for each in registered)
        case _:
            pass
