"""Calls that only look like a forward: what they are given is no tensor, and what they are made of is not torch."""

import re

from gradlint.model.code import Attribute, Call, Display, Expression, dotted
from gradlint.model.torch_calls import PROCESSOR_KEYWORDS
from gradlint.project.linking.nodes import ClassNode, External
from gradlint.project.running.flow import Passed
from gradlint.project.running.invocation import Invocation, last_part
from gradlint.project.running.values import Value, is_image, plain

_ANY_MODULE = External("torch.nn.Module")  # as a signature has it
_WORDS = re.compile(
    r"(^|_)(texts?|prompts?|sentences?|sents?|quer(y|ies)|questions?|documents?|docs?|passages?|captions?|utterances?)$"
)
_PREPARING = re.compile(
    r"(^|_)(augment\w*|transforms?|(affine|bilinear|color|data|geometric|image|nearest)_?transformer|normali[sz]er?"
    r"|preprocess\w*)\d*$",
    re.I,
)
_TO_ARRAY = frozenset({"numpy", "astype", "asarray", "ascontiguousarray"})


def without_tensors(it: Invocation, module: Value) -> Value | None:
    """What such a call gives; None if it may well be a forward of ``module``."""
    named = module.certainty == "named"
    unseen = named or module.target is None or module.target == _ANY_MODULE
    if unseen and any(_holds_array(it, argument) for argument in it.arguments):
        return Value("array", certainty="named")  # what takes numpy arrays is no module of torch, as a rule
    pictured = named and any(is_image(argument.value) for argument in it.arguments)
    worded = not isinstance(module.target, ClassNode) and _is_given_words(it)
    prepared = module.certainty != "known" and (
        any(each.keyword in PROCESSOR_KEYWORDS for each in it.arguments) or _PREPARING.search(last_part(it.name))
    )
    return plain(it.given) if pictured or worded or prepared else None


def _holds_array(it: Invocation, given: Passed) -> bool:
    """Whether an array of numpy is passed, or a dict that is spelt with one: ``{"ids": ids.astype(np.int32)}``."""
    if given.value.kind != "container":
        return given.value.kind == "array"
    assigned = it.run.flows.bindings.assigned(it.run.function).get(dotted(given.expression) or "", ())
    items = (item for each in (given.expression, *assigned) if isinstance(each, Display) for item in each.items)
    return any(_gives_array(item) for item in items)


def _gives_array(value: Expression) -> bool:
    """``np.asarray(x)``, ``x.detach().numpy()``."""
    match value:
        case Call(function=Attribute(name=name)):
            return name in _TO_ARRAY
        case _:
            return False


def _is_given_words(it: Invocation) -> bool:
    """Whether words become numbers: ``roberta.encode("Hello")``, or of what is named like them, as tokenizers do."""
    first = it.arguments[0] if it.arguments else None
    if first is None or first.stars:
        return False
    named = _WORDS.search(last_part(dotted(first.expression) or "")) is not None
    return isinstance(first.value.constant, str) or (it.method == "encode" and named)
