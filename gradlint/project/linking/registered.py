"""Functions that a decorator of the project puts into a table or a list, from which others take and call them."""

from collections import defaultdict
from collections.abc import Iterator

from gradlint.model.code import Assign, Attribute, Call, Name, Subscript, dotted
from gradlint.model.traverse import all_of, statements
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Table
from gradlint.project.linking.nodes import FunctionNode, ModuleNode
from gradlint.project.linking.scope import decorated_by

_ADDING = frozenset({"append", "add", "insert"})


class Registered:
    """Answers about the tables at the top of modules, by the table's name and the file that makes it."""

    def __init__(self, linker: Linker) -> None:
        self._linker = linker
        self._functions: Table[str, list[FunctionNode]] = Table(
            linker.dependencies, "registered", self._find, lambda found: found
        )

    def functions(self, module: ModuleNode, table: str) -> list[FunctionNode]:
        """The functions that decorators have put into a module's table."""
        return self._functions.get(_key(module, table), [])

    def _find(self) -> dict[str, list[FunctionNode]]:
        found: dict[str, list[FunctionNode]] = defaultdict(list)
        tables: dict[FunctionNode, tuple[str, ...]] = {}
        for module in self._linker.modules:
            for function in module.functions:
                for decorator in decorated_by(function):
                    name = dotted(decorator)
                    made = self._linker.resolve(function.parent or module.body, name) if name is not None else None
                    if isinstance(made, FunctionNode):
                        if made not in tables:
                            tables[made] = tuple(self._filled(made))
                        for key in tables[made]:
                            found[key].append(function)
        return found

    def _filled(self, decorator: FunctionNode) -> Iterator[str]:
        """The tables into which a decorator, or the function that it gives, puts what it is handed."""
        for scope in decorator.module.functions:
            if scope is decorator or scope.parent is decorator:
                given = {parameter.name for parameter in scope.facts.parameters}
                for table in _put_into(scope, given):
                    if (module := self._module_of(scope, table)) is not None:
                        yield _key(module, table)

    def _module_of(self, scope: FunctionNode, table: str) -> ModuleNode | None:
        """The module that makes a table: the decorator's own, or the one that it is imported from."""
        if table in scope.module.body.facts.local:
            imported = (each for each in scope.module.body.facts.imports if each.binding == table)
            source = next((self._linker.source(scope.module, each) for each in imported), None)
            return source or scope.module
        return None


def _put_into(scope: FunctionNode, given: set[str]) -> Iterator[str]:
    """The plain names of what a function stores one of its parameters in."""
    for statement in statements(scope.facts.body):
        match statement:
            case Assign(targets=(Subscript(value=Name(id=table)),), value=Name(id=name)) if name in given:
                yield table
            case _:
                pass
    for call in all_of(Call, scope.facts.body):
        match call:
            case Call(function=Attribute(value=Name(id=table), name=method), arguments=arguments) if method in _ADDING:
                if any(dotted(argument.value) in given for argument in arguments):
                    yield table
            case _:
                pass


def _key(module: ModuleNode, table: str) -> str:
    return f"{module.path}:{table}"
