"""The checks of the matrix: what people do with a network, done to one with attention."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import autola
from benchmarks.models.folding import fold
from benchmarks.models.runtimes import eight_bits, onnx, program, quantized_program
from benchmarks.models.trial import Trial, WrongError, difference, must_be_close, must_equal, outputs
from supernet.hooks import Hook, Watch

SAVED = "model.pt"
"""File of the whole model in a trial's folder, for a fresh process."""


def attach(trial: Trial) -> None:
    """Attention goes in, and changes what the network gives once it is opened."""
    places = autola.attached(trial.model)
    if not places:
        raise WrongError("nothing was attached, without a word")
    trial.places = len(places)
    if not all(bool(part.isfinite().all()) for part in trial.plain):
        raise WrongError("the plain network gives infinity or NaN, so nothing can be compared")
    if difference(trial.wanted, trial.plain) < TOO_LITTLE:
        raise WrongError("the attention changes nothing, even opened")
    outputs(trial.attached(identity=False), trial.images)


TOO_LITTLE = 1e-5
"""Share of the largest output by which attention has to change it."""


def identity(trial: Trial) -> None:
    """With identity=True the network gives the same bits, in evaluation and in training."""
    must_equal(outputs(trial.attached(), trial.images), trial.plain, "the output")
    found, wanted = (_trained(model, trial.images) for model in (trial.attached(), trial.network.plain()))
    if wanted is not None:
        must_equal(found or [], wanted, "the output in training mode")


def _trained(model: nn.Module, images: Tensor) -> list[Tensor] | None:
    """What a network gives in training mode; None where it takes more than images then."""
    torch.manual_seed(4)
    try:
        return outputs(model.train(), images)
    except (ValueError, AssertionError):  # detectors want targets, batch norms more than one value
        return None


def pickle(trial: Trial) -> None:
    """The whole model is saved; a fresh process compares."""
    torch.save({"model": trial.model, "images": trial.images, "wanted": trial.wanted}, trial.folder / SAVED)


def loaded(trial: Trial) -> None:
    """Run in a fresh process: the saved model gives the same bits."""
    saved = torch.load(trial.folder / SAVED, weights_only=False)
    must_equal(outputs(saved["model"], saved["images"]), saved["wanted"], "the loaded model's output")
    if not autola.attached(saved["model"]):
        raise WrongError("the loaded model has no attention")


def deep_copy(trial: Trial) -> None:
    """A copy gives the same bits by attention of its own."""
    twin = copy.deepcopy(trial.model)
    must_equal(outputs(twin, trial.images), trial.wanted, "the copy's output")
    ours = {id(weight) for weight in trial.model.parameters()}
    if any(id(weight) in ours for place in autola.attached(twin) for weight in place.module.parameters()):
        raise WrongError("the copy shares the attention's weights")
    with torch.no_grad():
        for weight in twin.parameters():
            weight.zero_()
    must_equal(outputs(trial.model, trial.images), trial.wanted, "the output after a change of the copy")


def state_dict(trial: Trial) -> None:
    """Weights go from plain to attended, attended to attended and attended to plain."""
    buffer = io.BytesIO()
    torch.save(trial.model.state_dict(), buffer)
    buffer.seek(0)
    state: dict[str, Tensor] = torch.load(buffer, weights_only=True)
    fresh = trial.attached()
    fresh.load_state_dict(state)
    must_equal(outputs(fresh, trial.images), trial.wanted, "the output after loading")
    plain = trial.network.plain()
    if lost := plain.load_state_dict(state, strict=False).missing_keys:
        raise WrongError(f"the plain network misses {lost[0]}")
    must_equal(outputs(plain, trial.images), trial.plain, "the plain network's output after loading")
    if other := fresh.load_state_dict(plain.state_dict(), strict=False).unexpected_keys:
        raise WrongError(f"the network with attention does not know {other[0]}")


def compiled(trial: Trial) -> None:
    """Compiled as one graph it gives the same."""
    import torch._dynamo

    torch._dynamo.reset()
    made: Any = torch.compile(trial.few, fullgraph=True, backend="aot_eager")
    must_be_close(outputs(made, trial.images), trial.few_wanted, "the compiled output")


def detach(trial: Trial) -> None:
    """Taken out again: the plain network's bits and keys, and no hook left."""
    model = autola.detach(trial.opened())
    must_equal(outputs(model, trial.images), trial.plain, "the output")
    if list(model.state_dict()) != list(trial.network.plain().state_dict()):
        raise WrongError("the keys are not those of the plain network")
    for name, module in model.named_modules():
        for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values()):
            if isinstance(hook, Hook | Watch):
                raise WrongError(f"a hook is left on {name!r}")


CHECKS: dict[str, Callable[[Trial], None]] = {
    "attach": attach,
    "identity": identity,
    "pickle": pickle,
    "copy": deep_copy,
    "state": state_dict,
    "detach": detach,
    "fold": fold,
    "export": program,
    "onnx": onnx,
    "int8": eight_bits,
    "compile": compiled,
    "pt2e": quantized_program,
}
"""The checks by name, in their order; `pickle` ends in `loaded`, in a fresh process."""

RUNTIMES = ("export", "onnx", "int8", "compile", "pt2e")
"""The checks that the plain network may fail as well."""
