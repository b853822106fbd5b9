"""Who calls whom, and in which grad states functions start."""

from collections.abc import Callable, Mapping

import pytest

from gradlint.project import Project
from gradlint.project.grad_states.effects import GRAD, INFERENCE, NO_GRAD, UNSURE, States, names

Build = Callable[[Mapping[str, str]], Project]
Callers = Callable[..., dict[str, list[str]]]
Entries = Callable[..., dict[str, str]]


@pytest.fixture
def callers(build: Build) -> Callers:
    """The callers of each function of a file that has any, each once; other files by name."""

    def find(text: str, **others: str) -> dict[str, list[str]]:
        project = build({"main.py": text, **{f"{name}.py": other for name, other in others.items()}})
        return {f.name: sorted({e.caller.name for e in edges}) for f, edges in project.calls.callers.all.items()}

    return find


@pytest.fixture
def entries(build: Build) -> Entries:
    """The states each function may start in; other files by name."""

    def find(text: str, **others: str) -> dict[str, str]:
        project = build({"main.py": text, **{f"{name}.py": other for name, other in others.items()}})
        return {f.name: names(project.calls.entry(f)) for f in project.functions()}

    return find


# Edges


@pytest.mark.parametrize(
    "annotation", ["Net", '"Net"', "Net | None", "None | Net", "Optional[Net]", "typing.Union[Net, None]"]
)
def test_an_annotation_names_the_class_alone_or_with_none(callers: Callers, annotation: str) -> None:
    text = f"""
        class Net:
            def run(self): ...

        def main(net: {annotation} = None):
            net.run()
        """
    assert callers(text) == {"Net.run": ["main"]}


@pytest.mark.parametrize("annotation", ["Net | Other", "list[Net]", "Union[Net, str]"])
def test_an_annotation_of_several_things_names_no_class(callers: Callers, annotation: str) -> None:
    text = f"""
        class Net:
            def run(self): ...

        class Other:
            def run(self): ...

        def main(net: {annotation}):
            net.run()
        """
    assert callers(text) == {}


def test_names_that_are_assigned_side_by_side_get_what_stands_opposite(callers: Callers) -> None:
    text = """
        class Actor:
            def run(self): ...

        class Critic:
            def run(self): ...

        def main():
            actor, (critic, _) = Actor(), (Critic(), 1)
            critic.run()
        """
    assert callers(text) == {"Critic.run": ["main"]}


def test_a_factory_that_returns_its_own_result_ends(callers: Callers) -> None:
    text = """
        class Net:
            def predict(self): ...

        def build(depth):
            if depth:
                return build(depth - 1)
            return Net()

        def run():
            net = build(3)
            net.predict()
        """
    assert callers(text)["Net.predict"] == ["run"]


def test_functions_are_called_by_name_and_through_modules(callers: Callers) -> None:
    text = """
        import tools
        from tools import g as h
        def own(): ...
        def run():
            own()
            tools.f()
            h()
        """
    found = callers(text, tools="def f(): ...\ndef g(): ...\n")
    assert found == {"own": ["run"], "f": ["run"], "g": ["run"]}


def test_a_call_anywhere_in_a_function_is_its_call(callers: Callers) -> None:
    text = """
        def f(): ...
        def loop():
            while f(): ...
        def deep():
            return [{"k": (f() for x in y)}]
        def text():
            return f"{f()!r:>{3}}"
        def handler():
            try: ...
            except E: f()
        async def waits():
            await f()
        class A:
            value = f()
        @f()
        def decorated(x=f()): ...
        """
    assert callers(text)["f"] == ["<module>", "deep", "handler", "loop", "text", "waits"]


def test_a_method_is_called_through_self_and_its_bases(callers: Callers) -> None:
    base = "class Base:\n    def far(self): ...\n    def over(self): return 1\n"
    text = """
        from base import Base
        class Net(Base):
            def near(self): ...
            def over(self): return 2
            def run(self):
                self.near()
                self.far()
                self.over()
        """
    assert callers(text, base=base) == {"Net.near": ["Net.run"], "Base.far": ["Net.run"], "Net.over": ["Net.run"]}


