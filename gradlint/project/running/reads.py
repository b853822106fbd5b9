"""Reads of attributes, ``.grad`` above all: is it asked first whether there is one, and is it used as if there were?"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gradlint.model.code import Argument, Attribute, Call, Comprehension, Constant, Expression, Name, Operation, dotted
from gradlint.model.record import replace
from gradlint.model.traverse import all_of, named
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.running.flow import AttributeEvent
from gradlint.project.running.values import NEVER, Value, meet

if TYPE_CHECKING:
    from gradlint.project.running.memory import Memory

_ASKING = ("bool", "hasattr", "isinstance", "torch.is_tensor")
_ASKING_BY_NAME = frozenset({"getattr", "hasattr"})
_FLAGS = ("is_leaf", "retains_grad", "requires_grad", "grad_fn")


def mentions_grad(function: FunctionNode) -> bool:
    """Whether a function speaks of ``.grad``, if only as in ``getattr(weight, "grad", None)``."""
    words = function.facts.words
    if "grad" in words:
        return True
    constants = () if words.isdisjoint(_ASKING_BY_NAME) else all_of(Constant, function.facts.body)
    return any(constant.value == "grad" for constant in constants)


class Reads:
    """Notes what a run reads.

    A name that was once tested against None counts as guarded from there on, on all paths: who asks, knows.
    """

    def __init__(self, run: "Memory") -> None:
        self._run = run
        self._asked: set[str] = set()  # names, dotted and with subscripts
        self._testing: set[int] = set()  # reads that are themselves the question
        self._asserted: set[int] = set()
        self._questioned: set[int] = set()  # reads whose result was tested later, by another name
        self._used: set[int] = set()
        self._settled: set[int] = set()  # what happens in a loop's first round, whatever later rounds do

    def question(self, test: Expression, *, asserted: bool = False) -> None:
        """A condition is about to be evaluated; whatever it asks about is asked from here on."""
        for tested in tested_against_none(test):
            name = named(tested)
            self._testing.add(tested.at)
            if asserted:
                self._asserted.add(tested.at)
            if name is not None:
                self._asked.add(name)
                value = self._run.env.get(name)
                if value is not None and value.read_at is not None:
                    self._questioned.add(value.read_at)

    def note(
        self,
        at: int,
        name: str,
        owner: Value,
        path: str | None,
        *,
        tested: bool = False,
        spelt: str | None = None,
    ) -> None:
        """An attribute is read; ``spelt`` is how it may have been asked for before, subscripts included."""
        if at in self._settled:
            return
        run = self._run
        fresh = owner.born == run.epoch
        event = AttributeEvent(
            at,
            name,
            owner,
            path,
            fresh=fresh,
            unretained=owner.retained == NEVER or (owner.retained == run.epoch and not fresh),
            tested=tested or at in self._testing,
            guarded=at in self._asserted or self._is_asked(spelt or path, at),
        )
        if run.loops and not run.branches:
            if fresh and run.round == 0:
                self._settled.add(at)
        elif run.round and (before := run.flow.attributes.get((at, False))) is not None:
            # Nobody knows whether it is reached in the first round, or in a later one.
            event = replace(
                event,
                owner=meet(before.owner, owner),
                fresh=before.fresh and fresh,
                unretained=before.unretained and event.unretained,
            )
        run.flow.attributes[(at, False)] = event

    def withdraw(self, at: int) -> None:
        """What is read is known after all, in a later round of a loop: it was assigned there."""
        if at not in self._settled:
            self._run.flow.attributes.pop((at, False), None)

    def dereferenced(self, value: Value) -> None:
        """A value is used in a way that raises if it is None."""
        if value.read_at is not None:
            self._used.add(value.read_at)

    def finish(self) -> None:
        """Put into the events what was only learnt after the read. The run is over then."""
        events = self._run.flow.attributes
        del self._run  # else they hold one another, and no collector runs
        for at in self._questioned | self._used:
            if (event := events.get((at, False))) is not None:
                events[(at, False)] = replace(
                    event,
                    tested=event.tested or at in self._questioned,
                    dereferenced=at in self._used,
                )

    def _is_asked(self, path: str | None, at: int) -> bool:
        if path is None or at in self._testing:
            return False
        owner = path.rpartition(".")[0]
        return path in self._asked or any(f"{owner}.{flag}" in self._asked for flag in _FLAGS)


def tested_against_none(test: Expression) -> Iterator[Expression]:
    """What a condition compares with None, or asks for its truth."""
    match test:
        case Operation(operator="is not" | "is" | "!=" | "==", operands=(left, Constant(value=None))):
            yield left
        case Operation(operator="and" | "or" | "not", operands=operands):
            for operand in operands:
                yield from tested_against_none(operand)
        case Call(function=function, arguments=(first, *_)) if dotted(function) in _ASKING:
            yield from tested_against_none(first.value)
        case Call(function=Name(id="all" | "any"), arguments=(Argument(value=Comprehension(element=element)),)):
            yield from tested_against_none(element)
        case Name() | Attribute():
            yield test
        case _:
            pass
