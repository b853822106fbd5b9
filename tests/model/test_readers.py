"""Python's own syntax tree and LibCST's lead to the same facts, down to the numbers, and to the same places."""

import unicodedata
from pathlib import Path

import pytest

from gradlint import registry
from gradlint.model.abstract import places, read
from gradlint.model.concrete import places as exact
from gradlint.model.extract import extract, extract_with_libcst
from gradlint.rule import Rule
from gradlint.source import Source
from gradlint.testing import cases

ROOT = Path(__file__).parents[2]
FILES = sorted(path for folder in ("gradlint", "rules", "tests", "fixtures") for path in (ROOT / folder).rglob("*.py"))

# One each where the two trees are built differently.
TEXTS = {
    "strings": "x = 'a' \"b\" '''c'''\ny = '\\n\\x41\\N{BULLET}' + b'\\xff' + rb'\\d' + u'é'\nz = 'a\\\nb'\n",
    "unknown escapes": "x = '\\d' + b'\\d'\n",
    "carriage returns": "x = '''a\r\nb\rc'''\r\ny = '''\\t\r\n'''\r",
    "long strings": "x = '" + "é" * 90 + "', b'" + "a" * 90 + "'\n",
    "strings as statements": "'a'\n'a' 'b'\nb'c'\nf'd'\n'a' f'd'\n('e')\n",
    "f-strings": "x = f'a{b!r:>{c}}d{e=}' 'f' f'{g(h):{i.j}{k}}'\ny = f''\nz = 'a' f'b'\n",
    "numbers": "x = 0x_ff + 1_0.5e3 - 2j * 00 + 0b1 // 1e400\n",
    "constants": "x = True, False, None, ...\n",
    "booleans": "x = a or b or c and d and e or not f\ny = (a or b) or c\nz = a or (b or c)\n",
    "comparisons": "x = a < b <= c != d\ny = a not in b is not c\n",
    "operators": "x = a + b * -c ** ~d @ e // f % g << h >> i & j | k ^ +l\n",
    "tuples": "x = ()\ny = a,\nz = (a, *b)\nfor c, in d, *e: pass\n",
    "subscripts": "x[a]\nx[a, b]\nx[(a, b)]\nx[a,]\nx[()]\nx[(a)]\nx[a:b]\nx[::c, ...]\nx[(a, b), c]\n",
    "calls": "f(a, *b, c, d=e, *g, **h)\nf(x for x in y)\nf((a), b := c)\nsuper().f(**k, l=m)\n",
    "displays": "x = [a, *b]\ny = {a, *b}\nz = {a: b, **c, d: e}\n",
    "comprehensions": "x = [a async for b in c if d if e for f in g]\ny = {a: b for c in d}\nz = {a for b, *c in d}\n",
    "lambdas": "x = lambda a, /, b: c = d, *e, f=g, **h: (lambda: a)\n".replace(": c = d", "=c"),
    "parameters": "def f(a: b, c=d, /, e: g = h, *i: j, k: l, m=n, **o: p) -> q: pass\ndef r(*, s): pass\n",
    "deletions": "del a\ndel a, b.c\ndel (a, b)\ndel [a, (b, c)], d\ndel (a),\n",
    "assignments": "a = b = c, *d = e\nf: g = h\ni: j\nk.l: m = n\no[p] += q\n",
    "yields": "def f():\n    x = yield\n    y = yield a, b\n    z = yield from c\nasync def g():\n    await h\n",
    "conditions": "if a:\n    b\nelif c:\n    d\nelse:\n    if e:\n        f\n    elif g: h\n",
    "loops": "for a in b:\n    continue\nelse:\n    c\nwhile d:\n    break\nelse:\n    e\n",
    "asynchronous": "async def f():\n    async for a in b: c\n    async with d as e, g: h\n",
    "contexts": "with a, b as c, (d, e) as f: pass\nwith (a as b, c): pass\nwith (a): pass\nwith (a, b): pass\n",
    "exceptions": "try:\n    a\nexcept (B, C) as d:\n    e\nexcept:\n    f\nelse:\n    g\nfinally:\n"
    "    h\nraise i from j\n",
    "matches": "match a, b:\n    case [c, *d] | {'e': f, **g} if h:\n        i\n"
    "    case J(k, l=m) as n: o\n    case _: p\n",
    "imports": "import a, b.c, d.e as f\nfrom g import h as i, j\nfrom . import k\n"
    "from ..l.m import n\nfrom o import *\n",
    "definitions": "@a\n@b.c(d)\nclass E(f, *g, metaclass=h, **i):\n    j = k\n    @l\n"
    "    async def m(n): global o; p = o\n",
    "scopes": "def f():\n    nonlocal_ = 1\n    def g():\n        nonlocal nonlocal_\n"
    "        class H:\n            def i(self): f\n",
    "semicolons": "a; b = c; pass; d\nif e: f; g\n",
    "assertions": "assert a, b\n",
    "walrus": "x = [y := f(z), y]\nwhile (a := b): pass\n",
    "form feeds": "\fimport a\nx = 1\n\fdef f():\n    return g(1)\n \f\fy = f(\n  1)\n",
    "layout": "x = (  # one\n    a  \n  .b(\n c\n)\n)\n\f\ny = \\\n  z\n",
    "places": "x = (a . b) . c (( d ), e = ( f ))\ny = 'é' + g.h(i, j=k)\nasync  def  l(): pass\nclass \\\n  m: pass\n",
    "nothing": "",
}


def agree(source: Source) -> None:
    found = read.walk(source)
    assert found is not None, "Python's reader gives up"
    facts, nodes = found
    assert facts == extract_with_libcst(source)
    lines = source.lines()
    told = {number: span for number, node in enumerate(nodes) if (span := places.place(node, lines)) is not None}
    assert told.items() <= exact.spans(source, range(len(nodes))).items()


@pytest.mark.parametrize("name", TEXTS)
def test_both_readers_agree(name: str) -> None:
    agree(Source("a.py", TEXTS[name]))


@pytest.mark.parametrize("rule", registry.load(), ids=lambda rule: rule.code)
def test_both_readers_agree_on_a_rules_cases(rule: Rule) -> None:
    for case in cases(rule):
        for file in case.files:
            agree(Source(file.path, file.text))


def test_both_readers_agree_on_real_files() -> None:
    for path in FILES:
        source = Source(path.name, path.read_text(encoding="utf-8"))
        found = read.facts(source)
        if found is None:  # a text that Python spells otherwise than it is written
            assert not unicodedata.is_normalized("NFKC", source.text), path
        else:
            assert found == extract_with_libcst(source), path


@pytest.mark.parametrize(
    "text",
    [
        "x = 1 if\n",
        "print 'a'\n",
        "\ufb01 = 1\nx = \ufb01\n",
        "x = " + "-" * 1500 + "1\n",
        "x = " + "9" * 5000 + "\n",
    ],
)
def test_what_python_refuses_or_reads_differently_is_left_to_libcst(text: str) -> None:
    assert read.facts(Source("a.py", text)) is None


def test_a_name_python_spells_otherwise_stays_as_it_is_written() -> None:
    assert extract(Source("a.py", "\ufb01 = 1\n")).body.local == {"\ufb01"}


def test_foreign_letters_in_names_are_no_reason_to_give_up() -> None:
    agree(Source("a.py", "größe = f('…', größe)\n名前 = größe.名前\n"))
