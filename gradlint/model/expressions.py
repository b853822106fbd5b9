"""Lowering of expressions: one small function per LibCST node kind, chosen by type."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

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
)

if TYPE_CHECKING:
    from gradlint.model.extract import Extraction

LONGEST_STRING = 80
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


def lower(node: cst.BaseExpression, out: "Extraction") -> Expression:
    """The expression's code. Nodes are numbered before their parts, left to right."""
    return _LOWERINGS[type(node)](node, out)


def _name(node: cst.Name, out: "Extraction") -> Expression:
    identifier = node.value
    if identifier in _SINGLETONS:  # LibCST calls them names
        return Constant(out.number(node), _SINGLETONS[identifier])
    out.scope.words.add(identifier)
    return Name(out.number(node), identifier)


def _attribute(node: cst.Attribute, out: "Extraction") -> Expression:
    at = out.number(node)
    out.number(node.attr)  # Attribute.name_at counts on its being the next
    value = lower(node.value, out)
    out.scope.words.add(node.attr.value)
    return Attribute(at, value, node.attr.value)


def _call(node: cst.Call, out: "Extraction") -> Expression:
    at = out.number(node)
    function = lower(node.func, out)
    arguments = tuple(_argument(argument, out) for argument in node.args)
    out.note_call(at, function, arguments)
    return Call(at, function, arguments)


def _argument(node: cst.Arg, out: "Extraction") -> Argument:
    if node.keyword is None:
        return Argument(lower(node.value, out), stars=len(node.star))
    keyword_at = out.number(node.keyword)
    return Argument(lower(node.value, out), node.keyword.value, keyword_at=keyword_at)


def _integer(node: cst.Integer, out: "Extraction") -> Expression:
    try:
        value = int(node.value, 0)
    except ValueError:  # more digits than Python converts
        return Constant(out.number(node), 0)
    return Constant(out.number(node), value)


def _float(node: cst.Float, out: "Extraction") -> Expression:
    return Constant(out.number(node), float(node.value))


def _imaginary(node: cst.Imaginary, out: "Extraction") -> Expression:
    return Constant(out.number(node), complex(node.value.replace("_", "")))


def _string(node: cst.SimpleString, out: "Extraction") -> Expression:
    return Constant(out.number(node), node.raw_value[:LONGEST_STRING])


def _concatenated(node: cst.ConcatenatedString, out: "Extraction") -> Expression:
    at = out.number(node)
    parts = (lower(node.left, out), lower(node.right, out))
    values = tuple(value for part in parts if isinstance(part, Formatted) for value in part.values)
    if values:
        return Formatted(at, values)
    text = "".join(str(part.value) for part in parts if isinstance(part, Constant))
    return Constant(at, text[:LONGEST_STRING])


def _formatted(node: cst.FormattedString, out: "Extraction") -> Expression:
    at = out.number(node)
    return Formatted(at, tuple(_formatted_values(node.parts, out)))


def _formatted_values(parts: Iterable[Any], out: "Extraction") -> Iterable[Expression]:
    for part in parts:
        if isinstance(part, cst.FormattedStringExpression):
            yield lower(part.expression, out)
            yield from _formatted_values(part.format_spec or (), out)


def _templated(node: cst.TemplatedString, out: "Extraction") -> Expression:
    at = out.number(node)
    values = tuple(lower(p.expression, out) for p in node.parts if isinstance(p, cst.TemplatedStringExpression))
    return Formatted(at, values)


def _ellipsis(node: cst.Ellipsis, out: "Extraction") -> Expression:
    return Constant(out.number(node), ...)


def _subscript(node: cst.Subscript, out: "Extraction") -> Expression:
    at = out.number(node)
    value = lower(node.value, out)
    indices = tuple(_index(element.slice, out, at) for element in node.slice)
    index = indices[0] if len(indices) == 1 else Display(at, "tuple", indices)
    return Subscript(at, value, index)


def _index(node: cst.BaseSlice, out: "Extraction", at: int) -> Expression:
    if isinstance(node, cst.Index):
        return lower(node.value, out)
    assert isinstance(node, cst.Slice)
    parts = (node.lower, node.upper, node.step)
    return Operation(at, ":", tuple(lower(part, out) for part in parts if part is not None))


