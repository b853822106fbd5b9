"""Lowering of expressions: one small function per LibCST node kind, chosen by type."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import libcst as cst

from gradlint.model.code import (
    Argument,
    Attribute,
    Await,
    Call,
    Comprehension,
    Conditional,
    Constant,
    Display,
    Expression,
    Formatted,
    Iteration,
    Lambda,
    Name,
    NamedAssignment,
    Operation,
    Subscript,
    Yield,
    shortened,
)
from gradlint.model.extraction import Extraction
from gradlint.model.facts import Parameter

Walk = Extraction[cst.CSTNode]
_SINGLETONS: dict[str, object] = {"True": True, "False": False, "None": None}

OPERATORS: dict[type[cst.CSTNode], str] = {
    cst.Add: "+", cst.Subtract: "-", cst.Multiply: "*", cst.Divide: "/", cst.FloorDivide: "//",
    cst.Modulo: "%", cst.Power: "**", cst.MatrixMultiply: "@", cst.LeftShift: "<<", cst.RightShift: ">>",
    cst.BitAnd: "&", cst.BitOr: "|", cst.BitXor: "^", cst.And: "and", cst.Or: "or", cst.Not: "not",
    cst.Minus: "-", cst.Plus: "+", cst.BitInvert: "~", cst.Equal: "==", cst.NotEqual: "!=",
    cst.LessThan: "<", cst.LessThanEqual: "<=", cst.GreaterThan: ">", cst.GreaterThanEqual: ">=",
    cst.In: "in", cst.NotIn: "not in", cst.Is: "is", cst.IsNot: "is not",
    cst.AddAssign: "+", cst.SubtractAssign: "-", cst.MultiplyAssign: "*", cst.DivideAssign: "/",
    cst.FloorDivideAssign: "//", cst.ModuloAssign: "%", cst.PowerAssign: "**", cst.MatrixMultiplyAssign: "@",
    cst.LeftShiftAssign: "<<", cst.RightShiftAssign: ">>", cst.BitAndAssign: "&", cst.BitOrAssign: "|",
    cst.BitXorAssign: "^",
}  # fmt: skip


def lower(node: cst.BaseExpression, out: Walk) -> Expression:
    """The expression's code. Nodes are numbered before their parts, left to right."""
    return _LOWERINGS[type(node)](node, out)


def _name(node: cst.Name, out: Walk) -> Expression:
    identifier = node.value
    if identifier in _SINGLETONS:  # LibCST calls them names
        return Constant(out.number(node), _SINGLETONS[identifier])
    out.scope.words.add(identifier)
    return Name(out.number(node), identifier)


def _attribute(node: cst.Attribute, out: Walk) -> Expression:
    at = out.number(node)
    out.number(node.attr)  # Attribute.name_at counts on its being the next
    value = lower(node.value, out)
    out.scope.words.add(node.attr.value)
    return Attribute(at, value, node.attr.value)


def _call(node: cst.Call, out: Walk) -> Expression:
    at = out.number(node)
    function = lower(node.func, out)
    arguments = tuple(_argument(argument, out) for argument in node.args)
    out.note_call(at, function, arguments)
    return Call(at, function, arguments)


def _argument(node: cst.Arg, out: Walk) -> Argument:
    if node.keyword is None:
        return Argument(lower(node.value, out), stars=len(node.star))
    keyword_at = out.number(node.keyword)
    return Argument(lower(node.value, out), node.keyword.value, keyword_at=keyword_at)


def _integer(node: cst.Integer, out: Walk) -> Expression:
    try:
        value = int(node.value, 0)
    except ValueError:  # more digits than Python converts
        return Constant(out.number(node), 0)
    return Constant(out.number(node), value)


def _float(node: cst.Float, out: Walk) -> Expression:
    return Constant(out.number(node), float(node.value))


def _imaginary(node: cst.Imaginary, out: Walk) -> Expression:
    return Constant(out.number(node), complex(node.value.replace("_", "")))


def _string(node: cst.SimpleString, out: Walk) -> Expression:
    return Constant(out.number(node), shortened(_evaluated(node)))


def _evaluated(node: cst.SimpleString) -> str | bytes:
    if "\\" not in node.raw_value:
        return node.raw_value.replace("\r\n", "\n").replace("\r", "\n")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # escapes that Python does not know
            return node.evaluated_value
    except (SyntaxError, ValueError):
        return node.raw_value


