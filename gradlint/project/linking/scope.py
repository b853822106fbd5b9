"""What is evaluated in a function's own scope, and in which position: entered, tested, expected to fail."""

import re
from collections.abc import Iterator

from gradlint.model.code import (
    Assign,
    Attribute,
    Block,
    Call,
    Comprehension,
    Conditional,
    Constant,
    Evaluate,
    Expression,
    If,
    Jump,
    Name,
    Operation,
    Raise,
    Return,
    Statement,
    Try,
    While,
    With,
    dotted,
)
from gradlint.model.inference_names import OTHER_FRAMEWORKS
from gradlint.model.torch_calls import MODULE_METHODS
from gradlint.model.torch_names import SELF_RETURNING
from gradlint.model.traverse import all_expressions, all_of, call_in, pairs, statements, within
from gradlint.project.linking.nodes import FunctionNode

_ENTERING = frozenset({"enter_context", "enter_async_context"})
_RAISING = re.compile(r"(^|[._])(raises|suppress|assertRaises\w*)$")
_UNCHANGING = SELF_RETURNING - {"apply", "requires_grad_"}
_LONGEST_PROBE = 3  # a try of more statements is no question whether something exists


def evaluated(function: FunctionNode) -> Iterator[Expression]:
    """Every expression evaluated in a function's scope, at any depth.

    The decorators, defaults and bases of what it defines are evaluated there too.
    """
    yield from all_expressions(function.facts.body)
    for expression in _of_definitions(function):
        yield from within(expression)


def _of_definitions(function: FunctionNode) -> Iterator[Expression]:
    for inner in function.module.functions:
        if inner.facts.parent == function.facts.index:
            yield from inner.facts.decorators
            yield from (p.default for p in inner.facts.parameters if p.default is not None)
    for cls in function.module.classes:
        if cls.facts.parent == function.facts.index:
            yield from cls.facts.decorators
            yield from cls.facts.bases


def decorators(function: FunctionNode) -> Iterator[Expression]:
    """The decorators of the functions and classes that a function defines."""
    for inner in function.module.functions:
        if inner.facts.parent == function.facts.index:
            yield from inner.facts.decorators
    for cls in function.module.classes:
        if cls.facts.parent == function.facts.index:
            yield from cls.facts.decorators


def decorated_by(function: FunctionNode) -> Iterator[Expression]:
    """What a function is decorated with, without what that is called with: ``app.get`` of ``@app.get("/")``."""
    for decorator in function.facts.decorators:
        yield decorator.function if isinstance(decorator, Call) else decorator


def stands_in(function: FunctionNode | None, outer: FunctionNode) -> bool:
    """Whether a function is another, or nested in it."""
    while function is not None and function is not outer:
        function = function.parent
    return function is outer


def is_static(method: FunctionNode) -> bool:
    """Whether a method is given no object to be called on."""
    return any(dotted(decorator) == "staticmethod" for decorator in method.facts.decorators)


def with_items(function: FunctionNode) -> Iterator[Expression]:
    """The expressions that ``with`` enters as context managers."""
    for statement in statements(function.facts.body):
        if isinstance(statement, With):
            yield from (item.context for item in statement.items)


def enclosing_withs(function: FunctionNode, at: int) -> list[With]:
    """The ``with`` statements around a place, the innermost first."""
    found = (s for s in statements(function.facts.body) if isinstance(s, With) and at in places_of(s.body))
    return sorted(found, key=lambda statement: -statement.at)


def entered(function: FunctionNode) -> Iterator[Expression]:
    """The expressions that are entered as context managers: by ``with``, or by an exit stack."""
    yield from with_items(function)
    for expression in all_of(Call, function.facts.body):
        match expression:
            case Call(function=Attribute(name=name), arguments=(argument, *_)) if name in _ENTERING:
                yield argument.value
            case _:
                pass


def tested(function: FunctionNode) -> Iterator[Expression]:
    """The expressions whose truth decides something, taken apart at ``and``, ``or`` and ``not``."""
    found: dict[int, Expression] = {}
    for statement in statements(function.facts.body):
        found.update((test.at, test) for test in _tested_by(statement))
    for expression in evaluated(function):
        found.update((test.at, test) for test in _tested_in(expression))
    yield from found.values()


def _tested_by(statement: Statement) -> Iterator[Expression]:
    match statement:
        case If(test=test) | While(test=test) | Evaluate(value=test, discarded=False):
            yield from _truths(test)
        case _:
            pass


def _tested_in(expression: Expression) -> Iterator[Expression]:
    match expression:
        case Conditional(test=test) | Operation(operator="not", operands=(test,)):
            yield from _truths(test)
        case Operation(operator="and" | "or", operands=(first, *_)):
            yield from _truths(first)  # the last operand is the result
        case Operation(operator="==" | "!=" | "is" | "is not", operands=operands):
            if any(isinstance(each, Constant) and isinstance(each.value, bool) for each in operands):
                yield from operands
        case Comprehension(loops=loops):
            for loop in loops:
                for condition in loop.conditions:
                    yield from _truths(condition)
        case _:
            pass


def _truths(test: Expression) -> Iterator[Expression]:
    if isinstance(test, Operation) and test.operator in ("and", "or"):
        for operand in test.operands:
            yield from _truths(operand)
    else:
        yield test


