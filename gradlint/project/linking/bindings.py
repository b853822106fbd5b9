"""What variables and attributes are assigned, wherever that happens."""

from collections import defaultdict
from collections.abc import Iterator

from gradlint.model.code import Assign, Attribute, Call, Display, Expression, For, Name, NamedAssignment, With, dotted
from gradlint.model.traverse import expressions, pairs, statements, within
from gradlint.project.linking.link import Linker
from gradlint.project.linking.nodes import ClassNode, FunctionNode
from gradlint.project.linking.registered import Registered
from gradlint.project.linking.scope import assigned

_LONGEST_CHAIN = 20  # imports of imports


class Bindings:
    """Assigned expressions by dotted name, per function and per class; computed when first asked for."""

    def __init__(self, linker: Linker) -> None:
        self.linker = linker
        self.registered = Registered(linker)
        self._assigned: dict[FunctionNode, dict[str, list[Expression]]] = {}
        self._attributes: dict[ClassNode, dict[str, list[tuple[FunctionNode, Expression]]]] = {}
        self._unpacked: dict[FunctionNode, frozenset[str]] = {}
        linker.dependencies.remember(self)

    def forget(self, changed: int) -> None:
        """Forget the assignments in modules that have changed: they depend on nothing else."""
        self._assigned = {f: known for f, known in self._assigned.items() if not f.module.bit & changed}
        self._attributes = {cls: known for cls, known in self._attributes.items() if not cls.module.bit & changed}
        self._unpacked = {f: known for f, known in self._unpacked.items() if not f.module.bit & changed}

    def assigned(self, function: FunctionNode) -> dict[str, list[Expression]]:
        """The plain assignments of a function: ``x = value`` and ``self.x = value``, by target."""
        if function not in self._assigned:
            self._assigned[function] = _assignments(function)
        return self._assigned[function]

    def values(self, scope: FunctionNode, name: str, depth: int = 0) -> list[tuple[FunctionNode, Expression]]:
        """All expressions a dotted name is assigned, with the function each stands in.

        ``self.x`` is looked up in all methods of the class and its bases, a bare name in the enclosing scopes and
        in the file it is imported from.
        """
        if name.startswith("self.") and (cls := owner_class(scope)) is not None:
            return self.attribute(cls, name.removeprefix("self."))
        first = name.partition(".")[0]
        function: FunctionNode | None = scope
        while function is not None:
            found = self.assigned(function).get(name)
            if found:
                return [(function, value) for value in found]
            if first in function.facts.local:
                return self._imported(function, name, depth)
            function = function.parent
        return []

    def kept_by_constructor(self, function: FunctionNode, path: str) -> tuple[FunctionNode, Expression] | None:
        """The constructor that puts something into an attribute of ``self``, and what; None where others do, too."""
        found = on_self(function, path)
        made = self.attribute(*found) if found is not None else []
        return made[0] if len(made) == 1 and made[0][0].facts.name == "__init__" else None

    def _imported(self, scope: FunctionNode, name: str, depth: int) -> list[tuple[FunctionNode, Expression]]:
        """``from config import name`` and ``import config; config.name``: what that file assigns it."""
        first, _, rest = name.partition(".")
        for found in scope.facts.imports if depth < _LONGEST_CHAIN else ():
            if found.binding == first:
                source = self.linker.source(scope.module, found)
                wanted = name.replace(first, found.name, 1) if found.name is not None else rest
                return self.values(source.body, wanted, depth + 1) if source is not None and wanted else []
        return []

    def attribute(self, cls: ClassNode, name: str) -> list[tuple[FunctionNode, Expression]]:
        """All expressions assigned to an attribute of a class's instances."""
        found: list[tuple[FunctionNode, Expression]] = []
        for ancestor in self.family(cls):
            found.extend(self._own_attributes(ancestor).get(name, ()))
        return found

    def family(self, cls: ClassNode) -> Iterator[ClassNode]:
        """A class and those of the project that it derives from."""
        return (ancestor for ancestor in self.linker.ancestors(cls) if isinstance(ancestor, ClassNode))

    def unpacking(self, cls: ClassNode, name: str) -> list[FunctionNode]:
        """The constructors in which an attribute is one of several that a value is unpacked into."""
        inits = (ancestor.method("__init__") for ancestor in self.family(cls))
        return [init for init in inits if init is not None and name in self._own_unpacked(init)]

    def _own_unpacked(self, constructor: FunctionNode) -> frozenset[str]:
        if constructor not in self._unpacked:
            self._unpacked[constructor] = frozenset(_unpacked_into_self(constructor))
        return self._unpacked[constructor]

    def _own_attributes(self, cls: ClassNode) -> dict[str, list[tuple[FunctionNode, Expression]]]:
        if cls not in self._attributes:
            found: dict[str, list[tuple[FunctionNode, Expression]]] = defaultdict(list)
            for method in cls.methods:
                for name, values in self.assigned(method).items():
                    if name.startswith("self."):
                        found[name.removeprefix("self.")].extend((method, value) for value in values)
            body = cls.module.functions[cls.facts.parent]
            for statement in cls.facts.body:
                if isinstance(statement, Assign):
                    for target in statement.targets:
                        if isinstance(target, Name):
                            found[target.id].append((body, statement.value))
            self._attributes[cls] = found
        return self._attributes[cls]


def owner_class(function: FunctionNode) -> ClassNode | None:
    """The class whose ``self`` a function sees: its own, or that of the method it is nested in."""
    scope: FunctionNode | None = function
    while scope is not None:
        if scope.owner is not None:
            return scope.owner
        scope = scope.parent
    return None


def on_self(function: FunctionNode, name: str) -> tuple[ClassNode, str] | None:
    """The class and the attribute that a name is about, if it is ``self.attribute`` in a method."""
    owner, _, attribute = name.rpartition(".")
    cls = owner_class(function) if owner == "self" else None
    return (cls, attribute) if cls is not None else None


def class_handed(function: FunctionNode) -> ClassNode | None:
    """The class that ``cls`` is, or one it derives from, in a class method or a function nested in one.

    None where the name is given something else.
    """
    scope: FunctionNode | None = function
    while scope is not None and scope.owner is None and "cls" not in scope.facts.local:
        scope = scope.parent
    if scope is None or not scope.facts.parameters or scope.facts.parameters[0].name != "cls":
        return None
    return None if any(name == "cls" for name, _ in assigned(scope)) else scope.owner


def _unpacked_into_self(function: FunctionNode) -> Iterator[str]:
    """``encoder`` and ``head`` of ``self.encoder, self.head = self.build()``."""
    for statement in statements(function.facts.body):
        match statement:
            case Assign(targets=(Display(items=items),), value=Call()):
                for item in items:
                    if isinstance(item, Attribute) and dotted(item.value) == "self":
                        yield item.name
            case _:
                pass


def _assignments(function: FunctionNode) -> dict[str, list[Expression]]:
    found: dict[str, list[Expression]] = defaultdict(list)
    for statement in statements(function.facts.body):
        match statement:
            case Assign(targets=targets, value=value):
                for target in targets:
                    for bound, given in pairs(target, value):
                        found[bound].append(given)
            case With(items=items):
                for item in items:
                    if item.target is not None and (name := dotted(item.target)):
                        found[name].append(item.context)
            case For():
                pass
            case _:
                for outer in expressions(statement):
                    for inner in within(outer):
                        if isinstance(inner, NamedAssignment) and isinstance(inner.target, Name):
                            found[inner.target.id].append(inner.value)
    return found