def test_a_method_called_in_a_base_may_be_a_subclass_own(callers: Callers) -> None:
    text = """
        class Base:
            def run(self):
                self.step()
            def step(self): return 0
        class A(Base):
            def step(self): return 1
        class B(A):
            def step(self): return 2
        """
    found = callers(text)
    assert found["Base.step"] == found["A.step"] == found["B.step"] == ["Base.run"]


def test_a_method_that_is_only_declared_is_not_called(callers: Callers) -> None:
    text = """
        class Base:
            def run(self):
                self.step()
            def step(self):
                raise NotImplementedError
        class A(Base):
            def step(self): return 1
        """
    found = callers(text)
    assert "Base.step" not in found
    assert found["A.step"] == ["Base.run"]


def test_super_calls_the_next_base_that_has_the_method(callers: Callers) -> None:
    text = """
        class A:
            def f(self): return 1
            def g(self): return 1
        class B(A):
            def g(self): return 2
        class C(B):
            def f(self):
                super().f()
            def g(self):
                super().g()
        """
    assert callers(text) == {"A.f": ["C.f"], "B.g": ["C.g"]}


def test_a_constructor_is_called_by_its_classs_name(callers: Callers) -> None:
    text = "import nets\nclass B(nets.A): ...\ndef run():\n    B()\n"
    assert callers(text, nets="class A:\n    def __init__(self): ...\n") == {"A.__init__": ["run"]}


@pytest.mark.parametrize("name", ["net_class", "net_cls", "NetClass"])
def test_a_parameter_called_like_a_class_makes_one_whatever_its_annotation_says(callers: Callers, name: str) -> None:
    text = f"""
        class Net:
            def __init__(self, size): ...
            def __call__(self, x): ...
        def make({name}: Net, size):
            return {name}(size)
        """
    assert callers(text) == {"Net.__init__": ["make"]}


def test_an_instance_that_is_called_runs_call_and_forward(callers: Callers) -> None:
    text = """
        from torch import nn
        class Net(nn.Module):
            def forward(self, x): return x
        class Wrapper:
            def __call__(self, x): return x
        def run(x):
            net = Net().to("cuda").eval()
            wrapper = Wrapper()
            net(x), wrapper(x)
        """
    assert callers(text) == {"Net.forward": ["run"], "Wrapper.__call__": ["run"]}


def test_an_attribute_is_called_through_what_the_constructor_gave_it(callers: Callers) -> None:
    text = """
        from nets import Net
        class Trainer:
            def __init__(self):
                self.net = Net()
            def run(self, x):
                self.net(x)
                self.net.encode(x)
        class Special(Trainer):
            def again(self, x):
                return self.net(x)
        """
    nets = "class Net:\n    def __call__(self, x): return x\n    def encode(self, x): return x\n"
    found = callers(text, nets=nets)
    assert found["Net.__call__"] == ["Special.again", "Trainer.run"]
    assert found["Net.encode"] == ["Trainer.run"]


@pytest.mark.parametrize(
    "variable",
    [
        "net = Net()",
        "net = DataParallel(Net())",
        "net = torch.compile(Net().cuda())",
        "inner = Net()\n    net = inner",
        "net = make()",
        "net = Net() if x else None; net = Net()",
    ],
)
def test_the_class_of_a_variable_is_seen(callers: Callers, variable: str) -> None:
    text = f"""
import torch
from torch.nn import DataParallel
class Net:
    def predict_all(self, x): return x
class Other:
    def predict_all(self, x): return x
def make():
    return Net()
def run(x):
    {variable}
    net.predict_all(x)
"""
    found = callers(text)
    assert found["Net.predict_all"] == ["run"]
    assert "Other.predict_all" not in found


def test_the_class_of_another_files_variable_is_seen(callers: Callers) -> None:
    text = (
        "from state import net\nimport state\ndef run(x):\n    net.encode(x)\ndef again(x):\n    state.net.encode(x)\n"
    )
    state = (
        "class Net:\n    def encode(self, x): return x\nclass Other:\n    def encode(self, x): return x\nnet = Net()\n"
    )
    found = callers(text, state=state)
    assert found == {"Net.encode": ["again", "run"]}


