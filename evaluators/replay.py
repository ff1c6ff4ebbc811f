"""Steps that are recorded once as CUDA graphs and then replayed: no launch of single kernels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol, TypeVar

import torch
from torch import Tensor

T = TypeVar("T", bound=tuple[Tensor, ...])

Record = Callable[[Callable[[], T]], tuple[T, Callable[[], object]]]
"""Records a function: gives the tensors in which its results will be, and what replays it. Recording computes
nothing."""

WARM_UP = 3
"""Calls of a function before it is recorded: what is set up, tuned or compiled at first is not recorded."""


class Runner(Protocol):
    """Runs a part of a step."""

    def __call__(self, part: str, function: Callable[..., T], *inputs: Tensor) -> T:
        """What `function(*inputs)` gives; a part is always the same function of inputs of the same shapes."""
        ...


def run(part: str, function: Callable[..., T], *inputs: Tensor) -> T:
    """Simply calls the function: the `Runner` of every device."""
    return function(*inputs)


class Replay:
    """The `Runner` that calls each part a few times, then records it, then replays it.

    What a recorded function does on the host is done no more: numbers in it stay those of the recording, so
    whatever changes has to be a tensor that is changed in place. Every call does the work once. Results are
    overwritten by the next call of the same part.

    Args:
        record: How to record; tests put their own here.
    """

    def __init__(self, record: Record[tuple[Tensor, ...]] | None = None) -> None:
        self._record = record
        self._calls = Counter[str]()
        self._recorded = dict[str, tuple[list[Tensor], tuple[Tensor, ...], Callable[[], object]]]()

    def __call__(self, part: str, function: Callable[..., T], *inputs: Tensor) -> T:
        self._calls[part] += 1
        if self._calls[part] <= WARM_UP:
            return function(*inputs) if self._record else _on_side_stream(lambda: function(*inputs))
        if part not in self._recorded:
            copies = [tensor.clone() for tensor in inputs]
            record = self._record or record_cuda_graph
            results, replay = record(lambda: function(*copies))
            self._recorded[part] = copies, results, replay
        copies, results, replay = self._recorded[part]
        for copied, tensor in zip(copies, inputs, strict=True):
            copied.copy_(tensor)
        replay()
        return results  # pyright: ignore[reportReturnType] what this part's function returned


def record_cuda_graph(function: Callable[[], T]) -> tuple[T, Callable[[], object]]:
    """Records on the present CUDA device."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = function()
    return results, graph.replay


def _on_side_stream(function: Callable[[], T]) -> T:
    """Runs a function on a side stream, as PyTorch asks before a recording: set-up is not to be recorded."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        results = function()
    torch.cuda.current_stream().wait_stream(side)
    return results
