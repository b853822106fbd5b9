"""Which functions of the project a name may run where it is called."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from gradlint.model.code import Call, dotted
from gradlint.model.torch_calls import CLASS_NAMED
from gradlint.project.linking.bindings import Bindings, class_handed, owner_class
from gradlint.project.linking.choices import Choice, chosen_by_attribute, chosen_by_name
from gradlint.project.linking.copies import nearest_copies
from gradlint.project.linking.handed_modules import HandedModules
from gradlint.project.linking.handed_objects import HandedObjects
from gradlint.project.linking.instances import Instances
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Memo
from gradlint.project.linking.modules import Modules
from gradlint.project.linking.nodes import ClassNode, FunctionNode, ModuleNode
from gradlint.project.linking.returns import returned
from gradlint.project.linking.scope import decorated_by
from gradlint.project.linking.views import View

_Variable = tuple[FunctionNode | ClassNode, str]  # whose it is, and its name

# A method called on something unknown may be any method of that name, unless the name is everybody's.
MOST_CANDIDATES = 15
EVERYBODYS = frozenset(
    (
        "forward __call__ __init__ get set add append update step reset close open read write run start stop "
        "save load keys values items copy pop join split format to cuda cpu eval train parameters state_dict "
        "load_state_dict backward item zero_grad size view reshape mean sum max min log print fit transform "
        "call apply register"
    ).split()
)


class Callables:
    """Answers by the name's definition, by the class of the value it is called on, else by a method's name alone."""

    def __init__(self, linker: Linker, bindings: Bindings, instances: Instances, modules: Modules) -> None:
        self._linker = linker
        self._bindings = bindings
        self._instances = instances
        self._modules = modules
        self._handed = HandedObjects(linker, bindings, instances)
        self.handed_modules = HandedModules(linker, bindings, instances, modules, self._handed)
        self._defined: Memo[ModuleNode, Mapping[tuple[str, int | None], Sequence[FunctionNode]]] = Memo(
            linker.dependencies, _definitions, {}
        )
        self._following: set[_Variable] = set()  # variables that stand for one another
        self._methods: View[tuple[ClassNode, str], tuple[FunctionNode, ...]] = View(
            linker.dependencies, "methods of classes", lambda key: tuple(self._found_methods(*key)), lambda found: found
        )

    def called(self, function: FunctionNode, name: str) -> Iterator[tuple[FunctionNode, bool]]:
        """The functions that ``name(...)`` may run, each with whether that is certain."""
        for callee, certain in self._called(function, name):
            if not is_property(callee):
                yield callee, certain
            elif certain:
                yield from ((given, True) for given in self._given_by(callee))

    def _given_by(self, asked: FunctionNode) -> list[FunctionNode]:
        """The functions that a property gives: what is called is not the property itself."""
        names = (dotted(value) for value in returned(asked))
        return self._followed((asked, ""), ((asked, name) for name in names if name is not None))

    def _called(self, function: FunctionNode, name: str) -> Iterator[tuple[FunctionNode, bool]]:
        owner, _, method = name.rpartition(".")
        if owner == "super()":
            yield from ((callee, True) for callee in self._super_methods(function, method))
            return
        target = self._linker.resolve(function, name)
        if isinstance(target, FunctionNode):
            yield from ((each, True) for each in self.definitions(target))
        elif isinstance(target, ClassNode):
            if (constructor := self._linker.find_method(target, "__init__")) is not None:
                yield constructor, True
        elif target is None:
            yield from self._called_on_value(function, owner, method, name)

    def _called_on_value(
        self, function: FunctionNode, owner: str, method: str, name: str
    ) -> Iterator[tuple[FunctionNode, bool]]:
        """``value.method()`` through the value's class, or its name; ``value()`` through ``__call__``; ``cls()``."""
        if owner:
            instances = self._instances.classes_of(function, owner)
            methods = dict.fromkeys(found for instance in instances for found in self.methods(instance, method))
            methods = methods or dict.fromkeys(found for each in instances for found in self._kept(each, method))
            if methods:
                yield from ((callee, True) for callee in methods)
                return
        if (cls := self._class_meant(function, name)) is not None:
            yield from ((constructor, True) for constructor in self.methods(cls, "__init__"))
        elif called := self._instances.classes_of(function, name):
            found = dict.fromkeys(method for cls in called for method in self.methods(cls, "__call__"))
            yield from ((callee, True) for callee in found)
        elif chosen := self._chosen(function, name):
            yield from ((callee, True) for callee in chosen)
        elif not owner or method in EVERYBODYS:
            yield from ((callee, False) for callee in self._of_handed(function, owner or name, method if owner else ""))
        elif not method.startswith("__"):
            candidates = self.named_alike(function, owner, method)
            if len(candidates) <= MOST_CANDIDATES:
                yield from ((callee, False) for callee in nearest_copies(function.module, candidates))

    def _of_handed(self, function: FunctionNode, name: str, method: str) -> Iterator[FunctionNode]:
        """What runs of an object that visible calls hand over: of one that is called itself, what is no module's."""
        if (method or "__call__") not in self._linker.methods_named or method.startswith("__"):
            return
        for cls in self._handed.classes(function, name):
            if method or not self._modules.is_module_class(cls):
                yield from self.methods(cls, method or "__call__")

    def named_alike(self, function: FunctionNode, owner: str, method: str) -> Sequence[FunctionNode]:
        """The methods of that name that something may have of which only the name is known."""
        candidates = self._linker.methods_named.get(method, ())
        outside = self._instances.made_outside(function, owner) if candidates else None
        if outside is None:
            return candidates
        # ``from package.nets import Net`` may be ours where the package has another name here.
        return [each for each in candidates if each.owner is not None and outside in self._names_with(each.owner)]

    def _names_with(self, cls: ClassNode) -> set[str]:
        """The names of a class and of all that derive from it."""
        return {cls.facts.name, *(derived.facts.name for derived in self._linker.subclasses.get(cls, ()))}

    def _class_meant(self, function: FunctionNode, name: str) -> ClassNode | None:
        """The class that ``cls`` is in a class method, or a variable that it is assigned to; ``net_class: Net``."""
        if name == "cls":
            return class_handed(function)
        if CLASS_NAMED.search(name) and "." not in name and function.annotated(name) is not None:
            return self._instances.class_of(function, name)
        aliases = (where for where, value in self._bindings.values(function, name) if dotted(value) == "cls")
        return next(filter(None, map(class_handed, aliases)), None)

    def _chosen(self, function: FunctionNode, name: str) -> list[FunctionNode]:
        """The functions that a variable may stand for: ``search = self.beam if wide else self.greedy``."""
        gone_over = self._instances.gone_over(function, name)
        return self._followed((function, name), chosen_by_name(self._bindings, function, name, gone_over))

    def _kept(self, cls: ClassNode, name: str) -> list[FunctionNode]:
        """The functions that an object keeps under a name."""
        return self._followed((cls, name), chosen_by_attribute(self._bindings, cls, name))

    def _followed(self, variable: _Variable, choices: Iterable[Choice]) -> list[FunctionNode]:
        """The functions that a variable may stand for; each variable on the way is followed once."""
        if variable in self._following:
            return []
        is_first = not self._following
        self._following.add(variable)
        try:
            return self.certainly_called(choices)
        finally:
            if is_first:
                self._following.clear()

    def certainly_called(self, choices: Iterable[Choice]) -> list[FunctionNode]:
        """The functions that one of several choices certainly runs."""
        found = (callee for choice in choices for callee, certain in self.called(*choice) if certain)
        return list(dict.fromkeys(found))

    def _super_methods(self, function: FunctionNode, name: str) -> Iterator[FunctionNode]:
        cls = owner_class(function)
        for ancestor in self._linker.ancestors(cls)[1:] if cls is not None else ():
            if isinstance(ancestor, ClassNode) and (method := ancestor.method(name)) is not None:
                yield method
                return

    def names_property(self, function: FunctionNode, name: str) -> bool:
        """Whether a name is that of a property of the object that a method is called on."""
        return self._property(function, name) is not None

    def _property(self, function: FunctionNode, name: str) -> FunctionNode | None:
        cls, (root, _, attribute) = owner_class(function), name.partition(".")
        method = self._linker.find_method(cls, attribute) if cls is not None and root == "self" else None
        return method if method is not None and is_property(method) else None

    def behind_property(self, function: FunctionNode, name: str) -> str:
        """What a property stands for: ``self._optimizer`` for ``self.optimizer``; of all else the name itself."""
        method = self._property(function, name)
        if method is None:
            return name
        given = {dotted(value) for value in returned(method)}
        meant = given.pop() if len(given) == 1 else None
        return meant if meant is not None and meant.startswith("self.") else name

    def methods(self, cls: ClassNode, name: str) -> tuple[FunctionNode, ...]:
        """What ``instance.name()`` may run: the class's method and what its subclasses put in its place."""
        return self._methods.of((cls, name))

    def _found_methods(self, cls: ClassNode, name: str) -> list[FunctionNode]:
        names = (name, "forward") if name == "__call__" and not self._answers_itself(cls) else (name,)
        found: set[FunctionNode] = set()
        for each in names:
            own = self._linker.find_method(cls, each)
            found.update(self._overriding(cls, each) if own is None else (own, *self._overriding(cls, each)))
        real = [method for method in found if not method.facts.is_stub]
        return sorted(real or found, key=lambda method: method.key)

    def _overriding(self, cls: ClassNode, name: str) -> Iterator[FunctionNode]:
        """What subclasses have in the place of a class's method: their own, or that of a base in front (a mixin)."""
        derived, named = self._linker.subclasses.get(cls, ()), self._linker.methods_named
        if len(derived) > len(of_that_name := named.get(name, ()) if derived else ()):
            # Most of them have none: from who has one down is the shorter way.
            owners = dict.fromkeys(method.owner for method in of_that_name)
            derived = [sub for owner in owners if owner is not None for sub in self._below(owner, cls)]
        for sub in derived:
            if (method := self._method_before(sub, cls, name)) is not None:
                yield method

    def _below(self, owner: ClassNode, cls: ClassNode) -> Iterator[ClassNode]:
        """A class that derives from another; of one that does not, a mixin perhaps, those derived from both."""
        if cls in self._linker.ancestors(owner):
            yield owner
        else:
            yield from (sub for sub in self._linker.subclasses.get(owner, ()) if cls in self._linker.ancestors(sub))

    def _method_before(self, subclass: ClassNode, cls: ClassNode, name: str) -> FunctionNode | None:
        """The method that a subclass has before it comes to a class, and to what that derives from."""
        behind = self._linker.ancestors(cls)
        for ancestor in self._linker.ancestors(subclass):
            if ancestor is cls:
                return None
            if isinstance(ancestor, ClassNode) and ancestor not in behind and (method := ancestor.method(name)):
                return method
        return None

    def _answers_itself(self, cls: ClassNode) -> bool:
        """Whether a class has a ``__call__`` of its own, and no module's that goes on to ``forward``."""
        own = self._linker.find_method(cls, "__call__")
        if own is None or not self._modules.is_module_class(cls):
            return own is not None
        return own.facts.words.isdisjoint(("forward", "__call__"))

    def definitions(self, function: FunctionNode) -> Sequence[FunctionNode]:
        """All definitions of a function's name in its place: cells of a notebook define it again and again."""
        if function.owner is not None:
            return (function,)
        return self._defined.of(function.module)[function.facts.name, function.facts.parent]

    def meant(self, function: FunctionNode, name: str) -> FunctionNode | None:
        """The function that a name means, if it means one."""
        found = self._linker.resolve(function, name) or self._method_of_variable(function, name)
        return found if isinstance(found, FunctionNode) else None

    def _method_of_variable(self, function: FunctionNode, name: str) -> FunctionNode | None:
        owner, _, method = name.rpartition(".")
        cls = self._instances.class_of(function, owner) if owner else None
        return self._linker.find_method(cls, method) if cls is not None else None


def _definitions(module: ModuleNode) -> dict[tuple[str, int | None], list[FunctionNode]]:
    """The functions of a module that are no methods, by name and place."""
    found: dict[tuple[str, int | None], list[FunctionNode]] = defaultdict(list)
    for function in module.functions:
        if function.owner is None:
            found[function.facts.name, function.facts.parent].append(function)
    return {**found}


def is_property(method: FunctionNode) -> bool:
    """Whether a method is asked for like an attribute: ``@property``, ``@cached_property``."""
    return any((dotted(decorator) or "").endswith("property") for decorator in decorated_by(method))


def takes_keywords(function: FunctionNode, call: Call) -> bool:
    """Whether a function has parameters for a call's keywords: ``loss(estimate=...)`` is no ``forward(signal)``."""
    if any(parameter.kind == "kwargs" for parameter in function.facts.parameters):
        return True
    given = {argument.keyword for argument in call.arguments if argument.keyword is not None}
    return given <= {parameter.name for parameter in function.facts.parameters}
