"""Names across modules: imports, re-exports, methods through base classes."""

import builtins
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from gradlint.model.code import Assign, Attribute, Call, Expression, ImportName, Name, dotted
from gradlint.model.facts import ModuleFacts
from gradlint.project.linking.files import Files, Numbering
from gradlint.project.linking.memos import Memo, Table
from gradlint.project.linking.mentions import Mentions
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode, ModuleNode, Target
from gradlint.project.linking.views import FEW, View

_BUILTINS = frozenset(dir(builtins))
_LONGEST_CHAIN = 20
_Chain = dict[tuple[ModuleNode, str], tuple[Target | None, int]]


class Linker:
    """Finds what a name means, following imports from file to file.

    ``files`` finds modules by name. ``subclasses`` are all classes that derive from a
    class, directly or not; ``methods_named`` all methods of the project by name; ``mentions`` knows who uses a word.
    """

    def __init__(self, modules: Iterable[ModuleFacts], numbering: Numbering | None = None) -> None:
        self.files = Files(modules, numbering)
        self.modules = self.files.modules
        self.dependencies = self.files.dependencies
        self._namespaces: dict[ModuleNode, dict[str, list[ImportName | FunctionNode | ClassNode | Expression]]] = {}
        self._locals: dict[ModuleNode, list[dict[str, ImportName | FunctionNode | ClassNode]]] = {}
        self._members: View[tuple[ModuleNode, str], Target | None] = View(
            self.dependencies, "members", self._find_member, _itself, meanwhile=(None,), few=FEW
        )
        self._stars: Memo[ModuleNode, tuple[tuple[ImportName, ModuleNode | None], ...]] = Memo(
            self.dependencies, self._find_stars, ()
        )
        self._chain: _Chain | None = None
        self._ancestors: Memo[ClassNode, tuple[ClassNode | External, ...]] = Memo(
            self.dependencies, lambda cls: tuple(dict.fromkeys(self._linearise(cls))), (), "ancestors"
        )
        self.mentions = Mentions(self.dependencies, self.modules)
        self.methods_named: Table[str, list[FunctionNode]] = Table(
            self.dependencies, "methods", self._methods_by_name, lambda found: found
        )
        self.subclasses: Table[ClassNode, list[ClassNode]] = Table(
            self.dependencies, "subclasses", self._subclasses, lambda found: found
        )

    def update(self, modules: Sequence[ModuleFacts]) -> int | None:
        """Go on with these modules: what results may depend on and has changed; None if that is not to be told."""
        change = self.files.change(modules)
        if change is None:
            return None
        if not change.gone and not change.come:
            return 0
        for module in change.gone:
            self._namespaces.pop(module, None)
            self._locals.pop(module, None)
        changed = self.dependencies.update(change)
        for module in change.gone:
            module.functions.clear()  # else they hold one another
            module.classes.clear()
        return changed

    # Modules

    def _relative(self, importer: ModuleNode, found: ImportName) -> ModuleNode | None:
        parts = _relative_parts(importer, found)
        return self.files.submodule(parts) if parts is not None else None

    def source(self, importer: ModuleNode, found: ImportName) -> ModuleNode | None:
        """The project's module that an import statement runs, or imports from."""
        if found.level:
            return self._relative(importer, found)
        if found.name is not None and self.files.is_folder(importer, found.module, found.name):
            return None
        return self.files.named(importer, found.module)

    def imported(self, importer: ModuleNode, found: ImportName, depth: int = 0) -> Target | None:
        """What an import statement binds."""
        source = self.source(importer, found)
        if found.name is None:
            return source or External(found.module)
        if source is not None:
            member = self.member(source, found.name, depth + 1)
            lazy = member is None and not found.level and "__getattr__" in self.namespace(source)
            return External(f"{found.module}.{found.name}") if lazy else member
        if found.level:  # a folder without ``__init__``, perhaps
            parts = _relative_parts(importer, found)
            return self.files.submodule((*parts, found.name)) if parts is not None else None
        whole = self.files.named(importer, f"{found.module}.{found.name}")
        return whole or External(f"{found.module}.{found.name}")

    # Names

    def namespace(self, module: ModuleNode) -> dict[str, list[ImportName | FunctionNode | ClassNode | Expression]]:
        """What a module's top level binds each name to, in order of appearance."""
        if module not in self._namespaces:
            self._namespaces[module] = _namespace(module)
        return self._namespaces[module]

    def member(self, module: ModuleNode, name: str, depth: int = 0) -> Target | None:
        """What ``module.name`` is: something defined there, re-exported there, or a submodule."""
        if depth > _LONGEST_CHAIN:
            return None
        if not depth or self._chain is None:
            return self._members.of((module, name))
        # In the middle of a chain, which may be cut off, or lead back to itself: not the last word.
        known = self._chain.get((module, name))
        if known is None:
            self._chain[module, name] = None, module.bit
            known = self.dependencies.noted(lambda: self._member(module, name, depth), module.bit)
            self._chain[module, name] = known
        self.dependencies.bits |= known[1]
        return known[0]

    def _find_member(self, key: tuple[ModuleNode, str]) -> Target | None:
        chain: _Chain = {key: (None, key[0].bit)}
        outside, self._chain = self._chain, chain
        try:
            return self._member(*key, 0)
        finally:
            self._chain = outside

    def _member(self, module: ModuleNode, name: str, depth: int) -> Target | None:
        outside: Target | None = None
        for bound in self.namespace(module).get(name, ()):
            target = self._bound(module, bound, depth)
            if target is not None and not isinstance(target, External):
                return target
            outside = outside or target
        if outside is None and (submodule := self.files.submodule((*module.parts, name))) is not None:
            return submodule
        return outside or self._starred(module, name, depth)

    def _bound(
        self, module: ModuleNode, bound: ImportName | FunctionNode | ClassNode | Expression, depth: int
    ) -> Target | None:
        if isinstance(bound, FunctionNode | ClassNode):
            return bound
        if isinstance(bound, ImportName):
            return self.imported(module, bound, depth)
        name = dotted(bound)  # an alias: ``run = evaluate``
        return self.resolve(module.body, name, depth + 1) if name else None

    def _starred(self, module: ModuleNode, name: str, depth: int) -> Target | None:
        outside: Target | None = None
        for found, source in self._stars.of(module):
            if source is not None:
                if self._may_have(source, name) and (target := self.member(source, name, depth + 1)) is not None:
                    return target
            elif found.module.partition(".")[0] == "torch":
                outside = External(f"{found.module}.{name}")
        return outside

    def _find_stars(self, module: ModuleNode) -> tuple[tuple[ImportName, ModuleNode | None], ...]:
        """What a module imports all names from, each with the project's module that this means."""
        found = [each for each in self.namespace(module).get("*", ()) if isinstance(each, ImportName)]
        sources = ((each, self.source(module, each)) for each in found)
        return tuple((each, source) for each, source in sources if source is not module)

    def _may_have(self, module: ModuleNode, name: str) -> bool:
        """Whether a module may have a name, told without going on to others."""
        names = self.namespace(module)
        return name in names or "*" in names or module.is_package

    def resolve(self, scope: FunctionNode, name: str, depth: int = 0) -> Target | None:
        """What a dotted name means inside a function; None for a variable or an unknown.

        ``self.method`` is resolved through the class and its bases.
        """
        if depth > _LONGEST_CHAIN:
            return None
        first, *rest = name.split(".")
        target = self._first(scope, first, depth)
        for attribute in rest:
            if target is None:
                return None
            target = self.attribute(target, attribute, depth)
            if isinstance(target, External) and self.files.is_end_of_name(
                target.name
            ):  # behind folders without ``__init__``
                target = self.files.named(scope.module, target.name) or target
        return target

    def attribute(self, target: Target, name: str, depth: int = 0) -> Target | None:
        """What ``target.name`` is."""
        match target:
            case External(name=outer):
                return External(f"{outer}.{name}")
            case ModuleNode():
                return self.member(target, name, depth)
            case ClassNode():
                return self.find_method(target, name)
            case _:
                return None

    def _first(self, scope: FunctionNode, name: str, depth: int) -> Target | None:
        function: FunctionNode | None = scope
        while function is not None and not function.is_module_body:
            if name in function.facts.local:
                return self._local(function, name, depth)
            function = function.parent
        target = self.member(scope.module, name, depth)
        if target is None and name in _BUILTINS and name not in scope.module.body.facts.local:
            return External(f"builtins.{name}")
        return target

    def _local(self, function: FunctionNode, name: str, depth: int) -> Target | None:
        bound = self._bound_in(function).get(name)
        return self.imported(function.module, bound, depth) if isinstance(bound, ImportName) else bound

    def _bound_in(self, function: FunctionNode) -> dict[str, ImportName | FunctionNode | ClassNode]:
        """What a function imports and defines by name; imports count before functions, and those before classes."""
        module = function.module
        if module not in self._locals:
            tables: list[dict[str, ImportName | FunctionNode | ClassNode]] = [
                {found.binding: found for found in reversed(each.facts.imports)} for each in module.functions
            ]
            for nested in module.functions:
                if nested.facts.parent is not None and nested.owner is None:
                    tables[nested.facts.parent].setdefault(nested.facts.name, nested)
            for cls in module.classes:
                tables[cls.facts.parent].setdefault(cls.facts.name, cls)
            self._locals[module] = tables
        return self._locals[module][function.facts.index]

    # Classes

    def ancestors(self, cls: ClassNode) -> tuple[ClassNode | External, ...]:
        """The class and all its bases, nearest first; what lies outside the project by name."""
        return self._ancestors.of(cls)

    def _linearise(self, cls: ClassNode) -> Iterator[ClassNode | External]:
        yield cls
        scope = cls.module.functions[cls.facts.parent]
        for base in cls.facts.bases:
            # ``Base[T]`` is Base; a computed base keeps the name of what computes it.
            spelt = base
            while not isinstance(spelt, Name | Attribute) and (inner := _inner(spelt)) is not None:
                spelt = inner
            name = dotted(spelt)
            target = self.resolve(scope, name) if name else None
            if isinstance(target, ClassNode):
                yield from self.ancestors(target) or (target,)  # a class that is its own base ends here
            elif isinstance(target, External):
                yield target
            else:
                yield External(f"?.{name}")

    def find_method(self, cls: ClassNode, name: str) -> FunctionNode | None:
        """The method an instance of the class has, its own or the nearest base's."""
        for ancestor in self.ancestors(cls):
            if isinstance(ancestor, ClassNode) and (method := ancestor.method(name)) is not None:
                return method
        return None

    def _subclasses(self) -> dict[ClassNode, list[ClassNode]]:
        found: dict[ClassNode, list[ClassNode]] = defaultdict(list)
        for module in self.modules:
            for cls in module.classes:
                for ancestor in self.ancestors(cls):
                    if isinstance(ancestor, ClassNode) and ancestor is not cls:
                        found[ancestor].append(cls)
        return found

    def _methods_by_name(self) -> dict[str, list[FunctionNode]]:
        found: dict[str, list[FunctionNode]] = defaultdict(list)
        for module in self.modules:
            for cls in module.classes:
                for method in cls.methods:
                    found[method.facts.name].append(method)
        return found