def test_a_parameters_annotation_tells_its_class(callers: Callers) -> None:
    text = """
        from nets import Net
        class Other:
            def encode(self): return 1
        def run(net: Net, x):
            def inner():
                net.encode(x)
            net(x)
        """
    nets = "class Net:\n    def __call__(self, x): return x\n    def encode(self, x): return x\n"
    assert callers(text, nets=nets) == {"Net.__call__": ["run"], "Net.encode": ["run.inner"]}


def test_a_method_of_something_unknown_may_be_any_of_that_name(build: Build) -> None:
    text = """
        class A:
            def encode(self, x): return x
            def append(self, x): return x
        class B:
            def encode(self, x): return x
        def run(thing):
            thing.encode(1)
            thing.append(2)
        """
    edges = list(build({"main.py": text}).calls.all)
    assert [(e.callee.name, e.certain) for e in edges] == [("A.encode", False), ("B.encode", False)]


def test_a_certain_caller_makes_possible_ones_forgotten(callers: Callers) -> None:
    text = """
        class A:
            def encode(self, x): return x
        def certain():
            a = A()
            a.encode(1)
        def possible(thing):
            thing.encode(1)
        """
    assert callers(text) == {"A.encode": ["certain"]}


@pytest.mark.parametrize(
    "call",
    [
        "map(f, x)",
        "partial(f, 1)",
        "functools.partial(f, x=1)",
        "register(callback=f)",
        "loader(collate_fn=f)",
        "net.apply(f)",
        "Thread(target=f)",
    ],
)
def test_a_function_handed_over_by_name_is_called(callers: Callers, call: str) -> None:
    assert callers(f"def f(): ...\ndef run(x, net):\n    {call}\n") == {"f": ["run"]}


def test_a_method_handed_over_by_name_is_called(callers: Callers) -> None:
    text = """
        class A:
            def step(self): return 1
            def run(self):
                schedule(self.step)
        def outside():
            a = A()
            schedule(a.step)
        """
    assert callers(text) == {"A.step": ["A.run", "outside"]}


def test_a_lambda_is_called_where_it_stands(callers: Callers) -> None:
    text = "def f(): ...\ndef run():\n    g = lambda: f()\n"
    assert callers(text) == {"f": ["run.<lambda>"], "run.<lambda>": ["run"]}


def test_a_name_that_a_parameter_hides_is_not_called(callers: Callers) -> None:
    assert callers("def f(): ...\ndef run(f):\n    f()\n    g(f)\n") == {}


def test_edges_come_in_a_stable_order(build: Build) -> None:
    files = {"main.py": "from a import *\ndef run(x):\n    g(); f(); x.m()\n", "a.py": "def f(): ...\ndef g(): ...\n"}
    files["b.py"] = "class A:\n    def m(self): return 1\nclass B:\n    def m(self): return 1\n"
    first, second = ([(e.caller.key, e.at, e.callee.key) for e in build(files).calls.all] for _ in range(2))
    assert first == second
    assert len(first) == 4


def test_above_and_below_follow_calls_to_the_end(build: Build) -> None:
    text = "def a(): b()\ndef b(): c()\ndef c(): a()\ndef d(): b()\ndef e(): ...\n"
    project = build({"main.py": text})
    by_name = {f.name: f for f in project.functions()}
    assert {f.name for f in project.calls.above(by_name["c"])} == {"a", "b", "c", "d"}
    assert {f.name for f in project.calls.below([by_name["d"]])} == {"a", "b", "c", "d"}
    assert {f.name for f in project.calls.below([by_name["e"]])} == {"e"}


def test_functions_are_called_where_a_loop_goes_over_the_items_of_their_table(callers: Callers) -> None:
    text = """
        def near(x): ...
        def far(x): ...
        METRICS = {"near": near, "far": far}
        def run(x):
            for name, metric in METRICS.items():
                metric(x)
        """
    assert callers(text) == {"near": ["run"], "far": ["run"]}


