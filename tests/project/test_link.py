"""What names mean across files."""

from collections.abc import Callable, Mapping

import pytest

from gradlint.project import Project
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode, ModuleNode, Target

Build = Callable[[Mapping[str, str]], Project]
Meaning = Callable[..., str]


def spelt(target: Target | None) -> str:
    """``path:name`` of something in the project, the dotted name of anything else."""
    match target:
        case ModuleNode(path=path):
            return path
        case FunctionNode() | ClassNode():
            return f"{target.module.path}:{target.name}"
        case External(name=name):
            return name
        case None:
            return "unknown"


@pytest.fixture
def meaning(build: Build) -> Meaning:
    """What a name means in a function (else at top level) of a file."""

    def find(files: Mapping[str, str], path: str, name: str, inside: str = "<module>") -> str:
        project = build(files)
        scope = next(f for f in project.functions() if f.module.path == path and f.name == inside)
        return spelt(project.linker.resolve(scope, name))

    return find


# Packages


def test_an_absolute_import_reaches_a_module_of_the_package(meaning: Meaning) -> None:
    files = {"pkg/__init__.py": "", "pkg/a.py": "def f(): ...", "main.py": "from pkg.a import f\nimport pkg.a as m"}
    assert meaning(files, "main.py", "f") == "pkg/a.py:f"
    assert meaning(files, "main.py", "m") == "pkg/a.py"
    assert meaning(files, "main.py", "m.f") == "pkg/a.py:f"


def test_importing_a_submodule_binds_the_package(meaning: Meaning) -> None:
    files = {"pkg/__init__.py": "", "pkg/a.py": "def f(): ...", "main.py": "import pkg.a"}
    assert meaning(files, "main.py", "pkg") == "pkg/__init__.py"
    assert meaning(files, "main.py", "pkg.a.f") == "pkg/a.py:f"


@pytest.mark.parametrize(
    ("statement", "path"),
    [
        ("from .a import f", "pkg/sub/a.py"),
        ("from . import a", "pkg/sub/a.py"),
        ("from ..a import f", "pkg/a.py"),
        ("from ..other.a import f", "pkg/other/a.py"),
        ("from .. import a", "pkg/a.py"),
    ],
)
def test_a_relative_import_counts_folders_from_its_own(meaning: Meaning, statement: str, path: str) -> None:
    files = {f"{folder}/__init__.py": "" for folder in ("pkg", "pkg/sub", "pkg/other")}
    files |= {f"{folder}/a.py": "def f(): ..." for folder in ("pkg", "pkg/sub", "pkg/other")}
    files["pkg/sub/main.py"] = statement
    name = "f" if statement.endswith(" f") else "a.f"
    assert meaning(files, "pkg/sub/main.py", name) == f"{path}:f"


def test_a_relative_import_of_a_package_counts_from_the_package_itself(meaning: Meaning) -> None:
    files = {"a.py": "def f(): ...", "pkg/__init__.py": "from .a import f", "pkg/a.py": "def f(): ..."}
    assert meaning(files, "pkg/__init__.py", "f") == "pkg/a.py:f"


def test_a_relative_import_that_leaves_the_project_means_nothing(meaning: Meaning) -> None:
    files = {"pkg/a.py": "from ....far import f\nfrom .... import far", "far.py": "def f(): ..."}
    assert meaning(files, "pkg/a.py", "f") == "unknown"
    assert meaning(files, "pkg/a.py", "far") == "unknown"


def test_a_src_layout_is_imported_without_src(meaning: Meaning) -> None:
    files = {
        "src/pkg/__init__.py": "",
        "src/pkg/a.py": "def f(): ...",
        "src/pkg/b.py": "from pkg.a import f",
        "tests/test_a.py": "from pkg.a import f",
    }
    assert meaning(files, "src/pkg/b.py", "f") == "src/pkg/a.py:f"
    assert meaning(files, "tests/test_a.py", "f") == "src/pkg/a.py:f"


