"""Lowering of expressions: one small function per node kind of :mod:`ast`, chosen by type.

This is where most of a run's time goes. Nodes are numbered as in :mod:`gradlint.model.concrete`.
"""

import ast
from collections.abc import Callable, Iterable, Iterator
from typing import Any

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
from gradlint.model.sharing import NUMBERS

# A node; or a part of one that Python gives no node of its own, with its owner; or None where nobody can tell.
Part = ast.AST | tuple[ast.AST, str] | None
Walk = Extraction[Part]

OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.MatMult: "@", ast.LShift: "<<", ast.RShift: ">>", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^",
    ast.And: "and", ast.Or: "or", ast.Not: "not", ast.USub: "-", ast.UAdd: "+", ast.Invert: "~",
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not",
}  # fmt: skip


def lower(node: ast.expr, out: Walk) -> Expression:
    """The expression's code. Nodes are numbered before their parts, left to right."""
    return LOWERINGS[type(node)](node, out)


def _name(node: ast.Name, out: Walk) -> Expression:
    identifier = node.id
    out.scope.words.add(identifier)
    nodes = out.nodes
    at = NUMBERS[len(nodes)]
    nodes.append(node)
    return Name(at, identifier)


def _attribute(node: ast.Attribute, out: Walk) -> Expression:
    nodes, name, value = out.nodes, node.attr, node.value
    at = NUMBERS[len(nodes)]
    nodes += (node, (node, "attr"))  # Attribute.name_at counts on its being the next
    inner = LOWERINGS[type(value)](value, out)
    out.scope.words.add(name)
    return Attribute(at, inner, name)


def _call(node: ast.Call, out: Walk) -> Expression:
    nodes, called = out.nodes, node.func
    at = NUMBERS[len(nodes)]
    nodes.append(node)
    function = LOWERINGS[type(called)](called, out)
    arguments = tuple(_arguments(node, out)) if node.keywords else tuple([_positional(a, out) for a in node.args])
    out.note_call(at, function, arguments)
    return Call(at, function, arguments)


def _positional(node: ast.expr, out: Walk) -> Argument:
    if isinstance(node, ast.Starred):
        return Argument(lower(node.value, out), stars=1)
    return Argument(LOWERINGS[type(node)](node, out))


def _arguments(node: ast.Call, out: Walk) -> Iterator[Argument]:
    both: list[ast.expr | ast.keyword] = [*node.args, *node.keywords]
    if any(isinstance(argument, ast.Starred) for argument in node.args):  # may stand behind a keyword
        both.sort(key=lambda argument: (argument.lineno, argument.col_offset))
    for argument in both:
        if not isinstance(argument, ast.keyword):
            yield _positional(argument, out)
        elif argument.arg is None:
            yield Argument(lower(argument.value, out), stars=2)
        else:
            keyword_at = out.number((argument, "arg"))
            yield Argument(lower(argument.value, out), argument.arg, keyword_at=keyword_at)


def _constant(node: ast.Constant, out: Walk) -> Expression:
    value = node.value
    if isinstance(value, str | bytes):
        value = shortened(value)
    return Constant(out.number(node), value)


def _formatted(node: ast.JoinedStr, out: Walk) -> Expression:
    at = out.number(node)
    first = len(out.nodes)
    values = tuple(_values(node, out))
    # Before Python 3.12 places inside f-strings are wrong.
    out.nodes[first:] = [None] * (len(out.nodes) - first)
    return Formatted(at, values)


def _values(node: Any, out: Walk) -> Iterator[Expression]:
    for value in node.values:
        if isinstance(value, ast.Constant):
            continue
        yield lower(value.value, out)
        if getattr(value, "format_spec", None) is not None and isinstance(value, ast.FormattedValue):
            yield from _values(value.format_spec, out)


def _subscript(node: ast.Subscript, out: Walk) -> Expression:
    nodes, owner = out.nodes, node.value
    at = NUMBERS[len(nodes)]
    nodes.append(node)
    value = LOWERINGS[type(owner)](owner, out)
    index = node.slice
    if isinstance(index, ast.Tuple):
        return Subscript(at, value, Display(at, "tuple", tuple([_index(each, out, at) for each in index.elts])))
    return Subscript(at, value, _index(index, out, at))


def _index(node: ast.expr, out: Walk, at: int) -> Expression:
    if not isinstance(node, ast.Slice):
        return LOWERINGS[type(node)](node, out)
    parts = (node.lower, node.upper, node.step)
    return Operation(at, ":", tuple([lower(part, out) for part in parts if part is not None]))


def _starred(node: ast.Starred, out: Walk) -> Expression:
    value = lower(node.value, out)
    return Operation(value.at, "*", (value,))


def _display(kind: str) -> Callable[[Any, Walk], Expression]:
    def lower_display(node: ast.Tuple | ast.List | ast.Set, out: Walk) -> Expression:
        at = out.number(node)
        return Display(at, kind, tuple([LOWERINGS[type(element)](element, out) for element in node.elts]))

    return lower_display


def _dict(node: ast.Dict, out: Walk) -> Expression:
    at = out.number(node)
    keys: list[Expression | None] = []
    values: list[Expression] = []
    for key, value in zip(node.keys, node.values, strict=True):
        keys.append(lower(key, out) if key is not None else None)
        item = lower(value, out)
        values.append(item if key is not None else Operation(item.at, "**", (item,)))
    return Display(at, "dict", tuple(values), tuple(keys))


