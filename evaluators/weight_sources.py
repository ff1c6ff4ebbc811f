"""Where weights come from: a file, a training of ours, or what torchvision and timm publish."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foundation.errors import InputError, shown, unknown

ENDINGS = (".pth", ".pt", ".bin", ".safetensors")
OF_A_RUN = "weights.safetensors"
ANY = ("pretrained", "DEFAULT")
"""Names for whatever torchvision or timm holds to be best."""


def read_weights(source: str, published: Sequence[str] = ()) -> dict[str, Tensor]:
    """Tensors by their names in the network that they were made for.

    Args:
        source: A file, the folder of a training, or a published name.
        published: Names under which torchvision or timm publish weights that would do.

    Raises:
        InputError: If there are none, they carry code, or a download fails.
    """
    path = weights_file(source)
    return _published(source, published) if path is None else _from_file(path)


def weights_file(source: str) -> Path | None:
    """The file that a source names, or that of a training whose folder it is; None for published names.

    Raises:
        InputError: If it looks like a file or folder, and there are no weights.
    """
    path = Path(source)
    if path.is_dir():
        if not (path / OF_A_RUN).is_file():
            raise InputError(f"{source} has no {OF_A_RUN}; give the folder of one training that has ended")
        path /= OF_A_RUN
    if path.is_file():
        return path
    if path.suffix in ENDINGS or os.sep in source:
        raise InputError(f"no weights at {source}")
    return None


def _from_file(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise InputError(f"{path} is cut short or not a safetensors file ({error})") from None
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(f"{path} holds more than tensors, which may be code, and is refused") from None
    except Exception:  # torch.load raises nearly anything on other bytes
        raise InputError(f"{path} is cut short or not a file of PyTorch weights") from None
    return _state_dict(value, path)


def _state_dict(value: Any, path: Path) -> dict[str, Tensor]:
    """The tensors in what torchvision's or timm's training scripts, or DataParallel, save."""
    for name in ("state_dict", "model"):
        if isinstance(value, Mapping) and isinstance(value.get(name), Mapping):
            value = value[name]
    if not isinstance(value, Mapping) or not value or not all(isinstance(t, Tensor) for t in value.values()):
        raise InputError(
            f"{path} holds no state dict: names to tensors, or these under 'state_dict' or 'model'"
        )
    wrapped = all(key.startswith("module.") for key in value)
    return {key.removeprefix("module.") if wrapped else key: tensor for key, tensor in value.items()}


def _published(source: str, published: Sequence[str]) -> dict[str, Tensor]:
    from torchvision.models import get_model_weights, list_models

    known = set[str]()
    for name in published:
        family, _, member = name.rpartition(":")
        if family == "timm":
            known.add(ANY[0])
            if source in ANY:
                return _downloaded(f"{source} of {name}", lambda member=member: _of_timm(member))
        elif name in list_models():
            choices = get_model_weights(name).__members__
            known |= {ANY[0], *choices}
            if source in (*ANY, *choices):
                choice = choices["DEFAULT" if source in ANY else source]
                return _downloaded(
                    f"{source} of {name}",
                    lambda choice=choice: choice.get_state_dict(progress=False, check_hash=True),
                )
    if not known:
        raise InputError(f"no file {source!r}, and nobody publishes weights of this network")
    raise unknown("weights", source, known)


def _of_timm(name: str) -> Mapping[str, Any]:
    import timm

    logger = logging.getLogger("huggingface_hub")  # logs every try
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return timm.create_model(name, pretrained=True).state_dict()
    finally:
        logger.setLevel(level)


def _downloaded(what: str, download: Callable[[], Mapping[str, Any]]) -> dict[str, Tensor]:
    try:
        return dict(download())
    except Exception as error:  # whatever the network, or either library, raises
        reason = shown(" ".join(str(error).split()))
        raise InputError(f"cannot get the weights {what} ({reason}); give a file instead") from None
