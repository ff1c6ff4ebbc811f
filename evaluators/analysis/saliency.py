"""Where a classifier looks: Grad-CAM and guided backpropagation.

Sources: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization",
ICCV 2017 (arXiv:1610.02391), by captum; Springenberg et al., "Striving for Simplicity: The All Convolutional
Net", ICLR 2015 workshop (arXiv:1412.6806). captum's guided backpropagation sees `nn.ReLU` modules alone and
passes over every `x.relu()` in silence, so that one is here: on a network of such modules the two are equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from evaluators.evaluating import modes_kept
from foundation.errors import InputError

_IN_PLACE = (F.relu_, torch.relu_, Tensor.relu_)
_RELUS = (F.relu, torch.relu, Tensor.relu, *_IN_PLACE)


def need_captum() -> None:
    """Checks that captum is there, before anything is read.

    Raises:
        InputError: If it is not installed.
    """
    try:
        import captum.attr  # noqa: F401
    except ImportError:
        raise InputError("Grad-CAM needs captum: pip install 'autola[analysis]'") from None


def grad_cam(
    network: nn.Module, stage: nn.Module, images: Float[Tensor, "b c h w"], classes: Int[Tensor, "b"]
) -> Float[Tensor, "b h2 w2"]:
    """Grad-CAM at a stage: its map weighted by the mean gradient of each channel, the positive part.

    Args:
        network: From images to logits (b, classes).
        stage: A module of it that gives a map (b, c2, h2, w2).
        images: Normalised.
        classes: The class of each that is explained.

    Returns:
        In units of the logit times activity; 0 where nothing speaks for the class.
    """
    need_captum()
    from captum.attr import LayerGradCam

    with modes_kept(network):
        network.eval()
        found: Any = LayerGradCam(network, stage).attribute(images, target=classes, relu_attributions=True)
    return found.detach()[:, 0]


def guided_backpropagation(
    network: nn.Module, images: Float[Tensor, "b c h w"], classes: Int[Tensor, "b"]
) -> Float[Tensor, "b c h w"]:
    """The gradient of a class's logit by the pixels, where every ReLU lets positive gradients through alone.

    All ReLUs count, whether modules or functions. Other activations (GELU, SiLU, ReLU6) have the gradient
    that they have.

    Args:
        network: From images to logits (b, classes).
        images: Normalised.
        classes: The class of each that is explained.

    Raises:
        InputError: If the network has no ReLU: then there is nothing to guide.
    """
    pixels = images.detach().clone().requires_grad_()
    with modes_kept(network), torch.enable_grad():
        network.eval()
        with _Guided() as guided:
            logits = network(pixels)
        if not guided.num_relus:
            raise InputError(f"{type(network).__name__} has no ReLU that backpropagation could be guided by")
        chosen = logits.gather(1, classes[:, None]).sum()
        (gradient,) = torch.autograd.grad(chosen, pixels)
    return gradient


class _Guided(TorchFunctionMode):
    """Has every ReLU guide the gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.num_relus = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = kwargs or {}
        if func not in _RELUS:
            return func(*args, **given)
        self.num_relus += 1
        x = args[0] if args else given["input"]
        result = _GuidedReLU.apply(x)
        in_place = func in _IN_PLACE or given.get("inplace", args[1] if len(args) > 1 else False)
        return x.copy_(result) if in_place else result


class _GuidedReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x > 0)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (positive,) = ctx.saved_tensors
        return gradients[0].clamp(min=0) * positive