def test_a_namespace_package_needs_no_init(meaning: Meaning) -> None:
    files = {
        "pkg/sub/a.py": "def f(): ...",
        "pkg/sub/b.py": "from .a import f\nfrom . import a\nfrom ..top import g",
        "pkg/top.py": "def g(): ...",
        "main.py": "from pkg.sub.a import f\nfrom pkg.sub import a",
    }
    assert meaning(files, "main.py", "f") == "pkg/sub/a.py:f"
    assert meaning(files, "main.py", "a.f") == "pkg/sub/a.py:f"
    assert meaning(files, "pkg/sub/b.py", "f") == "pkg/sub/a.py:f"
    assert meaning(files, "pkg/sub/b.py", "a.f") == "pkg/sub/a.py:f"
    assert meaning(files, "pkg/sub/b.py", "g") == "pkg/top.py:g"


def test_a_folder_without_init_is_reached_from_the_package_around_it(meaning: Meaning) -> None:
    files = {
        "pkg/__init__.py": "from .sub import a",
        "pkg/b.py": "from .sub import a",
        "pkg/sub/a.py": "def f(): ...",
    }
    assert meaning(files, "pkg/__init__.py", "a.f") == "pkg/sub/a.py:f"
    assert meaning(files, "pkg/b.py", "a.f") == "pkg/sub/a.py:f"


def test_the_dotted_path_into_a_namespace_package_is_followed(meaning: Meaning) -> None:
    files = {"pkg/sub/a.py": "def f(): ...", "main.py": "import pkg.sub.a"}
    assert meaning(files, "main.py", "pkg.sub.a.f") == "pkg/sub/a.py:f"


def test_a_folder_without_init_is_nearer_than_the_module_of_its_name_within(meaning: Meaning) -> None:
    files = {
        "utils/utils.py": "def f(): ...",
        "utils/other.py": "from utils import f",
        "main.py": "from utils import utils",
    }
    assert meaning(files, "main.py", "utils.f") == "utils/utils.py:f"
    assert meaning(files, "utils/other.py", "f") == "utils/utils.py:f"


def test_a_module_is_nearer_than_a_folder_without_init_of_its_name(meaning: Meaning) -> None:
    files = {"utils.py": "def utils(): ...", "utils/utils.py": "", "main.py": "from utils import utils"}
    assert meaning(files, "main.py", "utils") == "utils.py:utils"


def test_scripts_import_their_siblings(meaning: Meaning) -> None:
    files = {
        "one/model.py": "def f(): ...",
        "one/main.py": "import model\nfrom model import f",
        "two/model.py": "def f(): ...",
        "two/main.py": "from model import f",
    }
    assert meaning(files, "one/main.py", "f") == "one/model.py:f"
    assert meaning(files, "one/main.py", "model.f") == "one/model.py:f"
    assert meaning(files, "two/main.py", "f") == "two/model.py:f"


def test_a_script_inside_a_package_folder_still_imports_its_siblings(meaning: Meaning) -> None:
    files = {"pkg/__init__.py": "", "pkg/helpers.py": "def f(): ...", "pkg/main.py": "from helpers import f"}
    assert meaning(files, "pkg/main.py", "f") == "pkg/helpers.py:f"


def test_the_nearest_of_several_import_roots_is_meant(meaning: Meaning) -> None:
    files = {
        "utils.py": "def f(): ...",
        "one/utils.py": "def f(): ...",
        "one/deep/main.py": "from utils import f",
        "two/main.py": "from utils import f",
    }
    assert meaning(files, "one/deep/main.py", "f") == "one/utils.py:f"
    assert meaning(files, "two/main.py", "f") == "utils.py:f"


def test_a_package_called_utils_is_the_projects_own(meaning: Meaning) -> None:
    files = {
        "utils/__init__.py": "",
        "utils/general.py": "def f(): ...",
        "models/__init__.py": "",
        "models/yolo.py": "from utils.general import f",
        "detect.py": "from utils.general import f",
    }
    assert meaning(files, "models/yolo.py", "f") == "utils/general.py:f"
    assert meaning(files, "detect.py", "f") == "utils/general.py:f"