def test_of_copies_of_a_program_those_nearest_are_called(build: Build) -> None:
    policy = """
        class Policy:
            def act(self): ...
        """
    run = """
        def run(policy):
            policy.act()
        """
    homework = {f"{folder}/policy.py": policy for folder in ("hw1", "hw2/one", "hw2/two")}
    other = {"hw3/agent.py": policy.replace("Policy", "Agent")}
    project = build({**homework, **other, "hw1/run.py": run, "hw2/run.py": run, "evaluate.py": run})
    found = project.calls.callers.all.items()
    called = {f.module.path: {e.caller.module.path for e in edges} for f, edges in found if f.facts.name == "act"}
    assert called == {
        "hw1/policy.py": {"hw1/run.py", "evaluate.py"},
        "hw2/one/policy.py": {"hw2/run.py", "evaluate.py"},
        "hw2/two/policy.py": {"hw2/run.py", "evaluate.py"},
        "hw3/agent.py": {"hw1/run.py", "hw2/run.py", "evaluate.py"},
    }


# Entry states


def test_what_nobody_calls_starts_with_grad_on(entries: Entries) -> None:
    assert set(entries("def f(): ...\nclass A:\n    def m(self): ...\n").values()) == {names(GRAD)}


def test_a_guard_in_the_caller_reaches_the_callee_in_another_file(entries: Entries) -> None:
    text = "import torch\nfrom a import f\ndef run():\n    with torch.no_grad():\n        f()\n"
    found = entries(text, a="from b import g\ndef f():\n    g()\n", b="def g(): ...\n")
    assert (found["run"], found["f"], found["g"]) == (names(GRAD), names(NO_GRAD), names(NO_GRAD))


def test_states_are_joined_over_all_call_sites(entries: Entries) -> None:
    text = """
        import torch
        def f(): g()
        def g(): ...
        def guarded():
            with torch.no_grad():
                f()
        @torch.inference_mode()
        def inferring():
            f()
        def chosen(train):
            with torch.set_grad_enabled(train):
                f()
        """
    assert entries(text)["g"] == names(NO_GRAD | INFERENCE | UNSURE)
    assert entries(text + "\n        def open_():\n            f()\n")["g"] == names(
        GRAD | NO_GRAD | INFERENCE | UNSURE
    )


def test_one_function_may_call_with_and_without_a_guard(entries: Entries) -> None:
    text = "import torch\ndef f(): ...\ndef run():\n    f()\n    with torch.no_grad():\n        f()\n"
    assert entries(text)["f"] == names(GRAD | NO_GRAD)


def test_a_decorator_overrides_what_callers_hold(entries: Entries) -> None:
    text = """
        import torch
        @torch.enable_grad()
        def loud(): inner()
        def inner(): ...
        @torch.no_grad()
        def quiet(): innermost()
        def innermost(): ...
        with torch.no_grad():
            loud()
        quiet()
        """
    found = entries(text)
    assert (found["loud"], found["inner"]) == (names(GRAD), names(GRAD))
    assert (found["quiet"], found["innermost"]) == (names(NO_GRAD), names(NO_GRAD))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f(): pass", True),
        ("@torch.no_grad()\ndef f(): pass", False),
        ("@torch.no_grad()\ndef f():\n    with torch.enable_grad():\n        g()", True),
        ("def f(): pass\nwith torch.no_grad():\n    f()", False),
        ("def f(): pass\nf()\nwith torch.no_grad():\n    f()", False),  # it depends on who calls
        ("def f():\n    with torch.no_grad():\n        pass", True),
    ],
)
def test_a_function_records_somewhere_if_it_does_so_whoever_calls(build: Build, text: str, expected: bool) -> None:
    project = build({"main.py": f"import torch\n{text}\n"})
    (function,) = [f for f in project.functions() if f.facts.name == "f"]
    assert project.calls.records_somewhere(function) is expected


def test_recursion_keeps_the_state_it_was_entered_in(entries: Entries) -> None:
    text = """
        import torch
        def walk(n):
            walk(n - 1)
        def even(n): odd(n - 1)
        def odd(n): even(n - 1)
        with torch.no_grad():
            walk(3)
            even(3)
        """
    found = entries(text)
    assert (found["walk"], found["even"], found["odd"]) == (names(NO_GRAD),) * 3


