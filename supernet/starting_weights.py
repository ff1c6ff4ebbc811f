"""Trained weights to start from: a file, a run, or torchvision's by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from search_space.convolution import ConvolutionOperator
from search_space.errors import InputError
from supernet.attach import CHILD, INPUT_CHILD

OF_RUN = "weights.safetensors"
"""What a run folder calls its weights."""

COUNTED = "num_batches_tracked"
"""A buffer of norms that nobody needs: frozen norms lack it."""


def read_weights(name: str, published: Callable[[], Any]) -> dict[str, Tensor]:
    """Weights by their keys, on the CPU.

    Args:
        name: A file (.safetensors, or what `torch.save` wrote), a run folder, or one of torchvision's names
            for the network, such as IMAGENET1K_V1, which are downloaded once.
        published: Gives torchvision's enum of them, whose members are known by name.

    Raises:
        InputError: If there is no such file or name, it cannot be read or downloaded, or holds no weights.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        path = path / OF_RUN
    if path.is_file():
        return _of_file(path)
    known = {entry.name: entry for entry in published()}
    if name not in known:
        raise InputError(
            f"no weights at {name}; give a file, a run folder that has {OF_RUN}, or torchvision's by name: "
            f"{', '.join(known)}"
        )
    try:
        return known[name].get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"cannot download {name} ({error}); give a file instead: {known[name].url}"
        ) from None


def _of_file(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # either reader raises nearly anything on a file of another kind
        reason = str(error).partition("\n")[0]
        raise InputError(f"cannot read weights from {path}: {reason}") from None
    for nested in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(nested), dict):
            state = state[nested]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path} holds no weights: expected tensors by their keys")
    return state


def start_from(
    module: nn.Module, state: Mapping[str, Tensor], source: str, *, unused: tuple[str, ...] = ()
) -> None:
    """Gives a network trained weights, in place.

    Weights of the plain network leave the attention as it is; weights with attention have to be of the same.

    Args:
        module: The network, or the part of it that the weights are for.
        state: The weights by their keys in `module`.
        source: Where they come from; begins an error.
        unused: Beginnings of keys that the network has no place for, such as a classifier's.

    Raises:
        InputError: If weights are missing, have no place or another shape; the network is unchanged then.
    """
    own = module.state_dict()
    of_attention = _keys_of_attention(module)
    extra = [key for key in state if key not in own and not key.startswith(unused) and not _counts(key)]
    missing = [key for key in own if key not in state and not _counts(key)]
    attended = any(key in of_attention for key in state) or any(_names_attention(key) for key in extra)
    if attended and (extra or missing):
        raise InputError(f"{source} is of another attention: {_first(extra, missing)}")
    if left := [key for key in missing if key not in of_attention]:
        raise InputError(f"{source} is of another network: {_first(extra, left)}")
    if extra:
        raise InputError(f"{source} is of another network: {_first(extra, [])}")
    for key, value in state.items():
        if key in own and own[key].shape != value.shape:
            theirs, ours = ("x".join(map(str, tensor.shape)) or "a number" for tensor in (value, own[key]))
            raise InputError(
                f"{source} does not fit: {key} is {theirs} there and {ours} here (another number of classes, "
                "or other channels)"
            )
    module.load_state_dict({key: value for key, value in state.items() if key in own}, strict=False)


def _counts(key: str) -> bool:
    return key.endswith(COUNTED)


def _names_attention(key: str) -> bool:
    return bool({CHILD, INPUT_CHILD} & set(key.split(".")))


def _keys_of_attention(module: nn.Module) -> set[str]:
    """Keys of what `attach` added; a convolution that an operator stands for keeps its weight's key."""
    keys = {key for key in module.state_dict() if _names_attention(key)}
    for name, operator in module.named_modules():
        if isinstance(operator, ConvolutionOperator):
            kept = ("weight", "bias") if getattr(operator, "keeps_weight", False) else ()
            keys |= {f"{name}.{key}" for key in operator.state_dict() if key not in kept}
    return keys


def _first(extra: list[str], missing: list[str]) -> str:
    parts = []
    if extra:
        parts.append(f"it has {extra[0]}{_more(extra)}, which the network lacks")
    if missing:
        parts.append(f"it lacks {missing[0]}{_more(missing)}")
    return " and ".join(parts)


def _more(keys: list[str]) -> str:
    return f" and {len(keys) - 1} more" if len(keys) > 1 else ""
