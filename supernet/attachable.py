"""What attention can be put into: a module of Python's that nothing has compiled yet."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import nn

from foundation.errors import InputError
from supernet.hooks import is_compiled

log = logging.getLogger(__name__)


def check_attachable(model: object) -> None:
    """Raises an error for what is no module of Python's, or compiled.

    Raises:
        InputError: If it is no module, one of TorchScript's, or holds code that torch.compile made.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"attention goes into a torch.nn.Module, not into {type(model).__name__}")
    check_scripted(model, "the model")
    check_compiled(model, "attach to")


def check_scripted(module: nn.Module, name: str) -> None:
    """Raises an error for a module of TorchScript's.

    Raises:
        InputError: If it is one.
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise InputError(
            f"{name} is TorchScript, which takes no attention; attach before scripting or tracing"
        )


def check_compiled(model: nn.Module, what: str) -> None:
    """Raises an error where torch.compile would go on with the code that it made before a change.

    Args:
        model: What is to be changed.
        what: The change, "attach to".

    Raises:
        InputError: If it, or a part of it, is compiled.
    """
    for name, module in model.named_modules():
        if is_compiled(module):
            part = f"{name!r}" if name else "the model"
            raise InputError(
                f"{part} is compiled already, and its code would not change; {what} the model before "
                "torch.compile"
            )


def say_shared(model: nn.Module, names: Sequence[str]) -> None:
    """Logs in a line which sites have several names, so that one attention serves all of them."""
    names_of = dict[nn.Module, list[str]]()
    for name, module in model.named_modules(remove_duplicate=False):
        names_of.setdefault(module, []).append(name)
    shared = [same for name in names if len(same := names_of[model.get_submodule(name)]) > 1]
    if shared:
        also = " and ".join(map(repr, shared[0][:3]))
        more = f", and {len(shared) - 1} other sites likewise" if len(shared) > 1 else ""
        log.warning("%s are one module: one attention serves both%s", also, more)
