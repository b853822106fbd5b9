"""What becomes of a result, in its function and beyond."""

from collections.abc import Callable, Mapping

import pytest

from gradlint.project import Project
from gradlint.project.questions.destiny import Destiny

Build = Callable[[Mapping[str, str]], Project]
DestinyOf = Callable[..., Destiny]


@pytest.fixture
def destiny(build: Build) -> DestinyOf:
    """What becomes of the result of the call ``model(x)`` in a file; other files by name."""

    def find(text: str, **others: str) -> Destiny:
        project = build({"main.py": text, **{f"{name}.py": other for name, other in others.items()}})
        ((function, at),) = [
            (f, c.at)
            for f in project.functions()
            for c in f.facts.calls
            if c.callee == "model" and f.module.path == "main.py"
        ]
        return project.destinies.of(function, at)

    return find


def inside(body: str) -> str:
    """A function with this body, given a model and its data."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"import torch\nimport torch.nn.functional as F\ndef run(model, x, y, loader, optimizer):\n{lines}"


@pytest.mark.parametrize(
    "body",
    [
        "model(x).sum().backward()",
        "out = model(x)\nloss = F.cross_entropy(out, y)\nloss.backward()",
        "out, _ = model(x)\n(out - y).pow(2).mean().backward()",
        "torch.autograd.grad(model(x).sum(), x)",
        "losses = []\nfor a in loader: losses.append(model(a))\ntorch.stack(losses).sum().backward()",
        "losses = {'a': model(x)}\nsum(losses.values()).backward()",
        "total = 0\nfor a in loader: total += model(a)\ntotal.backward()",
        "loss = model(x) if x else None\nif loss is not None: loss.backward()",
        "loss = [model(a) for a in loader]\nloss[0].backward()",
        "pairs = zip([model(x)], [y])\nfor out, _ in pairs: out.sum().backward()",
        "with torch.autocast('cuda'):\n    loss = model(x)\nscaler.scale(loss).backward()",
        "print(loss := model(x))\nloss.backward()",
        "try:\n    loss = model(x)\nfinally:\n    pass\nloss.backward()",
        "def closure():\n    out.backward()\nout = model(x)\noptimizer.step(closure)",
    ],
)
def test_backward_trains_whatever_way_it_is_reached(destiny: DestinyOf, body: str) -> None:
    assert destiny(inside(body)).trained


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return model(x).argmax(1).tolist()", {"argmax"}),
        ("print(model(x).sum().item())", {"item"}),
        ("out = model(x)\nprint(out.shape)", {"shape"}),
        ("return model(x).detach().cpu().numpy()", {"detach"}),
        ("return float(model(x))", {"float"}),
        ("out = model(x)\nreturn (out.argmax(1) == y).float().mean()", {"argmax"}),
        ("total = 0\nfor a in loader: total += model(a).item()\nreturn total", {"item"}),
        ("return [model(a).item() for a in loader]", {"item"}),
        ("found = []\nfor a in loader: found.append(model(a))\nreturn torch.cat(found).argmax(1)", {"argmax"}),
        ("return f'{model(x).item():.3f}'", {"item"}),
        ("out = model(x)\nfor o, t in zip(out, y): print(o.argmax(), t)", {"argmax"}),
        ("out = model(x)\nreturn {'loss': out.item(), 'top': out.argmax()}", {"item", "argmax"}),
        ("out = F.softmax(model(x), 1)\nreturn out.max(1)[1].tolist()", set()),
    ],
)
def test_numbers_and_indices_are_only_read(destiny: DestinyOf, body: str, words: set[str]) -> None:
    found = destiny(inside(body))
    assert found.only_read
    assert words <= {word for _, word in found.reads}


@pytest.mark.parametrize(
    "body",
    [
        "print(model(x).item())\nmodel2(y).sum().backward()",
        "out = model(x)\nprint(out.item())\nout = x * 2\nout.backward()",
    ],
)
def test_training_something_else_is_not_training_this(destiny: DestinyOf, body: str) -> None:
    found = destiny(inside(body))
    assert not found.trained
    assert found.only_read


@pytest.mark.parametrize(
    "body",
    [
        "loss = F.mse_loss(model2(y), model(x).detach())\nloss.backward()",
        "label = model(x).argmax(1)\nF.cross_entropy(model2(y), label).backward()",
    ],
)
def test_a_target_that_something_else_is_trained_on_is_no_inference(destiny: DestinyOf, body: str) -> None:
    found = destiny(inside(body))
    assert found.reads
    assert not found.only_read


@pytest.mark.parametrize("body", ["model(x)", "_ = model(x)", "for a in loader: model(a)", "out = model(x)\ndel out"])
def test_a_result_that_nobody_looks_at_is_dropped(destiny: DestinyOf, body: str) -> None:
    assert destiny(inside(body)).dropped


def test_what_nobody_is_seen_to_call_returns_into_the_unknown(destiny: DestinyOf) -> None:
    found = destiny(inside("return model(x)"))
    assert found.returned
    assert found.unknown
    assert not found.only_read


# Across functions and files

HELPER = "def forward_pass(model, x):\n    out = model(x)\n    return out, x\n"


@pytest.mark.parametrize(
    ("use", "trained", "only_read"),
    [
        ("out, _ = forward_pass(m, x)\n    out.sum().backward()", True, False),
        ("out, _ = forward_pass(m, x)\n    return out.argmax(1)", False, True),
        ("print(forward_pass(m, x)[0].item())", False, True),
        ("forward_pass(m, x)", False, False),
        ("self.out = forward_pass(m, x)[0]", False, False),
    ],
)
def test_a_returned_result_is_followed_into_its_caller(
    destiny: DestinyOf, use: str, trained: bool, only_read: bool
) -> None:
    caller = f"from main import forward_pass\ndef use(self, m, x):\n    {use}\n"
    found = destiny(HELPER, caller=caller)
    assert found.returned
    assert (found.trained, found.only_read) == (trained, only_read)


def test_one_caller_that_trains_is_enough(destiny: DestinyOf) -> None:
    reader = "from main import forward_pass\ndef read(m, x):\n    return forward_pass(m, x)[0].item()\n"
    trainer = "import main\ndef train(m, x):\n    main.forward_pass(m, x)[0].sum().backward()\n"
    assert destiny(HELPER, reader=reader).only_read
    found = destiny(HELPER, reader=reader, trainer=trainer)
    assert found.trained
    assert found.reads


def test_results_are_followed_through_several_callers(destiny: DestinyOf) -> None:
    middle = "from main import forward_pass\ndef middle(m, x):\n    out, _ = forward_pass(m, x)\n    return out * 2\n"
    outer = "from middle import middle\ndef outer(m, x):\n    return middle(m, x).argmax(1).tolist()\n"
    assert destiny(HELPER, middle=middle, outer=outer).only_read
    trainer = outer.replace(".argmax(1).tolist()", ".sum().backward()")
    assert destiny(HELPER, middle=middle, outer=trainer).trained


def test_functions_that_return_one_anothers_result_end(destiny: DestinyOf) -> None:
    text = """
        def even(model, x, n):
            if n: return odd(model, x, n - 1)
            return model(x)
        def odd(other, x, n):
            return even(other, x, n - 1)
        def use(m, x):
            print(even(m, x, 4).item())
        """
    found = destiny(text)
    assert found.reads
    assert not found.trained


def test_a_result_handed_to_a_function_of_the_project_is_followed_there(destiny: DestinyOf) -> None:
    text = "from losses import step\ndef run(model, x, y):\n    step(model(x), y)\n"
    assert destiny(text, losses="def step(out, y):\n    (out - y).sum().backward()\n").trained
    assert destiny(text, losses="def step(out, y):\n    print(out.argmax(1), y)\n").only_read
    through = "def step(out, y):\n    return inner(out)\ndef inner(out):\n    out.sum().backward()\n"
    assert destiny(text, losses=through).trained


def test_what_a_function_of_the_project_makes_of_a_result_comes_back(destiny: DestinyOf) -> None:
    text = "from losses import loss\ndef run(model, x, y):\n    loss(model(x), y).backward()\n"
    assert destiny(text, losses="def loss(out, y):\n    return (out - y).pow(2).mean()\n").trained
    detaching = "def loss(out, y):\n    return out.detach()\n"
    assert not destiny(text.replace(".backward()", ".tolist()"), losses=detaching).trained


def test_a_generator_hands_its_results_to_who_iterates_it(destiny: DestinyOf) -> None:
    generator = "def outputs(model, loader):\n    for x in loader:\n        yield model(x)\n"
    reader = "from main import outputs\ndef read(m, l):\n    for out in outputs(m, l):\n        print(out.item())\n"
    trainer = reader.replace("print(out.item())", "out.backward()")
    assert destiny(generator, reader=reader).only_read
    assert destiny(generator, trainer=trainer).trained


def test_what_is_stored_on_an_object_is_stored(destiny: DestinyOf) -> None:
    text = "class A:\n    def run(self, model, x):\n        self.out = model(x)\n"
    found = destiny(text)
    assert found.stored
    assert not found.only_read


def test_what_is_stored_and_trained_by_another_method_is_trained(destiny: DestinyOf) -> None:
    text = """
        class A:
            def forward_pass(self, model, x):
                self.loss = model(x)
            def optimize(self):
                self.loss.backward()
        """
    assert destiny(text).trained


def test_a_meter_that_keeps_numbers_only_reads(destiny: DestinyOf) -> None:
    meter = """
        class Meter:
            def __init__(self):
                self.total = 0.0
            def update(self, value, n):
                self.total += value.item() * n
        """
    text = """
        from meter import Meter
        def run(model, loader):
            meter = Meter()
            for x in loader:
                meter.update(model(x), 1)
            return meter
        """
    assert destiny(text, meter=meter).only_read
    keeping = meter.replace("value.item() * n", "value * n")
    assert not destiny(text, meter=keeping).only_read


def test_code_that_cannot_be_seen_may_do_anything(destiny: DestinyOf) -> None:
    found = destiny(inside("engine.take(model(x))"))
    assert found.unknown
    assert not found.trained