def test_scripts_in_a_package_folder_are_imported_from_by_longer_names(meaning: Meaning) -> None:
    files = {
        "src/__init__.py": "",
        "src/utils/metrics.py": "def f(): ...",
        "src/dgl.py": "",
        "src/models/deep/net.py": "from utils.metrics import f\nimport dgl\nfrom transformers.nn import g",
        "src/transformers/nn.py": "def g(): ...",
        "other/main.py": "from utils.metrics import f",
    }
    assert meaning(files, "src/models/deep/net.py", "f") == "src/utils/metrics.py:f"
    assert meaning(files, "src/models/deep/net.py", "dgl") == "dgl"
    assert meaning(files, "src/models/deep/net.py", "g") == "transformers.nn.g"
    assert meaning(files, "other/main.py", "f") == "utils.metrics.f"


def test_a_proper_import_root_is_nearer_than_a_package_folder(meaning: Meaning) -> None:
    files = {
        "src/__init__.py": "",
        "src/utils/metrics.py": "def f(): ...",
        "utils/metrics.py": "def f(): ...",
        "src/models/net.py": "from utils.metrics import f",
    }
    assert meaning(files, "src/models/net.py", "f") == "utils/metrics.py:f"


@pytest.mark.parametrize("library", ["torch", "numpy", "logging"])
def test_a_module_deep_in_the_project_is_not_the_library_of_that_name(meaning: Meaning, library: str) -> None:
    files = {
        f"pkg/ops/{library}/__init__.py": "def no_grad(): ...",
        "pkg/__init__.py": "",
        "pkg/ops/__init__.py": "",
        "pkg/main.py": f"import {library}\nfrom {library} import no_grad",
        "pkg/ops/near.py": f"from {library} import no_grad",
    }
    assert meaning(files, "pkg/main.py", "no_grad") == f"{library}.no_grad"
    assert meaning(files, "pkg/main.py", f"{library}.no_grad") == f"{library}.no_grad"
    assert meaning(files, "pkg/ops/near.py", "no_grad") == f"{library}.no_grad"


def test_a_file_called_torch_in_a_package_is_reached_relatively_only(meaning: Meaning) -> None:
    files = {
        "pkg/__init__.py": "",
        "pkg/torch.py": "def f(): ...",
        "pkg/a.py": "from .torch import f\nimport torch\nfrom torch import no_grad",
    }
    assert meaning(files, "pkg/a.py", "f") == "pkg/torch.py:f"
    assert meaning(files, "pkg/a.py", "torch.f") == "torch.f"
    assert meaning(files, "pkg/a.py", "no_grad") == "torch.no_grad"


# Re-exports, stars, aliases


def test_torchs_names_mean_torchs_even_where_torch_is_checked(meaning: Meaning) -> None:
    files = {
        "torch/__init__.py": "from .autograd import no_grad",
        "torch/autograd.py": "class no_grad: ...",
        "torch/testing.py": "import torch\nfrom torch.autograd import no_grad",
    }
    assert meaning(files, "torch/testing.py", "torch.no_grad") == "torch.no_grad"
    assert meaning(files, "torch/testing.py", "no_grad") == "torch.autograd.no_grad"


def test_a_name_reexported_by_a_package_is_found_where_it_is_defined(meaning: Meaning) -> None:
    files = {
        "pkg/__init__.py": "from .api import run as go",
        "pkg/api/__init__.py": "from .core import run",
        "pkg/api/core.py": "def run(): ...",
        "main.py": "import pkg\nfrom pkg import go",
    }
    assert meaning(files, "main.py", "go") == "pkg/api/core.py:run"
    assert meaning(files, "main.py", "pkg.go") == "pkg/api/core.py:run"


