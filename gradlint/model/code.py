"""The code of a function as plain data: what is left of the syntax when spelling is taken away.

Expressions and statements are small frozen records. ``at`` numbers the node within its module, in the order
of extraction; :func:`gradlint.model.locate.locate` turns it into lines and columns.
"""

from gradlint.model.record import record
from gradlint.model.sharing import shared

LONGEST_STRING = 80


@record
class Name:
    """A bare name that is read, or bound when it stands as a target."""

    at: int
    id: str


@record
class Attribute:
    """``value.name``. The name by itself has a place too, for edits: the number after the attribute's."""

    at: int
    value: "Expression"
    name: str

    @property
    def name_at(self) -> int:
        """The place of the bare name behind the dot."""
        return self.at + 1


@record
class Constant:
    """A literal. Long strings are cut: nobody asks what a docstring says."""

    at: int
    value: object

    def __eq__(self, other: object) -> bool:
        """To Python ``1 == True``; to torch it is not."""
        if not isinstance(other, Constant):
            return NotImplemented
        return (self.at, type(self.value), self.value) == (other.at, type(other.value), other.value)


@record
class Argument:
    """One argument of a call; ``stars`` is 1 for ``*args`` and 2 for ``**kwargs``.

    ``keyword_at`` is the place of the keyword.
    """

    value: "Expression"
    keyword: str | None = None
    stars: int = 0
    keyword_at: int | None = None


@record
class Call:
    """``function(arguments)``."""

    at: int
    function: "Expression"
    arguments: tuple[Argument, ...]


@record
class Subscript:
    """``value[index]``."""

    at: int
    value: "Expression"
    index: "Expression"


@record
class Display:
    """A tuple, list, set or dict display. A dict's items are its values; ``keys`` runs beside them."""

    at: int
    kind: str
    items: tuple["Expression", ...]
    keys: tuple["Expression | None", ...] = ()


@record
class Operation:
    """An operator with its operands: arithmetic, comparison, ``and``/``or``/``not``, ``*`` for a starred item.

    ``operator_at`` is the place of an ``and`` or ``or``, the blanks around it included.
    """

    at: int
    operator: str
    operands: tuple["Expression", ...]
    operator_at: int | None = None


@record
class Conditional:
    """``then if test else otherwise``."""

    at: int
    test: "Expression"
    then: "Expression"
    otherwise: "Expression"


@record
class Iteration:
    """One ``for target in iterable if conditions`` of a comprehension."""

    target: "Expression"
    iterable: "Expression"
    conditions: tuple["Expression", ...]


@record
class Comprehension:
    """``kind`` is list, set, dict or generator; a dict comprehension has its value in ``element``."""

    at: int
    kind: str
    element: "Expression"
    loops: tuple[Iteration, ...]
    key: "Expression | None" = None


@record
class Lambda:
    """A lambda; its parameters and body stand in the module's functions."""

    at: int
    function: int


@record
class Await:
    """``await value``."""

    at: int
    value: "Expression"


@record
class Yield:
    """``yield value`` or ``yield from value``."""

    at: int
    value: "Expression | None"
    delegates: bool = False


@record
class NamedAssignment:
    """``target := value``."""

    at: int
    target: "Expression"
    value: "Expression"


@record
class Formatted:
    """The values of an f-string."""

    at: int
    values: tuple["Expression", ...]


Expression = (
    Name
    | Attribute
    | Constant
    | Call
    | Subscript
    | Display
    | Operation
    | Conditional
    | Comprehension
    | Lambda
    | Await
    | Yield
    | NamedAssignment
    | Formatted
)


@record
class Assign:
    """``targets = value``; an annotation without a value is no assignment."""

    at: int
    targets: tuple[Expression, ...]
    value: Expression


@record
class Augment:
    """``target operator= value``; ``operator`` is without the ``=``."""

    at: int
    target: Expression
    operator: str
    value: Expression


@record
class Evaluate:
    """An expression statement; ``discarded`` is false where the value still decides something (``assert``)."""

    at: int
    value: Expression
    discarded: bool = True


@record
class Return:
    """``return value``."""

    at: int
    value: Expression | None


@record
class Raise:
    """``raise value``."""

    at: int
    value: Expression | None


@record
class Delete:
    """``del targets``."""

    at: int
    targets: tuple[Expression, ...]


@record
class Jump:
    """``break`` or ``continue``."""

    at: int
    kind: str


@record
class If:
    """``if``; an ``elif`` is an If in ``otherwise``."""

    at: int
    test: Expression
    then: "Block"
    otherwise: "Block"


@record
class For:
    """``for target in iterable``."""

    at: int
    target: Expression
    iterable: Expression
    body: "Block"
    otherwise: "Block"
    is_async: bool = False


@record
class While:
    """``while test``."""

    at: int
    test: Expression
    body: "Block"
    otherwise: "Block"


@record
class WithItem:
    """``context as target``."""

    context: Expression
    target: Expression | None


@record
class With:
    """``with items``."""

    at: int
    items: tuple[WithItem, ...]
    body: "Block"
    is_async: bool = False


@record
class Try:
    """``try``; each handler is a block of its own."""

    at: int
    body: "Block"
    handlers: tuple["Block", ...]
    otherwise: "Block"
    final: "Block"


@record
class Switch:
    """``match subject``; each case is a block, its captured names bound to nothing known."""

    at: int
    subject: Expression
    cases: tuple["Block", ...]


@record
class DefineFunction:
    """``def``: binds a name to one of the module's functions."""

    at: int
    name: str
    function: int


@record
class DefineClass:
    """``class``: runs a body and binds a name to one of the module's classes."""

    at: int
    name: str
    cls: int
    body: "Block"


@record
class ImportName:
    """``import module`` or ``from module import name``; ``name`` is ``*`` for a star import.

    ``binding`` is the local name. ``import a.b`` binds ``a``, and then ``module`` is ``a``.
    """

    at: int
    binding: str
    module: str
    name: str | None
    level: int


Statement = (
    Assign
    | Augment
    | Evaluate
    | Return
    | Raise
    | Delete
    | Jump
    | If
    | For
    | While
    | With
    | Try
    | Switch
    | DefineFunction
    | DefineClass
    | ImportName
)
Block = tuple[Statement, ...]


def shortened(text: str | bytes) -> str:
    """A literal string as :class:`Constant` keeps it; bytes as the characters of the same numbers."""
    text = text[:LONGEST_STRING]
    return shared(text if isinstance(text, str) else text.decode("latin-1"))


def is_none(expression: Expression | None) -> bool:
    """Whether an expression is ``None``, spelt out."""
    return isinstance(expression, Constant) and expression.value is None


def dotted(expression: Expression) -> str | None:
    """The dotted name an expression spells (``torch.nn.Linear``), or None if it is no plain name."""
    if isinstance(expression, Name):
        return expression.id
    if not isinstance(expression, Attribute):
        return None
    name, owner = expression.name, expression.value
    while isinstance(owner, Attribute):
        name, owner = f"{owner.name}.{name}", owner.value
    return f"{owner.id}.{name}" if isinstance(owner, Name) else None
