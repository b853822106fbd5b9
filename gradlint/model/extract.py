"""From source text to facts: parse once with LibCST, walk once, keep no tree.

The walk follows the fields that carry meaning and skips all that carries layout, which makes it some forty
times cheaper than a LibCST visitor. Every node is numbered as it is met; nothing else about its position is
kept (see :mod:`gradlint.model.locate`).
"""

from dataclasses import dataclass, field
from itertools import count

import libcst as cst

from gradlint.model import statements
from gradlint.model.code import (
    Argument,
    Attribute,
    Block,
    Call,
    Display,
    Expression,
    ImportName,
    Name,
    Operation,
    Return,
    dotted,
)
from gradlint.model.depth import refuse_too_deep
from gradlint.model.expressions import lower
from gradlint.model.facts import MODULE_NAME, CallFact, Class, Function, ModuleFacts, Parameter
from gradlint.model.syntax import explained
from gradlint.source import Source, SourceError


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


class Extraction:
    """One walk over one module. ``nodes`` holds the syntax nodes by number until the walk is over."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.nodes: list[cst.CSTNode] = []
        self.functions: dict[int, Function] = {}
        self.classes: dict[int, Class] = {}
        self._function_numbers = count()
        self._class_numbers = count()
        self.scope = Scope(next(self._function_numbers), "")
        self.owner: int | None = None

    def number(self, node: cst.CSTNode) -> int:
        """The node's number in this module."""
        self.nodes.append(node)
        return len(self.nodes) - 1

    def run(self, tree: cst.Module) -> ModuleFacts:
        """The facts of the whole module."""
        at = self.number(tree)
        body = statements.block(tree.body, self)
        self._finish(self.scope, MODULE_NAME, at, at, None, None, (), (), body)
        functions = tuple(self.functions[index] for index in sorted(self.functions))
        classes = tuple(self.classes[index] for index in sorted(self.classes))
        return ModuleFacts(self.path, functions, classes, "__name__" in self.scope.words)

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

    def note_call(self, at: int, function: Expression, arguments: tuple[Argument, ...]) -> None:
        """Note a call for the linker."""
        handed = tuple(
            name
            for argument in arguments
            if isinstance(argument.value, Name | Attribute) and (name := dotted(argument.value)) is not None
        )
        self.scope.calls.append(CallFact(at, _callee(function), handed))

    def define_function(self, node: cst.FunctionDef) -> tuple[int, int]:
        """Lower a nested function; its number among the module's functions, and its place."""
        keyword_at = self.number(node)
        at = self.number(node.name)
        decorators = tuple(lower(decorator.decorator, self) for decorator in node.decorators)
        parameters = self._parameters(node.params)
        name = node.name.value
        outer, owner = self.scope, self.owner
        self.scope = Scope(next(self._function_numbers), self.qualify(name))
        self.owner = None
        self.scope.local.update(parameter.name for parameter in parameters)
        body = statements.block(node.body.body, self)
        inner, self.scope, self.owner = self.scope, outer, owner
        is_async = node.asynchronous is not None
        self._finish(inner, name, at, keyword_at, outer.index, owner, parameters, decorators, body, is_async=is_async)
        return inner.index, at

    def define_lambda(self, node: cst.Lambda) -> int:
        """Lower a lambda as a function that returns its body."""
        at = len(self.nodes) - 1
        parameters = self._parameters(node.params)
        outer, owner = self.scope, self.owner
        self.scope = Scope(next(self._function_numbers), self.qualify("<lambda>"))
        self.owner = None
        self.scope.local.update(parameter.name for parameter in parameters)
        value = lower(node.body, self)
        inner, self.scope, self.owner = self.scope, outer, owner
        body: Block = (Return(value.at, value),)
        self._finish(inner, "<lambda>", at, at, outer.index, None, parameters, (), body, is_lambda=True)
        return inner.index

    def define_class(self, node: cst.ClassDef) -> tuple[int, int, Block]:
        """Lower a class: its number, its place, and the statements of its body."""
        at = self.number(node.name)
        decorators = tuple(lower(decorator.decorator, self) for decorator in node.decorators)
        bases = tuple(lower(base.value, self) for base in node.bases)
        index, qualified = next(self._class_numbers), self.qualify(node.name.value)
        outer, owner = self.scope, self.owner
        # A class body runs in the enclosing function but binds names of its own.
        self.scope = Scope(outer.index, qualified, True, words=outer.words, calls=outer.calls, imports=outer.imports)
        self.owner = index
        body = statements.block(node.body.body, self)
        self.scope, self.owner = outer, owner
        methods = {f.name: f.index for f in self.functions.values() if f.owner == index}
        self.classes[index] = Class(
            index, node.name.value, qualified, at, outer.index, bases, decorators, methods, body
        )
        return index, at, body

    def qualify(self, name: str) -> str:
        """The dotted name of something defined here, as Python's ``__qualname__`` less ``<locals>``."""
        return f"{self.scope.qualified}.{name}" if self.scope.qualified else name

    def _parameters(self, node: cst.Parameters) -> tuple[Parameter, ...]:
        found = [self._parameter(p, "positional") for p in (*node.posonly_params, *node.params)]
        if isinstance(node.star_arg, cst.Param):
            found.append(self._parameter(node.star_arg, "args"))
        found.extend(self._parameter(p, "keyword") for p in node.kwonly_params)
        if node.star_kwarg is not None:
            found.append(self._parameter(node.star_kwarg, "kwargs"))
        return tuple(found)

    def _parameter(self, node: cst.Param, kind: str) -> Parameter:
        default = lower(node.default, self) if node.default is not None else None
        annotation = lower(node.annotation.annotation, self) if node.annotation is not None else None
        return Parameter(node.name.value, kind, default, annotation)

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
        self.functions[scope.index] = Function(
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
            local=frozenset(scope.local - scope.shared),
            shared=frozenset(scope.shared),
            words=frozenset(scope.words),
            calls=tuple(scope.calls),
            imports=tuple(scope.imports),
        )


def _callee(function: Expression) -> str:
    match function:
        case Attribute(value=Call(function=Name(id="super")), name=method):
            return f"super().{method}"
        case _:
            return dotted(function) or ""


def parse(source: Source) -> cst.Module:
    """The module's syntax tree.

    Raises:
        SourceError: when the text is not valid Python, or nested too deeply to be parsed.
    """
    refuse_too_deep(source)
    try:
        return cst.parse_module(source.text)
    except cst.ParserSyntaxError as error:
        raise explained(source, error) from error
    except RecursionError as error:
        raise SourceError(source.path, "nested too deeply to be parsed") from error


def walk(source: Source) -> tuple[ModuleFacts, list[cst.CSTNode], cst.Module]:
    """Facts, nodes by number and tree of a module.

    Raises:
        SourceError: when the text cannot be parsed, or is nested too deeply to be followed.
    """
    tree = parse(source)
    extraction = Extraction(source.path)
    try:
        facts = extraction.run(tree)
    except RecursionError as error:
        raise SourceError(source.path, "nested too deeply to be followed") from error
    return facts, extraction.nodes, tree


def extract(source: Source) -> ModuleFacts:
    """The facts of a module.

    Raises:
        SourceError: when the text cannot be parsed, or is nested too deeply to be followed.
    """
    return walk(source)[0]