def test_a_function_that_has_its_modules_name_wins_where_it_is_reexported(meaning: Meaning) -> None:
    files = {
        "pkg/__init__.py": "from .evaluate import evaluate",
        "pkg/evaluate.py": "def evaluate(): ...",
        "main.py": "from pkg import evaluate",
    }
    assert meaning(files, "main.py", "evaluate") == "pkg/evaluate.py:evaluate"


def test_a_star_import_brings_what_the_module_has(meaning: Meaning) -> None:
    files = {
        "tools.py": "from more import *\ndef f(): ...",
        "more.py": "def g(): ...",
        "main.py": "from json import *\nfrom tools import *",
    }
    assert meaning(files, "main.py", "f") == "tools.py:f"
    assert meaning(files, "main.py", "g") == "more.py:g"
    assert meaning(files, "main.py", "h") == "unknown"


def test_a_relative_star_import_reexports(meaning: Meaning) -> None:
    files = {"pkg/__init__.py": "from .a import *", "pkg/a.py": "def f(): ...", "main.py": "from pkg import f"}
    assert meaning(files, "main.py", "f") == "pkg/a.py:f"


def test_an_alias_means_what_it_was_given(meaning: Meaning) -> None:
    files = {"a.py": "def f(): ...\ng = f", "main.py": "import a as m\nrun = m.g\nstill = run"}
    assert meaning(files, "main.py", "still") == "a.py:f"


def test_outside_names_keep_their_full_spelling(meaning: Meaning) -> None:
    files = {"main.py": "import torch.nn.functional as F, numpy as np\nfrom torch import nn as layers\nprint"}
    assert meaning(files, "main.py", "F.relu") == "torch.nn.functional.relu"
    assert meaning(files, "main.py", "np.array") == "numpy.array"
    assert meaning(files, "main.py", "layers.Linear") == "torch.nn.Linear"
    assert meaning(files, "main.py", "print") == "builtins.print"
    assert meaning(files, "main.py", "nobody") == "unknown"


def test_names_go_through_other_files_to_the_outside(meaning: Meaning) -> None:
    files = {"compat.py": "import torch as th\nfrom torch import no_grad as quiet", "main.py": "import compat as c"}
    assert meaning(files, "main.py", "c.quiet") == "torch.no_grad"
    assert meaning(files, "main.py", "c.th.no_grad") == "torch.no_grad"


def test_circular_imports_end(meaning: Meaning) -> None:
    files = {
        "a.py": "from b import f, lost\nfrom b import *\ndef g(): ...",
        "b.py": "from a import g, lost\nfrom a import *\ndef f(): ...",
    }
    assert meaning(files, "a.py", "f") == "b.py:f"
    assert meaning(files, "b.py", "g") == "a.py:g"
    assert meaning(files, "a.py", "lost") == "unknown"
    assert meaning(files, "a.py", "nobody") == "unknown"


def test_an_alias_of_itself_ends(meaning: Meaning) -> None:
    assert meaning({"a.py": "f = g\ng = f\nh = h"}, "a.py", "f") == "unknown"
    assert meaning({"a.py": "f = g\ng = f\nh = h"}, "a.py", "h") == "unknown"


def test_an_import_that_may_fail_means_the_projects_file_first(meaning: Meaning) -> None:
    text = """
        try:
            import fast_ops
            from fast_ops import run
        except ImportError:
            from slow_ops import run
        """
    assert meaning({"main.py": text, "slow_ops.py": "def run(): ..."}, "main.py", "run") == "slow_ops.py:run"
    both = {"main.py": text, "slow_ops.py": "def run(): ...", "fast_ops.py": "def run(): ..."}
    assert meaning(both, "main.py", "run") == "fast_ops.py:run"


def test_an_import_under_type_checking_or_a_condition_counts(meaning: Meaning) -> None:
    files = {"a.py": "def f(): ...", "main.py": "if x:\n    from a import f\nelse:\n    f = None"}
    assert meaning(files, "main.py", "f") == "a.py:f"


# Scopes


