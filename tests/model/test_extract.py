"""Facts say what the code says."""

import pickle
from dataclasses import fields, is_dataclass
from textwrap import dedent
from typing import Any

import pytest

from gradlint.finding import Span
from gradlint.model.code import (
    Assign,
    Augment,
    Await,
    Call,
    Comprehension,
    Conditional,
    Constant,
    DefineClass,
    DefineFunction,
    Delete,
    Display,
    Evaluate,
    Expression,
    For,
    Formatted,
    If,
    Jump,
    Lambda,
    Name,
    NamedAssignment,
    Operation,
    Raise,
    Return,
    Subscript,
    Switch,
    Try,
    While,
    With,
    Yield,
    dotted,
)
from gradlint.model.concrete.read import walk
from gradlint.model.extract import extract
from gradlint.model.facts import Function, ModuleFacts
from gradlint.model.locate import locate
from gradlint.model.traverse import all_expressions, statements
from gradlint.source import Source, decode


def facts_of(text: str) -> ModuleFacts:
    return extract(Source("a.py", dedent(text)))


def function(text: str, qualified: str) -> Function:
    return next(f for f in facts_of(text).functions if f.qualified == qualified)


def value_of(text: str) -> Expression:
    """The one expression of a module that is a single expression statement."""
    (statement,) = facts_of(text).body.body
    assert isinstance(statement, Evaluate)
    return statement.value


# Functions and classes


def test_functions_are_named_as_python_qualifies_them() -> None:
    facts = facts_of(
        """
        def f():
            def g(): ...
            return lambda: 0
        class A:
            def m(self):
                class B:
                    def n(self): ...
        """
    )
    assert [f.qualified for f in facts.functions] == ["<module>", "f", "f.g", "f.<lambda>", "A.m", "A.m.B.n"]
    assert [c.qualified for c in facts.classes] == ["A", "A.m.B"]
    assert [f.index for f in facts.functions] == list(range(6))


def test_a_function_knows_where_it_is_defined_and_whose_method_it_is() -> None:
    facts = facts_of(
        """
        class A:
            def m(self):
                def inner(): ...
            class B:
                def n(self): ...
        """
    )
    by_name = {f.qualified: f for f in facts.functions}
    owners = {name: None if f.owner is None else facts.classes[f.owner].qualified for name, f in by_name.items()}
    parents = {name: None if f.parent is None else facts.functions[f.parent].qualified for name, f in by_name.items()}
    assert owners == {"<module>": None, "A.m": "A", "A.m.inner": None, "A.B.n": "A.B"}
    assert parents == {"<module>": None, "A.m": "<module>", "A.m.inner": "A.m", "A.B.n": "<module>"}


def test_a_class_lists_its_own_methods_and_the_last_definition_wins() -> None:
    facts = facts_of(
        """
        class A(Base, mixin.B, metaclass=M):
            def m(self): return 1
            def m(self): return 2
            class Inner:
                def other(self): ...
        """
    )
    outer = next(c for c in facts.classes if c.name == "A")
    assert outer.methods.keys() == {"m"}
    assert [dotted(base) for base in outer.bases] == ["Base", "mixin.B"]
    (returned,) = facts.functions[outer.methods["m"]].body
    assert isinstance(returned, Return)
    assert returned.value == Constant(returned.value.at if returned.value else -1, 2)


def test_every_kind_of_parameter_is_told_apart() -> None:
    found = function("def f(a, /, b=1, *rest, c: int, d=2, **more): ...", "f").parameters
    assert [(p.name, p.kind) for p in found] == [
        ("a", "positional"),
        ("b", "positional"),
        ("rest", "args"),
        ("c", "keyword"),
        ("d", "keyword"),
        ("more", "kwargs"),
    ]
    assert [p.name for p in found if p.default is not None] == ["b", "d"]
    assert [p.name for p in found if p.annotation is not None] == ["c"]


def test_a_bare_star_is_no_parameter() -> None:
    assert [p.name for p in function("def f(a, *, b): ...", "f").parameters] == ["a", "b"]


