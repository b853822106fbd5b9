"""What both readers of syntax share: scopes, numbers, and the facts that come of them.

A reader walks a tree and lowers it to :mod:`gradlint.model.code`. Every node is numbered as it is met; nothing
else about its position is kept (see :mod:`gradlint.model.locate`).
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

from gradlint.model.code import (
    Argument,
    Attribute,
    Block,
    Call,
    Constant,
    Display,
    Evaluate,
    Expression,
    ImportName,
    Name,
    Operation,
    Raise,
    Return,
    Statement,
    dotted,
)
from gradlint.model.facts import MODULE_NAME, CallFact, Class, Function, ModuleFacts, Parameter
from gradlint.model.sharing import NUMBERS, shared
from gradlint.model.traverse import pairs, statements

Node = TypeVar("Node")


@dataclass(slots=True)
class Scope:
    """A function whose body is being lowered."""

    index: int
    qualified: str
    is_class: bool = False
    is_generator: bool = False
    local: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)  # declared global or nonlocal
    words: set[str] = field(default_factory=set)
    calls: list[CallFact] = field(default_factory=list)
    imports: list[ImportName] = field(default_factory=list)


class Extraction(Generic[Node]):
    """One walk over one module. ``nodes`` holds the syntax nodes by number until the walk is over."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.nodes: list[Node] = []
        self._functions: dict[int, Function] = {}
        self._classes: dict[int, Class] = {}
        self._methods: defaultdict[int, dict[str, int]] = defaultdict(dict)
        self._function_numbers = count()
        self._class_numbers = count()
        self._renamed: dict[tuple[str, str], None] = {}
        self.scope = Scope(next(self._function_numbers), "")
        self._owner: int | None = None

    def number(self, node: Node) -> int:
        """The node's number in this module."""
        at = NUMBERS[len(self.nodes)]
        self.nodes.append(node)
        return at

    def module(self, at: int, body: Block) -> ModuleFacts:
        """The facts of the whole module, whose body has been lowered."""
        self._finish(self.scope, MODULE_NAME, at, at, None, None, (), (), body)
        functions = tuple(self._functions[index] for index in sorted(self._functions))
        classes = tuple(self._classes[index] for index in sorted(self._classes))
        return ModuleFacts(self.path, functions, classes, "__name__" in self.scope.words, tuple(self._renamed))

    def bind(self, target: Expression) -> None:
        """Note the names that an assignment target binds in the current scope."""
        match target:
            case Name(id=name):
                self.scope.local.add(name)
            case Display(items=items) | Operation(operands=items):
                for item in items:
                    self.bind(item)
            case _:
                pass

    def assign(self, target: Expression, value: Expression) -> None:
        """Bind a target to a value, which may be something that goes by another name."""
        self.bind(target)
        if isinstance(target, Display):
            for name, given in pairs(target, value):
                self._rename(dotted(given), name.rpartition(".")[2])
        elif isinstance(value, Name | Attribute) and isinstance(target, Name | Attribute):
            self._rename(dotted(value), target.id if isinstance(target, Name) else target.name)

    def _rename(self, name: str | None, new: str) -> None:
        last = (name or new).rpartition(".")[2]
        if last != new:
            self._renamed[shared(last), shared(new)] = None

    def note_call(self, at: int, function: Expression, arguments: tuple[Argument, ...]) -> None:
        """Note a call for the linker."""
        handed = tuple(
            shared(name)
            for argument in arguments
            if isinstance(argument.value, Name | Attribute) and (name := dotted(argument.value)) is not None
        )
        match function:
            case Attribute(name=method) | Name(id=method):
                pass
            case _:
                method = ""
        self.scope.calls.append(CallFact(at, shared(_callee(function)), method, shared(handed)))

    def note_import(self, found: ImportName) -> ImportName:
        """Note an import for the linker."""
        scope = self.scope
        scope.imports.append(found)
        self._rename(found.name, found.binding)
        if found.binding != "*":
            scope.local.add(found.binding)
        scope.words.add(found.module.rpartition(".")[2])
        scope.words.add(found.name or "")
        return found

    def note_loading(self, at: int, module: str) -> None:
        """Note that ``import a.b`` loads ``a.b`` too, though it binds only ``a``."""
        self.scope.imports.append(ImportName(at, "", module, None, 0))

    def define_function(
        self,
        name: str,
        at: int,
        keyword_at: int,
        parameters: tuple[Parameter, ...],
        decorators: tuple[Expression, ...],
        body: Callable[[], Block],
        *,
        is_async: bool = False,
    ) -> int:
        """Lower a nested function; its number among the module's functions."""
        outer, owner = self._enter(name, parameters)
        block = body()
        inner = self._leave(outer, owner)
        self._finish(inner, name, at, keyword_at, outer.index, owner, parameters, decorators, block, is_async=is_async)
        return inner.index

    def define_lambda(self, at: int, parameters: tuple[Parameter, ...], body: Callable[[], Expression]) -> int:
        """Lower a lambda as a function that returns its body."""
        outer, owner = self._enter("<lambda>", parameters)
        value = body()
        inner = self._leave(outer, owner)
        block: Block = (Return(value.at, value),)
        self._finish(inner, "<lambda>", at, at, outer.index, None, parameters, (), block, is_lambda=True)
        return inner.index

    def define_class(
        self,
        name: str,
        at: int,
        bases: tuple[Expression, ...],
        decorators: tuple[Expression, ...],
        body: Callable[[], Block],
    ) -> tuple[int, Block]:
        """Lower a class: its number among the module's classes, and the statements of its body."""
        index, qualified = next(self._class_numbers), self.qualify(name)
        outer, owner = self.scope, self._owner
        # A class body runs in the enclosing function but binds names of its own.
        self.scope = Scope(outer.index, qualified, True, words=outer.words, calls=outer.calls, imports=outer.imports)
        self._owner = index
        block = body()
        self._leave(outer, owner)
        methods = self._methods.pop(index, {})
        self._classes[index] = Class(index, name, qualified, at, outer.index, bases, decorators, methods, block)
        return index, block

    def qualify(self, name: str) -> str:
        """The dotted name of something defined here, as Python's ``__qualname__`` less ``<locals>``."""
        return f"{self.scope.qualified}.{name}" if self.scope.qualified else name

    def _enter(self, name: str, parameters: tuple[Parameter, ...]) -> tuple[Scope, int | None]:
        """Begin a function's scope; what to give to :meth:`_leave`."""
        outer = self.scope, self._owner
        self.scope = Scope(next(self._function_numbers), self.qualify(name))
        self._owner = None
        self.scope.local.update(parameter.name for parameter in parameters)
        return outer

    def _leave(self, outer: Scope, owner: int | None) -> Scope:
        inner, self.scope, self._owner = self.scope, outer, owner
        return inner

    def _finish(
        self,
        scope: Scope,
        name: str,
        at: int,
        keyword_at: int,
        parent: int | None,
        owner: int | None,
        parameters: tuple[Parameter, ...],
        decorators: tuple[Expression, ...],
        body: Block,
        *,
        is_async: bool = False,
        is_lambda: bool = False,
    ) -> None:
        if owner is not None:
            self._methods[owner][name] = scope.index
        self._functions[scope.index] = Function(
            index=scope.index,
            name=name,
            qualified=scope.qualified or MODULE_NAME,
            at=at,
            keyword_at=keyword_at,
            parent=parent,
            owner=owner,
            parameters=parameters,
            decorators=decorators,
            body=body,
            is_async=is_async,
            is_generator=scope.is_generator,
            is_lambda=is_lambda,
            gives_back=scope.is_generator or is_lambda or any(map(_gives, statements(body))),
            is_stub=all(map(_says_nothing, body)),
            local=shared(frozenset(scope.local - scope.shared)),
            shared=shared(frozenset(scope.shared)),
            words=shared(frozenset(scope.words)),
            calls=tuple(scope.calls),
            imports=tuple(scope.imports),
        )


def _gives(statement: Statement) -> bool:
    return isinstance(statement, Return) and statement.value is not None


def _says_nothing(statement: Statement) -> bool:
    return isinstance(statement, Raise) or (isinstance(statement, Evaluate) and isinstance(statement.value, Constant))


def _callee(function: Expression) -> str:
    match function:
        case Attribute(value=Call(function=Name(id="super")), name=method):
            return f"super().{method}"
        case _:
            return dotted(function) or ""