def test_an_import_inside_a_function_is_its_own(meaning: Meaning) -> None:
    files = {
        "a.py": "def f(): ...",
        "b.py": "def f(): ...",
        "main.py": "from a import f\ndef run():\n    from b import f\n    def inner(): ...\ndef other(): ...",
    }
    assert meaning(files, "main.py", "f", "run") == "b.py:f"
    assert meaning(files, "main.py", "f", "run.inner") == "b.py:f"
    assert meaning(files, "main.py", "f", "other") == "a.py:f"


def test_a_parameter_or_variable_hides_what_is_outside(meaning: Meaning) -> None:
    files = {"main.py": "def f(): ...\ndef by_parameter(f): ...\ndef by_loop():\n    for f in x: ..."}
    assert meaning(files, "main.py", "f", "by_parameter") == "unknown"
    assert meaning(files, "main.py", "f", "by_loop") == "unknown"


def test_a_global_name_is_the_modules(meaning: Meaning) -> None:
    files = {"main.py": "def f(): ...\ndef run():\n    global f\n    f = f"}
    assert meaning(files, "main.py", "f", "run") == "main.py:f"


def test_a_nested_function_is_seen_by_what_is_nested_beside_it(meaning: Meaning) -> None:
    files = {"main.py": "def outer():\n    def a(): ...\n    def b(): ...\ndef a(): ..."}
    assert meaning(files, "main.py", "a", "outer.b") == "main.py:outer.a"
    assert meaning(files, "main.py", "a") == "main.py:a"


def test_a_method_is_no_name_of_the_functions_around_it(meaning: Meaning) -> None:
    files = {"main.py": "class A:\n    def f(self): ...\n    def g(self): ...\n"}
    assert meaning(files, "main.py", "f", "A.g") == "unknown"
    assert meaning(files, "main.py", "A.f", "A.g") == "main.py:A.f"


# Classes


def test_a_method_is_found_through_base_classes_in_other_files(meaning: Meaning) -> None:
    files = {
        "pkg/__init__.py": "from .base import Base",
        "pkg/base.py": "import root\nclass Base(root.Root):\n    def near(self): ...",
        "root.py": "class Root:\n    def near(self): ...\n    def far(self): ...",
        "main.py": "from pkg import Base\nclass Net(Base):\n    def own(self): ...",
    }
    assert meaning(files, "main.py", "Net.own") == "main.py:Net.own"
    assert meaning(files, "main.py", "Net.near") == "pkg/base.py:Base.near"
    assert meaning(files, "main.py", "Net.far") == "root.py:Root.far"
    assert meaning(files, "main.py", "Net.nowhere") == "unknown"


def test_the_first_base_that_has_a_method_gives_it(meaning: Meaning) -> None:
    files = {"main.py": "class A:\n    def f(self): ...\nclass B:\n    def f(self): ...\nclass C(B, A): ...\n"}
    assert meaning(files, "main.py", "C.f") == "main.py:B.f"


def test_generic_and_computed_bases_keep_their_class(build: Build) -> None:
    project = build({"main.py": "class A: ...\nclass B(A[int]): ...\nclass C(with_metaclass(M, A)): ...\n"})
    _, generic, computed = project.modules[0].classes
    assert [spelt(a) for a in project.linker.ancestors(generic)] == ["main.py:B", "main.py:A"]
    assert spelt(project.linker.ancestors(computed)[1]) == "?.with_metaclass"


def test_a_base_outside_the_project_is_known_by_its_full_name(build: Build) -> None:
    project = build({"main.py": "from torch import nn\nclass A(nn.Module): ...\nclass B(A): ...\n"})
    names = [spelt(a) for a in project.linker.ancestors(project.modules[0].classes[1])]
    assert names == ["main.py:B", "main.py:A", "torch.nn.Module"]


def test_a_base_that_nobody_defines_stays_unknown(build: Build) -> None:
    project = build({"main.py": "class A(Nowhere): ...\n"})
    assert spelt(project.linker.ancestors(project.modules[0].classes[0])[1]) == "?.Nowhere"


