"""Settings files: what is read, where it is found, and what is refused."""

from pathlib import Path

import pytest

from gradlint import report
from gradlint.config import DEFAULT_EXCLUDE, FORMATS, KEYS, Config, find, read
from gradlint.diagnostic import ConfigError

EVERYTHING = """
select = ["GL1", "GL2"]
extend-select = ["GL301"]
ignore = ["GL101"]
exclude = ["vendor"]
extend-exclude = ["*_pb2.py"]
force-exclude = true
respect-gitignore = false
guards = ["quietly"]
models = ["net"]
inference-functions = ["serve"]
output-format = "concise"
baseline = "known.json"

[per-file-ignores]
"tests/*" = ["GL2"]

[severity]
GL201 = "error"
GL3 = "off"
"""

LEVELS = "expected one of error, warning, advice, off"


def write(folder: Path, text: str, name: str = "gradlint.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(text)
    return file


def test_everything_is_read(tmp_path: Path) -> None:
    file = write(tmp_path, EVERYTHING)
    assert read(file) == Config(
        file=file,
        root=tmp_path,
        select=("GL1", "GL2"),
        extend_select=("GL301",),
        ignore=("GL101",),
        per_file_ignores={"tests/*": ("GL2",)},
        exclude=("vendor",),
        extend_exclude=("*_pb2.py",),
        force_exclude=True,
        respect_gitignore=False,
        severity={"GL201": "error", "GL3": "off"},
        guards=("quietly",),
        models=("net",),
        inference_functions=("serve",),
        output_format="concise",
        baseline="known.json",
    )


def test_every_key_is_in_the_example_above() -> None:
    assert all(key in EVERYTHING for key in KEYS)


def test_nothing_means_the_defaults(tmp_path: Path) -> None:
    config = read(write(tmp_path, ""))
    assert config == Config(file=tmp_path / "gradlint.toml", root=tmp_path)
    assert config.select is None
    assert config.exclude == DEFAULT_EXCLUDE


def test_a_table_of_pyproject_is_read(tmp_path: Path) -> None:
    file = write(tmp_path, '[tool.ruff]\nx = 1\n[tool.gradlint]\nselect = ["GL1"]\n', "pyproject.toml")
    assert read(file).select == ("GL1",)


def test_select_may_be_empty(tmp_path: Path) -> None:
    assert read(write(tmp_path, "select = []")).select == ()


def test_every_format_there_is_can_be_set() -> None:
    assert tuple(report.FORMATS) == FORMATS


def test_the_nearest_file_is_found(tmp_path: Path) -> None:
    outer, inner = tmp_path / "a", tmp_path / "a" / "b" / "c"
    inner.mkdir(parents=True)
    file = write(outer, "")
    assert find(inner) == file
    nearer = write(outer / "b", "")
    assert find(inner) == nearer


def test_a_pyproject_without_our_table_is_passed_over(tmp_path: Path) -> None:
    file = write(tmp_path, "[tool.gradlint]\n", "pyproject.toml")
    write(tmp_path / "a", "[tool.ruff]\n", "pyproject.toml")
    assert find(tmp_path / "a") == file


def test_our_own_file_comes_before_pyproject(tmp_path: Path) -> None:
    write(tmp_path, "[tool.gradlint]\n", "pyproject.toml")
    own = write(tmp_path, "")
    assert find(tmp_path) == own


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('selct = ["GL1"]', "selct: unknown setting; did you mean `select`?"),
        ('per_file_ignores = ["GL1"]', "per_file_ignores: unknown setting; did you mean `per-file-ignores`?"),
        ("colour = true", "colour: unknown setting"),
        ('select = "GL1"', "select: expected a list of strings, got a string"),
        ("select = [1]", "select: expected a list of strings, but it holds a number"),
        ('force-exclude = "yes"', "force-exclude: expected true or false, got a string"),
        ('severity = "error"', "severity: expected a table, got a string"),
        ('severity = { GL1 = "eror" }', f"severity.GL1: {LEVELS}, got 'eror'; did you mean `error`?"),
        ("severity = { GL1 = true }", f"severity.GL1: {LEVELS}, got True"),
        (
            'per-file-ignores = { "a" = "GL1" }',
            "per-file-ignores.a: expected a list of strings, got a string",
        ),
        ("baseline = 1", "baseline: expected a string, got a number"),
        (
            'output-format = "x"',
            "output-format: expected one of full, concise, json, json-lines, github, gitlab, junit, sarif, got 'x'",
        ),
        ("exclude = 1979-05-27", "exclude: expected a list of strings, got a date"),
    ],
)
def test_what_is_not_understood_is_refused_with_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read(file)
    assert str(caught.value) == f"{file}: {message}"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("gradlint.toml", "select = [", "not valid TOML: "),
        ("pyproject.toml", "[tool", "not valid TOML: "),
        ("pyproject.toml", "[tool]\ngradlint = 3", r"tool.gradlint: expected a table, got a number"),
    ],
)
def test_a_broken_file_on_the_way_is_not_passed_over(tmp_path: Path, name: str, text: str, message: str) -> None:
    file = write(tmp_path, text, name)
    with pytest.raises(ConfigError, match=f"^{file}: {message}"):
        read(find(tmp_path / "deeper") or file)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gradlint.toml").write_bytes(b'select = ["\xff"]')
    with pytest.raises(ConfigError, match="not valid TOML"):
        read(tmp_path / "gradlint.toml")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read: No such file"):
        read(tmp_path / "none.toml")


def test_a_named_pyproject_must_have_our_table(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no \[tool.gradlint\] table in it"):
        read(write(tmp_path, "[tool.ruff]\n", "pyproject.toml"))