def test_decorators_come_from_the_top_with_their_arguments() -> None:
    decorators = function("@a.b\n@c(1)\n@d\ndef f(): ...", "f").decorators
    assert [dotted(d.function if isinstance(d, Call) else d) for d in decorators] == ["a.b", "c", "d"]
    assert isinstance(decorators[1], Call)


def test_async_and_generator_functions_are_marked() -> None:
    facts = facts_of(
        """
        async def a(): await b
        def g():
            yield 1
        def h():
            yield from g()
        def outer():
            def inner():
                yield
            return (i for i in range(3))
        async def ag():
            yield 1
        """
    )
    kinds = {f.qualified: (f.is_async, f.is_generator) for f in facts.functions}
    assert kinds == {
        "<module>": (False, False),
        "a": (True, False),
        "g": (False, True),
        "h": (False, True),
        "outer": (False, False),
        "outer.inner": (False, True),
        "ag": (True, True),
    }


def test_a_lambda_returns_its_body_and_has_its_own_names() -> None:
    facts = facts_of("f = lambda x, *y: x + z\n")
    inner = facts.functions[1]
    assert inner.is_lambda
    assert inner.local == {"x", "y"}
    assert inner.words == {"x", "z"}
    assert facts.body.words == {"f"}
    (returned,) = inner.body
    assert isinstance(returned, Return)
    assert isinstance(returned.value, Operation)
    (assigned,) = facts.body.body
    assert isinstance(assigned, Assign)
    assert isinstance(assigned.value, Lambda)
    assert assigned.value.function == 1


# Names


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("x = 1", {"x"}),
        ("x: int = 1", {"x"}),
        ("x += 1", {"x"}),
        ("a, (b, *c) = [d, e] = value", {"a", "b", "c", "d", "e"}),
        ("obj.x = items[i] = 1", set()),
        ("for a, b in pairs: c = 1", {"a", "b", "c"}),
        ("with f() as (a, b), g() as c: ...", {"a", "b", "c"}),
        ("if (n := f()): ...", {"n"}),
        ("try: ...\nexcept E as error: ...", {"error"}),
        ("try: ...\nexcept* E as group: ...", {"group"}),
        ("import a.b, c as d\nfrom e import f, g as h", {"a", "d", "f", "h"}),
        ("def g(): inner = 1", {"g"}),
        ("class C: attribute = 1", {"C"}),
        ("match v:\n    case [a, *b]: ...\n    case {'k': c, **d}: ...\n    case P(x=e) as f: ...", set("abcdef")),
        ("type T = int", {"T"}),
        ("while x: y = 1", {"y"}),
    ],
)
def test_what_a_function_binds_is_local(body: str, names: set[str]) -> None:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    assert function(f"def f():\n{lines}", "f").local == names


def test_a_comprehensions_own_variable_is_not_the_functions_but_its_walrus_is() -> None:
    found = function("def f():\n    return [y := g(x) for x in items]\n", "f")
    assert found.local == {"y"}


def test_global_and_nonlocal_names_are_shared_and_not_local() -> None:
    facts = facts_of(
        """
        def f():
            global g
            n = g = 1
            def inner():
                nonlocal n
                n = m = 2
        """
    )
    by_name = {f.qualified: f for f in facts.functions}
    assert by_name["f"].local == {"n", "inner"}
    assert by_name["f"].shared == {"g"}
    assert by_name["f.inner"].local == {"m"}
    assert by_name["f.inner"].shared == {"n"}


def test_words_are_what_a_function_mentions_itself() -> None:
    facts = facts_of(
        """
        import a.b as c
        from d import e
        @mark
        def f(x=default):
            obj.attr.deep(key=value)
            def inner():
                hidden
        """
    )
    by_name = {f.qualified: f.words for f in facts.functions}
    assert {"b", "d", "e", "mark", "default"} <= by_name["<module>"]
    assert {"obj", "attr", "deep", "value"} <= by_name["f"]
    assert "hidden" not in by_name["f"]
    assert "hidden" not in by_name["<module>"]
    assert "key" not in by_name["f"]


