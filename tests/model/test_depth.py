"""Only what is really nested is called nested."""

import pytest

from gradlint.model.depth import MOST_BRACKETS, MOST_LEVELS, refuse_too_deep
from gradlint.source import Source, SourceError

MANY = 3 * MOST_LEVELS


def refused(text: str) -> tuple[int, int] | None:
    try:
        refuse_too_deep(Source("a.py", text))
    except SourceError as error:
        return error.line, error.column
    return None


@pytest.mark.parametrize(
    "text",
    [
        "x = 1 + 2\n" * MANY,
        "x = f(a.b.c + [-d])\n" * MANY,
        "x = [" + "-1, " * MANY + "]\n",
        "x = {" + "a.b: c.d(1)[2],\n" * MANY + "}\n",
        "f(\n" + "    a.b,\n" * MANY + ")\n",
        "".join(f"def f{n}(a=-1, *b):\n    return a.b(c)[d] + e\n" for n in range(MANY)),
        "x = '" + "(" * MANY + "'\n",
        "x = '''" + "(\n" * MANY + "'''\n",
        "# " + "(" * MANY + "\n",
        "x = '\\'' # (((\n" * MANY,
        "x = \"a\\\"(\", 'b\\'['\n" * MANY,
        "x = a == b\n" * MANY,
        "x; " * MANY + "\n",
        "x = [\n" + "    'a' 'b'\n    'c',\n" * MANY + "]\n",
        "x = '" + "{(" * MANY + "'\n",
        "x = ')' + '('\n" * MANY,
        "x = )\n" * MANY,
    ],
)
def test_much_is_not_deep(text: str) -> None:
    assert refused(text) is None


@pytest.mark.parametrize("bracket", ["()", "[]", "{}"])
def test_brackets_may_nest_as_deeply_as_python_allows(bracket: str) -> None:
    opening, closing = bracket[0], bracket[1]
    deepest = opening * MOST_BRACKETS + closing * MOST_BRACKETS
    assert refused(f"x = 1\ny = {deepest}\n") is None
    assert refused(f"x = 1\ny = {opening}{deepest}{closing}\n") == (2, 5 + MOST_BRACKETS)


@pytest.mark.parametrize("link", [".a", "+1", " and 1", "[0]", "()", " if 1 else 1", "\\\n  .a"])
def test_expressions_may_be_a_thousand_levels_deep(link: str) -> None:
    assert refused("x = a" + link * (MOST_LEVELS // 2) + "\n") is None
    assert refused("x = a" + link * (MOST_LEVELS + 1) + "\n") is not None


def test_levels_inside_brackets_add_up() -> None:
    inner = "-" * 400 + "1"
    assert refused(f"x = {'-' * 400}({'-' * 100}({inner}))\n") is None
    assert refused(f"x = {'-' * 400}({'-' * 300}({inner}))\n") is not None
    assert refused(f"x = {'-' * 400}1, ({'-' * 300}1, ({inner}))\n") is None


def test_the_brackets_of_an_f_string_count() -> None:
    assert refused("x = f'{" + "(" * 300 + "1" + ")" * 300 + "}'\n") is not None
    assert refused("x = f'''\n{" + "(" * 300 + "1" + ")" * 300 + "}'''\n") is not None


def test_quotes_inside_an_f_string_do_not_confuse() -> None:
    """The regular expression takes these for unclosed brackets; the tokens say otherwise."""
    text = "x = f'{d[\"(\"]}'\n" + "".join(f"y{n} = a.b + c\n" for n in range(MANY))
    assert refused(text) is None
    compile(text, "a.py", "exec")


def test_tokens_that_python_refuses_leave_the_count_as_it_is() -> None:
    assert refused("x = '\n" + "y = " + "(" * 300 + "\n") == (2, 205)


def test_a_chain_of_elif_is_nested_too() -> None:
    branch = "    elif x:\n        if y:\n            pass\n        elif z:\n            pass\n\n  # comment\n"
    start = "def f():\n    if x:\n        pass\n"
    assert refused(start + branch * MOST_LEVELS) is None
    assert refused(start + branch * (MOST_LEVELS + 1)) == (4 + 7 * MOST_LEVELS, 5)
    assert refused((start + branch * 10) * MOST_LEVELS) is None
