"""One call while it is being evaluated."""

import re
from typing import TYPE_CHECKING

from gradlint.model.code import Argument, Attribute, Call, Expression, Name, Subscript, dotted
from gradlint.model.torch_names import RECORDING_FLAGS
from gradlint.project.linking.nodes import ClassNode, FunctionNode
from gradlint.project.running import attributes, evaluate
from gradlint.project.running.flow import CallEvent, Passed, SideEffects
from gradlint.project.running.labels import beside_cut_off, is_cut_off
from gradlint.project.running.sets import ALONE, joined, together
from gradlint.project.running.values import UNKNOWN, Origin, Value

if TYPE_CHECKING:
    from gradlint.project.running.interpret import Run


_ASSERTING = re.compile(r"(^|[._])assert\w*$")


class Invocation:
    """One call while it is being evaluated."""

    def __init__(self, node: Call, run: "Run") -> None:
        self.node = node
        self.run = run
        self.at = node.at
        self.receiver: Value | None = None
        self.receiver_path: str | None = None
        self.method = ""
        function = node.function
        if isinstance(function, Attribute):
            self.receiver = evaluate.value_of(function.value, run)
            self.receiver_path = dotted(function.value)
            self.method = function.name
            self.callee = attributes.attribute_of(function, self.receiver, run)
        else:
            self.callee = evaluate.value_of(function, run)
        run.reads.dereferenced(self.callee)
        self.name = spelt(function)
        if _ASSERTING.search(self.name):
            for argument in node.arguments:
                run.reads.question(argument.value, asserted=True)
        self.arguments = tuple(passed_argument(argument, run) for argument in node.arguments)
        values = [argument.value for argument in self.arguments]
        self.given = together(v.origins for v in values)
        called = self.receiver or self.callee  # a distribution's method; a function that a model has made
        self.carried = joined(self.given, called.origins)
        self.targets: tuple[FunctionNode, ...] = ()
        self.forward = False
        self.opaque = False
        self.effects: SideEffects | None = None  # of what is called, where that is known

    @property
    def container_path(self) -> str | None:
        """The dotted name of what is called on, subscripts left out: ``self.kept`` for ``self.kept[i].append``.

        So is ``setdefault``, which gives an item, too: ``kept.setdefault(key, []).append``.
        """
        function = self.node.function
        holder = function.value if isinstance(function, Attribute) else function
        while True:
            match holder:
                case (
                    Subscript(value=inner) | Call(function=Attribute(value=inner, name="setdefault"), arguments=(_, _))
                ):
                    holder = inner
                case _:
                    return dotted(holder)

    @property
    def event(self) -> CallEvent:
        """The call, as far as it is known while what it gives is not."""
        return CallEvent(self.at, self.name, self.receiver, self.callee, self.arguments, (), UNKNOWN, False, False)

    def argument(self, index: int, keyword: str | None = None) -> Value | None:
        """A positional argument, or the keyword's."""
        for argument in self.arguments:
            if keyword is not None and argument.keyword == keyword:
                return argument.value
        plain_arguments = [a.value for a in self.arguments if a.keyword is None and not a.stars]
        return plain_arguments[index] if index < len(plain_arguments) else None

    def read(self, detail: str) -> Value:
        """The call only looks at what it is given."""
        self.run.flow.used(self.carried, "read", self.at, detail)
        return UNKNOWN

    def fresh(self, *more: frozenset[Origin]) -> Value:
        """A new value with a graph of its own, and what else goes into it."""
        origins = frozenset({Origin(self.run.function, self.at)}).union(*more)
        return Value(origins=origins, made_at=self.at, memory=ALONE[self.at])

    @property
    def tensors(self) -> list[Value]:
        """What is called on and what is passed: all that the call has hold of."""
        given = [argument.value for argument in self.arguments]
        return given if self.receiver is None else [self.receiver, *given]

    @property
    def named_class(self) -> ClassNode | None:
        """The class of the project that a method is called on: ``Net.from_pretrained()``."""
        target = self.receiver.target if self.receiver is not None and self.receiver.kind == "callable" else None
        return target if isinstance(target, ClassNode) else None

    @property
    def traces(self) -> frozenset[Origin]:
        """The origins of all it is called on and given, whether their graph is still there or not."""
        return together(value.traces for value in self.tensors)

    @property
    def memory(self) -> frozenset[int]:
        """The tensors it has hold of."""
        return together(value.memory for value in self.tensors)

    @property
    def compared(self) -> list[Value]:
        """The arguments of a loss. Next to what has lost its graph labels are taken for the data that they are."""
        values = [argument.value for argument in self.arguments]
        if not any(map(is_cut_off, values)):
            return values
        return beside_cut_off([argument.expression for argument in self.arguments], values, self.run.flow)

    @property
    def declines_graph(self) -> bool:
        """Whether the call says by a flag that nothing is to be recorded: ``no_grad=True``."""
        flags = ((RECORDING_FLAGS.get(a.keyword or ""), a.value.constant) for a in self.arguments)
        return any(meaning is not None and flag is (not meaning) for meaning, flag in flags)

    def has(self, keyword: str) -> bool:
        """Whether a keyword argument is given, or may be."""
        return any(argument.keyword == keyword or argument.stars == 2 for argument in self.arguments)


def passed_argument(argument: Argument, run: "Run") -> Passed:
    """An argument, evaluated."""
    return Passed(argument.keyword, argument.stars, evaluate.value_of(argument.value, run), argument.value)


def spelt(function: Expression) -> str:
    """How a call names what it calls; ``?`` stands for what is computed."""
    name = dotted(function)
    if name is not None:
        return name
    match function:
        case Attribute(value=Call(function=Name(id="super")), name=method):
            return f"super().{method}"
        case Attribute(name=method):
            return f"?.{method}"
        case Subscript(value=value):
            return f"{spelt(value)}[...]"
        case _:
            return "?"


def last_part(name: str) -> str:
    """The part of a dotted name after the last dot."""
    return name.rpartition(".")[2]
