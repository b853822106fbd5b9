"""What gives no tensor is told by its spelling; whatever may be one is not said to be none."""

import pytest

from gradlint.model.code import Evaluate, Expression, Return
from gradlint.model.extract import extract
from gradlint.model.plain import gives_no_known_tensor, gives_no_tensor
from gradlint.source import Source


def expression(text: str) -> Expression:
    (statement,) = extract(Source("a.py", text)).body.body
    assert isinstance(statement, Evaluate)
    return statement.value


@pytest.mark.parametrize(
    "text",
    [
        "0.5",
        "f'{x}'",
        "[1, 2.0, None]",
        "[len(row) for row in rows]",
        "x is None",
        "x.shape[0] / 2",
        "self.config.scale",
        "cfg.model.width ** -0.5",
        "len(x)",
        "math.sqrt(x)",
        "np.mean(x)",
        "x.sum().item()",
        "1 if flag else x.numel()",
    ],
)
def test_numbers_texts_and_settings_are_no_tensors(text: str) -> None:
    assert gives_no_tensor(expression(text))


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "[1, x]",
        "[f(row) for row in rows]",
        "x > 0",
        "self.weight",
        "x.shape[0] * x",
        "x.sum()",
        "model(x)",
        "x if flag else 0",
        "0 if flag else x",
        "torch.sqrt(x)",
        "x[0]",
        "config",
        "x.T",
        "net(x).weight",
    ],
)
def test_what_may_be_a_tensor_is_not_said_to_be_none(text: str) -> None:
    assert not gives_no_tensor(expression(text))


def is_known(text: str) -> bool:
    """Whether something is known of what is returned by a function with the parameters ``x`` and ``y``."""
    function = extract(Source("a.py", "def f(x, y):\n" + "".join(f"    {line}\n" for line in text.split("\n"))))
    *_, returned = function.functions[1].body
    assert isinstance(returned, Return)
    assert returned.value is not None
    return not gives_no_known_tensor(function.functions[1], returned.value)


@pytest.mark.parametrize(
    "text",
    [
        "return x",
        "return [x, 2 * y[0], x if y else 3]",
        "z = x + y\nreturn z",
        "z = [1, 2]\nz += [x]\nreturn z",
        "z = x\nif (w := z * 2):\n    pass\nreturn w",
        "x = x + 1\nreturn x",
        "z = {}\nz['a'] = x\nreturn z",
        "z = [x]\nz.reverse()\nreturn z",
        "x.requires_grad_()\nreturn x.shape",
        "z = list(x + y)\nreturn sorted(z)",
    ],
)
def test_of_what_callers_hand_in_nothing_is_known(text: str) -> None:
    assert not is_known(text)


@pytest.mark.parametrize(
    "beside",
    [
        "w = net(x)",
        "_, w = net(x)",
        "w = 0\nw += net(x)",
        "w = []\nw.append(net(x))",
        "for w in net(x):\n    pass",
        "with net(x) as w:\n    pass",
        "with net(x):\n    pass",
        "if (w := net(x)):\n    pass",
        "[w for w in net(x)]",
    ],
)
def test_what_other_names_are_given_says_nothing_of_what_callers_hand_in(beside: str) -> None:
    assert not is_known(f"z = x\n{beside}\nreturn z")


@pytest.mark.parametrize(
    "text",
    [
        "return net(x)",
        "return net(x)[0]",
        "return x if y else net(x)",
        "return outer",
        "return [x, net(x)]",
        "z = x\nz = net(z)\nreturn z",
        "z = []\nz.append(net(x))\nreturn z",
        "z = {}\nz['a'] = net(x)\nreturn z",
        "z = 0\nz += net(x)\nreturn z",
        "for z in net(x):\n    pass\nreturn z",
        "for x in net(x):\n    pass\nreturn x",
        "with net(x) as (z, _):\n    pass\nreturn z",
        "z, _ = net(x)\nreturn z",
        "x, _ = net(x)\nreturn x",
        "*x, _ = net(y)\nreturn x",
        "if (z := net(x)):\n    pass\nreturn z",
        "x.requires_grad_()\nreturn x",
        "x.detach_()\nreturn x",
        "z = [x for x in net(y)]\nreturn x",  # the ``x`` of the comprehension, for all we know
        "global z\nz = 2 * z\nreturn z",
    ],
)
def test_of_what_a_function_makes_itself_something_may_be_known(text: str) -> None:
    assert is_known(text)