def test_recursion_through_a_guard_adds_a_state(entries: Entries) -> None:
    text = "import torch\ndef walk(n):\n    with torch.no_grad():\n        walk(n - 1)\nwalk(3)\n"
    assert entries(text)["walk"] == names(GRAD | NO_GRAD)


def test_functions_that_only_call_one_another_start_with_grad_on(entries: Entries) -> None:
    text = "def ping(): pong()\ndef pong(): ping()\ndef alone(): alone()\n"
    found = entries(text)
    assert (found["ping"], found["pong"], found["alone"]) == (names(GRAD),) * 3


@pytest.mark.parametrize(
    "start",
    [
        "threading.Thread(target=work).start()",
        "Thread(target=work, daemon=True).start()",
        "pool.submit(work, 1)",
        "loop.run_in_executor(None, work)",
        "asyncio.to_thread(work)",
        "threading.Timer(1.0, work).start()",
        "multiprocessing.Process(target=work).start()",
    ],
)
def test_another_thread_or_process_starts_with_grad_on(entries: Entries, start: str) -> None:
    text = f"""
import asyncio, multiprocessing, threading, torch
from threading import Thread
def work(): ...
def run(pool, loop):
    with torch.no_grad():
        {start}
"""
    assert entries(text)["work"] == names(GRAD)


def test_a_function_that_is_only_handed_over_runs_where_it_is_handed(entries: Entries) -> None:
    text = "import torch\ndef f(x): ...\ndef run(xs):\n    with torch.no_grad():\n        list(map(f, xs))\n"
    assert entries(text)["f"] == names(NO_GRAD)


def test_a_guarded_forward_is_entered_from_all_its_callers(entries: Entries) -> None:
    text = """
        import torch
        from net import Net
        net = Net()
        def evaluate(x):
            with torch.no_grad():
                return net(x)
        """
    net = "from torch import nn\nclass Net(nn.Module):\n    def forward(self, x): return self.head(x)\n"
    net += "    def head(self, x): return x\n"
    found = entries(text, net=net)
    assert (found["Net.forward"], found["Net.head"]) == (names(NO_GRAD), names(NO_GRAD))
    trained = entries(text + "\n        def train(x):\n            return net(x)\n", net=net)
    assert trained["Net.head"] == names(GRAD | NO_GRAD)


def test_an_overriding_method_is_entered_as_the_base_calls_it(entries: Entries) -> None:
    text = """
        import torch
        class Base:
            def run(self):
                with torch.no_grad():
                    self.step()
            def step(self): raise NotImplementedError
        class A(Base):
            def step(self): return 1
        """
    assert entries(text)["A.step"] == names(NO_GRAD)


def test_a_call_of_super_keeps_the_guard_of_the_override(entries: Entries) -> None:
    text = """
        import torch
        class Base:
            def predict(self): return 1
        class A(Base):
            @torch.no_grad()
            def predict(self):
                return super().predict()
        """
    assert entries(text)["Base.predict"] == names(NO_GRAD)


def test_a_lambda_starts_in_the_state_of_the_place_it_stands_at(entries: Entries) -> None:
    text = "import torch\ndef run():\n    with torch.no_grad():\n        f(lambda: 1)\n"
    assert entries(text)["run.<lambda>"] == names(NO_GRAD)


@pytest.mark.parametrize(
    "base", ["torch.autograd.Function", "autograd.Function", "Function", "torch.autograd.function.InplaceFunction"]
)
def test_torch_runs_the_methods_of_an_autograd_function_with_grad_mode_off(entries: Entries, base: str) -> None:
    text = f"""
        import torch
        from torch import autograd
        from torch.autograd import Function

        class Base({base}): ...

        class Own(Base):
            def forward(ctx, x): return run(x)
            def setup_context(ctx, given, result): ...
            def backward(ctx, grad): ...
            def jvp(ctx, tangent): ...
            def other(ctx): ...

        def run(x): ...

        def main(x):
            return Own.apply(x)
        """
    found = entries(text)
    off = {name for name, states in found.items() if states == names(NO_GRAD)}
    assert off == {"Own.forward", "Own.setup_context", "Own.backward", "run"}
    assert found["Own.jvp"] == names(GRAD)