def test_words_tell_of_with_and_of_comprehensions() -> None:
    facts = facts_of(
        """
        def guarded():
            with guard: pass
        async def also_guarded():
            async with guard: pass
        def collecting():
            return {k: v for k, v in pairs}
        def looping():
            for each in pairs: pass
        """
    )
    by_name = {f.qualified: f.words & {"with", "for"} for f in facts.functions}
    assert by_name == {
        "<module>": set(),
        "guarded": {"with"},
        "also_guarded": {"with"},
        "collecting": {"for"},
        "looping": set(),
    }


def test_what_is_given_another_name_is_told_once_for_a_module() -> None:
    facts = facts_of(
        """
        import torch.nn as nn
        from torch import no_grad as quiet, enable_grad
        def f():
            self.guard = torch.inference_mode
            self.guard = torch.inference_mode
            same = other.same
            a, (b, c) = x.y, (z, make())
            kind: type = torch.set_grad_enabled
            if (last := first): pass
            made = torch.no_grad()
            d, e = both
        """
    )
    assert set(facts.renamed) == {
        ("no_grad", "quiet"),
        ("inference_mode", "guard"),
        ("y", "a"),
        ("z", "b"),
        ("set_grad_enabled", "kind"),
        ("first", "last"),
    }
    assert len(set(facts.renamed)) == len(facts.renamed)


def test_a_class_body_speaks_for_the_function_around_it() -> None:
    facts = facts_of("class A:\n    import a\n    x = make(y)\n    def m(self): ...\n")
    assert {"make", "y", "a"} <= facts.body.words
    assert [call.callee for call in facts.body.calls] == ["make"]
    assert [found.module for found in facts.body.imports] == ["a"]
    assert facts.body.local == {"A"}


def test_a_module_that_asks_for_its_name_is_a_script() -> None:
    assert facts_of("if __name__ == '__main__':\n    main()\n").is_script
    assert not facts_of("def f():\n    return __name__\n").is_script


# Imports


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import a", [("a", "a", None, 0)]),
        ("import a.b", [("a", "a", None, 0), ("", "a.b", None, 0)]),
        ("import a.b as c", [("c", "a.b", None, 0)]),
        ("import a, b as c", [("a", "a", None, 0), ("c", "b", None, 0)]),
        ("from a.b import c", [("c", "a.b", "c", 0)]),
        ("from a import b as c, d", [("c", "a", "b", 0), ("d", "a", "d", 0)]),
        ("from . import a", [("a", "", "a", 1)]),
        ("from .a import b", [("b", "a", "b", 1)]),
        ("from ...a.b import c as d", [("d", "a.b", "c", 3)]),
        ("from a import *", [("*", "a", "*", 0)]),
        ("from .. import *", [("*", "", "*", 2)]),
        ("from a import (\n    b,\n    c,\n)", [("b", "a", "b", 0), ("c", "a", "c", 0)]),
        ("from __future__ import annotations", [("annotations", "__future__", "annotations", 0)]),
    ],
)
def test_every_form_of_import_is_kept(text: str, found: list[tuple[str, str, str | None, int]]) -> None:
    imports = facts_of(text).body.imports
    assert [(i.binding, i.module, i.name, i.level) for i in imports] == found


def test_imports_belong_to_the_function_they_stand_in() -> None:
    facts = facts_of("import a\ndef f():\n    try:\n        import b\n    except ImportError:\n        import c\n")
    assert {f.qualified: [i.module for i in f.imports] for f in facts.functions} == {"<module>": ["a"], "f": ["b", "c"]}


# Calls


def test_calls_name_whom_they_call_and_what_they_hand_over() -> None:
    found = function(
        """
        def f():
            a.b(c, d.e, key=g, *rest)
            h()(1)
            super().m(x)
            super(A, self).n()
            i[0](j(k))
        """,
        "f",
    ).calls
    assert [(call.callee, call.handed) for call in found] == [
        ("a.b", ("c", "d.e", "g", "rest")),
        ("h", ()),
        ("", ()),
        ("super", ()),
        ("super().m", ("x",)),
        ("super", ("A", "self")),
        ("super().n", ()),
        ("j", ("k",)),
        ("", ()),
    ]


def test_calls_of_nested_functions_are_their_own_but_comprehensions_share() -> None:
    facts = facts_of("def f():\n    [a(x) for x in b()]\n    g = lambda: c()\n    f'{d():{e()}}'\n")
    assert {f.qualified: {c.callee for c in f.calls} for f in facts.functions} == {
        "<module>": set(),
        "f": {"a", "b", "d", "e"},
        "f.<lambda>": {"c"},
    }


