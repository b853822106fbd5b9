"""What speed is measured on and against: pinned wheels, a sample of them, and other linters, each installed apart."""

import random
import shutil
import subprocess
import sys
import zipfile
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
SAMPLE_BYTES = 2_000_000
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


def sample(sources: list[Path], folder: Path) -> Path:
    """A folder with files drawn by chance, about two megabytes of them; the same ones each time."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    drawn, size = random.Random(SEED).sample(sources, len(sources)), 0
    for number, file in enumerate(drawn):
        size += file.stat().st_size
        if size > SAMPLE_BYTES:
            break
        shutil.copy(file, folder / f"{number:03}_{file.name}")
    return folder


def peer(name: str, folder: Path) -> list[str]:
    """The command of another linter, installed if it is not."""
    requirement, arguments = PEERS[name]
    place = folder / f"venv-{name}"
    if not (place / "bin" / name).exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        subprocess.run([str(place / "bin" / "python"), "-m", "pip", "install", "-qq", requirement], check=True)
    return [str(place / "bin" / name), *arguments]
