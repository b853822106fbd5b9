"""What may be called in a loop that trains and leaves gradients as they are, by all that its name says."""

import re

# What steps and updates besides optimizers, and leaves gradients alone.
_OWNERS = re.compile(
    r"(^|[._])(\w*sched\w*|\w*_?envs?(_\w+)?|\w*prof\w*|\w*meter\w*|\w*metrics?|\w*(bar|pbar|progress)\d*|writer|logger"
    r"|(\w*_)?ema(_\w+)?|(\w*_)?(rb|buffer|memory|replay\w*))\.\w+$"
    r"|(^|[._])(\w*_)?scaler\.(update|unscale_)$|(^|\.)autograd\.grad$",
    re.I,
)
_TELLING = re.compile(r"^(?!\w*_and_)_?(log|print|plot|save|write|show|report|draw|dump|display|visuali[sz]e)_")
_ASKING = re.compile(r"^(?!\w*_and_)_?(get|sample|count|fetch)_")
_ELSEWHERE = re.compile(
    r"requires_grad|learning_rate|(^|_)lr(_|$)|sched|(^|_)ema(_|$)|(^|_)momentum(_|$)|^(soft|hard|polyak)_update|priorit"
    r"|^set_(epoch|step|train\w*)$|^reset_(net|states?|hidden\w*|parameters|stat\w*|metric\w*|meter\w*)$"
)
_GIVEN = re.compile(r"\.unscale_$|toggle_optimizer$|(^|\.)(scale_loss|master_params)$")  # whatever they are given
_OF_GRADIENTS = re.compile(r"optim|grad|zero", re.I)
_MAY_ZERO = re.compile(r"zero|clear|reset|grad|step|optimi|train|update|learn|fit|hook|callback|backward", re.I)


def may_zero(name: str, *, handed: bool) -> bool:
    """Whether an unknown call by a dotted name may zero gradients; ``handed`` tells that it is given an optimizer."""
    owner, _, last = name.rpartition(".")
    of_gradients = _OF_GRADIENTS.search(last.replace("requires_grad", "")) is not None
    if _GIVEN.search(name) or ((_TELLING.search(last) or _ELSEWHERE.search(last)) and not of_gradients):
        return False
    if handed:
        return True
    if _OWNERS.search(name) or (last == "clear" and not _OF_GRADIENTS.search(owner)):
        return False
    return _MAY_ZERO.search(last) is not None and (of_gradients or not _ASKING.search(last))
