"""Work that goes on a step at a time and can stop, be stored and go on at any step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from foundation.errors import InputError

if TYPE_CHECKING:
    import torch
    from lightning.fabric import Fabric
    from torch import Tensor


class Job(Protocol):
    """A training or a search. It prints nothing and writes no file; whoever drives it does.

    Attributes:
        step: Steps done.
        total_steps: Steps of the whole job.
        steps_per_epoch: Steps between two reports.
    """

    step: int
    total_steps: int
    steps_per_epoch: int

    def advance(self) -> None:
        """Does one step."""
        ...

    def report(self) -> Mapping[str, float | None]:
        """Figures of the epoch that just ended, None where there is none; waits for the device.

        Raises:
            NotFiniteError: If a loss of the epoch was not finite.
        """
        ...

    def check(self) -> None:
        """Raises NotFiniteError if a loss of the epoch so far was not finite; waits for the device."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """The whole state: tensors, numbers, strings, lists and dicts."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to a stored state."""
        ...


class NotFiniteError(InputError):
    """A loss became NaN or infinite; the state since then is worthless."""


def wide(device: torch.device) -> torch.dtype:
    """The widest real type of a device."""
    import torch

    return torch.float32 if device.type == "mps" else torch.float64


def check_weights(parameters: Iterable[Tensor], step: int, learning_rate: float) -> None:
    """Looks at the weights: an update may break them although every loss so far was finite.

    Raises:
        NotFiniteError: If one is not finite; says after which step of the job.
    """
    import torch

    norms = torch.stack([parameter.detach().abs().amax() for parameter in parameters if parameter.numel()])
    if not bool(norms.isfinite().all()):
        raise _not_finite("the weights are", f"after step {step}", learning_rate)


def _not_finite(what: str, when: str, learning_rate: float) -> NotFiniteError:
    return NotFiniteError(
        f"{what} not finite {when} (learning rate {learning_rate:.4g}); "
        "start again with a lower learning rate or gradient clipping"
    )


class Figures:
    """Figures of the steps of one epoch, kept on the device until someone asks.

    Args:
        names: The figures; those that end in "loss" have to be finite.
        num_steps: Steps of an epoch.
        device: Where the steps run.
    """

    def __init__(self, names: tuple[str, ...], num_steps: int, device: torch.device) -> None:
        import torch

        self.names = names
        self.values = torch.zeros(num_steps, len(names), device=device, dtype=wide(device))

    def record(self, index: int, *values: Tensor) -> None:
        """Keeps the figures of one step; does not wait for the device."""
        import torch

        row = torch.stack([value.detach().to(self.values.dtype) for value in values])
        self.values[index] = row

    def check(self, num_steps: int, first_step: int, learning_rate: float) -> None:
        """Looks at the first `num_steps` steps of the epoch.

        Raises:
            NotFiniteError: If a loss among them is not finite; says at which step of the job.
        """
        losses = [column for column, name in enumerate(self.names) if name.endswith("loss")]
        bad = ~self.values[:num_steps, losses].isfinite().all(1)
        if bool(bad.any()):
            step = first_step + int(bad.nonzero()[0])
            raise _not_finite("the loss is", f"at step {step}", learning_rate)

    def gather(self, fabric: Fabric) -> None:
        """Makes every figure its mean over all processes; all of them call this at the same step."""
        import torch

        if fabric.world_size > 1:
            self.values = torch.as_tensor(fabric.all_reduce(self.values, reduce_op="mean"))

    def means(self) -> dict[str, float]:
        """Mean of every figure over the epoch."""
        return dict(zip(self.names, self.values.mean(0).tolist()))

    def state_dict(self) -> dict[str, Any]:
        return {"values": self.values}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.values.copy_(state["values"])
