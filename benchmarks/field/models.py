"""K: networks with attention in the hands of torch's own tools."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

from benchmarks.field.cells import tried
from benchmarks.field.work import Work
from benchmarks.field.wrong import WrongError, expect

OPERATORS = ("hoga", "aw", "simam", "triplet", "dynamic", "ga:0010")


def network(attention: str) -> Any:
    """A small ResNet with attention, in eval mode."""
    import torch
    import torchvision

    import autola

    torch.manual_seed(0)
    model = torchvision.models.resnet18(num_classes=5)
    return autola.attach(model, attention, input_shape=(3, 64, 64)).eval()


def images() -> Any:
    """Two images."""
    import torch

    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@tried("K", "pickle, deepcopy, torch.save of the whole model", *OPERATORS)
def _(work: Work, column: str) -> str:
    import torch

    model, x = network(column), images()
    wanted = model(x)
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    for other in (
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        torch.load(buffer, weights_only=False),
    ):
        expect(torch.equal(other(x), wanted), "a copy gives another result")
        own = {id(part) for part in model.modules()}
        expect(not any(id(part) in own for part in other.modules()), "a copy shares modules")
    return "right"


@tried("K", "averaged weights (SWA) and an exponential mean", *OPERATORS)
def _(work: Work, column: str) -> str:
    import torch
    from torch.optim.swa_utils import AveragedModel, update_bn

    model, x = network(column), images()
    mean = AveragedModel(model)
    mean.update_parameters(model)
    update_bn([x], mean)
    with torch.no_grad():
        expect(bool(mean.eval()(x).isfinite().all()), "not finite")
    keys = {key.removeprefix("module.") for key in mean.state_dict() if key != "n_averaged"}
    expect(keys == model.state_dict().keys(), "other keys")
    return "right"


@tried("K", "gradients by torch.func, vmap and checkpointing", *OPERATORS)
def _(work: Work, column: str) -> str:
    import torch
    from torch.func import functional_call, grad
    from torch.utils.checkpoint import checkpoint

    model, x = network(column), images()
    weights = dict(model.named_parameters())
    found = grad(lambda given: functional_call(model, given, (x,)).square().sum())(weights)
    model.zero_grad()
    checkpoint(model, x, use_reentrant=False).square().sum().backward()
    for name, one in model.named_parameters():
        close = torch.allclose(found[name], one.grad, rtol=1e-3, atol=1e-4 * float(one.grad.abs().max() + 1))
        expect(close, f"other gradients of {name}")
        if "attention" in name:
            expect(bool(one.grad.isfinite().all()), f"{name} has no gradient")
    return "right"


@tried("K", "half, bfloat16 and float64 weights; channels_last; float64 close to float32", *OPERATORS)
def _(work: Work, column: str) -> str:
    import torch

    model, x = network(column), images()
    with torch.no_grad():
        wanted = model.double()(x.double())
        for dtype, most in ((torch.float32, 1e-3), (torch.bfloat16, 0.2)):
            given = x.to(dtype).contiguous(memory_format=torch.channels_last)
            found = model.to(dtype)(given)
            expect(bool(found.isfinite().all()), f"{dtype}: not finite")
            error = float((found.double() - wanted).abs().max() / wanted.abs().max())
            expect(error < most or column == "dynamic", f"{dtype}: off by {error:.2g}")
    return "right"


@tried("K", "a conversion that drops hooks is said", "se", "hoga")
def _(work: Work, column: str) -> str:
    import torch

    import autola

    converted = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network(column))
    try:
        converted(images())
    except autola.InputError as error:
        return f"refused: {error}"
    raise WrongError("silently lost")


@tried("K", "attached twice, detached twice, attached again", "se", "cbam", "hoga", "aw")
def _(work: Work, column: str) -> str:
    import torch
    import torchvision

    import autola

    torch.manual_seed(0)
    plain = torchvision.models.resnet18(num_classes=5).eval()
    x, wanted = images(), plain(images())
    model = autola.attach(plain, column, input_shape=(3, 64, 64)).eval()
    count = sum(1 for name in model.state_dict() if "attention" in name)
    try:
        autola.attach(model, column, input_shape=(3, 64, 64))
        twice = sum(1 for name in model.state_dict() if "attention" in name)
        expect(twice in (count, 2 * count), f"{count} tensors became {twice}")
    except autola.InputError:  # refusing a second attach is right too; what must hold follows
        pass
    bare = autola.detach(autola.detach(model))
    expect(column == "aw" or torch.equal(bare(x), wanted), "the plain model is not back")
    expect(not any("attention" in name for name in bare.state_dict()), "attention is left")
    autola.attach(bare, column, input_shape=(3, 64, 64))
    expect(sum(1 for name in bare.state_dict() if "attention" in name) == count, "not attached again")
    return "right"
