"""Programs that must run under the tracer as without it: each returns what it computed."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

Program = Callable[[], Any]
PROGRAMS: dict[str, Program] = {}


def program(function: Program) -> Program:
    PROGRAMS[function.__name__] = function
    return function


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 4))


def gradients(module: nn.Module) -> list[torch.Tensor | None]:
    return [parameter.grad for parameter in module.parameters()]


class Partly(nn.Module):
    """A model with a guard inside."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            y = self.linear(x)
        return y + self.linear(x)


@program
def training_with_adamw_and_clipping() -> Any:
    net = model()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    losses = []
    for _ in range(4):
        optimizer.zero_grad()
        loss = functional.cross_entropy(net(torch.randn(6, 8)), torch.randint(4, (6,)))
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 0.1)
        optimizer.step()
        losses.append(loss.detach())
    return losses, list(net.state_dict().values()), gradients(net)


@program
def training_with_a_closure() -> Any:
    net = model()
    optimizer = torch.optim.LBFGS(net.parameters(), max_iter=3)
    x = torch.randn(6, 8)

    def closure() -> float:
        optimizer.zero_grad()
        loss = net.eval()(x).square().mean()
        loss.backward()
        return float(loss.detach())

    optimizer.step(closure)
    return list(net.state_dict().values())


@program
def evaluation() -> Any:
    net = model().eval()
    out = []
    for guard in (torch.no_grad, torch.inference_mode, torch.enable_grad):
        with guard():
            out.append(net(torch.ones(2, 8)))  # gradlint: ignore[GL101] in all modes
    print("evaluated", [o.requires_grad for o in out])
    return [o.clone() for o in out]


def _checkpointed(*, reentrant: bool) -> Any:
    net = model()
    x = torch.randn(3, 8, requires_grad=True)
    out = checkpoint(net, x, use_reentrant=reentrant)
    assert isinstance(out, torch.Tensor)
    out.sum().backward()
    return out, x.grad, gradients(net)


@program
def checkpointing() -> Any:
    return _checkpointed(reentrant=False)


@program
def reentrant_checkpointing() -> Any:
    return _checkpointed(reentrant=True)


@program
def checkpointing_an_input_without_grad() -> Any:
    return checkpoint(model(), torch.ones(2, 8), use_reentrant=True)  # gradlint: ignore[GL412] for its warning


