"""Weights of networks in files: safetensors, never pickles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from foundation.errors import InputError
from foundation.files import write_atomically
from foundation.reading import check_regular


def save_weights(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes a safetensors file, whole or not at all."""
    from safetensors.torch import save_file

    # Copies: safetensors refuses tensors that share memory, and stores row-major ones alone.
    whole = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    write_atomically(path, lambda file: save_file(whole, file))


def load_weights(path: Path) -> dict[str, Tensor]:
    """Reads a safetensors file.

    Raises:
        InputError: If there is none, or it is cut short or of another kind; pickles are never read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.exists():
        raise InputError(f"no weights at {path}")
    check_regular(path, "file of weights")
    try:
        return load_file(path)
    except OSError as error:
        raise InputError(f"cannot read weights from {path}: {error.strerror or error}") from None
    except SafetensorError as error:
        raise InputError(
            f"{path} is cut short or not a safetensors file ({error}); "
            "other formats can carry code and are refused"
        ) from None
