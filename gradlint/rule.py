"""Everything a rule file imports: the ``@rule`` decorator, findings, and the project's vocabulary."""

import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gradlint.finding import Applicability, Edit, Finding, Fix, Note, Place, Severity
from gradlint.model.code import (
    Argument,
    Assign,
    Attribute,
    Augment,
    Await,
    Block,
    Call,
    Comprehension,
    Conditional,
    Constant,
    DefineClass,
    DefineFunction,
    Delete,
    Display,
    Evaluate,
    Expression,
    For,
    Formatted,
    If,
    Iteration,
    Jump,
    Lambda,
    Name,
    NamedAssignment,
    Operation,
    Raise,
    Return,
    Statement,
    Subscript,
    Switch,
    Try,
    While,
    With,
    WithItem,
    Yield,
    dotted,
)
from gradlint.model.plain import gives_no_known_tensor, gives_no_tensor
from gradlint.model.torch_tensors import LABELS, RESULT_SAVING, TENSOR_METHODS
from gradlint.model.traverse import (
    all_expressions,
    all_of,
    blocks,
    called_name,
    expressions,
    names_in,
    parts,
    statements,
    within,
)
from gradlint.project import Forward, FunctionNode, Project
from gradlint.project.grad_states.edges import Edge
from gradlint.project.grad_states.effects import GRAD, INFERENCE, NO_GRAD
from gradlint.project.grad_states.leaks import Leak
from gradlint.project.linking import changes, parameter_loops, rebinding, rounds, scope
from gradlint.project.linking.frameworks import given_to_framework
from gradlint.project.linking.nodes import ClassNode, External
from gradlint.project.questions import rewrites
from gradlint.project.questions.buffers import Update as BufferUpdate
from gradlint.project.questions.carried_states import CarriedState
from gradlint.project.questions.flags import Misspelling
from gradlint.project.questions.gradient_states import Moment
from gradlint.project.questions.growths import Kept
from gradlint.project.questions.guarded_parts import GuardedPart
from gradlint.project.questions.guarded_training import GuardedModule
from gradlint.project.questions.inference_tensors import Misuse as InferenceMisuse
from gradlint.project.questions.lost_terms import LostTerm
from gradlint.project.questions.optimizer_states import KeptByStep
from gradlint.project.questions.optimizers import Optimizer, parameter_names
from gradlint.project.questions.saved_inputs import SavedInput
from gradlint.project.questions.scripts import Act
from gradlint.project.questions.scripts import acts as acts_of
from gradlint.project.questions.targets import Detached
from gradlint.project.questions.teachers import Followed
from gradlint.project.questions.terms import FlatTerm
from gradlint.project.questions.walks import SecondWalk
from gradlint.project.running.flow import AttributeEvent, CallEvent, ChangeEvent, Flow, Passed, is_bound, matched
from gradlint.project.running.uses import Use
from gradlint.project.running.values import COMPUTED, LEAF, PLAIN, Loss, Origin, Value
from gradlint.quick.packs import BUILTIN

Check = Callable[[Project], Iterator[Finding]]
# What a trace can say of a rule's findings: that graphs were dropped unused, kept alive, or that a mode leaked.
Measures = Literal["", "waste", "growth", "leak"]


class RuleError(Exception):
    """A rule that is not well formed, or that raised while it ran."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its page (Markdown, from the module docstring), its check, and its extra cases.

    ``run_only`` rules find nothing in code alone: a trace of a run has to be joined.
    """

    code: str
    name: str
    severity: Severity
    since: str
    page: str
    module: str
    check: Check = field(compare=False, repr=False)
    measures: Measures = ""
    run_only: bool = False

    @property
    def summary(self) -> str:
        """The first line of the page, without its full stop."""
        return self.page.partition("\n")[0].rstrip(".")

    @property
    def by_module(self) -> bool:
        """Whether what it says of a project is what it says :meth:`about` each module: only ours are known to."""
        return self.module.partition(".")[0] in (BUILTIN, "gradlint")

    @property
    def cases(self) -> str:
        """More examples in Markdown, for the tests only: ``CASES``, or ``NAME.cases.md`` where those are many.

        Raises:
            RuleError: when there are both.
        """
        module = sys.modules[self.module]
        written: str = getattr(module, "CASES", "")
        beside = Path(inspect.getfile(module)).with_suffix(".cases.md")
        if not beside.is_file():
            return inspect.cleandoc(written)
        if written:
            raise RuleError(f"{self.module}: has CASES and {beside.name}, too")
        return beside.read_text(encoding="utf-8")


def rule(
    code: str, *, severity: Severity, since: str, measures: Measures = "", run_only: bool = False
) -> Callable[[Check], Rule]:
    """Make a check function a rule. Its name is the function's; its page is the module's docstring.

    ``measures`` says what a trace can confirm or refute of its findings.

    Raises:
        RuleError: when the module has no docstring to serve as the page.
    """

    def decorate(check: Check) -> Rule:
        module = sys.modules[check.__module__]
        if not module.__doc__:
            raise RuleError(f"{check.__module__}: rule {code} has no page (module docstring)")
        return Rule(
            code=code,
            name=check.__name__.replace("_", "-"),
            severity=severity,
            since=since,
            page=inspect.cleandoc(module.__doc__),
            module=check.__module__,
            check=check,
            measures=measures,
            run_only=run_only,
        )

    return decorate


__all__ = [
    "COMPUTED",
    "GRAD",
    "INFERENCE",
    "LABELS",
    "LEAF",
    "NO_GRAD",
    "PLAIN",
    "RESULT_SAVING",
    "TENSOR_METHODS",
    "Act",
    "Applicability",
    "Argument",
    "Assign",
    "Attribute",
    "AttributeEvent",
    "Augment",
    "Await",
    "Block",
    "BufferUpdate",
    "Call",
    "CallEvent",
    "CarriedState",
    "ChangeEvent",
    "Check",
    "ClassNode",
    "Comprehension",
    "Conditional",
    "Constant",
    "DefineClass",
    "DefineFunction",
    "Delete",
    "Detached",
    "Display",
    "Edge",
    "Edit",
    "Evaluate",
    "Expression",
    "External",
    "Finding",
    "Fix",
    "FlatTerm",
    "Flow",
    "Followed",
    "For",
    "Formatted",
    "Forward",
    "FunctionNode",
    "GuardedModule",
    "GuardedPart",
    "If",
    "InferenceMisuse",
    "Iteration",
    "Jump",
    "Kept",
    "KeptByStep",
    "Lambda",
    "Leak",
    "Loss",
    "LostTerm",
    "Misspelling",
    "Moment",
    "Name",
    "NamedAssignment",
    "Note",
    "Operation",
    "Optimizer",
    "Origin",
    "Passed",
    "Place",
    "Project",
    "Raise",
    "Return",
    "Rule",
    "RuleError",
    "SavedInput",
    "SecondWalk",
    "Severity",
    "Statement",
    "Subscript",
    "Switch",
    "Try",
    "Use",
    "Value",
    "While",
    "With",
    "WithItem",
    "Yield",
    "acts_of",
    "all_expressions",
    "all_of",
    "blocks",
    "called_name",
    "changes",
    "dotted",
    "expressions",
    "given_to_framework",
    "gives_no_known_tensor",
    "gives_no_tensor",
    "is_bound",
    "matched",
    "names_in",
    "parameter_loops",
    "parameter_names",
    "parts",
    "rebinding",
    "rewrites",
    "rounds",
    "rule",
    "scope",
    "statements",
    "within",
]
