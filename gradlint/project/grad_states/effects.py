"""Grad states, and what a guard does to them.

A program point holds a *set* of states, written as bits. What a stretch of code does to grad mode is an
:data:`Effect`: for each state it may be entered in, the states it may then be in.
"""

from collections.abc import Iterable

GRAD, NO_GRAD, INFERENCE, UNSURE = 1, 2, 4, 8  # UNSURE: chosen at run time, by code that thought of it
STATES = (GRAD, NO_GRAD, INFERENCE, UNSURE)
NAMES = {GRAD: "grad", NO_GRAD: "no_grad", INFERENCE: "inference_mode", UNSURE: "a mode chosen at run time"}

States = int
Effect = tuple[States, States, States, States]

IDENTITY: Effect = (GRAD, NO_GRAD, INFERENCE, UNSURE)
# enable_grad does not leave inference mode; inference_mode(False) does, and leaves no_grad too (see truth table).
DISABLE: Effect = (NO_GRAD, NO_GRAD, INFERENCE, NO_GRAD)
ENABLE: Effect = (GRAD, GRAD, INFERENCE, GRAD)
TO_INFERENCE: Effect = (INFERENCE, INFERENCE, INFERENCE, INFERENCE)
LEAVE_INFERENCE: Effect = (GRAD, GRAD, GRAD, GRAD)
CHOOSE: Effect = (UNSURE, UNSURE, INFERENCE, UNSURE)
MAYBE_DISABLE: Effect = (UNSURE, NO_GRAD, INFERENCE, UNSURE)
ENDLESS: Effect = (0, 0, 0, 0)  # of what stands for itself: no state is ever reached through it


def apply(effect: Effect, states: States) -> States:
    """The states after an effect, from any of ``states``."""
    if effect is IDENTITY:
        return states
    grad, no_grad, inference, unsure = effect
    return (
        (grad if states & GRAD else 0)
        | (no_grad if states & NO_GRAD else 0)
        | (inference if states & INFERENCE else 0)
        | (unsure if states & UNSURE else 0)
    )


def then(first: Effect, second: Effect) -> Effect:
    """One effect after another."""
    if first is IDENTITY:
        return second
    return (
        apply(second, first[0]),
        apply(second, first[1]),
        apply(second, first[2]),
        apply(second, first[3]),
    )


def join(left: Effect, right: Effect) -> Effect:
    """Either effect: where paths meet."""
    if left == right:
        return left
    return (left[0] | right[0], left[1] | right[1], left[2] | right[2], left[3] | right[3])


def either(effects: Iterable[Effect | None]) -> Effect | None:
    """A guard that is one of several: itself if they agree, else chosen at run time; None if none is a guard."""
    found = set(effects)
    if len(found) > 1:
        found.discard(ENDLESS)
    if len(found) <= 1:
        return found.pop() if found else None
    if None in found and found <= {None, DISABLE, TO_INFERENCE, MAYBE_DISABLE}:
        return MAYBE_DISABLE
    if found <= {DISABLE, TO_INFERENCE}:
        return DISABLE
    return CHOOSE


def names(states: States) -> str:
    """The states in words, for messages."""
    return " or ".join(NAMES[state] for state in STATES if states & state)
