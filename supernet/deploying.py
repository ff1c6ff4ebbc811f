"""Puts few, large operators in the place of a network's attention and norms: the same function."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, fx, nn

from foundation.errors import InputError
from search_space.cell import Cell, FoundEdges
from search_space.composed import fold_into, fold_norms
from search_space.convolution import move_hooks
from search_space.deployed import CellForm, DeployedCell
from search_space.operator import Operator
from supernet.attach import attached
from supernet.attachable import check_attachable, check_compiled
from supernet.folding import FoldGuard
from supernet.hooks import hooks_of, quoted
from supernet.modules import named

M = TypeVar("M", bound=nn.Module)


@dataclass(kw_only=True)
class Replaced:
    """What `replace` did.

    Attributes:
        forms: For the name of every cell the form that its layers run in.
        left: What runs as before, for no other form of it is known: "layer1.0.bn2: x2_h2 eca".
        norms: How many norms outside of cells were folded.
    """

    forms: dict[str, CellForm] = field(default_factory=dict[str, CellForm])
    left: list[str] = field(default_factory=list[str])
    norms: int = 0


def check_deployable(model: nn.Module) -> None:
    """Raises an error for what cannot be deployed.

    Raises:
        InputError: If it is no module, compiled, in training mode, deployed, searched, or without attention.
    """
    check_attachable(model)
    check_compiled(model, "deploy")
    if any(isinstance(module, DeployedCell) for module in model.modules()) or hasattr(model, "deployment"):
        raise InputError("the model is deployed already; deploy the one that it was made of")
    if not attached(model):
        raise InputError("no attention in the model; autola.attach first")
    if training := [name for name, module in named(model) if module.training]:
        where = "the model is" if model.training else f"{quoted(training)} are"
        raise InputError(f"{where} in training mode; a deployed model is fixed: deploy(model.eval())")
    if mixed := [name for name, cell in cells_of(model).items() if not isinstance(cell.edges, FoundEdges)]:
        raise InputError(
            f"{quoted(mixed)}: edges of a supernet are mixtures; derive a genotype, and attach that"
        )


def cells_of(model: nn.Module) -> dict[str, Cell]:
    """All HOGA cells of a model by name."""
    return {name: module for name, module in named(model) if isinstance(module, Cell)}


def replace(model: M, choose: Callable[[str, Cell], CellForm]) -> tuple[M, Replaced]:
    """A copy of a model whose attention and norms are fewer, larger operators.

    Args:
        model: In evaluation mode, with attention; unchanged.
        choose: The form of a cell, by its name.
    """
    model = copy.deepcopy(model)
    done = Replaced()
    for name, cell in cells_of(model).items():
        form = choose(name, cell)
        deployed = DeployedCell(cell, form)
        for hook in [hook for _, hook in hooks_of(model) if hook.attention is cell]:
            hook.attention = deployed
        for other in [other for other, module in named(model, every_name=True) if module is cell]:
            model.set_submodule(other, deployed)
        done.forms[name] = form
        done.left += [f"{name}: {left}" for left in deployed.left]
    for place in attached(model):
        operators = [module for module in place.module.modules() if isinstance(module, Operator)]
        if any(isinstance(operator, DeployedCell) for operator in operators):
            continue
        folded = fold_norms(place.module)
        done.norms += folded
        if not folded:
            done.left.append(f"{place.place}: {place.attention}")
    done.norms += fold_backbone(model)
    return model, done


class _Tracer(fx.Tracer):
    """Sees operators as one call, as torch's own layers are."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Operator) or super().is_leaf_module(m, module_qualified_name)


def fold_backbone(model: nn.Module) -> int:
    """Folds every batch norm that directly follows a convolution, and nothing else does, into it, in place.

    What follows what is read off a graph of the model. A model that torch.fx cannot trace is left as it is.

    Returns:
        How many were folded.
    """
    try:
        graph = _Tracer().trace(model)
    except Exception:  # whatever a network raises at values that are none
        return 0
    modules = dict(named(model, every_name=True))
    calls = list[nn.Module]()
    pairs = list[tuple[nn.Conv2d, nn.BatchNorm2d]]()
    for node in graph.nodes:
        if node.op != "call_module":
            continue
        module = modules[str(node.target)]
        calls.append(module)
        before = node.args[0] if node.args else None
        if type(module) is not nn.BatchNorm2d or not isinstance(before, fx.Node):
            continue
        conv = modules.get(str(before.target)) if before.op == "call_module" else None
        if type(conv) is nn.Conv2d and len(before.users) == 1 and _is_plain(conv, module):
            pairs.append((conv, module))
    folded = 0
    for conv, norm in pairs:
        if calls.count(conv) == 1 and calls.count(norm) == 1:
            fold_into(conv, norm)
            nothing = nn.Identity().eval()
            move_hooks(norm, nothing)
            for name in [name for name, module in modules.items() if module is norm]:
                model.set_submodule(name, nothing)
            folded += 1
    return folded


def _is_plain(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> bool:
    """Whether nothing stands between a convolution and a norm, and both have weights of their own."""
    between = [hook for hook in conv._forward_hooks.values() if not isinstance(hook, FoldGuard)]
    return (
        not between
        and not norm._forward_pre_hooks
        and norm.running_mean is not None
        and "weight" in dict(conv.named_parameters(recurse=False))
    )


def cell_inputs(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """What every cell of a model is given for some images; of several calls the last."""
    found = dict[str, Tensor]()

    def note(name: str, module: nn.Module, args: tuple[Tensor]) -> None:
        found[name] = args[0].detach()

    handles = [cell.register_forward_pre_hook(partial(note, name)) for name, cell in cells_of(model).items()]
    try:
        with torch.no_grad():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
    return found
