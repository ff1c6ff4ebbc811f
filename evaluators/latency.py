"""How long a network takes for an image, alone and beside another one."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from evaluators.counting import check_shape
from evaluators.evaluating import modes_kept
from foundation.errors import InputError

K = TypeVar("K")

WARM_UP = 3
"""Forward passes before the first that is timed."""


def latency_ms(
    model: nn.Module,
    input_shape: Sequence[int],
    *,
    device: str | torch.device = "cpu",
    repeats: int = 20,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Median time of a forward pass: one image, evaluation mode, no gradients, after a warm-up.

    Args:
        model: A copy is timed if it is on another device.
        input_shape: (channels, height, width) of the image.
        device: Where to run.
        repeats: Forward passes that are timed, each by itself.
        clock: Seconds from some beginning.

    Raises:
        InputError: If a size or `repeats` is not positive, or the device is not there.
    """
    check_shape(input_shape)
    check_repeats(repeats)
    device = checked_device(device)
    model = _on_device(model, device)
    times = list[float]()
    with mode(model, training=False), torch.inference_mode():
        image = random_images(model, 1, input_shape)
        for _ in range(WARM_UP):
            model(image)
        for _ in range(repeats):
            _synchronize(device)
            start = clock()
            model(image)
            _synchronize(device)
            times.append(clock() - start)
    return 1e3 * statistics.median(times)


def latency_ratio(
    model: nn.Module,
    other: nn.Module,
    *,
    input_shape: Sequence[int],
    batch: int = 1,
    device: str | torch.device = "cpu",
    pairs: int = 20,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Time of one network's forward pass over that of another's: the median over pairs of passes.

    The two passes of a pair follow one another, now one first and now the other, so that what slows the
    machine for a while slows both. Evaluation mode, no gradients, one CPU thread, after a warm-up.

    Args:
        model: The network whose time is above the line; a copy is timed if it is on another device.
        other: The network whose time is below it.
        input_shape: (channels, height, width) of an image.
        batch: Images in a forward pass.
        device: Where to run.
        pairs: Pairs of passes.
        clock: Seconds from some beginning.

    Raises:
        InputError: If a number is not positive, or the device is not there.
    """
    check_shape(input_shape)
    check_repeats(min(pairs, batch))
    device = checked_device(device)
    networks = [_on_device(network, device) for network in (model, other)]
    images = [random_images(network, batch, input_shape) for network in networks]

    def seconds(which: int) -> float:
        _synchronize(device)
        start = clock()
        networks[which](images[which])
        _synchronize(device)
        return clock() - start

    ratios = list[float]()
    with (
        own_threads(1),
        mode(networks[0], training=False),
        mode(networks[1], training=False),
        torch.inference_mode(),
    ):
        for pair in range(-WARM_UP, pairs):
            first = pair % 2
            times = {which: seconds(which) for which in (first, 1 - first)}
            if pair >= 0:
                ratios.append(times[0] / times[1])
    return statistics.median(ratios)


def in_turn(
    runs: Mapping[K, Callable[[], object]], rounds: int, device: str = "cpu", *, follow: bool = False
) -> dict[K, list[float]]:
    """Seconds of some functions that take turns, so that noise meets all of them.

    With one thread on the CPU they are seconds of the process, which others on the machine do not lengthen.

    Args:
        runs: The functions.
        rounds: Rounds in which each is timed once.
        device: Kind of the device that they run on.
        follow: Whether each runs once more before it is timed, so that it follows itself, as a network in use
            does, and not one that left its own weights in the caches.
    """
    is_alone = device == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if is_alone else time.perf_counter
    seconds: dict[K, list[float]] = {name: [] for name in runs}
    for number in range(-2, rounds):
        for name, run in runs.items():
            if follow:
                run()
                if device != "cpu":
                    torch.accelerator.synchronize(device)
            start = clock()
            run()
            if device != "cpu":
                torch.accelerator.synchronize(device)
            if number >= 0:
                seconds[name].append(clock() - start)
    return seconds


def _on_device(model: nn.Module, device: torch.device) -> nn.Module:
    """The model, or a copy of it where it is on another device."""
    if any(tensor.device != device for tensor in (*model.parameters(), *model.buffers())):
        return copy.deepcopy(model).to(device)
    return model


@contextmanager
def mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Training or evaluation mode for a while; modes, statistics and random numbers come back after it."""
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()] if training else []
    try:
        with modes_kept(model), torch.random.fork_rng(devices=[]):
            model.train(training)
            yield
    finally:
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)


@contextmanager
def own_threads(threads: int) -> Iterator[None]:
    """Computes with a number of threads, and leaves that of the process as it was."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def random_images(model: nn.Module, batch: int, input_shape: Sequence[int]) -> Tensor:
    """Images of random numbers, always the same, of the network's device and number format."""
    parameter = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(()))
    random = torch.Generator().manual_seed(0)
    images = torch.randn((batch, *input_shape), generator=random, dtype=torch.float64)
    return images.to(parameter.device, parameter.dtype)


def check_repeats(repeats: int) -> None:
    """Raises an InputError where nothing would be timed."""
    if repeats < 1:
        raise InputError(f"repeats={repeats} is not positive; time at least one forward pass")


def checked_device(device: str | torch.device) -> torch.device:
    """A device that is there; an InputError for another."""
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"device {str(device)!r} cannot be used: {reason}") from None


def device_name(device: torch.device) -> str:
    """The name of the GPU, or the kind of the device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def _synchronize(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