def test_classes_that_derive_from_one_another_end(build: Build) -> None:
    project = build({"a.py": "from b import B\nclass A(B): ...", "b.py": "from a import A\nclass B(A): ..."})
    for module in project.modules:
        assert module.classes[0] in project.linker.ancestors(module.classes[0])


def test_subclasses_are_known_in_all_files(build: Build) -> None:
    project = build(
        {
            "a.py": "class A: ...",
            "b.py": "from a import A\nclass B(A): ...",
            "c.py": "import b\nclass C(b.B): ...\nclass D: ...",
        }
    )
    found = project.linker.subclasses.get(project.modules[0].classes[0], [])
    assert sorted(cls.name for cls in found) == ["B", "C"]


# What attributes hold


def held_by(project: Project, cls: str, attribute: str) -> list[tuple[str, str]]:
    """The function each value of an attribute stands in, and the kind of the value."""
    found = next(c for module in project.modules for c in module.classes if c.name == cls)
    return [(scope.name, type(value).__name__) for scope, value in project.bindings.attribute(found, attribute)]


def test_what_self_is_given_in_the_constructor_is_known_to_all_methods(build: Build) -> None:
    project = build(
        {
            "base.py": "class Base:\n    def __init__(self):\n        self.net = make()\n",
            "main.py": """
                from base import Base
                class Net(Base):
                    other = 1
                    def setup(self):
                        self.net = None
                    def run(self):
                        self.net()
                """,
        }
    )
    assert held_by(project, "Net", "net") == [("Net.setup", "Constant"), ("Base.__init__", "Call")]
    assert held_by(project, "Base", "net") == [("Base.__init__", "Call")]
    assert held_by(project, "Net", "other") == [("<module>", "Constant")]
    run = next(f for f in project.functions() if f.name == "Net.run")
    assert [scope.name for scope, _ in project.bindings.values(run, "self.net")] == ["Net.setup", "Base.__init__"]


def test_a_variable_is_looked_up_outwards_until_it_is_local(build: Build) -> None:
    project = build(
        {
            "main.py": """
                x = 1
                def f():
                    x = make()
                    def g(): ...
                def h(x):
                    def g(): ...
                def k(): ...
                """
        }
    )
    by_name = {f.name: f for f in project.functions()}

    def holders(function: str) -> list[str]:
        return [scope.name for scope, _ in project.bindings.values(by_name[function], "x")]

    assert holders("f.g") == ["f"]
    assert holders("h") == []
    assert holders("h.g") == []
    assert holders("k") == ["<module>"]


def test_with_and_walrus_bind_too(build: Build) -> None:
    project = build({"main.py": "with open(p) as f: ...\nif (n := g()): ...\n"})
    body = project.modules[0].body
    assert [len(project.bindings.values(body, name)) for name in ("f", "n", "p")] == [1, 1, 0]


def test_a_variable_of_another_file_has_the_values_it_is_given_there(build: Build) -> None:
    project = build(
        {
            "config.py": "from deep import far as net\nguard = make()\nguard = again()\n",
            "deep.py": "far = make()\n",
            "main.py": """
                import config
                from config import guard, net as model
                def run():
                    from config import guard as own
                    def inner(): ...
                def hidden(guard, config): ...
                """,
        }
    )
    by_name = {f.name: f for f in project.functions() if f.module.path == "main.py"}

    def values(function: str, name: str) -> list[str]:
        return [scope.module.path for scope, _ in project.bindings.values(by_name[function], name)]

    assert values("<module>", "guard") == ["config.py"] * 2
    assert values("run.inner", "guard") == ["config.py"] * 2
    assert values("run.inner", "own") == ["config.py"] * 2
    assert values("run", "model") == ["deep.py"]
    assert values("run", "config.guard") == ["config.py"] * 2
    assert values("hidden", "guard") == []
    assert values("hidden", "config.guard") == []


def test_variables_imported_in_a_circle_have_no_values(build: Build) -> None:
    project = build({"a.py": "from b import x", "b.py": "from a import x"})
    assert project.bindings.values(project.modules[0].body, "x") == []
