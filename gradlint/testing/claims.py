"""What an example says happens when it is run, in comment lines of its own.

``# run: evaluate(model, loader)``
    a statement to execute after the example; several run in order
``# raises: TypeError: 'float' object``
    an exception of this type whose message starts so; ``, or`` separates alternatives (Python versions
    differ). It is raised by the example, or, if there are ``# run:`` lines, by each of these
``# warns: UserWarning: The .grad attribute``
    a warning of this category whose message starts so
``# keeps: > 0 bytes``
    the most that was held for ``backward()`` at one time: distinct storages saved by autograd, leaves that
    require grad (parameters) not counted
``# leaves: > 0 bytes``
    the same, held when all has run
``# shows: out.requires_grad``
    an expression that is true at the end, in the example's own names
"""

import operator
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

COMPARISONS = {
    "": operator.eq,
    "==": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_DECLARATION = re.compile(r"\s*# (run|raises|warns|keeps|leaves|shows): (.+?)\s*$")
_BYTES = re.compile(r"(==|>=|<=|>|<|)\s*([\d_]+) bytes?")
_MESSAGE = re.compile(r"(\w+)(?:: (.*))?")


class ClaimError(ValueError):
    """A claim that is not written as this module says."""


@dataclass(frozen=True, slots=True)
class Event:
    """An exception or a warning: the name of its class, and its message or how the message starts."""

    kind: str
    message: str

    def fits(self, happened: "Event") -> bool:
        """Whether what happened is of this class and starts with this message."""
        return self.kind == happened.kind and happened.message.startswith(self.message)

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" if self.message else self.kind


@dataclass(frozen=True, slots=True)
class Record:
    """What happened when an example ran. ``raised``: by the example, then by each ``# run:`` line.

    ``values`` are the numbers that its names hold at the end.
    """

    raised: tuple[Event | None, ...]
    warned: tuple[Event, ...]
    peak: int
    held: int
    shown: dict[str, str]
    values: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, data: dict[str, Any]) -> "Record":
        """Out of the JSON that the example's process writes."""
        return cls(
            raised=tuple(Event(*event) if event is not None else None for event in data["raised"]),
            warned=tuple(Event(*event) for event in data["warned"]),
            peak=data["peak"],
            held=data["held"],
            shown=data["shown"],
            values=data["values"],
        )


@dataclass(frozen=True, slots=True)
class Raises:
    """One of these exceptions is raised."""

    either: tuple[Event, ...]

    def contradictions(self, record: Record) -> Iterator[str]:
        """Where an exception is missing, or another one was raised."""
        expected = " or ".join(f"`{event}`" for event in self.either)
        body, *runs = record.raised
        if runs and body is not None:
            yield f"the example itself raised `{body}`, before any `# run:` line"
            return
        for number, raised in enumerate(runs or [body], 1):
            if raised is None or not any(event.fits(raised) for event in self.either):
                which = f"run {number}" if runs else "the example"
                yield f"{which} should raise {expected}, but " + (f"raised `{raised}`" if raised else "did not")


@dataclass(frozen=True, slots=True)
class Warns:
    """This warning is given."""

    event: Event

    def contradictions(self, record: Record) -> Iterator[str]:
        """That the warning is missing."""
        if not any(self.event.fits(warned) for warned in record.warned):
            given = ", ".join(f"`{warned}`" for warned in record.warned) or "nothing"
            yield f"should warn `{self.event}`, but warned {given}"


@dataclass(frozen=True, slots=True)
class Keeps:
    """So many bytes are held for backward: at the peak, or (``at_end``) when all has run."""

    comparison: str
    amount: int
    at_end: bool = False

    def contradictions(self, record: Record) -> Iterator[str]:
        """The number of bytes, if it is another one."""
        measured = record.held if self.at_end else record.peak
        if not COMPARISONS[self.comparison](measured, self.amount):
            verb = "leave" if self.at_end else "keep"
            yield f"should {verb} {self.comparison or '=='} {self.amount} bytes, but there were {measured}"


@dataclass(frozen=True, slots=True)
class Shows:
    """This expression is true at the end."""

    expression: str

    def contradictions(self, record: Record) -> Iterator[str]:
        """What the expression is instead."""
        if (shown := record.shown.get(self.expression, "not evaluated")) != "true":
            yield f"`{self.expression}` should be true, but: {shown}"


Claim = Raises | Warns | Keeps | Shows


def statements(text: str) -> Iterator[str]:
    """The ``# run:`` lines of an example, in order."""
    return (body for keyword, body in _declarations(text) if keyword == "run")


def claims(text: str) -> Iterator[Claim]:
    """The claims in an example, in order.

    Raises:
        ClaimError: for one that cannot be read.
    """
    return (_claim(keyword, body) for keyword, body in _declarations(text) if keyword != "run")


def without_declarations(text: str) -> str:
    """The example without its claims and ``# run:`` lines."""
    return "\n".join(line for line in text.splitlines() if not _DECLARATION.match(line)).rstrip() + "\n"


def no_exception(record: Record) -> Iterator[str]:
    """Every exception that was raised, for examples which claim none."""
    yield from (f"raised `{raised}`" for raised in record.raised if raised is not None)


def denials(accused: Iterable[Claim], own: Iterable[Claim], record: Record) -> Iterator[str]:
    """Where a clean example does what the flagged ones are accused of, unless it claims it for itself."""
    own = tuple(own)
    for claim in accused:
        match claim:
            case Warns(event=event) if any(event.fits(warned) for warned in record.warned):
                yield f"warned `{event}`, as the flagged example does"
            case Keeps() if record.peak > 0 and not any(isinstance(claim, Keeps) for claim in own):
                yield f"kept {record.peak} bytes for backward, as the flagged example does"
            case _:
                pass  # exceptions are ruled out for every example that claims none; `shows` has its own line


def _declarations(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        if found := _DECLARATION.match(line):
            yield found[1], found[2]


def _claim(keyword: str, body: str) -> Claim:
    match keyword:
        case "raises":
            return Raises(tuple(_event(part) for part in body.split(", or ")))
        case "warns":
            return Warns(_event(body))
        case "shows":
            return Shows(body)
        case _:
            return _keeps(body, at_end=keyword == "leaves")


def _keeps(body: str, at_end: bool) -> Keeps:
    if (found := _BYTES.fullmatch(body)) is None:
        raise ClaimError(f"cannot read `{body}`: write `> 0 bytes`")
    return Keeps(found[1], int(found[2]), at_end)


def _event(body: str) -> Event:
    if (found := _MESSAGE.fullmatch(body)) is None:
        raise ClaimError(f"cannot read `{body}`: write `TypeError: how the message starts`")
    return Event(found[1], found[2] or "")
