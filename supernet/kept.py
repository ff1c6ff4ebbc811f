"""What the mixtures of a network that is searched keep for the backward pass, by site."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from supernet.mixed_network import MixedNetwork


@contextmanager
def kept_by_site(network: MixedNetwork) -> Iterator[dict[str, int]]:
    """Counts the bytes that autograd keeps inside the mixtures of passes that run within.

    Each piece of memory counts once, for the site that keeps it first; weights and statistics do not. What is
    computed again in the backward pass is not kept, so it counts nowhere.

    Yields:
        Bytes by site, complete at the end.
    """
    kept = dict.fromkeys(network.sites(), 0)
    known = {value.untyped_storage().data_ptr() for value in (*network.parameters(), *network.buffers())}
    alive = list[Tensor]()  # so that no address is used twice
    inside = list[str]()

    def enter(name: str, *args: Any) -> None:
        inside.append(name)

    def leave(*args: Any) -> None:
        inside.pop()

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if inside and storage.data_ptr() not in known:
            known.add(storage.data_ptr())
            alive.append(tensor.detach())
            kept[inside[-1]] += storage.nbytes()
        return tensor

    hooks = [mixed.register_forward_pre_hook(partial(enter, name)) for name, mixed in network.sites().items()]
    hooks += [mixed.register_forward_hook(leave, always_call=True) for mixed in network.sites().values()]
    try:
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            yield kept
    finally:
        for hook in hooks:
            hook.remove()