# Statements


def test_every_statement_has_its_kind() -> None:
    text = """
        a = 1
        a += 1
        f()
        del a, b
        raise E
        import m
        def g(): ...
        class C: ...
        with x: ...
        for i in y: break
        while z: continue
        if q: ...
        try: ...
        finally: ...
        match s:
            case 1: ...
        pass
        x: int
        'a string'
        """
    kinds = [type(statement).__name__ for statement in facts_of(text).body.body]
    assert (
        kinds
        == (
            "Assign Augment Evaluate Delete Raise ImportName DefineFunction DefineClass With For While If Try Switch"
        ).split()
    )


def test_statements_on_one_line_are_told_apart() -> None:
    first, second = facts_of("a = 1; b = 2\n").body.body
    assert isinstance(first, Assign)
    assert isinstance(second, Assign)
    assert [dotted(s.targets[0]) for s in (first, second)] == ["a", "b"]


def test_an_elif_stands_in_the_else() -> None:
    (outer,) = facts_of("if a: x()\nelif b: y()\nelse: z()\n").body.body
    assert isinstance(outer, If)
    (inner,) = outer.otherwise
    assert isinstance(inner, If)
    assert (dotted(outer.test), dotted(inner.test)) == ("a", "b")
    assert len(inner.otherwise) == 1


def test_loops_keep_their_else() -> None:
    loop, again = facts_of("for x in xs: a\nelse: b\nwhile y: c\nelse: d\n").body.body
    assert isinstance(loop, For)
    assert isinstance(again, While)
    assert [len(loop.body), len(loop.otherwise), len(again.body), len(again.otherwise)] == [1, 1, 1, 1]
    assert (dotted(loop.target), dotted(loop.iterable)) == ("x", "xs")


def test_a_try_has_all_its_parts() -> None:
    (found,) = facts_of(
        """
        try: a
        except A: b; b
        except (B, C) as e: c; c; c
        except: d
        else: f; f; f; f
        finally: g; g
        """
    ).body.body
    assert isinstance(found, Try)
    assert len(found.body) == 1
    assert [len(handler) for handler in found.handlers] == [2, 3, 1]
    assert len(found.otherwise) == 4
    assert len(found.final) == 2


def test_with_keeps_its_items_in_order() -> None:
    (found,) = facts_of("with a() as x, b(), (c) as (d, e): ...\n").body.body
    assert isinstance(found, With)
    assert [item.target is not None for item in found.items] == [True, False, True]
    assert not found.is_async


def test_with_in_brackets_is_the_same() -> None:
    (found,) = facts_of("with (\n    a() as x,\n    b(),\n): ...\n").body.body
    assert isinstance(found, With)
    assert len(found.items) == 2


def test_async_loops_and_withs_are_marked() -> None:
    loop, context = function("async def f():\n    async for x in y: ...\n    async with z: ...\n", "f").body
    assert isinstance(loop, For)
    assert isinstance(context, With)
    assert loop.is_async
    assert context.is_async


def test_each_case_of_a_match_is_a_block() -> None:
    (found,) = facts_of("match f(x):\n    case 1: a()\n    case [y] if g(y): b(); c()\n    case _: ...\n").body.body
    assert isinstance(found, Switch)
    assert isinstance(found.subject, Call)
    assert [len(case) for case in found.cases] == [1, 2, 1]


def test_the_guard_of_a_case_calls_too() -> None:
    facts = facts_of("match x:\n    case y if g(y): ...\n")
    assert [call.callee for call in facts.body.calls] == ["g"]


def test_an_assert_is_used_and_a_call_on_its_own_is_not() -> None:
    checked, called = facts_of("assert f(), 'no'\nf()\n").body.body
    assert isinstance(checked, Evaluate)
    assert isinstance(called, Evaluate)
    assert not checked.discarded
    assert called.discarded