def _concatenated(node: cst.ConcatenatedString, out: Walk) -> Expression:
    """Strings side by side are one: they have one number, and those in it none."""
    at = out.number(node)
    parts = tuple(_strings(node))
    if any(isinstance(part, cst.FormattedString | cst.TemplatedString) for part in parts):
        return Formatted(at, tuple(value for part in parts for value in _values(part, out)))
    return Constant(at, shortened("".join(_text(part) for part in parts)))


def _strings(node: cst.BaseString) -> Iterator[cst.BaseString]:
    while isinstance(node, cst.ConcatenatedString):
        yield node.left
        node = node.right
    yield node


def _text(node: cst.BaseString) -> str:
    value = _evaluated(node) if isinstance(node, cst.SimpleString) else ""
    return value if isinstance(value, str) else value.decode("latin-1")


def _values(node: cst.BaseString, out: Walk) -> Iterable[Expression]:
    match node:
        case cst.FormattedString(parts=parts):
            yield from _formatted_values(parts, out)
        case cst.TemplatedString(parts=parts):
            yield from (lower(p.expression, out) for p in parts if isinstance(p, cst.TemplatedStringExpression))
        case _:
            pass


def _formatted(node: cst.FormattedString | cst.TemplatedString, out: Walk) -> Expression:
    at = out.number(node)
    return Formatted(at, tuple(_values(node, out)))


def _formatted_values(parts: Iterable[Any], out: Walk) -> Iterable[Expression]:
    for part in parts:
        if isinstance(part, cst.FormattedStringExpression):
            yield lower(part.expression, out)
            yield from _formatted_values(part.format_spec or (), out)


def _ellipsis(node: cst.Ellipsis, out: Walk) -> Expression:
    return Constant(out.number(node), ...)


def _subscript(node: cst.Subscript, out: Walk) -> Expression:
    at = out.number(node)
    value = lower(node.value, out)
    return Subscript(at, value, _indices(node.slice, out, at))


def _indices(elements: Sequence[cst.SubscriptElement], out: Walk, at: int) -> Expression:
    """One index, or a tuple of them; a tuple in brackets has no number of its own, with parentheses or without."""
    first = elements[0]
    if (
        len(elements) > 1
        or isinstance(first.comma, cst.Comma)
        or (isinstance(first.slice, cst.Index) and first.slice.star)
    ):
        return Display(at, "tuple", tuple(_index(element.slice, out, at) for element in elements))
    if isinstance(first.slice, cst.Index) and isinstance(first.slice.value, cst.Tuple):
        return Display(at, "tuple", tuple(_element(element, out) for element in first.slice.value.elements))
    return _index(first.slice, out, at)


def _index(node: cst.BaseSlice, out: Walk, at: int) -> Expression:
    if isinstance(node, cst.Index):
        value = lower(node.value, out)
        return Operation(value.at, "*", (value,)) if node.star else value
    assert isinstance(node, cst.Slice)
    parts = (node.lower, node.upper, node.step)
    return Operation(at, ":", tuple(lower(part, out) for part in parts if part is not None))


def _display(kind: str) -> Callable[[Any, Walk], Expression]:
    def lower_display(node: cst.Tuple | cst.List | cst.Set, out: Walk) -> Expression:
        at = out.number(node)
        return Display(at, kind, tuple(_element(element, out) for element in node.elements))

    return lower_display


def _element(element: cst.BaseElement, out: Walk) -> Expression:
    value = lower(element.value, out)
    return Operation(value.at, "*", (value,)) if isinstance(element, cst.StarredElement) else value


def _dict(node: cst.Dict, out: Walk) -> Expression:
    at = out.number(node)
    keys: list[Expression | None] = []
    values: list[Expression] = []
    for element in node.elements:
        if isinstance(element, cst.DictElement):
            keys.append(lower(element.key, out))
            values.append(lower(element.value, out))
        else:
            keys.append(None)
            values.append(_starred(element, out))
    return Display(at, "dict", tuple(values), tuple(keys))


def _starred(element: cst.BaseDictElement, out: Walk) -> Expression:
    value = lower(element.value, out)
    return Operation(value.at, "**", (value,))


def _binary(node: cst.BinaryOperation, out: Walk) -> Expression:
    at = out.number(node)
    return Operation(at, OPERATORS[type(node.operator)], (lower(node.left, out), lower(node.right, out)))


def _boolean(node: cst.BooleanOperation, out: Walk) -> Expression:
    at = out.number(node)
    operands = (lower(node.left, out), lower(node.right, out))
    return Operation(at, OPERATORS[type(node.operator)], operands, out.number(node.operator))


