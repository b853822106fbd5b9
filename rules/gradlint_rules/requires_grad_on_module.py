"""A module is given an attribute that only looks as if it froze or switched it.

## Flagged

```python
from torchvision import models

def build(classes):
    model = models.resnet18()
    model.requires_grad = False  # GL502
    return model

# run: model = build(3)
# shows: all(parameter.requires_grad for parameter in model.parameters())
```

## Instead

```python
from torchvision import models

def build(classes):
    model = models.resnet18()
    model.requires_grad_(False)
    return model

# run: model = build(3)
# shows: not any(parameter.requires_grad for parameter in model.parameters())
```

## Fixed

```python
from torchvision import models

def build(classes):
    model = models.resnet18()
    model.requires_grad_(False)
    return model
```

## Why

A module has no flag of its own: `model.requires_grad = False` stores an attribute that nothing
reads. Every parameter still requires grad, is trained, and has its gradient computed and kept. The
method `requires_grad_(False)` sets the flag of all parameters. What `state_dict()` gives are detached
tensors, made anew by each call: to set their flags leaves those of the parameters as they are.

`model.eval = True` and `model.train = False` likewise switch nothing; they hide the method of that
name, so that the next `model.eval()` raises `TypeError: 'bool' object is not callable`. And
`model.parameters()` is a generator: setting its `requires_grad` raises `AttributeError: 'generator'
object has no attribute 'requires_grad'`.
"""

import re
from collections.abc import Iterator

from gradlint.rule import (
    Assign,
    Attribute,
    Call,
    Constant,
    Edit,
    Expression,
    Finding,
    Fix,
    For,
    FunctionNode,
    Name,
    Operation,
    Project,
    Subscript,
    dotted,
    names_in,
    rule,
    scope,
    statements,
)

_MODES = frozenset({"eval", "train"})
_WORDS = _MODES | {"requires_grad"}
_LAYER = re.compile(
    r"^(layers?\d*|features|classifier|avgpool|(conv|bn|norm|fc|linear|block|stage|stem)\d+|fc|blocks|lm_head)$"
)
_LAYERS = re.compile(r"^(layers?\d*|features|classifier|blocks)$")  # those that hold others by number
_COLLECTIONS = frozenset({"parameters", "named_parameters"})


@rule("GL502", severity="error", since="0.1.0")
def requires_grad_on_module(project: Project) -> Iterator[Finding]:
    """Find attributes of modules, and of generators of parameters, that are set in vain."""
    for function in project.functions():
        if _WORDS.isdisjoint(function.facts.words):
            continue
        expected = scope.expected_to_fail(function)
        for statement in statements(function.facts.body):
            match statement:
                case Assign(targets=(Attribute() as target,), value=value) if target.at not in expected:
                    yield from _findings(project, function, statement, target, value)
                case For(iterable=iterable, target=target) if _lists_state(iterable):
                    yield from _of_state(function, statement, target)
                case _:
                    pass


def _lists_state(iterable: Expression) -> bool:
    """``model.state_dict().items()``: detached tensors, unless the parameters themselves are asked for."""
    match iterable:
        case Call(
            function=Attribute(
                value=Call(function=Attribute(name="state_dict"), arguments=arguments), name="items" | "values"
            )
        ):
            return not any(argument.keyword == "keep_vars" for argument in arguments)
        case _:
            return False


def _of_state(function: FunctionNode, loop: For, target: Expression) -> Iterator[Finding]:
    """The flags that a loop sets on what ``state_dict()`` gives."""
    names = names_in(target)
    for statement in statements(loop.body):
        match statement:
            case Assign(targets=(Attribute(value=Name(id=name), name="requires_grad", at=at),)) if name in names:
                yield Finding(
                    function.place(at),
                    function.name,
                    "`state_dict()` gives detached tensors: the parameters keep their flags",
                    help="loop over `parameters()` or `named_parameters()`",
                )
            case _:
                pass


def _findings(
    project: Project, function: FunctionNode, statement: Assign, target: Attribute, value: Expression
) -> Iterator[Finding]:
    match target:
        case Attribute(name="requires_grad", value=Call(function=Attribute(name=name))) if name in _COLLECTIONS:
            message = f"`{name}()` gives a generator, which has no such attribute"
            yield Finding(function.place(target.at), function.name, message, help="write `requires_grad_(...)`")
        case Attribute(name="requires_grad") if _is_module(project, function, target):
            message = "nothing reads this attribute of a module: its parameters keep their flags"
            fix = _call(function, statement, target, f"requires_grad_({_text(value)})") if _text(value) else None
            yield Finding(
                function.place(target.at), function.name, message, help="write `requires_grad_(...)`", fix=fix
            )
        case Attribute(name=name) if name in _MODES and _text(value) and _is_module(project, function, target):
            method = "train" if _text(value) == str(name == "train") else "eval"
            yield Finding(
                function.place(target.at),
                function.name,
                f"this hides the method `{name}`, and the module stays in the mode it is in",
                help=f"write `{method}()`",
                fix=_call(function, statement, target, f"{method}()"),
            )
        case _:
            pass


def _is_module(project: Project, function: FunctionNode, target: Attribute) -> bool:
    """Whether the owner is a module, and none that makes something of the attribute by itself."""
    if target.name == "requires_grad" and _may_be_property(project, function, target):
        return False
    if _is_item_of_one_of_many(function, target.value):
        return False
    return project.evidence.owned_by_module(function, target, stored=True) or _is_layer(project, function, target.value)


def _is_item_of_one_of_many(function: FunctionNode, owner: Expression) -> bool:
    """``for part in self.parts: part["scale"]...``: if these are dicts of parameters, a parameter."""
    match owner:
        case Subscript(value=Name(id=name), index=Constant(value=str())):
            return any(
                name in names_in(each.target) for each in statements(function.facts.body) if isinstance(each, For)
            )
        case _:
            return False


def _may_be_property(project: Project, function: FunctionNode, target: Attribute) -> bool:
    """Whether a class of the project, or one that nobody here sees, may make a property of the attribute."""
    return target.name in project.linker.methods_named or project.evidence.of_unseen_class(function, target)


def _is_layer(project: Project, function: FunctionNode, owner: Expression) -> bool:
    """``model.layer4``: a part of a module, under a name that layers have and parameters have not."""
    match owner:
        case Subscript(value=Attribute(name=name) as layers, index=index) if _LAYERS.search(name):
            own = dotted(layers.value) == "self"  # whose class says what these are
            return _is_number(index) and not own and project.evidence.owned_by_module(function, layers)
        case Attribute(name=name) if _LAYER.search(name):
            return project.evidence.owned_by_module(function, owner)
        case _:
            return False


def _is_number(index: Expression) -> bool:
    """Whether an index is spelt out: ``28``, ``-1``."""
    match index:
        case Operation(operator="-", operands=(inner,)):
            return _is_number(inner)
        case _:
            return isinstance(index, Constant) and isinstance(index.value, int)


def _text(value: Expression) -> str:
    return str(value.value) if isinstance(value, Constant) and isinstance(value.value, bool) else ""


def _call(function: FunctionNode, statement: Assign, target: Attribute, call: str) -> Fix | None:
    owner = dotted(target.value)
    if owner is None:
        return None
    edit = Edit(function.place(statement.at), "replace", f"{owner}.{call}")
    return Fix("unsafe", f"write `{owner}.{call}`", (edit,))
