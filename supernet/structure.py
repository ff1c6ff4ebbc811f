"""Residual blocks found by what they compute, where nobody has said what their parts are called.

A block is a module whose output is a sum, activated or not, of its input, through a shortcut or as it is, and
of a branch. Its forward pass is traced by `torch.fx`; the parts are known by their position in it.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import torch
from torch import fx, nn

from search_space.norm import OperatorNorm
from supernet.families import BlockFamily

NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, OperatorNorm)
ACTIVATIONS = tuple(
    kind
    for kind in vars(nn.modules.activation).values()
    if isinstance(kind, type) and kind.__module__ == nn.modules.activation.__name__ and kind is not nn.Softmax
)
PASSED_ON = (*ACTIVATIONS, nn.Identity, nn.Dropout, nn.Dropout2d)
"""Modules that leave a map what it is: attention before them and after them is at one site."""

FUNCTIONS = ("dropout", "elu", "gelu", "hardswish", "leaky_relu", "mish", "relu", "relu6", "silu")
"""Functions and methods that leave a map what it is."""

SUMS = (operator.add, operator.iadd, torch.add)
PRODUCTS = (operator.mul, operator.imul, torch.mul)


def structural_families(model: nn.Module) -> dict[str, BlockFamily]:
    """Name of each residual block of a model to its parts; what holds such a block is none itself."""
    found = dict[str, BlockFamily]()
    for name, module in reversed(list(model.named_modules())):  # what is within before what is around it
        if any(inner.startswith(f"{name}.") for inner in found) or not name:
            continue
        if (family := _family(module)) is not None:
            found[name] = family
    return dict(reversed(found.items()))


def is_composite(module: nn.Module) -> bool:
    """Whether a module is a convolution with its norm or activation: one step of a branch, fused or not."""
    children = list(module.children())
    convolutions = [child for child in children if isinstance(child, nn.Conv2d)]
    rest = [child for child in children if not isinstance(child, nn.Conv2d)]
    return (
        not isinstance(module, nn.Sequential)
        and len(convolutions) == 1
        and isinstance(children[0], nn.Conv2d)
        and bool(rest)
        and all(isinstance(child, NORMS + PASSED_ON) for child in rest)
    )


def trace(module: nn.Module) -> fx.Graph | None:
    """What a module computes; None where that depends on the numbers, so that it cannot be traced."""
    try:
        return _Tracer().trace(module)
    except Exception:  # torch.fx's, of many kinds
        return None


class _Tracer(fx.Tracer):
    """Looks into everything but torch's own modules, norms, and convolutions with their norm."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        own = m.__module__.startswith("torch.nn") and not isinstance(m, nn.Sequential)
        bare = not m._modules and next(m.parameters(), None) is None
        return own or bare or isinstance(m, NORMS + PASSED_ON) or is_composite(m)


def _family(module: nn.Module) -> BlockFamily | None:
    """The parts of a residual block; None for what is none, or cannot be traced."""
    if isinstance(module, nn.Sequential | nn.ModuleList) or is_composite(module):
        return None
    if sum(isinstance(inner, nn.Conv2d) for inner in module.modules()) < 2:
        return None
    if (graph := trace(module)) is None:
        return None
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    (output,) = (node for node in graph.nodes if node.op == "output")
    total = _passed_on(output.args[0], module)
    if not isinstance(total, fx.Node) or not inputs or total.target not in SUMS:
        return None
    sides = [side for side in total.args[:2] if isinstance(side, fx.Node)]
    ways = [_way(side, inputs[0]) for side in sides]
    if len(ways) != 2 or None in ways:
        return None
    shorter, longer = sorted(
        ([node for node in way or () if _is_convolution(node, module)] for way in ways), key=len
    )
    branch = next(side for side, way in zip(sides, ways) if set(longer) <= set(way or ()))
    last = _passed_on(branch, module)
    if len(shorter) == len(longer) or set(shorter) & set(longer) or not _is_step(last, module):
        return None
    return _parts(str(last.target), [str(step.target) for step in longer], module)


