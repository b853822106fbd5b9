"""What counts as changed."""

import os
from pathlib import Path

from gradlint.cache.stamps import changed, is_young, listing, same_folders, stamp


def test_a_file_is_the_same_until_it_is_touched(tmp_path: Path) -> None:
    file, missing = tmp_path / "a.py", str(tmp_path / "b.py")
    file.write_text("x = 1\n")
    files = {str(file): stamp(str(file)), missing: stamp(missing)}
    assert changed(files) == {}
    os.utime(file, ns=(1, 1))
    assert changed(files) == {str(file): stamp(str(file))}


def test_a_file_of_the_same_size_and_time_is_another_one(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("x = 1\n")
    files = {str(file): stamp(str(file))}
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    file.unlink()
    file.write_text("x = 2\n")
    os.utime(file, ns=times)
    assert [*changed(files)] == [str(file)]


def test_a_file_that_appears_is_a_change(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    files = {str(file): stamp(str(file))}
    file.write_text("")
    assert changed(files) == {str(file): stamp(str(file))}


def test_only_names_that_a_search_sees_matter(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("")
    names = listing(str(tmp_path))
    assert names is not None
    folders = {str(tmp_path): (None, names)}
    for name in ("b.txt", "__pycache__/c.py", ".gradlint_cache/d.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
        assert same_folders(folders), name
    (tmp_path / "sub").mkdir()
    assert not same_folders(folders)


def test_a_new_notebook_is_a_change(tmp_path: Path) -> None:
    names = listing(str(tmp_path))
    assert names == ()
    (tmp_path / "n.ipynb").write_text("")
    assert not same_folders({str(tmp_path): (None, names)})


def test_a_folder_in_place_of_a_file_is_a_change(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("")
    before = listing(str(tmp_path))
    (tmp_path / "a.py").unlink()
    (tmp_path / "a.py").mkdir()
    assert listing(str(tmp_path)) != before


def test_what_is_missing_is_not_young() -> None:
    assert not is_young(None, 0)
    assert is_young((5, 9, 0, 0), 9)
    assert not is_young((5, 8, 0, 0), 9)
