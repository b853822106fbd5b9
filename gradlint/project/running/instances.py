"""Dicts and lists of instances: meters by their names. What is looked up there is an object of a known class.

The container's ``target`` is the class of its values.
"""

from collections.abc import Iterable

from gradlint.model.record import replace
from gradlint.project.linking.nodes import ClassNode
from gradlint.project.running.values import Value, plain


def class_of(value: Value) -> ClassNode | None:
    """The class of the project that a value is an instance of, if that is no module."""
    return value.target if value.kind == "unknown" and isinstance(value.target, ClassNode) else None


def class_of_all(values: Iterable[Value]) -> ClassNode | None:
    """The class of the project that all these values are instances of; None if there are none."""
    classes = {class_of(value) for value in values}
    return classes.pop() if len(classes) == 1 else None


def held_in(container: Value) -> Value | None:
    """One of the instances that a container holds; None if it is not known to hold any."""
    if container.kind != "container" or not isinstance(container.target, ClassNode):
        return None
    return replace(plain(container.origins, container.memory), target=container.target)