def asked_before(function: FunctionNode, at: int, word: str) -> bool:
    """Whether a place is reached only after a question about ``word``: in a branch of it, or behind an early return."""
    for statement in statements(function.facts.body):
        if isinstance(statement, If) and statement.at < at and _mentions(statement.test, word):
            if at in places_of(statement.then) or at in places_of(statement.otherwise):
                return True
            if any(isinstance(last, Return | Raise | Jump) for last in statement.then[-1:]):
                return True
    for expression in all_expressions(function.facts.body):
        match expression:
            case Conditional(test=test) | Operation(operator="and" | "or", operands=(test, *_)):
                if _mentions(test, word) and any(part.at == at for part in within(expression)):
                    return True
            case _:
                pass
    return False


def _mentions(expression: Expression, word: str) -> bool:
    """Whether it asks for what has this name: not for ``config.training.epochs``, which is something else of it."""
    parts = [*within(expression)]
    owners = {part.value.at for part in parts if isinstance(part, Attribute)}
    return any(getattr(part, "name", getattr(part, "id", None)) == word for part in parts if part.at not in owners)


def outcomes(expression: Expression) -> Iterator[Expression]:
    """What an expression may turn out to be: the branches of a conditional, the operands of ``or``."""
    match expression:
        case Conditional(then=yes, otherwise=no):
            yield from outcomes(yes)
            yield from outcomes(no)
        case Operation(operator="or", operands=operands):
            for operand in operands:
                yield from outcomes(operand)
        case Operation(operator="and", operands=operands):
            yield from outcomes(operands[-1])
        case _:
            yield expression


def expected_to_fail(function: FunctionNode) -> frozenset[int]:
    """The places under ``with pytest.raises(...)`` and its kind."""
    bodies = (s.body for s in statements(function.facts.body) if isinstance(s, With) and _raises(s))
    return frozenset(place for body in bodies for place in places_of(body))


def _raises(statement: With) -> bool:
    calls = (item.context.function for item in statement.items if isinstance(item.context, Call))
    return any(_RAISING.search(dotted(called) or "") for called in calls)


def tried(function: FunctionNode) -> frozenset[int]:
    """The places in a short ``try`` that has handlers: a question whether something exists."""
    found = (s for s in statements(function.facts.body) if isinstance(s, Try) and s.handlers)
    return frozenset(place for probe in found if len(probe.body) <= _LONGEST_PROBE for place in places_of(probe.body))


def standing_alone(function: FunctionNode) -> set[int]:
    """The places of the expressions that are statements: nobody so much as names what they give."""
    return {each.value.at for each in statements(function.facts.body) if isinstance(each, Evaluate)}


def call_at(function: FunctionNode, at: int) -> Call | None:
    """The call at a place of a function's scope."""
    found = (e for e in evaluated(function) if e.at == at and isinstance(e, Call))
    return next(found, None)


def own_call_at(function: FunctionNode, at: int) -> Call | None:
    """The call at a place of a function's own body, the decorators and defaults of what it defines left out."""
    return call_in(function.facts.body, at)


def unconverted(value: Expression) -> Expression:
    """The module that a chain of methods gives back: ``deepcopy(model)`` of ``deepcopy(model).to(device).eval()``."""
    while isinstance(value, Call) and isinstance(value.function, Attribute) and value.function.name in _UNCHANGING:
        value = value.function.value
    return value


def imports_torch(function: FunctionNode) -> bool:
    """Whether the function's module imports something of torch."""
    return "torch" in _packages(function)


def is_of_another_framework(function: FunctionNode) -> bool:
    """Whether the function's module works with another framework than torch, which has modules and grad modes, too."""
    packages = _packages(function)
    return "torch" not in packages and not packages.isdisjoint(OTHER_FRAMEWORKS)


def _packages(function: FunctionNode) -> set[str]:
    bodies = (function.module.body, function)
    return {found.module.partition(".")[0] for body in bodies for found in body.facts.imports}


def assigned(function: FunctionNode) -> Iterator[tuple[str, Expression]]:
    """The dotted names that a function assigns one value to, each with that value."""
    for statement in statements(function.facts.body):
        if isinstance(statement, Assign) and len(statement.targets) == 1:
            yield from pairs(statement.targets[0], statement.value)


def operands(expression: Expression) -> Iterator[str]:
    """The plain names that arithmetic is done with, those that something is called on or taken from left out."""
    if isinstance(expression, Operation):
        for operand in expression.operands:
            yield from operands(operand)
    elif isinstance(expression, Name):
        yield expression.id


def places_of(block: Block) -> Iterator[int]:
    """The places of all statements and expressions of a block."""
    yield from (statement.at for statement in statements(block))
    yield from (expression.at for expression in all_expressions(block))


def is_treated_as_module(function: FunctionNode, path: str) -> bool:
    """``net.eval()``, ``net.parameters()``: from there on it is a module, whatever it was before."""
    if MODULE_METHODS.isdisjoint(function.facts.words):
        return False
    calls = (call for call in function.facts.calls if call.method in MODULE_METHODS)
    return any(call.callee == f"{path}.{call.method}" for call in calls)