def _itself(target: Target | None) -> Iterator[FunctionNode | ClassNode | ModuleNode]:
    """The node that a name means, if it means one."""
    if target is not None and not isinstance(target, External):
        yield target


def _inner(expression: Expression) -> Expression | None:
    match expression:
        case Call(function=inner):
            return inner
        case _:
            return getattr(expression, "value", None)


def _relative_parts(importer: ModuleNode, found: ImportName) -> tuple[str, ...] | None:
    """The path that a relative import names; None if that lies outside the project."""
    base = importer.parts if importer.is_package else importer.parts[:-1]
    if found.level - 1 > len(base):
        return None
    base = base[: len(base) - (found.level - 1)]
    return (*base, *found.module.split(".")) if found.module else base


def _namespace(module: ModuleNode) -> dict[str, list[ImportName | FunctionNode | ClassNode | Expression]]:
    found: dict[str, list[ImportName | FunctionNode | ClassNode | Expression]] = defaultdict(list)
    for function in module.functions:
        if function.facts.parent == 0 and function.owner is None and not function.facts.is_lambda:
            found[function.facts.name].append(function)
    for cls in module.classes:
        if cls.facts.parent == 0 and "." not in cls.facts.qualified:
            found[cls.facts.name].append(cls)
    for imported in module.body.facts.imports:
        if imported.binding:
            found[imported.binding].append(imported)
    for statement in module.body.facts.body:
        if isinstance(statement, Assign):
            for target in statement.targets:
                if isinstance(target, Name):
                    found[target.id].append(statement.value)
    return found