@pytest.mark.parametrize(
    ("base", "method"),
    [
        ("pytorch_lightning.LightningModule", "validation_step"),
        ("speechbrain.Brain", "evaluate_batch"),
        ("transformers.Pipeline", "_forward"),
        ("ultralytics.models.yolo.detect.DetectionValidator", "update_metrics"),
        ("ultralytics.engine.predictor.BasePredictor", "postprocess"),
        ("detectron2.evaluation.COCOEvaluator", "process"),
        ("recbole.model.abstract_recommender.SequentialRecommender", "full_sort_predict"),
        ("catalyst.dl.Runner", "predict_batch"),
        ("composer.models.ComposerModel", "eval_forward"),
        ("stable_baselines3.common.policies.BasePolicy", "_predict"),
        ("mmengine.hooks.Hook", "after_val_iter"),
        ("toolkit.BaseRoIHead", "predict"),
        ("fastai.callback.core.Callback", "after_validate"),
    ],
)
def test_a_framework_calls_its_hooks_with_grad_mode_off(entries: Entries, base: str, method: str) -> None:
    package = base.rpartition(".")[0]
    text = f"import {package}\nclass Own({base}):\n    def {method}(self, x): ...\n    def other(self): ...\n"
    found = entries(text)
    assert (found[f"Own.{method}"], found["Own.other"]) == (names(NO_GRAD), names(GRAD))


@pytest.mark.parametrize(
    ("base", "states"),
    [
        ("toolkit.ModelPT", GRAD | NO_GRAD),
        ("unknown.Base", GRAD | NO_GRAD),
        ("torch.nn.Module", GRAD),
        ("abc.ABC", GRAD),
        ("object", GRAD),
    ],
)
def test_a_method_called_like_a_hook_may_be_one_of_an_unknown_framework_s(
    entries: Entries, base: str, states: int
) -> None:
    text = f"import abc, torch, toolkit\nclass Own({base}):\n    def validation_step(self, x): ...\n"
    assert entries(text)["Own.validation_step"] == names(states)


def test_a_method_called_like_a_hook_is_entered_as_the_project_calls_it(entries: Entries) -> None:
    text = "import toolkit\nclass Own(toolkit.Base):\n    def validation_step(self, x): ...\nOwn().validation_step(1)\n"
    assert entries(text)["Own.validation_step"] == names(GRAD)


def test_a_function_class_out_of_nobody_knows_where_is_taken_for_torch_s(entries: Entries) -> None:
    text = "from torch.autograd import *\nclass Own(Function):\n    def forward(ctx, x): ...\n"
    assert entries(text)["Own.forward"] == names(NO_GRAD)


def test_a_class_called_function_is_none_of_torch_s(entries: Entries) -> None:
    text = "class Function: ...\nclass Own(Function):\n    def forward(self, x): ...\n"
    assert entries(text)["Own.forward"] == names(GRAD)


@pytest.mark.parametrize("own", ["self.recognize(x[0])", "self.part(x)", "x"])
def test_who_calls_itself_was_called_by_somebody_else_first(entries: Entries, own: str) -> None:
    text = f"""
        import torch
        class Net(torch.nn.Module):
            def recognize(self, x): return {own}
            def part(self, x): return x
        class Deep(Net):
            def recognize(self, x): return super().recognize(x)
        def run(name, x):
            with torch.no_grad():
                net = load(name)
                return net.recognize(x)
        """
    assert entries(text)["Net.recognize"] == names(NO_GRAD)


def test_a_script_enters_its_main(entries: Entries) -> None:
    text = "import torch\ndef main(): ...\nif __name__ == '__main__':\n    with torch.no_grad():\n        main()\n"
    assert entries(text)["main"] == names(NO_GRAD)


# Callbacks


def test_a_function_handed_over_is_called_where_its_parameter_is(entries: Entries) -> None:
    text = """
        import torch

        def measure(f, x):
            with torch.no_grad():
                return f(x)

        def score(x): ...

        def main(x):
            measure(score, x)
        """
    assert entries(text)["score"] == "no_grad"


