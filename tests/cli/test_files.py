"""Which files are checked, and what is told about the others."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from gradlint.cli.files import discover
from gradlint.config import Config
from gradlint.diagnostic import ConfigError

Write = Callable[[Mapping[str, str]], None]


def shown(*paths: str, config: Config | None = None) -> list[str]:
    found = discover(paths or (".",), config or Config())
    assert found.failures == ()
    return [file.shown for file in found.files]


def empty(names: Iterable[str]) -> dict[str, str]:
    return dict.fromkeys(names, "")


def test_python_files_and_notebooks_of_a_folder_in_order(write: Write) -> None:
    write(empty(["b/z.py", "b/a.py", "c.py", "a.py", "a.txt", "a.pyi", "notebook.ipynb", "b/deep/er/x.py"]))
    assert shown() == ["a.py", "b/a.py", "b/deep/er/x.py", "b/z.py", "c.py", "notebook.ipynb"]


def test_paths_come_in_the_order_given_and_each_file_once(write: Write, folder: Path) -> None:
    write(empty(["b/x.py", "a.py"]))
    assert shown("b", "a.py", "./b/../a.py", str(folder / "b" / "x.py"), ".") == ["b/x.py", "a.py"]


def test_a_file_that_is_named_is_checked_whatever_it_is_called(write: Write) -> None:
    write(empty(["script", "build/gen.py"]) | {".gitignore": "script\n"})
    assert shown("script", "build/gen.py") == ["script", "build/gen.py"]


@pytest.mark.parametrize(
    "name", [".git", ".venv", "venv", "node_modules", "__pycache__", "build", "dist", "site-packages", ".tox"]
)
def test_folders_that_hold_other_peoples_code_are_left_out(write: Write, name: str) -> None:
    write(empty(["a.py", f"{name}/b.py", f"deep/{name}/c.py", f"{name}.py", f"my{name}/d.py"]))
    assert shown() == sorted(["a.py", f"{name}.py", f"my{name}/d.py"])


def test_an_excluded_folder_that_is_named_is_searched(write: Write) -> None:
    write(empty(["build/a.py", "build/build2/b.py", "build/venv/c.py"]))
    assert shown("build") == ["build/a.py", "build/build2/b.py"]


def test_what_is_installed_can_be_checked_when_it_is_named(write: Write) -> None:
    write(empty(["venv/lib/site-packages/pkg/a.py", "venv/lib/site-packages/pkg/build/b.py"]))
    assert shown("venv/lib/site-packages/pkg") == ["venv/lib/site-packages/pkg/a.py"]
    assert shown("venv/lib/site-packages") == ["venv/lib/site-packages/pkg/a.py"]


def test_exclude_replaces_the_list_and_extend_exclude_adds_to_it(write: Write) -> None:
    write(empty(["a.py", "venv/b.py", "old/c.py", "x/old/d.py", "gen_pb2.py"]))
    assert shown(config=Config(exclude=("/old", "*_pb2.py"))) == ["a.py", "venv/b.py", "x/old/d.py"]
    assert shown(config=Config(extend_exclude=("old/",))) == ["a.py", "gen_pb2.py"]


def test_exclude_holds_for_named_files_when_it_is_forced(write: Write) -> None:
    write(empty(["a.py", "old/b.py"]))
    config = Config(extend_exclude=("old",), force_exclude=True)
    assert shown("a.py", "old/b.py", config=config) == ["a.py"]
    assert shown("a.py", "old/b.py", config=replace(config, force_exclude=False)) == ["a.py", "old/b.py"]


def test_forced_exclude_holds_for_standard_input(write: Write) -> None:
    config = Config(extend_exclude=("old",), force_exclude=True)
    assert discover(["-"], config, "old/b.py").files == ()
    assert [file.shown for file in discover(["-"], config, "a.py").files] == ["a.py"]


def test_default_excludes_hold_outside_the_settings_folder(write: Write, folder: Path) -> None:
    write(empty(["../other/a.py", "../other/.venv/b.py"]))
    assert shown("../other") == [str(folder.parent / "other" / "a.py")]


def test_gitignore_files_are_respected_at_every_level(write: Write) -> None:
    write(
        empty(
            [
                "a.py",
                "gen.py",
                "sub/gen.py",
                "sub/keep.py",
                "sub/top.py",
                "top.py",
                "sub/data/x.py",
                "logs/y.py",
            ]
        )
        | {".gitignore": "gen.py\n/top.py\nlogs/\n# comment\n", "sub/.gitignore": "data/\n!gen.py\nkeep.py\n"}
    )
    assert shown() == ["a.py", "sub/gen.py", "sub/top.py"]


def test_gitignore_can_be_switched_off(write: Write) -> None:
    write(empty(["a.py", "gen.py"]) | {".gitignore": "gen.py\n"})
    assert shown(config=Config(respect_gitignore=False)) == ["a.py", "gen.py"]


def test_gitignore_files_above_count_up_to_the_top_of_the_repository(write: Write, folder: Path) -> None:
    write(
        empty(["repo/pkg/a.py", "repo/pkg/gen.py", "repo/.git/HEAD"])
        | {".gitignore": "a.py\n", "repo/.gitignore": "gen.py\n"}
    )
    assert shown("repo/pkg") == ["repo/pkg/a.py"]


def test_an_ignored_folder_that_is_named_is_searched(write: Write) -> None:
    write(empty(["vendor/a.py", "vendor/gen.py", ".git/HEAD"]) | {".gitignore": "vendor/\ngen.py\n"})
    assert shown() == []
    assert shown("vendor") == ["vendor/a.py"]


def test_lines_of_a_gitignore_that_make_no_sense_are_skipped(write: Write) -> None:
    write(empty(["a.py", "gen.py"]) | {".gitignore": "!\n[z-a]\n\n\\\ngen.py\n\udcff\n".replace("\udcff", "é")})
    assert shown() == ["a.py"]


def test_an_exclude_pattern_that_makes_no_sense_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="`!` is not a valid pattern"):
        discover(["."], Config(exclude=("!",)))


def test_a_folder_called_like_a_file_is_a_folder(write: Write) -> None:
    write(empty(["x.py/y.py"]))
    assert shown() == ["x.py/y.py"]
    assert shown("x.py") == ["x.py/y.py"]


def test_a_path_that_does_not_exist_is_a_failure(write: Write) -> None:
    write(empty(["a.py"]))
    found = discover(["none", "a.py"], Config())
    assert [(failure.path, failure.message) for failure in found.failures] == [("none", "no such file or folder")]
    assert [file.shown for file in found.files] == ["a.py"]


def test_a_folder_without_python_is_told(write: Write) -> None:
    write(empty(["docs/readme.md", "src/a.py"]))
    assert [skipped.message for skipped in discover(["docs", "src"], Config()).skipped] == ["no Python files in docs"]


def test_a_folder_that_cannot_be_read_is_a_failure_and_the_others_are_searched(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(empty(["a.py", "locked/b.py", "open/c.py"]))
    scandir = os.scandir

    def refuse(path: str) -> "os._ScandirIterator[str]":
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = discover(["."], Config())
    assert [file.shown for file in found.files] == ["a.py", "open/c.py"]
    assert [(failure.path, failure.message) for failure in found.failures] == [
        ("locked", "cannot read the folder: Permission denied")
    ]


def test_links_to_folders_are_not_followed_unless_named(write: Write, folder: Path) -> None:
    write(empty(["pkg/a.py", "../far/b.py"]))
    (folder / "pkg" / "loop").symlink_to("..", target_is_directory=True)
    (folder / "pkg" / "self").symlink_to(".", target_is_directory=True)
    (folder / "far").symlink_to("../far", target_is_directory=True)
    assert shown() == ["pkg/a.py"]
    assert shown("far") == ["far/b.py"]


def test_links_to_files_are_followed(write: Write, folder: Path) -> None:
    write(empty(["../far/b.py"]))
    (folder / "link.py").symlink_to("../far/b.py")
    assert shown() == ["link.py"]


def test_links_to_nothing_are_skipped_and_told(write: Write, folder: Path) -> None:
    write(empty(["a.py"]))
    (folder / "loop.py").symlink_to("loop.py")
    (folder / "dangling.py").symlink_to("gone.py")
    found = discover(["."], Config())
    assert [file.shown for file in found.files] == ["a.py"]
    assert sorted(skipped.message.split(":")[0] for skipped in found.skipped) == [
        "skipped dangling.py",
        "skipped loop.py",
    ]


def test_a_named_link_to_nothing_is_a_file_that_cannot_be_read(folder: Path) -> None:
    (folder / "loop.py").symlink_to("loop.py")
    assert shown("loop.py") == ["loop.py"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_a_folder_is_not_waited_for(write: Write, folder: Path) -> None:
    write(empty(["a.py"]))
    os.mkfifo(folder / "pipe.py")
    assert shown() == ["a.py"]


def test_names_that_are_not_utf8_are_found(folder: Path) -> None:
    with open(os.path.join(os.fsencode(folder), b"\xff.py"), "wb"):
        pass
    assert shown() == ["\udcff.py"]
