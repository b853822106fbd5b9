"""Which parameters are modules, whatever they are called: all calls that are plain to see hand over one."""

from gradlint.model.code import Attribute, Call, Expression, dotted
from gradlint.model.torch_calls import SELF_RETURNING_MODULE_METHODS
from gradlint.project.linking.bindings import Bindings
from gradlint.project.linking.handed_objects import HandedObjects
from gradlint.project.linking.instances import Instances
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Memo
from gradlint.project.linking.modules import Modules
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode
from gradlint.project.linking.scope import is_treated_as_module

_Variable = tuple[FunctionNode, str]  # the function that asks, and the name


class HandedModules:
    """Answers about parameters that a function calls, remembered. A test hands over what it likes."""

    def __init__(
        self, linker: Linker, bindings: Bindings, instances: Instances, modules: Modules, handed: HandedObjects
    ) -> None:
        self._linker = linker
        self._bindings = bindings
        self._instances = instances
        self._modules = modules
        self._handed = handed
        self._known: Memo[_Variable, bool] = Memo(linker.dependencies, lambda key: self._find(*key), meanwhile=False)

    def is_module(self, function: FunctionNode, parameter: str) -> bool:
        """Whether a parameter that a function calls is a module with parameters, as far as its callers show."""
        called = any(call.callee == parameter for call in function.facts.calls)
        return called and self._known.of((function, parameter))

    def _find(self, function: FunctionNode, parameter: str) -> bool:
        given = [each for each in self._handed.given(function, parameter) if not each[0].is_test]
        return bool(given) and all(self._gives_module(*each) for each in given)

    def _gives_module(self, where: FunctionNode, value: Expression) -> bool:
        if isinstance(value, Call):
            return self._makes_module(where, value)
        name = dotted(value)
        if name is None:
            return False
        if (cls := self._instances.class_of(where, name)) is not None:
            return self._is_trained(cls)
        if is_treated_as_module(where, name) or self._known.of((where, name)):
            return True
        assigned = self._bindings.values(where, name)
        return bool(assigned) and all(
            isinstance(made, Call) and self._makes_module(scope, made) for scope, made in assigned
        )

    def _makes_module(self, where: FunctionNode, call: Call) -> bool:
        """``nn.Linear(4, 2)``, ``Net().to(device)``."""
        match call.function:
            case Attribute(value=Call() as made, name=name) if name in SELF_RETURNING_MODULE_METHODS:
                return self._makes_module(where, made)
            case called:
                named = self._linker.resolve(where, dotted(called) or "")
                outside = isinstance(named, External) and self._modules.is_outside_module_class(named)
                return outside or (isinstance(named, ClassNode) and self._is_trained(named))

    def _is_trained(self, cls: ClassNode) -> bool:
        return self._modules.is_module_class(cls) and self._modules.may_have_parameters(cls)
