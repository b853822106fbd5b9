"""Whether what a module gives is certain to have a graph: its own parameters, which require grad, go into it."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from gradlint.model.torch_calls import MODULE_CONTAINERS
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode
from gradlint.project.running.flow import TRAINABLE
from gradlint.project.running.values import COMPUTED, Value

if TYPE_CHECKING:
    from gradlint.project.running.flow import Flow
    from gradlint.project.running.flows import Flows
    from gradlint.project.running.invocation import Invocation

# Layers of torch with parameters, in whatever way they are made, that give one tensor.
_LAYER = re.compile(
    r"^torch\.nn\.(modules\.\w+\.)?(Linear|Bilinear|Conv(Transpose)?[123]d|(GRU|RNN)Cell|Transformer(En|De)coderLayer)$"
)
# Who speaks of these asks whether something has a graph; for others it need not be worked out.
_ASKING = frozenset(
    "numpy asarray array grad requires_grad requires_grad_ deepcopy save tensor Tensor FloatTensor as_tensor float "
    "sqrt retain_grad backward".split()
)
_FREEZING = re.compile(r"freez|froz|trainable|lora|adapter|quantiz|prepare", re.I)


def has_graph(it: "Invocation", module: Value) -> bool:
    """Whether a forward of a module that was made here, or in the module's body, gives one tensor with a graph."""
    run = it.run
    words = run.function.facts.words
    asked = TRAINABLE in run.flow.known or not _ASKING.isdisjoint(words)
    if not asked or not is_trainable(it, module) or run.records(it.at) is not True:
        return False
    if isinstance(module.target, ClassNode):
        flow = run_in_training(run.flows, module.target, it.targets)
        returned = flow.returns if flow is not None else None
        return returned is not None and returned.kind == "tensor" and returned.tensor == COMPUTED
    return isinstance(module.target, External) and is_layer(module)


def is_layer(module: Value) -> bool:
    """Whether it is a layer of torch that computes with parameters of its own, or a sequence of layers with such."""
    name = module.target.name if isinstance(module.target, External) else ""
    if not MODULE_CONTAINERS.search(name):
        return _LAYER.search(name) is not None and module.frozen is not True
    return any(part.kind == "module" and is_layer(part) for part in module.items or ())


def is_trainable(it: "Invocation", module: Value) -> bool:
    """Whether a module's parameters are certain to require grad: it was made in sight, and nobody froze it."""
    if module.frozen is not None:
        return module.frozen is False
    if module.born is None or module.parameter is not None or it.name.startswith(("self.", "cls.", "super().", "?")):
        return False  # whoever made it may have frozen it
    function = it.run.function
    return not (speaks_of_freezing(function.facts.words) or speaks_of_freezing(function.module.body.facts.words))


@lru_cache(maxsize=1024)
def speaks_of_freezing(words: frozenset[str]) -> bool:
    """Whether code may freeze a module; asked at each forward of a body, and a notebook's may have hundreds."""
    return any(map(_FREEZING.search, words))


def run_in_training(flows: "Flows", cls: ClassNode, forwards: Sequence[FunctionNode]) -> "Flow | None":
    """The one ``forward`` of a class, run when nobody froze anything of the module; None if that is not seen."""
    if len(forwards) != 1 or flows.calls.modules.sets_flags(cls):
        return None
    (forward,) = forwards
    if forward.facts.is_generator or forward.facts.decorators or flows.is_running(forward):
        return None
    return flows.given(forward, {TRAINABLE: True})