def _binary(node: ast.BinOp, out: Walk) -> Expression:
    at = out.number(node)
    return Operation(at, OPERATORS[type(node.op)], (lower(node.left, out), lower(node.right, out)))


def _boolean(node: ast.BoolOp, out: Walk) -> Expression:
    """``a or b or c`` is ``(a or b) or c``: numbered from the outside in, where only the whole has a known place."""
    operator = OPERATORS[type(node.op)]
    ats = [out.number(node if level == 0 else None) for level in range(len(node.values) - 1)]
    found = lower(node.values[0], out)
    for at, value in zip(reversed(ats), node.values[1:], strict=True):
        operands = (found, lower(value, out))
        found = Operation(at, operator, operands, out.number(None))
    return found


def _unary(node: ast.UnaryOp, out: Walk) -> Expression:
    at = out.number(node)
    return Operation(at, OPERATORS[type(node.op)], (lower(node.operand, out),))


def _comparison(node: ast.Compare, out: Walk) -> Expression:
    at = out.number(node)
    operands = (lower(node.left, out), *[lower(comparator, out) for comparator in node.comparators])
    return Operation(at, OPERATORS[type(node.ops[0])], operands)


def _conditional(node: ast.IfExp, out: Walk) -> Expression:
    at = out.number(node)
    return Conditional(at, lower(node.test, out), lower(node.body, out), lower(node.orelse, out))


def _comprehension(kind: str) -> Callable[[Any, Walk], Expression]:
    def lower_comprehension(node: ast.ListComp | ast.SetComp | ast.GeneratorExp, out: Walk) -> Expression:
        at = out.number(node)
        loops = tuple(_loops(node.generators, out))
        return Comprehension(at, kind, lower(node.elt, out), loops)

    return lower_comprehension


def _dict_comprehension(node: ast.DictComp, out: Walk) -> Expression:
    at = out.number(node)
    loops = tuple(_loops(node.generators, out))
    key = lower(node.key, out)
    return Comprehension(at, "dict", lower(node.value, out), loops, key)


def _loops(loops: Iterable[ast.comprehension], out: Walk) -> Iterator[Iteration]:
    out.scope.words.add("for")
    for loop in loops:
        iterable = lower(loop.iter, out)
        target = lower(loop.target, out)
        yield Iteration(target, iterable, tuple([lower(condition, out) for condition in loop.ifs]))


def _lambda(node: ast.Lambda, out: Walk) -> Expression:
    at = out.number(node)
    return Lambda(at, out.define_lambda(at, parameters(node.args, out), lambda: lower(node.body, out)))


def parameters(node: ast.arguments, out: Walk) -> tuple[Parameter, ...]:
    """The parameters of a function: positional ones, ``*args``, those by keyword only, ``**kwargs``."""
    positional = [*node.posonlyargs, *node.args]
    defaults = [*[None] * (len(positional) - len(node.defaults)), *node.defaults]
    found = [_parameter(p, "positional", d, out) for p, d in zip(positional, defaults, strict=True)]
    if node.vararg is not None:
        found.append(_parameter(node.vararg, "args", None, out))
    for parameter, default in zip(node.kwonlyargs, node.kw_defaults, strict=True):
        found.append(_parameter(parameter, "keyword", default, out))
    if node.kwarg is not None:
        found.append(_parameter(node.kwarg, "kwargs", None, out))
    return tuple(found)


def _parameter(node: ast.arg, kind: str, value: ast.expr | None, out: Walk) -> Parameter:
    default = lower(value, out) if value is not None else None
    annotation = lower(node.annotation, out) if node.annotation is not None else None
    return Parameter(node.arg, kind, default, annotation)


def _await(node: ast.Await, out: Walk) -> Expression:
    return Await(out.number(node), lower(node.value, out))


def _yield(node: ast.Yield, out: Walk) -> Expression:
    at = out.number(node)
    out.scope.is_generator = True
    return Yield(at, lower(node.value, out) if node.value is not None else None)


def _yield_from(node: ast.YieldFrom, out: Walk) -> Expression:
    at = out.number(node)
    out.scope.is_generator = True
    return Yield(at, lower(node.value, out), delegates=True)


def _named(node: ast.NamedExpr, out: Walk) -> Expression:
    at = out.number(node)
    value = lower(node.value, out)
    target = lower(node.target, out)
    out.assign(target, value)
    return NamedAssignment(at, target, value)


LOWERINGS: dict[type[ast.AST], Callable[[Any, Walk], Expression]] = {
    ast.Name: _name,
    ast.Attribute: _attribute,
    ast.Call: _call,
    ast.Constant: _constant,
    ast.JoinedStr: _formatted,
    ast.Subscript: _subscript,
    ast.Starred: _starred,
    ast.Tuple: _display("tuple"),
    ast.List: _display("list"),
    ast.Set: _display("set"),
    ast.Dict: _dict,
    ast.BinOp: _binary,
    ast.BoolOp: _boolean,
    ast.UnaryOp: _unary,
    ast.Compare: _comparison,
    ast.IfExp: _conditional,
    ast.ListComp: _comprehension("list"),
    ast.SetComp: _comprehension("set"),
    ast.GeneratorExp: _comprehension("generator"),
    ast.DictComp: _dict_comprehension,
    ast.Lambda: _lambda,
    ast.Await: _await,
    ast.Yield: _yield,
    ast.YieldFrom: _yield_from,
    ast.NamedExpr: _named,
}
if (_template := getattr(ast, "TemplateStr", None)) is not None:  # Python 3.14
    LOWERINGS[_template] = _formatted
