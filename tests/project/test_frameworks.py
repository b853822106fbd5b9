"""Which modules work with torch."""

from collections.abc import Callable
from itertools import permutations

import pytest

from gradlint.project import Project
from gradlint.project.linking.frameworks import Frameworks

Build = Callable[..., Project]
CIRCLE = {
    "a.py": "import b\n",
    "b.py": "import c\n",
    "c.py": "import a, d\n",
    "d.py": "import torch\n",
    "e.py": "import f\n",
    "f.py": "import e\n",
}


def judged(project: Project, paths: list[str]) -> dict[str, bool]:
    frameworks = Frameworks(project.linker)
    modules = {module.path: module for module in project.modules}
    return {path: frameworks.is_torch(modules[path]) for path in paths}


@pytest.mark.parametrize("order", list(permutations("abc")))
def test_modules_that_import_one_another_are_told_alike_in_any_order(build: Build, order: tuple[str, ...]) -> None:
    paths = [f"{name}.py" for name in (*order, "d", "f", "e")]
    assert judged(build(CIRCLE), paths) == {path: path[0] in "abcd" for path in paths}


def test_words_speak_for_their_own_module_only(build: Build) -> None:
    files = {"a.py": "import b\n", "b.py": "def f(x):\n    return x.detach()\n"}
    assert judged(build(files), ["a.py", "b.py"]) == {"a.py": False, "b.py": True}


@pytest.mark.parametrize("other", ["tensorflow", "caffe2.python"])
def test_another_framework_speaks_against_words_and_is_not_looked_through(build: Build, other: str) -> None:
    files = {"a.py": f"import {other}, b\ny = x.detach()\n", "b.py": "import torch\n", "c.py": "import a\n"}
    assert judged(build(files), ["a.py", "b.py", "c.py"]) == {"a.py": False, "b.py": True, "c.py": False}


def test_a_package_that_imports_torch_is_imported_with_what_it_hands_on(build: Build) -> None:
    files = {
        "models/__init__.py": "from models.factory import make\nimport models.nets\n",
        "models/factory.py": "def make(name): ...\n",
        "models/nets.py": "import torch\n",
        "a.py": "from models import make\n",
    }
    paths = ["a.py", "models/__init__.py", "models/factory.py"]
    assert judged(build(files), paths) == {paths[0]: True, paths[1]: True, paths[2]: False}


@pytest.mark.parametrize(
    ("imported", "is_other"),
    [
        ("from transformers import CLIPTokenizer, FlaxCLIPTextModel", True),
        ("from transformers import AutoConfig, TFBertModel", True),
        ("from einops import rearrange", True),
        ("from transformers import AutoTokenizer, BertModel", False),
        ("import transformers", False),
        ("from transformers import AutoTokenizer\nimport torch", False),
    ],
)
def test_what_torch_packages_have_for_others_does_not_speak_for_torch(
    build: Build, imported: str, is_other: bool
) -> None:
    project = build({"a.py": f"import jax\n{imported}\n", "b.py": f"{imported}\n"})
    frameworks = Frameworks(project.linker)
    modules = {module.path: module for module in project.modules}
    assert frameworks.is_other(modules["a.py"]) is is_other
    assert frameworks.is_torch(modules["a.py"]) is not is_other
    assert frameworks.is_torch(modules["b.py"])  # no other framework is imported