def test_definitions_point_to_what_they_define() -> None:
    facts = facts_of("class A:\n    x = 1\ndef f(): ...\n")
    cls, fn = facts.body.body
    assert isinstance(cls, DefineClass)
    assert isinstance(fn, DefineFunction)
    assert facts.classes[cls.cls].name == cls.name == "A"
    assert facts.functions[fn.function].name == fn.name == "f"
    assert cls.body == facts.classes[cls.cls].body
    assert len(cls.body) == 1


def test_jumps_and_deletions_are_kept() -> None:
    loop, deletion = facts_of("for x in y:\n    if x: break\n    continue\ndel (a, b.c)\n").body.body
    assert [s.kind for s in statements((loop,)) if isinstance(s, Jump)] == ["break", "continue"]
    assert isinstance(deletion, Delete)
    assert [dotted(target) for target in deletion.targets] == ["a", "b.c"]


def test_augmented_assignments_lose_their_equals_sign() -> None:
    found = facts_of("a += 1\na @= b\na //= c\na >>= d\n").body.body
    assert [s.operator for s in found if isinstance(s, Augment)] == ["+", "@", "//", ">>"]


def test_raise_and_return_may_be_bare() -> None:
    (returned,) = function("def f():\n    return\n", "f").body
    (raised,) = function("def f():\n    raise\n", "f").body
    assert returned == Return(returned.at, None)
    assert raised == Raise(raised.at, None)


# Expressions


def test_f_strings_keep_their_values_and_those_of_their_formats() -> None:
    found = value_of("print(f'{a.item()!r:>{width}} {{no}} {b=}' 'more' f'{c}')\n")
    assert isinstance(found, Call)
    (argument,) = found.arguments
    assert isinstance(argument.value, Formatted)
    assert [dotted(v.function if isinstance(v, Call) else v) for v in argument.value.values] == [
        "a.item",
        "width",
        "b",
        "c",
    ]


def test_strings_are_joined_and_cut() -> None:
    found = value_of(f"f('ab' 'cd', '{'x' * 500}', b'raw')\n")
    assert isinstance(found, Call)
    joined, long, _ = (argument.value for argument in found.arguments)
    assert isinstance(joined, Constant)
    assert isinstance(long, Constant)
    assert joined.value == "abcd"
    assert len(str(long.value)) < 100


def test_numbers_have_their_values() -> None:
    found = value_of("[1_000, 0x1f, 1e-3, 2j, ...]\n")
    assert isinstance(found, Display)
    assert [i.value for i in found.items if isinstance(i, Constant)] == [1000, 31, 0.001, 2j, ...]


def test_numbers_that_python_takes_for_equal_are_different_facts() -> None:
    one, true, real = (extract(Source("a.py", f"f({value})\n")) for value in ("1", "True", "1.0"))
    assert one == extract(Source("a.py", "f(1)\n"))
    assert len({one.functions[0].body, true.functions[0].body, real.functions[0].body}) == 3
    assert one != true != real


@pytest.mark.parametrize(
    ("text", "kind", "has_key"),
    [
        ("[f(x) for x in y if z]", "list", False),
        ("{f(x) for x in y if z}", "set", False),
        ("(f(x) for x in y if z)", "generator", False),
        ("{k: f(x) for x in y if z}", "dict", True),
    ],
)
def test_every_kind_of_comprehension_is_kept(text: str, kind: str, has_key: bool) -> None:
    found = value_of(text)
    assert isinstance(found, Comprehension)
    assert (found.kind, found.key is not None) == (kind, has_key)
    (loop,) = found.loops
    assert (dotted(loop.target), dotted(loop.iterable)) == ("x", "y")
    assert [dotted(condition) for condition in loop.conditions] == ["z"]


def test_nested_loops_of_a_comprehension_come_in_order() -> None:
    found = value_of("[x for xs in m for x in xs if x if xs]\n")
    assert isinstance(found, Comprehension)
    assert [dotted(loop.iterable) for loop in found.loops] == ["m", "xs"]
    assert [len(loop.conditions) for loop in found.loops] == [0, 2]


def test_a_walrus_binds_and_has_a_value() -> None:
    found = value_of("(n := f(x))\n")
    assert isinstance(found, NamedAssignment)
    assert isinstance(found.value, Call)
    assert dotted(found.target) == "n"