HANDED = """
    import torch

    def {measure}(f, x):
        return f(x)

    def compute(x): ...
    def score(x): ...

    def main(x):
        measure(compute, x)

    @torch.no_grad()
    def evaluate(x):
        return measure(score, x)
    """


def test_who_hands_a_function_over_knows_best_how_it_is_called(entries: Entries) -> None:
    found = entries(HANDED.replace("{measure}", "measure"))
    assert (found["measure"], found["compute"], found["score"]) == (names(GRAD | NO_GRAD), names(GRAD), names(NO_GRAD))


def test_a_decorated_callee_calls_what_it_is_handed_under_its_own_guard(entries: Entries) -> None:
    text = HANDED.replace("def {measure}", "@torch.inference_mode()\n    def measure")
    assert {found for name, found in entries(text).items() if name in ("compute", "score")} == {names(INFERENCE)}


@pytest.mark.parametrize("lazy", ["async def measure(f, x):\n        return", "def measure(f, x):\n        yield"])
def test_what_runs_later_calls_what_it_is_handed_in_the_mode_of_then(entries: Entries, lazy: str) -> None:
    text = HANDED.replace("def {measure}(f, x):\n        return", lazy)
    assert entries(text)["score"] == names(GRAD | NO_GRAD)


def test_a_guard_on_the_way_of_what_is_handed_on_counts(entries: Entries) -> None:
    text = """
        import torch

        def inner(g, x):
            return g(x)

        def outer(f, x):
            with torch.no_grad():
                return inner(f, x)

        def score(x): ...

        def main(x):
            outer(score, x)
        """
    assert entries(text)["score"] == "no_grad"


def test_a_parameter_handed_on_is_followed(entries: Entries) -> None:
    text = """
        import torch

        def inner(g, x):
            with torch.no_grad():
                return g(x)

        def outer(f, x):
            return inner(g=f, x=x)

        def score(x): ...

        def main(x):
            outer(score, x)
        """
    assert entries(text)["score"] == "no_grad"


def test_a_function_kept_by_a_constructor_is_called_by_the_methods(entries: Entries) -> None:
    text = """
        import torch

        class Loop:
            def __init__(self, f):
                self.f = f

            @torch.no_grad()
            def run(self, x):
                return self.f(x)

        def score(x): ...

        loop = Loop(score)
        """
    assert entries(text)["score"] == "no_grad"


def test_a_method_handed_over_may_be_a_subclass_s(callers: Callers) -> None:
    text = """
        def measure(f): return f()

        class A:
            def score(self): return 1
            def run(self): return measure(self.score)

        class B(A):
            def score(self): return 2
        """
    assert callers(text)["B.score"] == callers(text)["A.score"] == ["measure"]


def test_a_function_that_nobody_is_seen_to_call_counts_where_it_is_handed_over(callers: Callers) -> None:
    text = """
        def keep(f): return [f]

        def score(x): ...

        def main():
            keep(score)
        """
    assert callers(text)["score"] == ["main"]


def test_a_pool_of_threads_starts_with_grad_on_and_any_other_map_does_not(build: Build) -> None:
    text = """
        import torch
        from concurrent.futures import ThreadPoolExecutor

        def score(x): return x
        def other(x): return x

        def run(xs, pool):
            with torch.no_grad():
                with ThreadPoolExecutor() as threads:
                    threads.map(score, xs)
                pool.map(other, xs)
        """
    project = build({"main.py": text})
    found = {f.facts.name: project.calls.entry(f) for f in project.functions()}
    assert (found["score"], found["other"]) == (GRAD, NO_GRAD)


