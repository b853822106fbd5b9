"""Lowering of statements: one small function per node kind of :mod:`ast`, chosen by type."""

import ast
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gradlint.model.abstract.expressions import OPERATORS, Walk, lower, parameters
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

_Lowering = Callable[[Any, Walk], Iterable[Statement]]


def block(body: Iterable[ast.stmt], out: Walk) -> Block:
    """The statements of a body, in order; those without meaning for us (``pass``) are left out."""
    found: list[Statement] = []
    for node in body:
        found += _LOWERINGS[type(node)](node, out)
    return tuple(found)


def _expr(node: ast.Expr, out: Walk) -> Iterable[Statement]:
    at = out.number(node)
    if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str | bytes):
        return ()  # docstrings and other strings nobody reads
    return (Evaluate(at, lower(node.value, out)),)


def _assign(node: ast.Assign, out: Walk) -> Iterable[Statement]:
    at = out.number(node)
    value = lower(node.value, out)
    targets = tuple([lower(target, out) for target in node.targets])
    for target in targets:
        out.assign(target, value)
    return (Assign(at, targets, value),)


def _annotated(node: ast.AnnAssign, out: Walk) -> Iterable[Statement]:
    at = out.number(node)
    target = lower(node.target, out)
    if node.value is None:
        out.bind(target)
        return ()
    value = lower(node.value, out)
    out.assign(target, value)
    return (Assign(at, (target,), value),)


def _augmented(node: ast.AugAssign, out: Walk) -> Iterable[Statement]:
    at = out.number(node)
    target = lower(node.target, out)
    out.bind(target)
    return (Augment(at, target, OPERATORS[type(node.op)], lower(node.value, out)),)


def _optional(node: ast.expr | None, out: Walk) -> Expression | None:
    return None if node is None else lower(node, out)


def _return(node: ast.Return, out: Walk) -> Iterable[Statement]:
    return (Return(out.number(node), _optional(node.value, out)),)


def _raise(node: ast.Raise, out: Walk) -> Iterable[Statement]:
    return (Raise(out.number(node), _optional(node.exc, out)),)


def _delete(node: ast.Delete, out: Walk) -> Iterable[Statement]:
    at = out.number(node)
    return (Delete(at, tuple([lower(item, out) for target in node.targets for item in _deleted(target)])),)


def _deleted(target: ast.expr) -> Iterator[ast.expr]:
    """What is deleted one by one: ``del (a, b)`` and ``del a, b`` are the same."""
    if isinstance(target, ast.Tuple | ast.List):
        for element in target.elts:
            yield from _deleted(element)
    else:
        yield target


def _assert(node: ast.Assert, out: Walk) -> Iterable[Statement]:
    return (Evaluate(out.number(node), lower(node.test, out), discarded=False),)


def _break(node: ast.Break, out: Walk) -> Iterable[Statement]:
    return (Jump(out.number(node), "break"),)


def _continue(node: ast.Continue, out: Walk) -> Iterable[Statement]:
    return (Jump(out.number(node), "continue"),)


def _nothing(node: ast.stmt, out: Walk) -> Iterable[Statement]:
    return ()


def _shared(node: ast.Global | ast.Nonlocal, out: Walk) -> Iterable[Statement]:
    out.scope.shared.update(node.names)
    return ()


def _type_alias(node: Any, out: Walk) -> Iterable[Statement]:
    out.scope.local.add(node.name.id)
    return ()


def _if(node: ast.If, out: Walk) -> Iterable[Statement]:
    at = out.number(node)
    test = lower(node.test, out)
    then = block(node.body, out)
    return (If(at, test, then, block(node.orelse, out)),)


def _for(is_async: bool) -> _Lowering:
    def lower_for(node: ast.For | ast.AsyncFor, out: Walk) -> Iterable[Statement]:
        at = out.number(node)
        iterable = lower(node.iter, out)
        target = lower(node.target, out)
        out.bind(target)
        body = block(node.body, out)
        return (For(at, target, iterable, body, block(node.orelse, out), is_async),)

    return lower_for


def _while(node: ast.While, out: Walk) -> Iterable[Statement]:
    at = out.number(node)
    test = lower(node.test, out)
    body = block(node.body, out)
    return (While(at, test, body, block(node.orelse, out)),)


def _with(is_async: bool) -> _Lowering:
    def lower_with(node: ast.With | ast.AsyncWith, out: Walk) -> Iterable[Statement]:
        at = out.number(node)
        out.scope.words.add("with")
        items = tuple(_with_items(node, out))
        return (With(at, items, block(node.body, out), is_async),)

    return lower_with


