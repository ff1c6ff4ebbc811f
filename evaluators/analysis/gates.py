"""The gates of attention in a trained network, as they are for an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor, nn

from search_space.cell import FoundEdges
from search_space.operator import Gate
from search_space.state import State
from supernet.attach import Attached, attached

Reach = Literal["channels", "positions", "both"]
"""What the factors of a gate differ over."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GateMap:
    """The factors of one gate for one image.

    Attributes:
        site: Name of the module in the network that the attention follows.
        gate: What it is within the attention: an edge of a cell, a gate of its own, or a part of a module.
        operator: Name of its class.
        reach: What its factors differ over.
        size: Height and width of the map that it reads.
        map: Mean over the channels (h, w); of a gate of channels alone (1, 1).
        channels: Mean over the positions (c,); of a gate of positions alone (1,).
    """

    site: str
    gate: str
    operator: str
    reach: Reach
    size: tuple[int, int]
    map: Float[Tensor, "h w"]
    channels: Float[Tensor, "c"]


def has_gates(network: nn.Module) -> bool:
    """Whether the attention in a network has gates that can be seen."""
    return any(_gates(place) for place in attached(network))


@contextmanager
def gates_seen(network: nn.Module) -> Iterator[list[GateMap]]:
    """Gathers the factors of all gates of the attention in a network, in the passes of single images.

    Gates that are made of others, as CBAM is, are seen as these. Whatever else is attached has none.
    """
    found = list[GateMap]()
    watched = list[Gate]()
    for place in attached(network):
        for name, gate in _gates(place):
            watching: Any = _watching(gate.gate, place.place, name, type(gate).__name__, found)
            gate.gate = watching
            watched.append(gate)
    try:
        yield found
    finally:
        for gate in watched:
            del gate.gate  # the method of the class shows again


def _gates(place: Attached) -> list[tuple[str, Gate]]:
    """Gates that hold no others, by what they are."""
    gates = [(name, module) for name, module in place.module.named_modules() if isinstance(module, Gate)]
    return [
        (_called(place.module, name), gate)
        for name, gate in gates
        if not any(isinstance(module, Gate) for module in gate.modules() if module is not gate)
    ]


def _called(whole: nn.Module, name: str) -> str:
    """A gate's name in words: "x1 to h1 channel" for the part called channel of what is on that edge."""
    modules = dict(whole.named_modules())
    parts, said, at = name.split(".") if name else [], list[str](), ""
    for part in parts:
        at = f"{at}.{part}" if at else part
        holder = modules.get(at.rpartition(".")[0].rpartition(".")[0])
        if isinstance(holder, FoundEdges):
            said.append(" to ".join(part.split("_")))
        elif not isinstance(modules[at], FoundEdges | nn.ModuleDict) and not part.isdigit():
            said.append(part.replace("_", " "))
    return " ".join(said)


def _watching(
    compute: Callable[[State], Tensor], site: str, name: str, operator: str, found: list[GateMap]
) -> Callable[[State], Tensor]:
    def gate(state: State) -> Tensor:
        factors = compute(state)
        image = factors.detach()[0].double().cpu()
        c, h, w = image.shape
        reach: Reach = "channels" if h * w == 1 else "positions" if c == 1 else "both"
        found.append(
            GateMap(
                site=site,
                gate=name,
                operator=operator,
                reach=reach,
                size=(state.x.shape[2], state.x.shape[3]),
                map=image.mean(0),
                channels=image.mean((1, 2)),
            )
        )
        return factors

    return gate
