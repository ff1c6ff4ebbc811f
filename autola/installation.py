"""What is installed: packages that autola asks for, its optional parts, devices; and what mends them."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

USES = {
    "coco": "scores of boxes and keypoints",
    "export": "autola export --onnx",
    "report": "autola report",
    "analysis": "Grad-CAM of autola analyze",
    "translation": "autola retrain --task translation",
    "parquet": "--data.format parquet",
    "openvino": "autola export --deploy, measured in OpenVINO too",
    "ray": "--on ray",
    "slurm": "--on slurm",
    "mlflow": "--tracker mlflow",
    "trackio": "--tracker trackio",
}
"""What an extra is for."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package that autola asks for.

    Attributes:
        name: As in the index.
        version: What is installed; None for nothing.
        wanted: The versions that serve, as in ">=2.11".
        fits: Whether what is installed is one of them.
    """

    name: str
    version: str | None
    wanted: str
    fits: bool


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that is missing.

    Attributes:
        what: What is missing, in a line.
        mends: The command that mends it, or what to do; None where nothing here does.
    """

    what: str
    mends: str | None = None


@dataclass(frozen=True, kw_only=True)
class Extra:
    """An optional part of the installation.

    Attributes:
        name: As in autola[coco].
        use: What it is for.
        packages: What belongs to it.
        mends: The command that installs it; None where all is there.
    """

    name: str
    use: str
    packages: tuple[Package, ...]
    mends: str | None


def requirements() -> tuple[list[Requirement], dict[str, list[Requirement]]]:
    """What autola asks for, and what its extras do: of the source tree it runs from, or as installed."""
    source = Path(__file__).parents[1] / "pyproject.toml"
    if source.is_file():
        project = tomllib.loads(source.read_text(encoding="utf-8"))["project"]
        extras = {
            name: list(map(Requirement, wanted)) for name, wanted in project["optional-dependencies"].items()
        }
        extras.pop("dev", None)
        return list(map(Requirement, project["dependencies"])), extras
    required, extras = list[Requirement](), dict[str, list[Requirement]]()
    for text in metadata.requires("autola") or ():
        wanted = Requirement(text)
        found = re.search(r"extra == [\"']([\w-]+)[\"']", str(wanted.marker or ""))
        if found is None:
            required.append(wanted)
        elif found[1] != "dev":
            extras.setdefault(found[1], []).append(wanted)
    return required, extras


def installed(name: str) -> str | None:
    """The version of a package; None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def as_package(wanted: Requirement) -> Package:
    """What is installed of what is asked for."""
    version = installed(wanted.name)
    fits = version is not None and wanted.specifier.contains(Version(version), prereleases=True)
    return Package(name=wanted.name, version=version, wanted=str(wanted.specifier), fits=fits)


def misfit(package: Package) -> Problem:
    """A package that autola cannot do without, and is not there or too old."""
    there = f"is {package.version}" if package.version else "is not installed"
    wanted = f"{package.name}{package.wanted}"
    return Problem(what=f"{package.name} {there}", mends=f"pip install '{wanted}'")


def as_extra(name: str, wanted: Iterable[Requirement]) -> Extra:
    """What is installed of an optional part."""
    packages = tuple(map(as_package, wanted))
    mends = None if all(package.fits for package in packages) else f"pip install 'autola[{name}]'"
    return Extra(name=name, use=USES.get(name, ""), packages=packages, mends=mends)


def computing() -> tuple[int | None, tuple[str, ...], list[Problem], list[str]]:
    """CPU threads, devices, and what keeps them from computing."""
    try:
        import torch
    except Exception as error:  # whatever a half-installed torch raises
        what = f"torch cannot be imported: {' '.join(str(error).split())}"
        return None, (), [Problem(what=what, mends="pip install --force-reinstall torch torchvision")], []
    problems, notes = list[Problem](), list[str]()
    try:
        import torchvision

        torch.ops.torchvision.nms  # noqa: B018, asked for so that it is looked up
        del torchvision
    except Exception as error:  # likewise
        what = f"torchvision does not fit torch: {' '.join(str(error).split())}"
        problems.append(Problem(what=what, mends="pip install --force-reinstall torch torchvision"))
    devices = [
        f"{torch.cuda.get_device_name(number)}, "
        f"{torch.cuda.get_device_properties(number).total_memory / 2**30:.0f} GiB"
        for number in range(torch.cuda.device_count())
    ]
    if torch.backends.mps.is_available():
        devices.append("mps")
    if torch.version.cuda and not devices and shutil.which("nvidia-smi"):
        notes.append(
            f"there is an NVIDIA driver, but torch {torch.__version__} finds no GPU: is it older than "
            f"CUDA {torch.version.cuda}, or CUDA_VISIBLE_DEVICES empty?"
        )
    return torch.get_num_threads(), tuple(devices), problems, notes
