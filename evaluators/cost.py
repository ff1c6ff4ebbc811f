"""What a network costs: parameters, multiply-accumulates, activation memory, latency."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from evaluators.counting import check_shape, macs, params
from evaluators.latency import (
    check_repeats,
    checked_device,
    device_name,
    latency_ms,
    mode,
    own_threads,
    random_images,
)
from foundation.config import config
from foundation.errors import InputError
from search_space.attention import Attention, as_terms
from search_space.term import Term
from supernet.attach import attach
from supernet.backbones import build_backbone, usual_images
from supernet.map_sizes import is_small


@config
class Cost:
    """What a network costs for one image; None is what was not measured."""

    params: int
    """Number of weights."""
    macs: int
    """Multiply-accumulates of the convolutions and linear layers of a forward pass."""
    activation_bytes: int | None
    """Bytes that training keeps for the backward pass."""
    latency_ms: float | None
    """Median time of a forward pass at batch 1."""
    device: str | None
    """Where the latency was measured: "cpu", or the name of the accelerator."""
    threads: int | None
    """CPU threads of the latency measurement; None on an accelerator."""


def measure(
    backbone: str | nn.Module,
    attention: Attention = "none",
    *,
    input_shape: Sequence[int] | None = None,
    width: int | None = None,
    num_classes: int | None = None,
    latency: bool = True,
    activation: bool = True,
    device: str | torch.device = "cpu",
    repeats: int = 20,
    threads: int = 1,
) -> Cost:
    """Costs of a network, with an attention attached.

    Args:
        backbone: Registered name, for one with random weights; or any network, which stays as it is.
        attention: In the grammar, a genotype, or what a search gave back; beside what a network has already.
        input_shape: (channels, height, width) of the image; None for the usual one of a registered backbone,
            of CIFAR or ImageNet.
        width: Channels of the first stage of a registered backbone; None for its own.
        num_classes: Outputs of the classifier of a registered backbone; None for the usual ones.
        latency: Whether to time it.
        activation: Whether to measure its activation memory.
        device: Where latency and activation memory are measured.
        repeats: Forward passes that are timed.
        threads: CPU threads while measuring; one gives figures that a busy machine spoils least.

    Raises:
        InputError: If a name is unknown, channels do not fit, the device is not there, or the backbone
            cannot take the input.
    """
    check_repeats(repeats)
    device = checked_device(device)
    build, input_shape = network_builder(backbone, as_terms(attention), input_shape, width, num_classes)
    saved = milliseconds = None
    with own_threads(threads):
        outline = build(torch.device("cpu" if is_small(input_shape) else "meta"))
        counted = {"params": params(outline), "macs": macs(outline, input_shape)}
        if latency or activation:
            model = build(device)
            saved = activation_bytes(model, input_shape) if activation else None
            if latency:
                milliseconds = latency_ms(model, input_shape, device=device, repeats=repeats)
    return Cost(
        **counted,
        activation_bytes=saved,
        latency_ms=milliseconds,
        device=device_name(device) if latency else None,
        threads=threads if latency and device.type == "cpu" else None,
    )


def network_builder(
    backbone: str | nn.Module,
    attention: tuple[Term, ...],
    input_shape: Sequence[int] | None,
    width: int | None,
    num_classes: int | None,
) -> tuple[Callable[[torch.device], nn.Module], tuple[int, int, int]]:
    """What builds the network that is measured on a device, without a trace in the random numbers; its input.

    Args:
        backbone: As of `measure`.
        attention: What is attached.
        input_shape: As of `measure`.
        width: Likewise.
        num_classes: Likewise.

    Raises:
        InputError: If a network of the user's comes without the shape of its images, or with what is for
            registered backbones.
    """
    if isinstance(backbone, nn.Module):
        network, name = backbone, type(backbone).__name__
        if width is not None or num_classes is not None:
            raise InputError(f"{name} is built already; leave width and num_classes out")
        if input_shape is None:
            raise InputError(f"what images does {name} take? give input_shape, as (3, 224, 224)")
        shape = check_shape(input_shape)

        def new() -> nn.Module:
            return copy.deepcopy(network)

    else:
        registered = backbone
        usual_shape, usual_classes = usual_images(registered)
        shape = check_shape(usual_shape if input_shape is None else input_shape)
        classes = usual_classes if num_classes is None else num_classes

        def new() -> nn.Module:
            return build_backbone(registered, num_classes=classes, in_channels=shape[0], width=width)

    def build(device: torch.device) -> nn.Module:
        meta = device.type == "meta"
        with torch.random.fork_rng(devices=[]), device if meta else nullcontext():
            model = attach(new().to(device) if meta else new(), attention, input_shape=shape)
        return model.to(device)

    return build, shape


def activation_bytes(model: nn.Module, input_shape: Sequence[int]) -> int:
    """Bytes that one image adds to what a training step keeps for its backward pass.

    The difference of a batch of three and a batch of two, so that what does not grow with the batch
    (parameters, buffers, what is computed from them) is not counted, and batch norms have something to
    normalise. Storages are counted once, whoever keeps them; the image itself is one. The model stays
    as it is, its statistics and modes included.

    Args:
        model: The network, on the device where it is to be measured.
        input_shape: (channels, height, width) of the image.

    Raises:
        InputError: If a size is not positive.
    """
    check_shape(input_shape)
    with mode(model, training=True):
        return _saved_bytes(model, random_images(model, 3, input_shape)) - _saved_bytes(
            model, random_images(model, 2, input_shape)
        )


def _saved_bytes(model: nn.Module, images: Tensor) -> int:
    storages = dict[int, int]()

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # the tensor itself would hold the graph that holds it

    with torch.inference_mode(False), torch.enable_grad():
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            output = model(images)
        for tensor in (*model.parameters(), *model.buffers()):
            storages.pop(tensor.untyped_storage().data_ptr(), None)
        del output  # kept until here: a storage set free could lend its address to another
    return sum(storages.values())


__all__ = ["Cost", "activation_bytes", "macs", "measure", "network_builder", "params"]
