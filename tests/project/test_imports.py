"""Who imports whom."""

from gradlint.model.extract import extract
from gradlint.project import Project
from gradlint.project.linking.imports import Imports
from gradlint.source import Source


def importers(files: dict[str, str]) -> dict[str, list[str]]:
    """The paths of the importers of each file, by its path."""
    project = Project([extract(Source(path, text)) for path, text in files.items()])
    imports = Imports(project.linker)
    return {module.path: [importer.path for importer in imports.of(module)] for module in project.modules}


def test_every_way_to_import_counts() -> None:
    found = importers(
        {
            "plain.py": "",
            "renamed.py": "",
            "lazy.py": "",
            "alone.py": "import json",
            "constant.py": "SIZE = 3",
            "main.py": "import plain, renamed as r\nfrom constant import SIZE\ndef f():\n    import lazy",
        }
    )
    assert [path for path, by in found.items() if by] == ["plain.py", "renamed.py", "lazy.py", "constant.py"]
    assert found["lazy.py"] == ["main.py"]


def test_importing_a_module_runs_its_packages() -> None:
    found = importers(
        {
            "shop/__init__.py": "",
            "shop/predict.py": "from .load import load",
            "shop/load.py": "def load(): ...",
            "train.py": "import shop.predict",
        }
    )
    assert found["shop/__init__.py"] == ["train.py"]
    assert found["shop/predict.py"] == ["train.py"]
    assert found["shop/load.py"] == ["shop/predict.py"]