def test_a_method_of_too_many_classes_may_be_the_one_that_is_called_under_a_guard(entries: Entries) -> None:
    agents = "".join(f"class Agent{i}:\n    def act(self): ...\n    def learn(self): ...\n" for i in range(20))
    text = "import torch\ndef main(agent):\n    agent.learn()\n    with torch.no_grad():\n        agent.act()\n"
    found = entries(text, agents=agents)
    assert found["Agent3.act"] == names(GRAD | NO_GRAD)
    assert found["Agent3.learn"] == names(GRAD)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("examples/demo.py", GRAD | NO_GRAD), ("docs/demo.py", GRAD | NO_GRAD), ("bin/demo.py", GRAD)],
)
def test_examples_that_call_one_of_many_methods_without_a_guard_are_no_vote_against_one(
    build: Build, path: str, expected: States
) -> None:
    models = "".join(f"class Model{i}:\n    def infer(self): ...\n" for i in range(20))
    runner = "import torch\ndef run(model):\n    with torch.no_grad():\n        model.infer()\n"
    demo = "def show(model):\n    model.infer()\n    model.infer()\n"
    project = build({"pkg/models.py": models, "pkg/runner.py": runner, path: demo})
    found = {function.name: project.calls.entry(function) for function in project.functions()}
    assert found["Model3.infer"] == expected


def test_examples_vote_where_a_method_has_an_everyday_name(build: Build) -> None:
    models = "class Job:\n    def run(self): ...\n"
    runner = "import torch\ndef start(job):\n    with torch.no_grad():\n        job.run()\n"
    demo = "def show(job):\n    job.run()\n    job.run()\n"
    project = build({"pkg/models.py": models, "pkg/runner.py": runner, "examples/demo.py": demo})
    found = {function.name: project.calls.entry(function) for function in project.functions()}
    assert found["Job.run"] == GRAD


CLASS_METHODS = """
    from torch import nn
    class Net(nn.Module):
        def __init__(self): self.step()
        def forward(self, x): return x
        @classmethod
        def make(cls): return cls()
        @classmethod
        def chosen(cls, other=None):
            kind = cls
            if other is not None:
                kind = other
            return kind()
        def ask(self, cls): return cls()
        @classmethod
        def other(cls, table):
            cls = table["net"]
            return cls()
        @classmethod
        def asking(cls):
            def ask_one(cls): return cls()
            return ask_one
        @classmethod
        def making(cls):
            def make_one(): return cls()
            return make_one
    class Deep(Net):
        def __init__(self): self.step()
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Net.make", {"Net.__init__", "Deep.__init__"}),
        ("Net.chosen", {"Net.__init__", "Deep.__init__"}),
        ("Net.ask", set()),  # whatever it is handed
        ("Net.other", set()),
        ("Net.asking.ask_one", set()),
        ("Net.making.make_one", {"Net.__init__", "Deep.__init__"}),
    ],
)
def test_a_class_method_makes_an_instance_and_runs_none(build: Build, name: str, expected: set[str]) -> None:
    project = build({"net.py": CLASS_METHODS})
    (function,) = (function for function in project.functions() if function.name == name)
    callees = project.calls.callees.all.get(function, {})
    assert {callee.name for found in callees.values() for callee in found} == expected


AGENTS = """
    class Agent:
        def act(self): return 0
        def learn(self): return 0
    class Lucky:
        def act(self): return 1
    class Late:
        def act(self): return 2
    class Own(Agent):
        def act(self): return 3
    class Deep(Own): pass
    class Deepest(Deep):
        def act(self): return 4
    class Mixed(Lucky, Agent): pass
    class Behind(Agent, Late): pass
    class Leaf(Agent):
        def act(self): return 6
    class Plain(Agent): pass
    class Other:
        def act(self): return 5
    def run(agent: Agent): return agent.act()
    def teach(agent: Agent): return agent.learn()
"""


@pytest.mark.parametrize("more", [0, 30])  # few classes are looked through; among many, who has such a method is
def test_what_subclasses_have_in_the_place_of_a_method_is_found_either_way(build: Build, more: int) -> None:
    text = AGENTS + "".join(f"    class More{number}(Agent): pass\n" for number in range(more))
    project = build({"agents.py": text + "".join(f"    class No{n}:\n        def act(self): pass\n" for n in range(9))})
    callees = {
        function.name: {callee.name for found in callees.values() for callee in found}
        for function, callees in project.calls.callees.all.items()
    }
    assert callees["run"] == {"Agent.act", "Own.act", "Deepest.act", "Leaf.act", "Lucky.act"}
    assert callees["teach"] == {"Agent.learn"}
