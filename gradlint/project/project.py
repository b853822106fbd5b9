"""The project: every module's facts, linked, and the questions rules may ask of them."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from gradlint.model.facts import ModuleFacts
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.effects import GRAD
from gradlint.project.grad_states.leaks import Leaks
from gradlint.project.grad_states.modes import Modes
from gradlint.project.grad_states.state import GradStates
from gradlint.project.grad_states.unseen_callers import UnseenCallers
from gradlint.project.linking.bindings import Bindings
from gradlint.project.linking.files import Numbering
from gradlint.project.linking.frameworks import Frameworks
from gradlint.project.linking.imports import Imports
from gradlint.project.linking.link import Linker
from gradlint.project.linking.nodes import External, FunctionNode, ModuleNode
from gradlint.project.questions.buffers import Buffers
from gradlint.project.questions.carried_states import CarriedStates
from gradlint.project.questions.consumers import Consumers
from gradlint.project.questions.defaults import Defaults
from gradlint.project.questions.destiny import Destinies
from gradlint.project.questions.evidence import Evidence
from gradlint.project.questions.flags import Flags
from gradlint.project.questions.forwards import Forwards
from gradlint.project.questions.gradients import Gradients
from gradlint.project.questions.growths import Growths
from gradlint.project.questions.guarded_parts import GuardedParts
from gradlint.project.questions.guarded_training import GuardedTraining
from gradlint.project.questions.inference import Inference
from gradlint.project.questions.inference_modes import InferenceModes
from gradlint.project.questions.inference_tensors import InferenceTensors
from gradlint.project.questions.initialised import InitialisedParts
from gradlint.project.questions.layers import Layers
from gradlint.project.questions.lost_terms import LostTerms
from gradlint.project.questions.optimizer_states import OptimizerStates
from gradlint.project.questions.optimizer_updates import OptimizerUpdates
from gradlint.project.questions.optimizers import Optimizers
from gradlint.project.questions.order import Order
from gradlint.project.questions.prospects import Prospects
from gradlint.project.questions.rebound_attributes import ReboundAttributes
from gradlint.project.questions.saved_inputs import SavedInputs
from gradlint.project.questions.steps import Steps
from gradlint.project.questions.targets import Targets
from gradlint.project.questions.teachers import Teachers
from gradlint.project.questions.terms import Terms
from gradlint.project.questions.trained_leaves import TrainedLeaves
from gradlint.project.questions.training_mode import TrainingMode
from gradlint.project.questions.unzeroed import Unzeroed
from gradlint.project.questions.walks import Walks
from gradlint.project.running.flow import Flow
from gradlint.project.running.flows import Flows


@dataclass(frozen=True, slots=True)
class Names:
    """Names the analysis cannot know by itself, from the configuration.

    Each is a dotted name or the last part of one.
    """

    guards: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    inference_functions: frozenset[str] = frozenset()


class Project:
    """Linked modules. Everything behind it is computed when first asked for.

    * ``linker``: what names mean
    * ``modes``: the names of torch's grad modes
    * ``states``: the effect of guards
    * ``calls``: who calls whom, in which grad states
    * ``leaks``: what is left switched off
    * ``consumers``: what is done with generators
    * ``flows``: what variables hold
    * ``evidence``: which of the other variables hold tensors or modules
    * ``gradients``: where gradients are read, and what for
    * ``growths``: what keeps graphs
    * ``optimizers``: where optimizers are made
    * ``order``: what becomes of gradients, and when
    * ``unzeroed``: where gradients add up for good
    * ``walks``: which graphs are walked twice
    * ``terms``: what a loss has for nothing
    * ``trained_leaves``: what is changed in place after it was trained
    * ``rebound_attributes``: which parameters are replaced after they were trained
    * ``initialised_parts``: what a constructor changes of what it has made
    * ``buffers``: what is written into buffers
    * ``carried_states``: which attributes chain the graphs of all forwards
    * ``optimizer_states``: what optimizers keep with the graphs of all steps
    * ``optimizer_updates``: what optimizers change in place
    * ``saved_inputs``: what is changed before ``backward()`` asks for it
    * ``targets``: what is detached in the end
    * ``teachers``: what is walked for nobody
    * ``flags``: how ``requires_grad`` is misspelt
    * ``prospects``: which functions may run a module, told by names
    * ``forwards``: which of them may, told by their flows
    * ``inference``: what speaks for a call being inference
    * ``inference_modes``: who is near an inference mode
    * ``inference_tensors``: where inference tensors are misused
    * ``guarded_training``: what is to be trained and only runs under a guard
    * ``guarded_parts``: which parts of what is trained only run under a guard
    * ``lost_terms``: what adds nothing to a loss that is walked
    * ``defaults``: which parameters nobody passes
    * ``layers``: which modules depend on their mode
    * ``training_mode``: where those are evaluated in the wrong mode
    """

    def __init__(
        self, modules: Iterable[ModuleFacts], names: Names = Names(), numbering: Numbering | None = None
    ) -> None:
        self.names = names
        self.passes_over: Callable[[ModuleNode], bool] = lambda _: False
        self.linker = Linker(modules, numbering)
        self.modules = self.linker.modules
        self.bindings = Bindings(self.linker)
        self.modes = Modes(self.linker, self.bindings)
        self.states = GradStates(self.linker, self.bindings, self.modes, names.guards)
        self.calls = CallGraph(self.linker, self.bindings, self.states)
        self._unseen_callers = UnseenCallers(self.linker, self.calls)
        imports = Imports(self.linker)
        self.leaks = Leaks(self.linker, self.bindings, self.modes, self.states, self.calls, imports)
        self.frameworks = Frameworks(self.linker)
        self.flows = Flows(self.linker, self.bindings, self.calls, self.frameworks, names.models)
        self.consumers = Consumers(self.modes, self.calls, self.flows)
        self.evidence = Evidence(self.linker, self.bindings, self.flows)
        self.gradients = Gradients(self.flows)
        self.flags = Flags(self.linker, self.modes, self.calls, self.flows)
        self.destinies = Destinies(self.calls, self.flows)
        self.optimizers = Optimizers(self.flows)
        self.prospects = Prospects(self.linker, self.bindings, self.calls, names.models)
        self.forwards = Forwards(self.calls, self.flows, self.prospects)
        self.growths = Growths(self.calls, self.flows, self.destinies, self.forwards, self.frameworks)
        self.order = Order(self.flows, Steps(self.calls, self.flows))
        self.unzeroed = Unzeroed(self.flows, self.order)
        self.inference = Inference(
            self.bindings,
            self.calls,
            self.flows,
            self.destinies,
            self.forwards,
            self.frameworks,
            names.inference_functions,
        )
        self.guarded_training = GuardedTraining(self.calls, self.flows, self.destinies, self.order)
        self.guarded_parts = GuardedParts(self.calls, self.flows, self.optimizers)
        self.lost_terms = LostTerms(self.calls, self.flows)
        self.walks = Walks(self.flows)
        self.terms = Terms(self.calls, self.flows)
        self.trained_leaves = TrainedLeaves(self.linker, self.flows)
        self.initialised_parts = InitialisedParts(self.linker, self.bindings, self.calls)
        self.rebound_attributes = ReboundAttributes(self.linker, self.calls, self.flows, self.trained_leaves)
        self.buffers = Buffers(self.linker, self.calls, self.flows)
        self.carried_states = CarriedStates(self.linker, self.calls, self.flows)
        self.optimizer_states = OptimizerStates(self.linker, self.calls)
        self.saved_inputs = SavedInputs(self.calls, self.flows)
        self.optimizer_updates = OptimizerUpdates(self.linker)
        self.inference_modes = InferenceModes(self.linker, self.modes, self.calls)
        self.inference_tensors = InferenceTensors(self.calls, self.flows, self.inference_modes)
        self.targets = Targets(self.calls, self.flows, self.inference)
        self.teachers = Teachers(self.calls, self.flows)
        self.defaults = Defaults(self.linker.dependencies, self.calls, self.bindings)
        self.layers = Layers(self.linker, self.bindings, self.defaults)
        self.training_mode = TrainingMode(
            self.calls, self.flows, self.destinies, self.inference, self.layers, imports, self.forwards
        )

    def about(self, modules: Sequence[ModuleNode]) -> "Project":
        """The same project, of which only some modules are gone through; the others are known as before.

        Those that work with another framework than torch are passed over: none of the rules' claims is about them.
        """
        project = copy.copy(self)
        project.modules = list(modules)
        project.passes_over = self.frameworks.is_other
        return project

    def is_prepared(self, module: ModuleNode) -> bool:
        """Whether what rules need to know of each module and function is known of this one."""
        return self.prospects.knows(module.body)

    @property
    def preparations(self) -> Sequence[Callable[[ModuleNode], None]]:
        """What finds out what rules need to know of a module and its functions, whatever they ask.

        Each of these takes what those before have found of all modules, which is part of the news for other processes
        (:mod:`gradlint.project.snapshot`), and may be done of one module here and of another there.
        """
        return self._prepare_calls, self._prepare_effects

    def _prepare_calls(self, module: ModuleNode) -> None:
        self.prospects.held_in(module)
        for function in module.functions:
            self.calls.edges_of(function)

    def _prepare_effects(self, module: ModuleNode) -> None:
        for function in module.functions:
            self.states.effects(function)
            self.calls.decorators_of(function)
            self.prospects.calls_like_a_module(function)

    def update(self, modules: Sequence[ModuleFacts]) -> int | None:
        """Go on with these modules: what results may depend on and has changed; None if that is not to be told."""
        return self.linker.update(modules)

    def leave(self) -> None:
        """Forget what no other process can go on with; whoever asks again has it worked out again."""
        self.linker.dependencies.leave()

    def functions(self) -> Iterator[FunctionNode]:
        """All functions, module bodies and lambdas included, in order of path and place."""
        for module in self.modules:
            if not self.passes_over(module):
                yield from module.functions

    def certainly_records(self, function: FunctionNode, at: int) -> bool:
        """Whether a place runs with grad on, whoever calls its function."""
        return self.calls.states_at(function, at) == GRAD and not self._unseen_callers.may_guard(function)

    def flow(self, function: FunctionNode) -> Flow:
        """What running a function's body shows."""
        return self.flows.flow(function)

    def name_of(self, function: FunctionNode, name: str) -> str | None:
        """The full dotted name of something outside the project, as a function of it spells it."""
        target = self.linker.resolve(function, name)
        return target.name if isinstance(target, External) else None
