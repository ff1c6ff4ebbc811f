"""Weights of another training, or published ones, put into a new network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn

from foundation.errors import InputError, listed
from supernet.hooks import todays_names

COUNTER = "num_batches_tracked"
"""A buffer of batch norms that old files and frozen norms lack; training does not use it."""


def start_from(
    network: nn.Module, plain: Mapping[str, Tensor], given: Mapping[str, Tensor], source: str
) -> str:
    """Loads weights into a new network; returns in a line what was loaded, and what is new.

    The weights are those of the whole network or of a part, such as a detector's backbone, which is found by
    its keys. Each child of that part (conv1, layer1, fc ...) gets all its weights or none. Two things may
    differ: layers whose number of outputs alone differs stay new, as for other classes; and weights of
    the plain network fit the attended one, whose attention is new then.

    Args:
        network: Changed in place.
        plain: Keys and shapes of the same network without attention.
        given: The weights, by their names in the network that they were made for.
        source: Where they come from; for messages.

    Raises:
        InputError: If they do not fit; the network is unchanged then.
    """
    wanted = network.state_dict()
    prefix = _prefix(plain, given)
    given = todays_names(network, {prefix + key: tensor for key, tensor in given.items()})
    given = {key: tensor for key, tensor in given.items() if not key.endswith(COUNTER) or key in wanted}
    loaded = {key: tensor for key, tensor in given.items() if key in wanted and _same(tensor, wanted[key])}
    outputs = [key for key, tensor in given.items() if key in wanted and _wider(tensor, wanted[key])]
    if misfits := _misfits(given, wanted, plain, loaded, outputs, prefix):
        more = f", and {len(misfits) - 1} more" if len(misfits) > 1 else ""
        raise InputError(f"the weights of {source} do not fit the network: {misfits[0]}{more}")
    network.load_state_dict(loaded, strict=False)
    return _summary(source, prefix, wanted, plain, loaded, given)


def _prefix(plain: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """Where in the network the weights belong: the shortest prefix under which most keys are known."""
    parts = {"", *(key[: at + 1] for key in plain for at in range(len(key)) if key[at] == ".")}
    return max(sorted(parts, key=len), key=lambda part: sum(part + key in plain for key in given))


def _misfits(
    given: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    plain: Mapping[str, Tensor],
    loaded: Mapping[str, Tensor],
    outputs: Sequence[str],
    prefix: str,
) -> list[str]:
    """What is wrong with the weights, a text a tensor."""
    if not loaded:
        return ["it has none of these tensors"]

    def child(key: str) -> str:
        return key[len(prefix) :].partition(".")[0]

    there = {child(key) for key in wanted if key.startswith(prefix)}
    begun = {child(key) for key in loaded}
    attended = any(key not in plain for key in loaded)
    wrong = [
        f"{key} is {_shape(tensor, wanted[key])} there and {_shape(wanted[key], tensor)} here"
        for key, tensor in given.items()
        if key in wanted and key not in loaded and key not in outputs
    ]
    wrong += [f"{key} holds infinity or NaN" for key, tensor in loaded.items() if not is_finite(tensor)]
    wrong += [
        f"it has {key}, which the network lacks{_hint(key)}"
        for key in given
        if key not in wanted and key not in plain and child(key) in there
    ]
    wrong += [
        f"it lacks {key}{_hint(key)}"
        for key in wanted
        if key.startswith(prefix)
        and key not in given
        and not key.endswith(COUNTER)
        and child(key) in begun
        and (key in plain or attended)
    ]
    return sorted(wrong, key=lambda text: "attention" not in text)


def _hint(key: str) -> str:
    return " (another attention?)" if "attention" in key else ""


def _summary(
    source: str,
    prefix: str,
    wanted: Mapping[str, Tensor],
    plain: Mapping[str, Tensor],
    loaded: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
) -> str:
    new = [key for key in wanted if key not in loaded and not key.endswith(COUNTER)]
    parts = [f"{len(loaded)} tensors of {source}" + (f" in {prefix[:-1]}" if prefix else "")]
    for key in {_layers([key]): key for key in reversed(new) if key in given}.values():
        parts.append(f"{_layers([key])} is new ({len(wanted[key])} outputs, {len(given[key])} there)")
    if rest := _layers(key for key in new if key in plain and key not in given):
        parts.append(f"new: {rest}")
    if any(key not in plain for key in new):
        parts.append("the attention is new")
    if unused := _layers(key.removeprefix(prefix) for key in given if key not in wanted):
        parts.append(f"not used: {unused}")
    return "starts from " + "; ".join(parts)


def _layers(keys: Iterable[str]) -> str:
    """The modules of some tensors, the first few by name."""
    names = list(dict.fromkeys(key.rpartition(".")[0] or key for key in sorted(keys)))
    return listed(names, 4)


def is_finite(tensor: Tensor) -> bool:
    """Whether a tensor holds numbers alone: no infinity, no NaN."""
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())


def of_other_kind(given: Tensor, wanted: Tensor) -> bool:
    """Whether one of two tensors holds whole numbers and the other real ones."""
    return given.is_floating_point() != wanted.is_floating_point()


def _same(given: Tensor, wanted: Tensor) -> bool:
    return given.shape == wanted.shape and not of_other_kind(given, wanted)


def _wider(given: Tensor, wanted: Tensor) -> bool:
    """Whether the number of outputs alone differs; whatever reads them would differ too, were it there."""
    return (
        given.shape != wanted.shape and given.ndim == wanted.ndim > 0 and given.shape[1:] == wanted.shape[1:]
    )


def _shape(tensor: Tensor, other: Tensor) -> str:
    """What of a tensor differs from another: its kind of numbers, or else its shape."""
    if of_other_kind(tensor, other):
        return str(tensor.dtype).removeprefix("torch.")
    return "x".join(map(str, tensor.shape)) or "a number"