@program
def function_transforms() -> Any:
    def f(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            scale = x.sum()
        return (x.sin() * x * scale).sum()

    x = torch.randn(3)
    return (
        torch.func.grad(f)(x),
        torch.func.jacrev(torch.sin)(x),
        torch.func.hessian(f)(x),
        torch.func.vmap(torch.func.grad(torch.sin))(x),
        torch.func.jvp(f, (x,), (x,)),
        torch.func.vjp(f, x)[1](torch.tensor(2.0)),
    )


@program
def functional_call() -> Any:
    net = model().eval()
    parameters = {name: p.detach().clone() for name, p in net.named_parameters()}

    def loss(values: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.func.functional_call(net, values, (torch.ones(2, 8),)).sum()

    return torch.func.grad(loss)(parameters)


class Halved(nn.Module):
    """A guard and no call twice: torch.jit.script merges equal calls, across a guard too."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            y = x / 2
        return self.linear(x) * y


@program
def scripting() -> Any:
    net = torch.jit.script(Halved())
    x = torch.randn(2, 4, requires_grad=True)
    out = [net(x) for _ in range(3)][-1]
    out.sum().backward()
    return net.code, out, x.grad, gradients(net)


@program
def tracing_with_jit() -> Any:
    net = torch.jit.trace(model().eval(), torch.ones(2, 8))
    x = torch.randn(2, 8, requires_grad=True)
    out = net(x)
    out.sum().backward()
    return net.code, out, x.grad


@program
def export() -> Any:
    exported = torch.export.export(Partly(), (torch.ones(1, 4),))
    text = str(exported.graph)
    assert "set_grad_enabled" in text
    return text, exported.module()(torch.ones(1, 4))


@program
def make_fx_before_dispatch() -> Any:
    def f(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            y = x * 2
        return y + x

    text = make_fx(f, pre_dispatch=True)(torch.ones(3)).code
    assert "_set_grad_enabled" in text
    return text


@program
def symbolic_trace() -> Any:
    net = torch.fx.symbolic_trace(model().eval())
    return net.code, net(torch.ones(2, 8))


def _compiled(backend: str) -> Any:
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    net = Partly()
    whole = torch.compile(net, backend=backend, fullgraph=True)
    x = torch.randn(2, 4, requires_grad=True)
    out = whole(x)
    out.sum().backward()

    @torch.compile(backend=backend)
    def broken(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            y = net(x) * 2
        print("break")
        return y + net(x)

    with torch.no_grad():
        guarded = broken(x)
    part = broken(x)
    part.sum().backward()
    breaks = {key: dict(counters[key]) for key in ("graph_break", "frames", "stats", "unimplemented")}
    return out, x.grad, gradients(net), guarded, part, breaks


@program
def compiling_eager() -> Any:
    return _compiled("eager")


@program
def compiling_aot_eager() -> Any:
    return _compiled("aot_eager")


@program
def compiling_inductor() -> Any:
    return _compiled("inductor")


@program
def generators() -> Any:
    @torch.no_grad()
    def batches() -> Iterator[tuple[torch.Tensor, bool]]:
        for _ in range(3):
            yield torch.randn(2, 8), torch.is_grad_enabled()

    net = model()
    inside = []
    for batch, enabled in batches():
        inside.append((enabled, torch.is_grad_enabled()))
        net(batch).sum().backward()
    return inside, gradients(net)


@program
def coroutines() -> Any:
    async def work(value: float) -> tuple[torch.Tensor, bool]:
        with torch.no_grad():
            x = torch.full((2,), value) * 2
        await asyncio.sleep(0)
        return x, torch.is_grad_enabled()

    async def main() -> Any:
        return await asyncio.gather(*(work(float(n)) for n in range(4)))

    return asyncio.run(main())


@program
def threads() -> Any:
    net = model().eval()
    results: dict[int, Any] = {}

    def work(number: int) -> None:
        with torch.inference_mode(number % 2 == 0):
            y = net(torch.full((1, 8), float(number)))
        results[number] = (y.clone(), torch.is_grad_enabled())

    running = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    with ThreadPoolExecutor(2) as pool:
        pooled = list(pool.map(lambda n: net(torch.full((1, 8), n)).sum(), [1.0, 2.0, 3.0]))
    return [results[n] for n in sorted(results)], pooled


@program
def data_parallel_on_the_cpu() -> Any:
    net = nn.DataParallel(model().eval())
    out = net(torch.ones(2, 8))
    out.sum().backward()
    return out, gradients(net)


class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.weight = weight
        return x * weight

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        x, weight = ctx.saved_tensors
        assert weight is ctx.weight  # whoever compares a parameter must find the same one
        return gradients[0] * weight, (gradients[0] * x).sum(0)


@program
def custom_functions() -> Any:
    weight = nn.Parameter(torch.randn(4))
    x = torch.randn(3, 4, requires_grad=True)
    apply: Callable[..., torch.Tensor] = Scaled.apply
    out = apply(x, weight).sin()
    (first,) = torch.autograd.grad(out.sum(), x, create_graph=True)
    first.square().sum().backward()
    return out, first, x.grad, weight.grad


@program
def double_backward() -> Any:
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))
    x = torch.randn(3, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
    penalty = (gradient.norm(dim=1) - 1).square().mean()
    penalty.backward()
    return gradient, penalty, x.grad, gradients(net)


@program
def mixed_precision() -> Any:
    net = model()
    with torch.autocast("cpu", torch.bfloat16):
        out = net(torch.randn(4, 8))
        loss = out.float().square().mean()
    loss.backward()
    return out, loss, gradients(net)


@program
def recurrence() -> Any:
    net = nn.LSTM(4, 8, 2, batch_first=True)
    out, (hidden, _) = net(torch.randn(2, 5, 4))
    (out.sum() + hidden.sum()).backward()
    return out, hidden, gradients(net)


@program
def attention() -> Any:
    query = torch.randn(2, 2, 6, 8, requires_grad=True)
    out = functional.scaled_dot_product_attention(query, query, query, is_causal=True)
    out.sum().backward()
    net = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    with torch.no_grad():
        fast = net(torch.randn(2, 3, 8))
    return out, query.grad, fast


@program
def hooks_of_the_programs_own() -> Any:
    net, seen = model().eval(), []
    net.register_forward_hook(lambda module, args, out: seen.append(torch.is_grad_enabled()))
    net.register_full_backward_hook(lambda module, gi, go: seen.append(torch.is_grad_enabled()))
    packed = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        packed.append(tuple(tensor.shape))
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = net(torch.ones(2, 8))
    out.sum().backward()
    with torch.autograd.graph.save_on_cpu():
        net(torch.ones(1, 8)).sum().backward()
    return seen, packed, gradients(net)


class Squared(torch.autograd.Function):
    """A custom function that saves its input."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 2 * x * gradients[0]


@program
def custom_functions_and_transforms_under_hooks_of_the_programs_own() -> Any:
    packed, said = [], []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        packed.append(tuple(tensor.shape))
        return tensor.detach() + 1  # so that gradients tell whose hooks they came through

    apply: Callable[..., torch.Tensor] = Squared.apply
    x = torch.randn(3, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor * 2):
        out = apply(x).exp() * x
        try:
            torch.func.grad(lambda value: value.sin().sum())(x.detach())
        except RuntimeError as error:
            said.append(str(error))
        out = out + apply(x).cos()
    out.sum().backward()
    return packed, said, x.grad


@program
def mistakes_that_torch_explains() -> Any:
    said = []

    def attempt(action: Callable[[], Any]) -> None:
        try:
            action()
        except RuntimeError as error:
            said.append(str(error).split(",", 1)[0])

    x = torch.ones(3, requires_grad=True)
    y = x.sigmoid()
    y.detach().mul_(2)
    attempt(lambda: y.sum().backward())  # written to since
    z = x.exp().sum()
    z.backward()
    attempt(z.backward)  # a second time
    with torch.no_grad():
        w = x * 2
    attempt(w.sum().backward)  # no graph
    with torch.inference_mode():
        made = torch.ones(3)
    attempt(lambda: x * made)  # cannot be saved
    return said


@program
def profiling() -> Any:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler, torch.no_grad():
        out = model().eval()(torch.ones(2, 8))
    return sorted({event.key for event in profiler.key_averages()}), out
