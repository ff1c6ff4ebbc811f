"""Folding batch norms into convolutions: attention stays, or somebody says that it does not."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn

from benchmarks.models.trial import RefusedError, Trial, WrongError, difference, line, outputs
from foundation.errors import InputError

Way = Callable[[nn.Module], Callable[[Tensor], Any] | None]
CLOSE = 1e-3
"""Share of the largest output by which folded norms may change it."""


def fold(trial: Trial) -> None:
    """Norms are folded by torch.fx, by torch.ao and by the network's own `fuse`: right, or noticed."""
    noticed, done = list[str](), 0
    for name, way in WAYS.items():
        model = trial.opened()
        try:
            folded = way(model)
        except InputError as error:
            noticed.append(f"{name}: {line(error)}")
            continue
        except Exception as error:  # a network that torch.fx cannot trace, or that has no norm to fold
            if _folds(way, trial.network.plain()):
                raise WrongError(f"{name}: {type(error).__name__}: {line(error)}") from error
            continue
        if folded is None:
            continue
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                found = outputs(folded, trial.images)
        except InputError as error:
            noticed.append(f"{name}: {line(error)}")
            continue
        if told := [str(given.message) for given in caught if "the attention" in str(given.message)]:
            noticed.append(f"{name}: {told[0]}")
            continue
        done += 1
        far = difference(found, trial.wanted)
        if not far <= CLOSE and _is_right(way, trial):
            lost = ", those of the plain network" if difference(found, trial.plain) <= CLOSE else ""
            raise WrongError(f"{name}: other outputs without a word, by {far:.2g} of the largest{lost}")
    if noticed:
        raise RefusedError("; ".join(noticed))
    if not done:
        raise RefusedError("nothing that folds norms takes this network")


def _folds(way: Way, plain: nn.Module) -> bool:
    """Whether a plain network is folded."""
    try:
        return way(plain) is not None
    except Exception:  # as above
        return False


def _is_right(way: Way, trial: Trial) -> bool:
    """Whether the plain network gives the same once it is folded: a detector may choose other boxes."""
    folded = way(trial.network.plain())
    return folded is not None and difference(outputs(folded, trial.images), trial.plain) <= CLOSE


def _fx(model: nn.Module) -> Callable[[Tensor], Any]:
    from torch.fx.experimental.optimization import fuse

    return fuse(model)


def _ao(model: nn.Module) -> Callable[[Tensor], Any] | None:
    from torch.ao.quantization import fuse_modules

    groups = list(_groups(model))
    if not groups:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fuse_modules(copy.deepcopy(model), groups)


def _groups(model: nn.Module) -> Iterator[list[str]]:
    """Names of a convolution, its norm and, where it stands right behind, its ReLU."""
    for home, module in model.named_modules():
        prefix = f"{home}." if home else ""
        children = [(name, child) for name, child in module._modules.items() if "attention" not in name]
        for at, (name, child) in enumerate(children[:-1]):
            after, norm = children[at + 1]
            if type(child) is not nn.Conv2d or type(norm) is not nn.BatchNorm2d:
                continue
            if norm.num_features != child.out_channels:
                continue
            in_row = isinstance(module, nn.Sequential) and at + 2 < len(children)
            relu = in_row and type(children[at + 2][1]) is nn.ReLU
            yield [prefix + name, prefix + after, *([prefix + children[at + 2][0]] if relu else [])]


def _own(model: nn.Module) -> Callable[[Tensor], Any] | None:
    """By a method `fuse` of the network, or timm's for blocks of several branches."""
    if callable(method := getattr(model, "fuse", None)):
        method()
        return model
    if any(hasattr(module, "reparameterize") for module in model.modules()):
        from timm.utils import reparameterize_model  # pyright: ignore[reportPrivateImportUsage]

        return reparameterize_model(model)
    return None


WAYS: dict[str, Way] = {
    "torch.fx": _fx,
    "torch.ao": _ao,
    "its own": _own,
}
"""What folds norms, by name; None where it finds nothing to fold."""
