"""What speed is measured on and against: pinned wheels, a sample of them, and other linters, each installed apart."""

import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

WHEELS = (
    "transformers==5.23.0", "diffusers==0.42.1", "timm==1.0.31", "torch-geometric==2.8.1", "monai==1.6.1",
    "ultralytics==8.4.190", "pytorch-lightning==2.6.6",
)  # fmt: skip
PEERS = {
    "torchfix": ("torchfix==0.7.0", ("--select", "ALL")),
    "torch-preflight": ("torch-preflight==0.5.0", ("check",)),
    "flake8": ("flake8==7.5.0", ()),
}
SEED = 20


def corpus(folder: Path) -> dict[str, Path]:
    """The unpacked wheels by name, downloaded if they are not there."""
    return {requirement.partition("==")[0]: _unpacked(requirement, folder) for requirement in WHEELS}


def _unpacked(requirement: str, folder: Path) -> Path:
    place = folder / requirement
    if not place.is_dir():
        command = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*command, "--dest", str(folder / "wheels"), requirement], check=True)
        name, _, version = requirement.partition("==")
        (wheel,) = (folder / "wheels").glob(f"{name.replace('-', '_')}-{version}-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder / "unpacking")
        (folder / "unpacking").rename(place)
    return place


def sample(files: Mapping[str, Path], folder: Path, size: int) -> Path:
    """A folder with files drawn by chance, about so many bytes of them, where they stood in their packages.

    The same ones each time; a larger sample holds the smaller ones.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    sources = sorted((place, file) for place in files.values() for file in place.rglob("*.py"))
    for place, file in random.Random(SEED).sample(sources, len(sources)):
        if (size := size - file.stat().st_size) < 0:
            break
        copy = folder / file.relative_to(place)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    return folder


def peer(name: str, folder: Path) -> list[str]:
    """The command of another linter, installed if it is not."""
    requirement, arguments = PEERS[name]
    place = folder / f"venv-{name}"
    if not (place / "bin" / name).exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        subprocess.run([str(place / "bin" / "python"), "-m", "pip", "install", "-qq", requirement], check=True)
    return [str(place / "bin" / name), *arguments]
