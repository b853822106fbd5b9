"""Expressions that give no tensor, whatever their variables hold: told by their spelling, before anything is run."""

from gradlint.model.code import (
    Attribute,
    Call,
    Comprehension,
    Conditional,
    Constant,
    Display,
    Expression,
    Formatted,
    Lambda,
    Operation,
    Subscript,
    dotted,
)

_DECIDING = frozenset({"not", "in", "not in", "is", "is not"})
_FUNCTIONS = frozenset("len int float bool str repr format range isinstance hasattr ord hash id type".split())
_LIBRARIES = frozenset("math os time json re sys np numpy random string datetime".split())
_METHODS = frozenset("item tolist numpy size dim numel nelement element_size strip split join lower upper".split())
_FACTS = frozenset("shape ndim dtype device itemsize nbytes layout requires_grad is_leaf".split())
_SETTINGS = frozenset("config cfg args hparams opt opts options settings".split())


def gives_no_tensor(expression: Expression) -> bool:
    """Whether an expression is a number, a text or a setting, or is made of such things alone."""
    match expression:
        case Constant() | Formatted() | Lambda():
            return True
        case Display(items=items):
            return all(map(gives_no_tensor, items))
        case Comprehension(element=element):
            return gives_no_tensor(element)
        case Conditional(then=then, otherwise=otherwise):
            return gives_no_tensor(then) and gives_no_tensor(otherwise)
        case Operation(operator=operator, operands=operands):
            return operator in _DECIDING or all(map(gives_no_tensor, operands))
        case Subscript(value=value):
            return gives_no_tensor(value)
        case Attribute(name=name):
            return name in _FACTS or not _SETTINGS.isdisjoint((dotted(expression) or "").split(".")[:-1])
        case Call(function=function):
            return _gives_no_tensor(function)
        case _:
            return False


def _gives_no_tensor(function: Expression) -> bool:
    """Whether what is called gives none: ``len``, ``math.sqrt``, ``x.size``."""
    name = dotted(function) or ""
    if name in _FUNCTIONS or name.partition(".")[0] in _LIBRARIES:
        return True
    return isinstance(function, Attribute) and function.name in _METHODS