def _unary(node: cst.UnaryOperation, out: Walk) -> Expression:
    at = out.number(node)
    return Operation(at, OPERATORS[type(node.operator)], (lower(node.expression, out),))


def _comparison(node: cst.Comparison, out: Walk) -> Expression:
    at = out.number(node)
    operands = (lower(node.left, out), *(lower(target.comparator, out) for target in node.comparisons))
    return Operation(at, OPERATORS[type(node.comparisons[0].operator)], operands)


def _conditional(node: cst.IfExp, out: Walk) -> Expression:
    at = out.number(node)
    return Conditional(at, lower(node.test, out), lower(node.body, out), lower(node.orelse, out))


def _comprehension(kind: str) -> Callable[[Any, Walk], Expression]:
    def lower_comprehension(node: cst.BaseSimpleComp, out: Walk) -> Expression:
        at = out.number(node)
        loops = tuple(_loops(node.for_in, out))
        return Comprehension(at, kind, lower(node.elt, out), loops)

    return lower_comprehension


def _dict_comprehension(node: cst.DictComp, out: Walk) -> Expression:
    at = out.number(node)
    loops = tuple(_loops(node.for_in, out))
    key = lower(node.key, out)
    return Comprehension(at, "dict", lower(node.value, out), loops, key)


def _loops(loop: cst.CompFor | None, out: Walk) -> Iterable[Iteration]:
    out.scope.words.add("for")
    while loop is not None:
        iterable = lower(loop.iter, out)
        target = lower(loop.target, out)
        yield Iteration(target, iterable, tuple(lower(condition.test, out) for condition in loop.ifs))
        loop = loop.inner_for_in


def _lambda(node: cst.Lambda, out: Walk) -> Expression:
    at = out.number(node)
    return Lambda(at, out.define_lambda(at, parameters(node.params, out), lambda: lower(node.body, out)))


def parameters(node: cst.Parameters, out: Walk) -> tuple[Parameter, ...]:
    """The parameters of a function, in the order of Python's own tree."""
    found = [_parameter(p, "positional", out) for p in (*node.posonly_params, *node.params)]
    if isinstance(node.star_arg, cst.Param):
        found.append(_parameter(node.star_arg, "args", out))
    found.extend(_parameter(p, "keyword", out) for p in node.kwonly_params)
    if node.star_kwarg is not None:
        found.append(_parameter(node.star_kwarg, "kwargs", out))
    return tuple(found)


def _parameter(node: cst.Param, kind: str, out: Walk) -> Parameter:
    default = lower(node.default, out) if node.default is not None else None
    annotation = lower(node.annotation.annotation, out) if node.annotation is not None else None
    return Parameter(node.name.value, kind, default, annotation)


def _await(node: cst.Await, out: Walk) -> Expression:
    return Await(out.number(node), lower(node.expression, out))


def _yield(node: cst.Yield, out: Walk) -> Expression:
    at = out.number(node)
    out.scope.is_generator = True
    if isinstance(node.value, cst.From):
        return Yield(at, lower(node.value.item, out), delegates=True)
    return Yield(at, lower(node.value, out) if node.value is not None else None)


def _named(node: cst.NamedExpr, out: Walk) -> Expression:
    at = out.number(node)
    value = lower(node.value, out)
    target = lower(node.target, out)
    out.assign(target, value)
    return NamedAssignment(at, target, value)


_LOWERINGS: dict[type[cst.CSTNode], Callable[[Any, Walk], Expression]] = {
    cst.Name: _name,
    cst.Attribute: _attribute,
    cst.Call: _call,
    cst.Integer: _integer,
    cst.Float: _float,
    cst.Imaginary: _imaginary,
    cst.SimpleString: _string,
    cst.ConcatenatedString: _concatenated,
    cst.FormattedString: _formatted,
    cst.TemplatedString: _formatted,
    cst.Ellipsis: _ellipsis,
    cst.Subscript: _subscript,
    cst.StarredElement: _element,
    cst.Tuple: _display("tuple"),
    cst.List: _display("list"),
    cst.Set: _display("set"),
    cst.Dict: _dict,
    cst.BinaryOperation: _binary,
    cst.BooleanOperation: _boolean,
    cst.UnaryOperation: _unary,
    cst.Comparison: _comparison,
    cst.IfExp: _conditional,
    cst.ListComp: _comprehension("list"),
    cst.SetComp: _comprehension("set"),
    cst.GeneratorExp: _comprehension("generator"),
    cst.DictComp: _dict_comprehension,
    cst.Lambda: _lambda,
    cst.Await: _await,
    cst.Yield: _yield,
    cst.NamedExpr: _named,
}