def test_subscripts_and_slices() -> None:
    one, several, sliced = (value_of(text) for text in ("x[i]", "x[i, ..., 0]", "x[a:b:c]"))
    assert isinstance(one, Subscript)
    assert isinstance(several, Subscript)
    assert isinstance(sliced, Subscript)
    assert isinstance(one.index, Name)
    assert isinstance(several.index, Display)
    assert len(several.index.items) == 3
    assert isinstance(sliced.index, Operation)
    assert (sliced.index.operator, len(sliced.index.operands)) == (":", 3)


def test_stars_in_displays_and_dicts_are_kept() -> None:
    items, mapping = value_of("[a, *b]"), value_of("{'k': a, **b}")
    assert isinstance(items, Display)
    assert isinstance(mapping, Display)
    assert isinstance(items.items[1], Operation)
    assert items.items[1].operator == "*"
    assert isinstance(mapping.items[1], Operation)
    assert mapping.items[1].operator == "**"
    assert mapping.keys[1] is None


@pytest.mark.parametrize(
    ("text", "operator", "operands"),
    [
        ("a @ b", "@", 2),
        ("a is not b", "is not", 2),
        ("a < b < c", "<", 3),
        ("not a", "not", 1),
        ("-a", "-", 1),
        ("a or b", "or", 2),
    ],
)
def test_operators_are_spelt_as_in_python(text: str, operator: str, operands: int) -> None:
    found = value_of(text)
    assert isinstance(found, Operation)
    assert (found.operator, len(found.operands)) == (operator, operands)


def test_await_yield_and_conditionals() -> None:
    body = function("async def f():\n    await a\n    yield b\n    c if d else e\n", "f").body
    values = [s.value for s in body if isinstance(s, Evaluate)]
    assert [type(v) for v in values] == [Await, Yield, Conditional]
    chosen = values[2]
    assert isinstance(chosen, Conditional)
    assert [dotted(e) for e in (chosen.test, chosen.then, chosen.otherwise)] == ["d", "c", "e"]


# Numbers and places

MUCH = """
import torch as t
@mark(1)
class A(B):
    x: int = 1
    @property
    def m(self, a=lambda: 0, *b, **c) -> int:
        with t.no_grad() as g, h:
            return [f'{i:{j}}' for i in self.k if i and not i]
for x, y in z:
    if (w := x[1:2, 3]) < y: del w
    else: w.a.b += {'k': 1, **x}
match x:
    case {'a': q, **r} if q(): raise q from r
async def n():
    try: await x
    except E as e: print(*e, sep='')
    finally: yield from y
"""


def _numbers(node: Any) -> list[int]:
    """All numbers in facts, a number as often as it is used."""
    found: list[int] = []
    pending = [node]
    while pending:
        each = pending.pop()
        if is_dataclass(each):
            for field in fields(each):
                value = getattr(each, field.name)
                if field.name in ("at", "keyword_at", "operator_at") and value is not None:
                    found.append(value)
                else:
                    pending.append(value)
        elif isinstance(each, tuple | list):
            pending.extend(each)
        elif isinstance(each, dict):
            pending.extend(each.values())
    return found


def test_numbers_do_not_depend_on_the_run() -> None:
    assert facts_of(MUCH) == facts_of(MUCH)


def test_layout_and_comments_change_no_number() -> None:
    spread = "# first\n\n\n" + MUCH.replace("\n", "  # why\n\n").replace(", ", " ,   ")
    assert facts_of(spread) == facts_of(MUCH)


def test_every_number_in_the_facts_has_a_place() -> None:
    source = Source("a.py", MUCH)
    facts, nodes, _ = walk(source)
    numbers = set(_numbers(facts))
    assert len(numbers) > 60
    assert max(numbers) < len(nodes)
    lines = source.lines()
    for number, span in locate(source, numbers).items():
        assert (span.line, span.column) <= (span.end_line, span.end_column)
        assert span.end_line <= len(lines)
        assert number == 0 or span.column <= len(lines[span.line - 1])


def test_facts_survive_pickling() -> None:
    facts = facts_of(MUCH)
    assert pickle.loads(pickle.dumps(facts)) == facts