def _parts(last: str, steps: list[str], module: nn.Module) -> BlockFamily | None:
    """The family of a block from what its branch ends with and its convolutions, first to last."""
    convolutions = [_convolution_of(module, step) for step in steps]
    wide = [number for number, (_, conv) in enumerate(convolutions) if max(conv.kernel_size) > 1]
    if not wide:
        return None
    first, deepest = wide[0], wide[-1]
    after = {step: _norm_after(module, step) for step in steps}
    inner = after[steps[deepest]] if deepest + 1 < len(steps) else last
    reader = convolutions[first + 1][0] if first + 1 < len(steps) else ""
    return BlockFamily(block=(last,), inner=(inner,), activation=reader, conv=(convolutions[first][0],))


def _norm_after(module: nn.Module, step: str) -> str:
    """The norm that stands behind a convolution among its siblings; the convolution where there is none."""
    if is_composite(module.get_submodule(step)):
        return step
    home, _, last = step.rpartition(".")
    siblings = list(module.get_submodule(home)._modules)
    behind = siblings[siblings.index(last) + 1 :]
    for name in behind:
        sibling = module.get_submodule(f"{home}.{name}" if home else name)
        if isinstance(sibling, NORMS):
            return f"{home}.{name}" if home else name
        if isinstance(sibling, nn.Conv2d) or is_composite(sibling):
            break
    return step


def _convolution_of(module: nn.Module, step: str) -> tuple[str, nn.Conv2d]:
    """The convolution of a step of a branch, with its name."""
    at = module.get_submodule(step)
    for name, inner in at.named_modules():
        if isinstance(inner, nn.Conv2d):
            return (f"{step}.{name}" if name else step), inner
    raise AssertionError(f"{step} has no convolution")


def _way(node: fx.Node, start: fx.Node) -> list[fx.Node] | None:
    """The values from a block's input to a side of its sum; None where they part and join on the way."""
    way, at = list[fx.Node](), node
    while at is not start:
        following = _main_argument(at)
        joins = len(at.all_input_nodes) > 1 and at.target not in PRODUCTS
        if following is None or joins:
            return None
        way.append(at)
        at = following
    return way[::-1]


def _is_convolution(node: fx.Node, module: nn.Module) -> bool:
    """Whether a node is a convolution, with its norm or without."""
    if node.op != "call_module":
        return False
    called = module.get_submodule(str(node.target))
    return isinstance(called, nn.Conv2d) or is_composite(called)


def _is_step(node: Any, module: nn.Module) -> bool:
    """Whether a node is a norm, a convolution, or a convolution with its norm."""
    if not isinstance(node, fx.Node) or node.op != "call_module":
        return False
    return isinstance(module.get_submodule(str(node.target)), NORMS) or _is_convolution(node, module)


def _passed_on(node: Any, module: nn.Module) -> Any:
    """The value that activations, dropouts, scales and gates were applied to."""
    while isinstance(node, fx.Node) and node.op != "placeholder" and node.target not in SUMS:
        if _is_step(node, module):
            return node
        if node.op == "call_module":
            called = module.get_submodule(str(node.target))
            passes = isinstance(called, PASSED_ON) or next(called.parameters(), None) is None
        else:
            named = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
            passes = node.target in PRODUCTS or named.rstrip("_") in FUNCTIONS
        if not passes:
            return None
        node = _main_argument(node)
    return node


def _main_argument(node: fx.Node) -> fx.Node | None:
    """What a node changes: its first argument, of a product the factor that the other is made from."""
    values = [value for value in node.args if isinstance(value, fx.Node)]
    if node.target in PRODUCTS and len(values) == 2:
        a, b = values
        return b if a.op == "get_attr" or b in _before(a) else a
    return values[0] if values else None


def _before(node: fx.Node) -> set[fx.Node]:
    """All that a value was computed from."""
    return set(_ancestors(node))


def _ancestors(node: fx.Node) -> Iterator[fx.Node]:
    seen, open_nodes = set[fx.Node](), list(node.all_input_nodes)
    while open_nodes:
        at = open_nodes.pop()
        if at not in seen:
            seen.add(at)
            yield at
            open_nodes += at.all_input_nodes
