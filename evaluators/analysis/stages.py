"""The stages of a network: the modules whose maps are looked at."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from evaluators.evaluating import evaluating

NAMED = re.compile(r"(?:.*\.)?(?:layer|stages?|blocks)[._]?\d+")
"""Names of modules that hold a stage: layer4, stage3, stages.2."""


def stages_of(network: nn.Module, image: Tensor) -> dict[str, nn.Module]:
    """The stages of a network by name, first to last: one module for each size of map.

    Modules that are called stages (layer4, stages.3) are the stages where there are any. Elsewhere it is the
    outermost module that gives a map of a size, the last one of several. Maps of one position are none.

    Args:
        network: From an image to anything.
        image: What the network takes (1, c, h, w), or whatever else its first argument is.

    Returns:
        The modules, each of which gives one map (b, c, h, w); empty where no module does.
    """
    names = {module: name for name, module in network.named_modules() if name}
    ended = list[tuple[nn.Module, torch.Size]]()

    def note(module: nn.Module, args: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output[0, 0].numel() > 1:
            ended.append((module, output.shape[2:]))

    handles = [module.register_forward_hook(note) for module in names]
    try:
        with evaluating(network) as ask:
            ask(image)
    finally:
        for handle in handles:
            handle.remove()
    times = [module for module, _ in ended]
    called = [(module, size) for module, size in ended if NAMED.fullmatch(names[module])]
    outermost = [
        (module, size)
        for module, size in called
        if times.count(module) == 1 and not any(_within(names[module], names[other]) for other, _ in called)
    ]
    last = dict[torch.Size, nn.Module]()
    for module, size in outermost or [pair for pair in ended if times.count(pair[0]) == 1]:
        if size not in last or _depth(names[module]) <= _depth(names[last[size]]):
            last[size] = module
    return {names[module]: module for module in last.values()}


def _depth(name: str) -> int:
    return name.count(".")


def _within(name: str, other: str) -> bool:
    return name.startswith(f"{other}.")


@contextmanager
def maps_of(stages: Mapping[str, nn.Module], see: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Shows the map of each stage in every pass.

    Args:
        stages: As `stages_of` gives them.
        see: Called with the name of a stage and its map (b, c, h, w).
    """

    def hook_of(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(module: nn.Module, args: object, output: Tensor) -> None:
            see(name, output)

        return hook

    handles = [module.register_forward_hook(hook_of(name)) for name, module in stages.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