def called_at(source: Source, callee: str) -> Span:
    """The span of the only call of a name."""
    facts = extract(source)
    calls = [call.at for f in facts.functions for call in f.calls if call.callee == callee]
    (number,) = calls
    return locate(source, [number])[number]


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("here()\n", (1, 1, 1, 7)),
        ("here()", (1, 1, 1, 7)),
        ("x = here() + 1\n", (1, 5, 1, 11)),
        ("x = 1\r\nhere()\r\n", (2, 1, 2, 7)),
        ("x = 1\rhere()\r", (2, 1, 2, 7)),
        ("x = '''\r\n\r\n'''\r\ny = here()\r\n", (4, 5, 4, 11)),
        ("\fx = 1\nhere()\n", (2, 1, 2, 7)),
        ("x = 1\n\f\ny = here()\n", (3, 5, 3, 11)),
        ("if x:\n\there()\n", (2, 2, 2, 8)),
        ("if x:\n\tif y:\n\t\tz = here()\n", (3, 7, 3, 13)),
        ("x\t=\there()\n", (1, 5, 1, 11)),
        ("名前 = here()\n", (1, 6, 1, 12)),
        ("x = '漢字', here()\n", (1, 11, 1, 17)),
        ("x = '😀', here()\n", (1, 10, 1, 16)),
        ("x = f'a {here()} b'\n", (1, 10, 1, 16)),
        ("x = f'{a:{here()}}'\n", (1, 11, 1, 17)),
        ("x = f'{f\"{here()}\"}'\n", (1, 11, 1, 17)),
        ("x = f'''\n{a}\n  {here()}\n'''\n", (3, 4, 3, 10)),
        ("x = f'漢{here()}'\n", (1, 9, 1, 15)),
        ("here(\n    1,\n)\n", (1, 1, 3, 2)),
        ("x = (\n    here\n    ()\n)\n", (2, 5, 3, 7)),
        ("x = a + \\\n    here()\n", (2, 5, 2, 11)),
        ("a; here(); b\n", (1, 4, 1, 10)),
        ("class A:\n    def f(self):\n        here()\n", (3, 9, 3, 15)),
        ("#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n\nhere()\n", (4, 1, 4, 7)),
        ("x = '''\n\u2028\x0b\x1c\n'''; here()\n", (3, 6, 3, 12)),
        ("f(lambda: here())\n", (1, 11, 1, 17)),
        ("((here)())\n", (1, 2, 1, 10)),
    ],
)
def test_places_are_exact(text: str, span: tuple[int, int, int, int]) -> None:
    assert called_at(Source("a.py", text), "here") == Span(*span)


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfhere()\n",
        "# coding: latin-1\nx = 'é'; here()\n".encode("latin-1"),
        "# coding: gbk\nx = '漢'; here()\n".encode("gbk"),
    ],
)
def test_columns_are_counted_in_characters_whatever_the_encoding(data: bytes) -> None:
    source = decode("a.py", data)
    span = called_at(source, "here")
    assert source.lines()[span.line - 1][span.column - 1 : span.end_column - 1] == "here()"


def test_a_function_stands_at_its_name_and_below_its_decorators() -> None:
    source = Source("a.py", "@mark\n@mark2(\n    1)\nasync def  run (x):\n    ...\n")
    found = next(f for f in extract(source).functions if f.name == "run")
    spans = locate(source, [found.at, found.keyword_at])
    assert spans[found.at] == Span(4, 12, 4, 15)
    assert spans[found.keyword_at].line == 4


def test_the_place_of_a_class_is_its_name() -> None:
    source = Source("a.py", "@mark\nclass  Net(Base):\n    ...\n")
    (cls,) = extract(source).classes
    assert locate(source, [cls.at])[cls.at] == Span(2, 8, 2, 11)


def test_the_place_of_a_module_is_its_beginning() -> None:
    source = Source("a.py", "\n\nx = 1\n")
    assert locate(source, [0]) == {0: Span(1, 1, 1, 1)}


def test_all_expressions_of_a_body_can_be_walked() -> None:
    names = {e.id for e in all_expressions(facts_of(MUCH).body.body) if isinstance(e, Name)}
    assert {"z", "w", "x", "y"} <= names
    assert names.isdisjoint({"g", "i", "e"})  # of functions
