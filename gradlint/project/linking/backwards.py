"""What functions call ``backward()`` on, as it is written."""

from gradlint.model.code import Attribute, Call, Evaluate, If, Name, Return, Try, dotted
from gradlint.model.torch_calls import BACKWARD_METHODS
from gradlint.model.traverse import all_of, called_name, within
from gradlint.project.linking import scope
from gradlint.project.linking.nodes import FunctionNode


def is_walked(function: FunctionNode, at: int) -> bool:
    """Whether a function calls ``backward()`` on what a call gives, or on a name that it gives what is made of it."""
    if BACKWARD_METHODS.isdisjoint(function.facts.words):
        return False
    made = {name for name, value in scope.assigned(function) if any(part.at == at for part in within(value))}
    walks = [call for call in all_of(Call, function.facts.body) if called_name(call) in BACKWARD_METHODS]
    walked = [walk.function.value for walk in walks if isinstance(walk.function, Attribute)]
    walked += (argument.value for walk in walks for argument in walk.arguments)
    return any(each.at == at or dotted(each) in made for each in walked)


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
