"""The facts of one module, ready to be linked with others: small, frozen and picklable."""

from gradlint.model.code import Block, Expression, ImportName
from gradlint.model.late import LateBody
from gradlint.model.record import record

MODULE_BODY = 0  # the module's own statements are its first function
MODULE_NAME = "<module>"


@record
class Parameter:
    """A parameter; ``kind`` is positional, keyword, args or kwargs."""

    name: str
    kind: str
    default: Expression | None
    annotation: Expression | None


@record
class CallFact:
    """A call as the linker needs it: who is called, with which functions handed over by name.

    ``callee`` is the dotted name (empty when it is computed), ``method`` its last part, which is known of
    ``f().method()`` as well.
    """

    at: int
    callee: str
    method: str
    handed: tuple[str, ...]


@record
class Function(LateBody):
    """A function, lambda or module body.

    ``at`` is its name (for a lambda the lambda), ``keyword_at`` its ``def``. ``parent`` is the function whose
    body defines it, ``owner`` the class it is a method of. ``local`` are the names it binds, parameters
    included; ``shared`` those it declares global or nonlocal; ``words`` all names and attributes it reads, nested
    functions not included, with ``with`` if it has such a statement and ``for`` if it has a comprehension.
    ``gives_back`` tells that it may give something to who calls it, ``is_stub`` that it only says that somebody else
    defines it: ``pass``, ``...``, ``raise NotImplementedError``.
    """

    index: int
    name: str
    qualified: str
    at: int
    keyword_at: int
    parent: int | None
    owner: int | None
    parameters: tuple[Parameter, ...]
    decorators: tuple[Expression, ...]
    body: Block
    is_async: bool
    is_generator: bool
    is_lambda: bool
    gives_back: bool
    is_stub: bool
    local: frozenset[str]
    shared: frozenset[str]
    words: frozenset[str]
    calls: tuple[CallFact, ...]
    imports: tuple[ImportName, ...]


@record
class Class:
    """A class with its methods by name and the function (usually the module body) that defines it."""

    index: int
    name: str
    qualified: str
    at: int
    parent: int
    bases: tuple[Expression, ...]
    decorators: tuple[Expression, ...]
    methods: dict[str, int]
    body: Block


@record
class ModuleFacts:
    """All facts of one file. ``functions[0]`` is the module body.

    ``renamed`` are the last parts of names, each with one that an import or an assignment gives to the same thing.
    """

    path: str
    functions: tuple[Function, ...]
    classes: tuple[Class, ...]
    is_script: bool
    renamed: tuple[tuple[str, str], ...]

    @property
    def body(self) -> Function:
        """The module's own statements."""
        return self.functions[MODULE_BODY]
