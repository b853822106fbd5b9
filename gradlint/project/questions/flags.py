"""Where code sets, reads or passes something that is nearly called ``requires_grad``."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Literal

from gradlint.model.code import (
    Assign,
    Attribute,
    Augment,
    Call,
    Constant,
    Display,
    Expression,
    Name,
    dotted,
)
from gradlint.model.record import answer
from gradlint.model.spelling import distance
from gradlint.model.torch_calls import FACTORIES, PARAMETER_LISTS, WRAPPED_TENSORS
from gradlint.model.traverse import all_expressions, all_of, statements
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.modes import Modes
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Whole
from gradlint.project.linking.nodes import ClassNode, FunctionNode
from gradlint.project.linking.scope import imports_torch
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import UNKNOWN, Kind, Value

FlagUse = Literal["stored", "read", "called", "keyword", "setattr"]

_FLAG, _METHOD = "requires_grad", "requires_grad_"
_HEAD, _FURTHEST = "requires", 2
_TAIL = re.compile(r"(gradients?|grads?|gradd|gard|grda|grd|gad|gra)$")
_TENSORS: tuple[Kind, ...] = ("tensor", "parameters")
# What such an object holds are settings of the program's own.
_SETTINGS = re.compile(r"(args?|opts?|options?|flags|cfg|conf|config\w*|h?params|settings|kwargs)$", re.I)
_METHODS = frozenset({"new_tensor", "new_zeros", "new_ones", "new_full", "new_empty", _METHOD})
_TAKING = FACTORIES | WRAPPED_TENSORS


@answer
class Misspelling:
    """A use of a name that should be ``requires_grad`` or ``requires_grad_``.

    ``name_at`` is the place of the name itself, ``owner`` what kind of value it is used on.
    """

    use: FlagUse
    at: int
    name_at: int
    name: str
    meant: str
    owner: Kind


@cache
def is_near_miss(name: str) -> bool:
    """Whether a name looks like ``requires_grad`` or ``requires_grad_`` and is neither."""
    if name in (_FLAG, _METHOD) or name[:1] not in ("r", "R") or name.isupper():
        return False
    letters = name.replace("_", "").lower()
    tail = _TAIL.search(letters)
    return tail is not None and distance(letters[: tail.start()], _HEAD) <= _FURTHEST


class Flags:
    """Finds misspelt flags. What the project itself defines or reads under such a name is its business."""

    def __init__(self, linker: Linker, modes: Modes, calls: CallGraph, flows: Flows) -> None:
        self._linker = linker
        self._modes = modes
        self._calls = calls
        self._flows = flows
        dependencies = linker.dependencies
        self._taking: Whole[frozenset[str]] = Whole(dependencies, "taking flags", self._find_taking)
        self._readers: Whole[dict[str, list[str]]] = Whole(dependencies, "readers of flags", self._find_readers)
        self._stored: Whole[frozenset[str]] = Whole(dependencies, "stored flags", self._find_stored)
        self._kept: Whole[frozenset[str]] = Whole(dependencies, "kept flags", self._find_kept)
        self._defined: Whole[frozenset[str]] = Whole(dependencies, "defined flags", self._find_defined)

    def misspelt(self, function: FunctionNode) -> Iterator[Misspelling]:
        """The misspelt flags in a function."""
        words = function.facts.words
        if any(map(is_near_miss, words)) or _METHOD in words:
            yield from self._attributes(function)
        if not words.isdisjoint(self._taking.value):
            yield from self._keywords(function)
        if "setattr" in words:
            yield from self._set_by_name(function)

    # Attributes

    def _attributes(self, function: FunctionNode) -> Iterator[Misspelling]:
        stored = dict(_stored(function))
        called = {e.function.at for e in all_of(Call, function.facts.body)}
        for expression in all_of(Attribute, function.facts.body):
            name, at = expression.name, expression.at
            use: FlagUse = "stored" if at in stored else "called" if at in called else "read"
            if not is_near_miss(name) and not (use == "stored" and name == _METHOD):
                continue
            event = self._flows.flow(function).attributes.get((at, use == "stored"))
            owner = event.owner if event is not None else UNKNOWN
            if self._is_wrong(function, use, owner, name, stored.get(at)):
                meant = _METHOD if use == "called" else _FLAG
                yield Misspelling(use, at, expression.name_at, name, meant, owner.kind)

    def _is_wrong(
        self, function: FunctionNode, use: FlagUse, owner: Value, name: str, value: Expression | None
    ) -> bool:
        match use:
            case "read":
                return owner.kind in _TENSORS and name not in self._stored.value | self._defined.value
            case "called":
                is_module = owner.kind == "module" and name.endswith("_")
                return (owner.kind in _TENSORS or is_module) and name not in self._defined.value
            case _:
                return self._is_lost(function, owner, name, value)

    def _is_lost(self, function: FunctionNode, owner: Value, name: str, value: Expression | None) -> bool:
        """Whether nobody will look at an attribute that is set."""
        readers = () if name == _METHOD else self._readers.value.get(name, ())
        if owner.kind in _TENSORS:
            return not any(not _SETTINGS.search(reader) for reader in readers)
        if readers or name in self._defined.value or not _is_bool(value):
            return False
        if owner.kind in ("module", "self"):
            return owner.kind == "module" or self._is_module(owner)
        return owner.kind == "unknown" and name not in self._kept.value and _is_about_torch(function)

    def _is_module(self, owner: Value) -> bool:
        return isinstance(owner.target, ClassNode) and self._calls.modules.is_module_class(owner.target)

    # Keywords and setattr

    def _find_taking(self) -> frozenset[str]:
        """The names of what takes the flag, renaming imports included."""
        names = {name.rpartition(".")[2] for name in _TAKING} | _METHODS
        functions = (function for module in self._linker.modules for function in module.functions)
        imports = (found for function in functions for found in function.facts.imports)
        return frozenset(names | {found.binding for found in imports if found.name in names})

    def _keywords(self, function: FunctionNode) -> Iterator[Misspelling]:
        for call in all_of(Call, function.facts.body):
            for name, at in _keywords(call):
                is_wrong = is_near_miss(name) or name == _METHOD
                if is_wrong and self._takes_flag(function, call.function):
                    yield Misspelling("keyword", at, at, name, _FLAG, "unknown")

    def _takes_flag(self, function: FunctionNode, called: Expression) -> bool:
        """Whether what is called is a torch function or tensor method that takes ``requires_grad``."""
        if (name := self._modes.full_name(function, called)) is not None:
            return name in _TAKING
        if not isinstance(called, Attribute) or called.name not in _METHODS:
            return False
        return called.name not in self._linker.methods_named

    def _set_by_name(self, function: FunctionNode) -> Iterator[Misspelling]:
        texts = {_text(expression) for expression in all_expressions(function.facts.body)}
        if not any(is_near_miss(text) or text == _METHOD for text in texts):
            return
        for event in self._flows.flow(function).calls.values():
            if event.name != "setattr" or len(event.arguments) != 3:
                continue
            owner, named, value = event.arguments
            name = _text(named.expression)
            is_wrong = is_near_miss(name) or name == _METHOD
            if is_wrong and self._is_lost(function, owner.value, name, value.expression):
                yield Misspelling("setattr", event.at, named.expression.at, name, _FLAG, owner.value.kind)

    # What the project does with such names

    def _near(self) -> list[FunctionNode]:
        """The functions that use such a name."""
        return [
            function
            for module in self._linker.modules
            for function in module.functions
            if any(map(is_near_miss, function.facts.words))
        ]

    def _find_readers(self) -> dict[str, list[str]]:
        """The objects that attributes so called are read from, as they are spelt."""
        found: dict[str, list[str]] = {}
        for function in self._near():
            stored = dict(_stored(function))
            for e in all_of(Attribute, function.facts.body):
                if is_near_miss(e.name) and e.at not in stored:
                    found.setdefault(e.name, []).append(dotted(e.value) or "")
        for name in self._looked_for():
            found.setdefault(name, []).append("")
        return found

    def _looked_for(self) -> set[str]:
        """Such names in ``getattr(x, "...")`` and ``hasattr``."""
        return {
            name
            for module in self._linker.modules
            for function in module.functions
            if not function.facts.words.isdisjoint(("getattr", "hasattr"))
            for call in all_of(Call, function.facts.body)
            if dotted(call.function) in ("getattr", "hasattr")
            for argument in call.arguments[1:2]
            if is_near_miss(name := _text(argument.value))
        }

    def _find_stored(self) -> frozenset[str]:
        return frozenset(
            e.name
            for function in self._near()
            for at, _ in _stored(function)
            for e in all_of(Attribute, function.facts.body)
            if e.at == at
        )

    def _find_kept(self) -> frozenset[str]:
        """The names that an object of the project stores on itself."""
        return frozenset(
            e.name
            for function in self._near()
            for at, _ in _stored(function)
            for e in all_of(Attribute, function.facts.body)
            if e.at == at and dotted(e.value) == "self"
        )

    def _find_defined(self) -> frozenset[str]:
        """The names that a class of the project defines, or that a function takes."""
        modules = self._linker.modules
        names = {p.name for m in modules for f in m.functions for p in f.facts.parameters}
        for cls in (cls for module in modules for cls in module.classes):
            names.update(cls.facts.methods)
            for statement in cls.facts.body:
                if isinstance(statement, Assign):
                    names.update(target.id for target in statement.targets if isinstance(target, Name))
        return frozenset(filter(is_near_miss, names))


def _stored(function: FunctionNode) -> Iterator[tuple[int, Expression | None]]:
    """The places that are assigned to, each with what is assigned if that is one plain value."""
    for statement in statements(function.facts.body):
        match statement:
            case Assign(targets=targets, value=value):
                for target in targets:
                    yield target.at, value
                    if isinstance(target, Display):
                        yield from ((item.at, None) for item in target.items)
            case Augment(target=target):
                yield target.at, None
            case _:
                pass


def _keywords(call: Call) -> Iterator[tuple[str, int]]:
    for argument in call.arguments:
        if argument.keyword is not None and argument.keyword_at is not None:
            yield argument.keyword, argument.keyword_at


def _is_bool(value: Expression | None) -> bool:
    return isinstance(value, Constant) and isinstance(value.value, bool)


def _text(expression: Expression) -> str:
    return expression.value if isinstance(expression, Constant) and isinstance(expression.value, str) else ""


def _is_about_torch(function: FunctionNode) -> bool:
    """Whether a function's file imports torch, or the function goes through parameters of what it is handed."""
    return imports_torch(function) or not PARAMETER_LISTS.isdisjoint(call.method for call in function.facts.calls)
