"""The things that names refer to once modules are linked."""

from dataclasses import dataclass, field
from functools import cache

from gradlint.finding import Place
from gradlint.model.code import Evaluate, Expression, dotted
from gradlint.model.facts import MODULE_BODY, Class, Function, ModuleFacts
from gradlint.model.inference_names import TEST_CASE, TEST_FILE, TEST_FOLDER, TEST_FUNCTION
from gradlint.model.record import answer
from gradlint.model.traverse import statements


@dataclass(frozen=True, slots=True, eq=False)
class ModuleNode:
    """A module of the project. ``parts`` is its path without the suffix, ``__init__`` dropped.

    ``bit`` stands for it where is noted what results depend on.
    """

    facts: ModuleFacts
    parts: tuple[str, ...]
    is_package: bool
    bit: int = 0
    functions: list["FunctionNode"] = field(default_factory=list, repr=False)
    classes: list["ClassNode"] = field(default_factory=list, repr=False)

    @property
    def module(self) -> "ModuleNode":
        """Itself, as nodes in it know it."""
        return self

    @property
    def path(self) -> str:
        """The path that reports show."""
        return self.facts.path

    @property
    def body(self) -> "FunctionNode":
        """The module's own statements."""
        return self.functions[MODULE_BODY]

    @property
    def imports_test_framework(self) -> bool:
        """Whether it is written for pytest or unittest."""
        return any(found.module.partition(".")[0] in ("pytest", "unittest") for found in self.body.facts.imports)


@dataclass(frozen=True, slots=True, eq=False)
class FunctionNode:
    """A function of the project; compared by identity."""

    module: ModuleNode = field(repr=False)
    facts: Function = field(repr=False)

    @property
    def name(self) -> str:
        """Its qualified name."""
        return self.facts.qualified

    @property
    def parent(self) -> "FunctionNode | None":
        """The function whose body defines it."""
        return None if self.facts.parent is None else self.module.functions[self.facts.parent]

    @property
    def owner(self) -> "ClassNode | None":
        """The class it is a method of."""
        return None if self.facts.owner is None else self.module.classes[self.facts.owner]

    def annotation(self, parameter: str) -> Expression | None:
        """What the signature says that one of its parameters is."""
        return next((each.annotation for each in self.facts.parameters if each.name == parameter), None)

    def annotated(self, name: str) -> "tuple[FunctionNode, Expression] | None":
        """The signature that says what a name is, the function's own or that of one around it, and what it says."""
        scope: FunctionNode | None = self
        while scope is not None:
            if (said := scope.annotation(name)) is not None:
                return scope, said
            scope = scope.parent
        return None

    @property
    def is_module_body(self) -> bool:
        """Whether these are a module's own statements."""
        return self.facts.parent is None

    @property
    def is_test(self) -> bool:
        """Whether pytest or unittest would run it, or a check that tests share."""
        if self.facts.name.startswith("assert_") or (self.parent is not None and self.parent.is_test):
            return True
        of_tests = _is_test_file(self.module.path)
        owner = self.owner.facts.name if self.owner is not None else ""
        in_class = owner.startswith("Test")
        if (of_tests and self.module.imports_test_framework) or TEST_CASE.search(owner) or self._is_of_test_case:
            return True  # what its tests share
        named = (of_tests or in_class) and TEST_FUNCTION.search(self.facts.name) is not None
        return named and (in_class or TEST_FOLDER.search(self.module.path) is not None or not self._is_handed_things)

    @property
    def _is_of_test_case(self) -> bool:
        """Whether it is a method of a class that derives from one of test cases."""
        bases = self.owner.facts.bases if self.owner is not None else ()
        return any(TEST_CASE.search(dotted(base) or "") for base in bases)

    @property
    def _is_handed_things(self) -> bool:
        """Whether somebody has to hand it something, and it asserts nothing: ``test_model(net, loader)`` evaluates."""
        if all(parameter.kind != "positional" or parameter.default is not None for parameter in self.facts.parameters):
            return False
        return not any(isinstance(s, Evaluate) and not s.discarded for s in statements(self.facts.body))

    def place(self, at: int) -> Place:
        """The place of a node of this function's module."""
        return Place(self.module.path, at)

    @property
    def key(self) -> tuple[str, int]:
        """An order that does not depend on the run."""
        return (self.module.path, self.facts.index)

    def __repr__(self) -> str:
        return f"<{self.module.path}:{self.name}>"


@cache
def _is_test_file(path: str) -> bool:
    return TEST_FILE.search(path) is not None


@dataclass(frozen=True, slots=True, eq=False)
class ClassNode:
    """A class of the project; compared by identity."""

    module: ModuleNode = field(repr=False)
    facts: Class = field(repr=False)

    @property
    def name(self) -> str:
        """Its qualified name."""
        return self.facts.qualified

    def method(self, name: str) -> FunctionNode | None:
        """A method the class itself defines."""
        index = self.facts.methods.get(name)
        return None if index is None else self.module.functions[index]

    @property
    def methods(self) -> list[FunctionNode]:
        """The methods the class itself defines."""
        return [self.module.functions[index] for index in self.facts.methods.values()]

    def __repr__(self) -> str:
        return f"<{self.module.path}:class {self.name}>"


@answer
class External:
    """Something outside the project, by its full dotted name."""

    name: str


Target = ModuleNode | FunctionNode | ClassNode | External
