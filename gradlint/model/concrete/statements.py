"""Lowering of statements: one small function per LibCST node kind, chosen by type."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import libcst as cst

from gradlint.model.code import (
    Assign,
    Augment,
    Block,
    DefineClass,
    DefineFunction,
    Delete,
    Evaluate,
    Expression,
    For,
    If,
    ImportName,
    Jump,
    Raise,
    Return,
    Statement,
    Switch,
    Try,
    While,
    With,
    WithItem,
)
from gradlint.model.concrete.expressions import OPERATORS, Walk, lower, parameters

_Lowering = Callable[[Any, Walk], Iterator[Statement]]


def block(body: Sequence[cst.CSTNode], out: Walk) -> Block:
    """The statements of a body, in order; those without meaning for us (``pass``) are left out."""
    found: list[Statement] = []
    for node in body:
        if isinstance(node, cst.SimpleStatementLine):
            for small in node.body:
                found.extend(_LOWERINGS[type(small)](small, out))
        else:
            found.extend(_LOWERINGS[type(node)](node, out))
    return tuple(found)


def _suite(node: cst.BaseSuite, out: Walk) -> Block:
    return block(node.body, out)


def _expr(node: cst.Expr, out: Walk) -> Iterator[Statement]:
    at = out.number(node)
    if not _is_text(node.value):  # docstrings and other strings nobody reads
        yield Evaluate(at, lower(node.value, out))


def _is_text(node: cst.BaseExpression) -> bool:
    if isinstance(node, cst.ConcatenatedString):
        return _is_text(node.left) and _is_text(node.right)
    return isinstance(node, cst.SimpleString)


def _assign(node: cst.Assign, out: Walk) -> Iterator[Statement]:
    at = out.number(node)
    value = lower(node.value, out)
    targets = tuple(lower(target.target, out) for target in node.targets)
    for target in targets:
        out.assign(target, value)
    yield Assign(at, targets, value)


def _annotated(node: cst.AnnAssign, out: Walk) -> Iterator[Statement]:
    at = out.number(node)
    target = lower(node.target, out)
    if node.value is None:
        out.bind(target)
        return
    value = lower(node.value, out)
    out.assign(target, value)
    yield Assign(at, (target,), value)


def _augmented(node: cst.AugAssign, out: Walk) -> Iterator[Statement]:
    at = out.number(node)
    target = lower(node.target, out)
    out.bind(target)
    yield Augment(at, target, OPERATORS[type(node.operator)], lower(node.value, out))


def _optional(node: cst.BaseExpression | None, out: Walk) -> Expression | None:
    return None if node is None else lower(node, out)


def _return(node: cst.Return, out: Walk) -> Iterator[Statement]:
    yield Return(out.number(node), _optional(node.value, out))


def _raise(node: cst.Raise, out: Walk) -> Iterator[Statement]:
    yield Raise(out.number(node), _optional(node.exc, out))


def _delete(node: cst.Del, out: Walk) -> Iterator[Statement]:
    at = out.number(node)
    yield Delete(at, tuple(lower(item, out) for item in _deleted(node.target)))


def _deleted(target: cst.BaseExpression) -> Iterator[cst.BaseExpression]:
    """What is deleted one by one: ``del (a, b)`` and ``del a, b`` are the same."""
    if isinstance(target, cst.Tuple | cst.List):
        for element in target.elements:
            yield from _deleted(element.value)
    else:
        yield target


def _assert(node: cst.Assert, out: Walk) -> Iterator[Statement]:
    yield Evaluate(out.number(node), lower(node.test, out), discarded=False)


def _break(node: cst.Break, out: Walk) -> Iterator[Statement]:
    yield Jump(out.number(node), "break")


def _continue(node: cst.Continue, out: Walk) -> Iterator[Statement]:
    yield Jump(out.number(node), "continue")


def _nothing(node: cst.CSTNode, out: Walk) -> Iterator[Statement]:
    yield from ()


def _shared(node: cst.Global | cst.Nonlocal, out: Walk) -> Iterator[Statement]:
    out.scope.shared.update(item.name.value for item in node.names)
    yield from ()


def _type_alias(node: cst.TypeAlias, out: Walk) -> Iterator[Statement]:
    out.scope.local.add(node.name.value)
    yield from ()


def _if(node: cst.If, out: Walk) -> Iterator[Statement]:
    at = out.number(node)
    test = lower(node.test, out)
    then = _suite(node.body, out)
    match node.orelse:
        case cst.If() as chained:
            otherwise: Block = tuple(_if(chained, out))
        case cst.Else() as last:
            otherwise = _suite(last.body, out)
        case _:
            otherwise = ()
    yield If(at, test, then, otherwise)


def _else(node: cst.Else | cst.Finally | None, out: Walk) -> Block:
    return () if node is None else _suite(node.body, out)


def _for(node: cst.For, out: Walk) -> Iterator[Statement]:
    at = out.number(node)
    iterable = lower(node.iter, out)
    target = lower(node.target, out)
    out.bind(target)
    body = _suite(node.body, out)
    yield For(at, target, iterable, body, _else(node.orelse, out), node.asynchronous is not None)


def _while(node: cst.While, out: Walk) -> Iterator[Statement]:
    at = out.number(node)
    test = lower(node.test, out)
    body = _suite(node.body, out)
    yield While(at, test, body, _else(node.orelse, out))


def _with(node: cst.With, out: Walk) -> Iterator[Statement]:
    at = out.number(node)
    out.scope.words.add("with")
    items = tuple(_with_items(node, out))
    yield With(at, items, _suite(node.body, out), node.asynchronous is not None)


def _with_items(node: cst.With, out: Walk) -> Iterator[WithItem]:
    for item in node.items:
        context = lower(item.item, out)
        target = lower(item.asname.name, out) if item.asname is not None else None
        if target is not None:
            out.bind(target)
        yield WithItem(context, target)


def _try(node: cst.Try | cst.TryStar, out: Walk) -> Iterator[Statement]:
    at = out.number(node)
    body = _suite(node.body, out)
    handlers = tuple(_handler(handler, out) for handler in node.handlers)
    yield Try(at, body, handlers, _else(node.orelse, out), _else(node.finalbody, out))


def _handler(node: cst.ExceptHandler | cst.ExceptStarHandler, out: Walk) -> Block:
    if node.name is not None and isinstance(node.name.name, cst.Name):
        out.scope.local.add(node.name.name.value)
    return _suite(node.body, out)


def _match(node: cst.Match, out: Walk) -> Iterator[Statement]:
    at = out.number(node)
    subject = lower(node.subject, out)
    yield Switch(at, subject, tuple(_case(case, out) for case in node.cases))


def _case(node: cst.MatchCase, out: Walk) -> Block:
    out.scope.local.update(_captures(node.pattern))
    if node.guard is not None:
        lower(node.guard, out)
    return _suite(node.body, out)


def _captures(pattern: cst.CSTNode) -> Iterator[str]:
    if isinstance(pattern, cst.MatchAs | cst.MatchStar) and pattern.name is not None:
        yield pattern.name.value
    if isinstance(pattern, cst.MatchMapping) and pattern.rest is not None:
        yield pattern.rest.value
    for child in pattern.children:
        yield from _captures(child)


def _function(node: cst.FunctionDef, out: Walk) -> Iterator[Statement]:
    keyword_at = out.number(node)
    at = out.number(node.name)
    name = node.name.value
    decorators = tuple(lower(decorator.decorator, out) for decorator in node.decorators)
    taken = parameters(node.params, out)
    is_async = node.asynchronous is not None
    index = out.define_function(
        name, at, keyword_at, taken, decorators, lambda: block(node.body.body, out), is_async=is_async
    )
    out.scope.local.add(name)
    yield DefineFunction(at, name, index)


def _class(node: cst.ClassDef, out: Walk) -> Iterator[Statement]:
    at = out.number(node.name)
    name = node.name.value
    decorators = tuple(lower(decorator.decorator, out) for decorator in node.decorators)
    bases = tuple(lower(base.value, out) for base in node.bases)
    index, body = out.define_class(name, at, bases, decorators, lambda: block(node.body.body, out))
    out.scope.local.add(name)
    yield DefineClass(at, name, index, body)


def _import(node: cst.Import, out: Walk) -> Iterator[Statement]:
    for alias in node.names:
        at = out.number(alias)
        module = _spelt(alias.name)
        if alias.asname is None:
            module = module.partition(".")[0]
        yield out.note_import(ImportName(at, _binding(alias, module), module, None, 0))
        if alias.asname is None and "." in (whole := _spelt(alias.name)):
            out.note_loading(at, whole)


def _import_from(node: cst.ImportFrom, out: Walk) -> Iterator[Statement]:
    at = out.number(node)
    module = _spelt(node.module) if node.module is not None else ""
    level = len(node.relative)
    if isinstance(node.names, cst.ImportStar):
        yield out.note_import(ImportName(at, "*", module, "*", level))
        return
    for alias in node.names:
        name = _spelt(alias.name)
        yield out.note_import(ImportName(out.number(alias), _binding(alias, name), module, name, level))


def _binding(alias: cst.ImportAlias, name: str) -> str:
    if alias.asname is not None and isinstance(alias.asname.name, cst.Name):
        return alias.asname.name.value
    return name


def _spelt(node: cst.BaseExpression) -> str:
    if isinstance(node, cst.Attribute):
        return f"{_spelt(node.value)}.{node.attr.value}"
    assert isinstance(node, cst.Name)
    return node.value


_LOWERINGS: dict[type[cst.CSTNode], _Lowering] = {
    cst.Expr: _expr,
    cst.Assign: _assign,
    cst.AnnAssign: _annotated,
    cst.AugAssign: _augmented,
    cst.Return: _return,
    cst.Raise: _raise,
    cst.Del: _delete,
    cst.Assert: _assert,
    cst.Break: _break,
    cst.Continue: _continue,
    cst.Pass: _nothing,
    cst.Global: _shared,
    cst.Nonlocal: _shared,
    cst.TypeAlias: _type_alias,
    cst.If: _if,
    cst.For: _for,
    cst.While: _while,
    cst.With: _with,
    cst.Try: _try,
    cst.TryStar: _try,
    cst.Match: _match,
    cst.FunctionDef: _function,
    cst.ClassDef: _class,
    cst.Import: _import,
    cst.ImportFrom: _import_from,
}
