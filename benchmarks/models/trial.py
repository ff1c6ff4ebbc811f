"""A network with attention as the checks see it, and what they answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import autola
from benchmarks.models.networks import Network
from foundation.errors import InputError

PASS = "pass"
MOST_PLACES = 3
"""Places at which attention is compiled, exported and quantised: more only take longer."""
TOLERANCE = 1e-4
"""Largest difference of equal outputs, relative to the largest entry."""


class WrongError(Exception):
    """What a check finds that must not be: the words for the table."""


class RefusedError(Exception):
    """Why a check says no: the words for the table."""


@dataclass(kw_only=True)
class Trial:
    """A network, an attention, and how the plain network did.

    Attributes:
        network: The network.
        attention: In the grammar; "none" for the plain network alone.
        folder: Where files are written.
        places: Number of places that attention went to.
        program: The exported program, for the checks behind it.
        has_onnx: Whether there is an ONNX file for the checks behind it.
        losses: Share of the outputs that eight bits cost this one, by check.
    """

    network: Network
    attention: str
    folder: Path
    places: int = 0
    program: Any = None
    has_onnx: bool = False
    losses: dict[str, float | None] = field(default_factory=dict)

    def attached(
        self, sites: Sequence[str] | Mapping[str, int] | None = None, *, identity: bool = True
    ) -> nn.Module:
        """A new network with attention, which is the identity at first."""
        model = self.network.plain()
        if sites is None:
            instead = self.attention in ("aa", "dcn")
            sites = self.network.convolutions if instead else self.network.sites
        torch.manual_seed(2)
        shape = (3, self.network.size, self.network.size)
        autola.attach(model, self.attention, sites, identity=identity, input_shape=shape)
        return model.eval()

    def opened(self, sites: Sequence[str] | None = None) -> nn.Module:
        """The network with attention that changes what it returns; the plain network where there is none."""
        if self.attention == "none":
            return self.network.plain()
        model = self.attached(sites)
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for place in autola.attached(model):
                for name, weight in place.module.named_parameters():
                    if name == "scale":
                        weight.fill_(0.5)
                    elif not weight.any():  # zero at first: offsets of dcn, last weights of a gate
                        weight.normal_(0, 0.2, generator=generator)
        return model

    @cached_property
    def model(self) -> nn.Module:
        """One that all checks share that change nothing."""
        return self.opened()

    @cached_property
    def without(self) -> Trial:
        """The plain network, for what it does not pass itself."""
        folder = self.folder / "plain"
        folder.mkdir()
        return Trial(network=self.network, attention="none", folder=folder)

    @cached_property
    def few(self) -> nn.Module:
        """One with attention at a few of the places, spread evenly, for what compiles and exports."""
        names = [] if self.attention == "none" else [at.place for at in autola.attached(self.model)]
        if len(names) <= MOST_PLACES:
            return self.model
        step = (len(names) - 1) / (MOST_PLACES - 1)
        return self.opened([names[round(number * step)] for number in range(MOST_PLACES)])

    @cached_property
    def few_wanted(self) -> list[Tensor]:
        """What it gives."""
        return outputs(self.few, self.images)

    @cached_property
    def images(self) -> Tensor:
        return self.network.images()

    @cached_property
    def wanted(self) -> list[Tensor]:
        """What it gives."""
        return outputs(self.model, self.images)

    @cached_property
    def plain(self) -> list[Tensor]:
        """What the network gives without attention."""
        return outputs(self.network.plain(), self.images)


def outputs(model: Callable[[Tensor], Any], images: Tensor) -> list[Tensor]:
    """All tensors that a network gives, in evaluation mode and without gradients."""
    with torch.no_grad():
        return tensors(model(images))


def tensors(value: Any) -> list[Tensor]:
    """All tensors in what a network gives, in its order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [tensor for part in value for tensor in tensors(part)]
    return []


def difference(found: list[Tensor], wanted: list[Tensor]) -> float:
    """Largest difference, relative to the largest entry of each tensor; infinite where shapes differ."""
    if [part.shape for part in found] != [part.shape for part in wanted]:
        return float("inf")
    worst = 0.0
    for ours, theirs in zip(found, wanted):
        if theirs.numel():
            scale = max(float(theirs.double().abs().max()), 1e-30)
            worst = max(worst, float((ours.double() - theirs.double()).abs().max()) / scale)
    return worst


def must_equal(found: list[Tensor], wanted: list[Tensor], what: str) -> None:
    """Raises `WrongError` unless all tensors are equal to the bit."""
    same = len(found) == len(wanted) and all(torch.equal(a, b) for a, b in zip(found, wanted))
    if not same:
        raise WrongError(f"{what} differs by {difference(found, wanted):.2g} of the largest output")


def must_be_close(found: list[Tensor], wanted: list[Tensor], what: str) -> None:
    """Raises `WrongError` unless all tensors are close."""
    if not (far := difference(found, wanted)) <= TOLERANCE:
        raise WrongError(f"{what} differs by {far:.2g} of the largest output")


def answer_of(check: Callable[[Trial], None], trial: Trial, *, ask_plain: bool) -> str:
    """What a check says, in one line: it passes, why not, or what is wrong.

    Args:
        check: Raises an error unless all is well.
        trial: What is checked.
        ask_plain: Whether the check makes sense for the plain network, whose own failings are told apart.
    """
    try:
        check(trial)
    except RefusedError as error:
        return f"refused: {error}"
    except Exception as error:  # of torch, its exporters and the runtimes, of many kinds
        if (ours := _input_error(error)) is not None:
            return f"refused: {line(ours)}"
        if ask_plain and trial.attention != "none":
            same = answer_of(check, trial.without, ask_plain=False)
            if same != PASS:
                return f"plain: {same.partition(': ')[2]}"
        return (
            f"wrong: {error}"
            if isinstance(error, WrongError)
            else f"wrong: {type(error).__name__}: {line(error)}"
        )
    return PASS


def _input_error(error: BaseException | None) -> InputError | None:
    """Our own error behind one of torch's."""
    while error is not None:
        if isinstance(error, InputError):
            return error
        error = error.__cause__ or error.__context__
    return None


def line(error: BaseException) -> str:
    """An error in one line that a table holds."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."
