"""What functions call ``backward()`` on, as it is written."""

from gradlint.model.code import Attribute, Call, Evaluate, If, Name, Return, Try
from gradlint.model.torch_calls import BACKWARD_METHODS
from gradlint.project.linking import scope
from gradlint.project.linking.nodes import FunctionNode


def walked_parameter(function: FunctionNode) -> str | None:
    """The parameter on which a function calls ``backward()`` whatever happens, and whose graph it does not keep."""
    if BACKWARD_METHODS.isdisjoint(function.facts.words):
        return None
    given = {parameter.name for parameter in function.facts.parameters}
    for statement in function.facts.body:
        match statement:
            case Evaluate(value=Call(function=Attribute(name="backward", value=Name(id=name)), arguments=())):
                return name if name in given and name not in dict(scope.assigned(function)) else None
            case Return() | If() | Try():
                return None  # there are ways around it
            case _:
                pass
    return None