def _with_items(node: ast.With | ast.AsyncWith, out: Walk) -> Iterator[WithItem]:
    for item in node.items:
        context = lower(item.context_expr, out)
        target = _optional(item.optional_vars, out)
        if target is not None:
            out.bind(target)
        yield WithItem(context, target)


def _try(node: Any, out: Walk) -> Iterable[Statement]:
    at = out.number(node)
    body = block(node.body, out)
    handlers = tuple([_handler(handler, out) for handler in node.handlers])
    return (Try(at, body, handlers, block(node.orelse, out), block(node.finalbody, out)),)


def _handler(node: ast.ExceptHandler, out: Walk) -> Block:
    if node.name is not None:
        out.scope.local.add(node.name)
    return block(node.body, out)


def _match(node: ast.Match, out: Walk) -> Iterable[Statement]:
    at = out.number(node)
    subject = lower(node.subject, out)
    return (Switch(at, subject, tuple([_case(case, out) for case in node.cases])),)


def _case(node: ast.match_case, out: Walk) -> Block:
    out.scope.local.update(_captures(node.pattern))
    if node.guard is not None:
        lower(node.guard, out)
    return block(node.body, out)


def _captures(pattern: ast.pattern) -> Iterator[str]:
    for node in ast.walk(pattern):
        match node:
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                yield name
            case _:
                pass


def _function(is_async: bool) -> _Lowering:
    def lower_function(node: ast.FunctionDef | ast.AsyncFunctionDef, out: Walk) -> Iterable[Statement]:
        keyword_at = out.number(node)
        at = out.number((node, "name"))
        decorators = tuple([lower(decorator, out) for decorator in node.decorator_list])
        taken = parameters(node.args, out)
        index = out.define_function(
            node.name, at, keyword_at, taken, decorators, lambda: block(node.body, out), is_async=is_async
        )
        out.scope.local.add(node.name)
        return (DefineFunction(at, node.name, index),)

    return lower_function


def _class(node: ast.ClassDef, out: Walk) -> Iterable[Statement]:
    at = out.number((node, "name"))
    decorators = tuple([lower(decorator, out) for decorator in node.decorator_list])
    bases = tuple([lower(base.value if isinstance(base, ast.Starred) else base, out) for base in node.bases])
    index, body = out.define_class(node.name, at, bases, decorators, lambda: block(node.body, out))
    out.scope.local.add(node.name)
    return (DefineClass(at, node.name, index, body),)


def _import(node: ast.Import, out: Walk) -> Iterable[Statement]:
    for alias in node.names:
        at = out.number(alias)
        if alias.asname is not None:
            yield out.note_import(ImportName(at, alias.asname, alias.name, None, 0))
            continue
        first = alias.name.partition(".")[0]
        yield out.note_import(ImportName(at, first, first, None, 0))
        if first != alias.name:
            out.note_loading(at, alias.name)


def _import_from(node: ast.ImportFrom, out: Walk) -> Iterable[Statement]:
    at = out.number(node)
    module, level = node.module or "", node.level
    for alias in node.names:
        if alias.name == "*":
            yield out.note_import(ImportName(at, "*", module, "*", level))
        else:
            binding = alias.asname or alias.name
            yield out.note_import(ImportName(out.number(alias), binding, module, alias.name, level))


_LOWERINGS: dict[type[ast.AST], _Lowering] = {
    ast.Expr: _expr,
    ast.Assign: _assign,
    ast.AnnAssign: _annotated,
    ast.AugAssign: _augmented,
    ast.Return: _return,
    ast.Raise: _raise,
    ast.Delete: _delete,
    ast.Assert: _assert,
    ast.Break: _break,
    ast.Continue: _continue,
    ast.Pass: _nothing,
    ast.Global: _shared,
    ast.Nonlocal: _shared,
    ast.If: _if,
    ast.For: _for(False),
    ast.AsyncFor: _for(True),
    ast.While: _while,
    ast.With: _with(False),
    ast.AsyncWith: _with(True),
    ast.Try: _try,
    ast.Match: _match,
    ast.FunctionDef: _function(False),
    ast.AsyncFunctionDef: _function(True),
    ast.ClassDef: _class,
    ast.Import: _import,
    ast.ImportFrom: _import_from,
}
if (_try_star := getattr(ast, "TryStar", None)) is not None:  # Python 3.11
    _LOWERINGS[_try_star] = _try
if (_alias := getattr(ast, "TypeAlias", None)) is not None:  # Python 3.12
    _LOWERINGS[_alias] = _type_alias