def _display(kind: str) -> Callable[[Any, "Extraction"], Expression]:
    def lower_display(node: cst.Tuple | cst.List | cst.Set, out: "Extraction") -> Expression:
        at = out.number(node)
        return Display(at, kind, tuple(_element(element, out) for element in node.elements))

    return lower_display


def _element(element: cst.BaseElement, out: "Extraction") -> Expression:
    value = lower(element.value, out)
    return Operation(value.at, "*", (value,)) if isinstance(element, cst.StarredElement) else value


def _dict(node: cst.Dict, out: "Extraction") -> Expression:
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


def _starred(element: cst.BaseDictElement, out: "Extraction") -> Expression:
    value = lower(element.value, out)
    return Operation(value.at, "**", (value,))


def _binary(node: cst.BinaryOperation, out: "Extraction") -> Expression:
    at = out.number(node)
    return Operation(at, OPERATORS[type(node.operator)], (lower(node.left, out), lower(node.right, out)))


def _boolean(node: cst.BooleanOperation, out: "Extraction") -> Expression:
    at = out.number(node)
    operands = (lower(node.left, out), lower(node.right, out))
    return Operation(at, OPERATORS[type(node.operator)], operands, out.number(node.operator))


def _unary(node: cst.UnaryOperation, out: "Extraction") -> Expression:
    at = out.number(node)
    return Operation(at, OPERATORS[type(node.operator)], (lower(node.expression, out),))


def _comparison(node: cst.Comparison, out: "Extraction") -> Expression:
    at = out.number(node)
    operands = (lower(node.left, out), *(lower(target.comparator, out) for target in node.comparisons))
    return Operation(at, OPERATORS[type(node.comparisons[0].operator)], operands)


def _conditional(node: cst.IfExp, out: "Extraction") -> Expression:
    at = out.number(node)
    return Conditional(at, lower(node.test, out), lower(node.body, out), lower(node.orelse, out))


def _comprehension(kind: str) -> Callable[[Any, "Extraction"], Expression]:
    def lower_comprehension(node: cst.BaseSimpleComp, out: "Extraction") -> Expression:
        at = out.number(node)
        loops = tuple(_loops(node.for_in, out))
        return Comprehension(at, kind, lower(node.elt, out), loops)

    return lower_comprehension


def _dict_comprehension(node: cst.DictComp, out: "Extraction") -> Expression:
    at = out.number(node)
    loops = tuple(_loops(node.for_in, out))
    key = lower(node.key, out)
    return Comprehension(at, "dict", lower(node.value, out), loops, key)


def _loops(loop: cst.CompFor | None, out: "Extraction") -> Iterable[Iteration]:
    while loop is not None:
        iterable = lower(loop.iter, out)
        target = lower(loop.target, out)
        yield Iteration(target, iterable, tuple(lower(condition.test, out) for condition in loop.ifs))
        loop = loop.inner_for_in


def _lambda(node: cst.Lambda, out: "Extraction") -> Expression:
    return Lambda(out.number(node), out.define_lambda(node))


def _await(node: cst.Await, out: "Extraction") -> Expression:
    return Await(out.number(node), lower(node.expression, out))


def _yield(node: cst.Yield, out: "Extraction") -> Expression:
    at = out.number(node)
    out.scope.is_generator = True
    if isinstance(node.value, cst.From):
        return Yield(at, lower(node.value.item, out), delegates=True)
    return Yield(at, lower(node.value, out) if node.value is not None else None)


def _named(node: cst.NamedExpr, out: "Extraction") -> Expression:
    at = out.number(node)
    value = lower(node.value, out)
    target = lower(node.target, out)
    out.bind(target)
    return NamedAssignment(at, target, value)


_LOWERINGS: dict[type[cst.CSTNode], Callable[[Any, "Extraction"], Expression]] = {
    cst.Name: _name,
    cst.Attribute: _attribute,
    cst.Call: _call,
    cst.Integer: _integer,
    cst.Float: _float,
    cst.Imaginary: _imaginary,
    cst.SimpleString: _string,
    cst.ConcatenatedString: _concatenated,
    cst.FormattedString: _formatted,
    cst.TemplatedString: _templated,
    cst.Ellipsis: _ellipsis,
    cst.Subscript: _subscript,
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
