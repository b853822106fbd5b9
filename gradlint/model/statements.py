"""Lowering of statements: one small function per LibCST node kind, chosen by type."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

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
from gradlint.model.expressions import OPERATORS, lower

if TYPE_CHECKING:
    from gradlint.model.extract import Extraction

_Lowering = Callable[[Any, "Extraction"], Iterator[Statement]]


def block(body: Sequence[cst.CSTNode], out: "Extraction") -> Block:
    """The statements of a body, in order; those without meaning for us (``pass``) are left out."""
    found: list[Statement] = []
    for node in body:
        if isinstance(node, cst.SimpleStatementLine):
            for small in node.body:
                found.extend(_LOWERINGS[type(small)](small, out))
        else:
            found.extend(_LOWERINGS[type(node)](node, out))
    return tuple(found)


def _suite(node: cst.BaseSuite, out: "Extraction") -> Block:
    return block(node.body, out)


def _expr(node: cst.Expr, out: "Extraction") -> Iterator[Statement]:
    at = out.number(node)
    if not isinstance(node.value, cst.SimpleString):  # docstrings and other strings nobody reads
        yield Evaluate(at, lower(node.value, out))


def _assign(node: cst.Assign, out: "Extraction") -> Iterator[Statement]:
    at = out.number(node)
    value = lower(node.value, out)
    targets = tuple(lower(target.target, out) for target in node.targets)
    for target in targets:
        out.bind(target)
    yield Assign(at, targets, value)


def _annotated(node: cst.AnnAssign, out: "Extraction") -> Iterator[Statement]:
    at = out.number(node)
    target = lower(node.target, out)
    out.bind(target)
    if node.value is not None:
        yield Assign(at, (target,), lower(node.value, out))


def _augmented(node: cst.AugAssign, out: "Extraction") -> Iterator[Statement]:
    at = out.number(node)
    target = lower(node.target, out)
    out.bind(target)
    yield Augment(at, target, OPERATORS[type(node.operator)], lower(node.value, out))


def _optional(node: cst.BaseExpression | None, out: "Extraction") -> Expression | None:
    return None if node is None else lower(node, out)


def _return(node: cst.Return, out: "Extraction") -> Iterator[Statement]:
    yield Return(out.number(node), _optional(node.value, out))


def _raise(node: cst.Raise, out: "Extraction") -> Iterator[Statement]:
    yield Raise(out.number(node), _optional(node.exc, out))


def _delete(node: cst.Del, out: "Extraction") -> Iterator[Statement]:
    at = out.number(node)
    target = node.target
    items = [e.value for e in target.elements] if isinstance(target, cst.Tuple | cst.List) else [target]
    yield Delete(at, tuple(lower(item, out) for item in items))


def _assert(node: cst.Assert, out: "Extraction") -> Iterator[Statement]:
    yield Evaluate(out.number(node), lower(node.test, out), discarded=False)


def _break(node: cst.Break, out: "Extraction") -> Iterator[Statement]:
    yield Jump(out.number(node), "break")


def _continue(node: cst.Continue, out: "Extraction") -> Iterator[Statement]:
    yield Jump(out.number(node), "continue")


def _nothing(node: cst.CSTNode, out: "Extraction") -> Iterator[Statement]:
    yield from ()


def _shared(node: cst.Global | cst.Nonlocal, out: "Extraction") -> Iterator[Statement]:
    out.scope.shared.update(item.name.value for item in node.names)
    yield from ()


def _type_alias(node: cst.TypeAlias, out: "Extraction") -> Iterator[Statement]:
    out.scope.local.add(node.name.value)
    yield from ()


def _if(node: cst.If, out: "Extraction") -> Iterator[Statement]:
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


def _else(node: cst.Else | cst.Finally | None, out: "Extraction") -> Block:
    return () if node is None else _suite(node.body, out)


def _for(node: cst.For, out: "Extraction") -> Iterator[Statement]:
    at = out.number(node)
    iterable = lower(node.iter, out)
    target = lower(node.target, out)
    out.bind(target)
    body = _suite(node.body, out)
    yield For(at, target, iterable, body, _else(node.orelse, out), node.asynchronous is not None)


def _while(node: cst.While, out: "Extraction") -> Iterator[Statement]:
    at = out.number(node)
    test = lower(node.test, out)
    body = _suite(node.body, out)
    yield While(at, test, body, _else(node.orelse, out))


def _with(node: cst.With, out: "Extraction") -> Iterator[Statement]:
    at = out.number(node)
    items = tuple(_with_items(node, out))
    yield With(at, items, _suite(node.body, out), node.asynchronous is not None)


def _with_items(node: cst.With, out: "Extraction") -> Iterator[WithItem]:
    for item in node.items:
        context = lower(item.item, out)
        target = lower(item.asname.name, out) if item.asname is not None else None
        if target is not None:
            out.bind(target)
        yield WithItem(context, target)


def _try(node: cst.Try | cst.TryStar, out: "Extraction") -> Iterator[Statement]:
    at = out.number(node)
    body = _suite(node.body, out)
    handlers = tuple(_handler(handler, out) for handler in node.handlers)
    yield Try(at, body, handlers, _else(node.orelse, out), _else(node.finalbody, out))


def _handler(node: cst.ExceptHandler | cst.ExceptStarHandler, out: "Extraction") -> Block:
    if node.name is not None and isinstance(node.name.name, cst.Name):
        out.scope.local.add(node.name.name.value)
    return _suite(node.body, out)


def _match(node: cst.Match, out: "Extraction") -> Iterator[Statement]:
    at = out.number(node)
    subject = lower(node.subject, out)
    yield Switch(at, subject, tuple(_case(case, out) for case in node.cases))


def _case(node: cst.MatchCase, out: "Extraction") -> Block:
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


def _function(node: cst.FunctionDef, out: "Extraction") -> Iterator[Statement]:
    index, at = out.define_function(node)
    out.scope.local.add(node.name.value)
    yield DefineFunction(at, node.name.value, index)


def _class(node: cst.ClassDef, out: "Extraction") -> Iterator[Statement]:
    index, at, body = out.define_class(node)
    out.scope.local.add(node.name.value)
    yield DefineClass(at, node.name.value, index, body)


def _import(node: cst.Import, out: "Extraction") -> Iterator[Statement]:
    for alias in node.names:
        at = out.number(alias)
        module = _spelt(alias.name)
        if alias.asname is None:
            module = module.partition(".")[0]
        yield _imported(ImportName(at, _binding(alias, module), module, None, 0), out)
        if alias.asname is None and "." in (whole := _spelt(alias.name)):
            # ``import a.b`` binds only ``a`` but loads ``a.b``: kept so that the linker sees the dependency.
            out.scope.imports.append(ImportName(at, "", whole, None, 0))


def _import_from(node: cst.ImportFrom, out: "Extraction") -> Iterator[Statement]:
    at = out.number(node)
    module = _spelt(node.module) if node.module is not None else ""
    level = len(node.relative)
    if isinstance(node.names, cst.ImportStar):
        yield _imported(ImportName(at, "*", module, "*", level), out)
        return
    for alias in node.names:
        name = _spelt(alias.name)
        yield _imported(ImportName(out.number(alias), _binding(alias, name), module, name, level), out)


def _imported(found: ImportName, out: "Extraction") -> ImportName:
    out.scope.imports.append(found)
    if found.binding != "*":
        out.scope.local.add(found.binding)
    out.scope.words.add(found.module.rpartition(".")[2])
    out.scope.words.add(found.name or "")
    return found


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
