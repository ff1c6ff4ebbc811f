"""Runs attention beside the modules that it follows: hooks that can be copied, pickled and taken off."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Proxy, _symbolic_trace

from foundation.errors import InputError, listed
from supernet.folding import FoldGuard, guard, guard_stand_in
from supernet.layouts import Layout, check_tokens, layout_of, through

CHILD = "attention"
"""End of the name of a module that holds the attention of a site."""

INPUT_CHILD = "input_attention"
"""Ending of the name where attention transforms the module's input; one module may have both."""

_is_fx_tracing = getattr(_symbolic_trace, "is_fx_symbolic_tracing", _symbolic_trace.is_fx_tracing)

RUNNERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
"""Modules that run, or have their owner run, every child: one more child would run as well."""


class Hook:
    """Passes what a module gives through attention that lives elsewhere in the model.

    A copy of the model has a copy of this, bound to the copy's own attention.

    Attributes:
        attention: The module that is run.
        text: The attention in the grammar.
        place: Name of the module in the model.
        channels: Channels that the attention was built for where the module may give something else than a
            map (b, c, h, w); None where it gives one for certain.
        layout: Where the channels were in the first pass; None before it.
        handle: Takes it off; kept because an unpickled handle keeps later hooks from its number.
        ran: Whether it ran since `Watch` looked last.
    """

    before = False
    channels: int | None = None  # on the class too: pickled models may have hooks without
    layout: Layout | None = None

    def __init__(self, attention: nn.Module, text: str, place: str, channels: int | None = None) -> None:
        self.attention = attention
        self.text = text
        self.place = place
        self.channels = channels
        self.ran = False

    def hang_on(self, module: nn.Module) -> None:
        """Has the module run it."""
        self.handle = module.register_forward_hook(self)

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        return self.run(module, output, "gives")

    def run(self, module: nn.Module, value: Any, verb: str) -> Any:
        if not isinstance(value, Tensor | Proxy):
            raise InputError(
                f"{type(module).__name__} {verb} a {type(value).__name__}, and attention reads a tensor; "
                "attach to a module inside it"
            )
        if not torch.compiler.is_compiling():
            self.ran = True
        if self.channels is None or isinstance(value, Proxy):
            return self.attention(value)
        return through(self.attention, value, self.layout or self._layout(module, value, self.channels))

    def _layout(self, module: nn.Module, value: Tensor, channels: int) -> Layout:
        """Where the channels are, remembered from the first pass: shapes alone may mean both later."""
        layout = layout_of(value, channels, module, self.place)
        if layout == "tokens":
            check_tokens(self.attention, self.text, self.place)
        if not torch.compiler.is_compiling():
            self.layout = layout
        return layout


class InputHook(Hook):
    """Passes what a module is given through attention that lives elsewhere in the model."""

    before = True

    def hang_on(self, module: nn.Module) -> None:
        self.handle = module.register_forward_pre_hook(self)

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.run(module, args[0] if args else None, "is given"), *args[1:]


class OldNames:
    """Has a module load the weights of version 0.1, where attention was the child of the module it follows.

    Args:
        old: Start of the old names, from the module on.
        new: Start of the names that stand for them.
    """

    def __init__(self, old: str, new: str) -> None:
        self.old, self.new = old, new

    def __call__(self, module: nn.Module, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        for key in [key for key in state if key.startswith(prefix + self.old)]:
            state[prefix + self.new + key[len(prefix + self.old) :]] = state.pop(key)


class StandIn:
    """Notes that what stands for a convolution ran: folding libraries put plain convolutions there.

    Attributes:
        place: Name of the convolution.
        ran: Whether it ran since `Watch` looked last.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self.ran = False

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if not torch.compiler.is_compiling():
            self.ran = True


class Watch:
    """Looks after every forward pass of a model whether all of its attention ran.

    What rebuilds modules (conversions of norms, fusions) drops their hooks: then the model would go on
    without its attention. That is an error. Attention whose module is just not used in a pass is
    reported once, as a warning, since a network may skip a branch; so is attention that went with the modules
    around it, since a network may be shortened, or its branches made one.
    """

    def __init__(self) -> None:
        self.hooks = list[Hook]()
        self.standing = list[StandIn]()
        self.is_done = False

    def hang_on(self, model: nn.Module) -> None:
        """Has the model run it."""
        self.handle = model.register_forward_hook(self)

    def __call__(self, model: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if torch.compiler.is_compiling() or torch._C._is_tracing() or _is_fx_tracing():
            return
        missed = [hook for hook in self.hooks if not hook.ran]
        idle = [hook for hook in self.standing if not hook.ran]
        for hook in (*self.hooks, *self.standing):
            hook.ran = False
        if (missed or idle) and not self.is_done:
            self._report(model, missed, idle)

    def _report(self, model: nn.Module, missed: Sequence[Hook], idle: Sequence[StandIn]) -> None:
        homes = {module: name for name, module in model.named_modules()}
        if any(is_compiled(module) for module in homes):  # compiled code leaves no trace of what ran
            self.is_done = True
            return
        out = [hook.place for hook in missed if hook.attention not in homes]
        missed = [hook for hook in missed if hook.attention in homes]
        hung = {hook for _, hook in hooks_of(model)}
        if lost := [homes[hook.attention] for hook in missed if hook not in hung]:
            raise InputError(
                f"the attention {quoted(lost)} is not run any more: what rebuilt modules of the model (a "
                "conversion of norms, a fusion) lost it; do that before attaching, or autola.detach first"
            )
        hooks = (hook for module in homes for hook in module._forward_hooks.values())
        there = {hook.place: hook for hook in hooks if isinstance(hook, StandIn)}
        places = set(homes.values())
        if gone := [hook.place for hook in idle if hook.place not in there and hook.place in places]:
            raise InputError(
                f"the attention that stood for {quoted(gone)} is gone: what rebuilt modules of the model (a "
                "fusion) put another module there; do that before attaching, or autola.detach first"
            )
        out += [hook.place for hook in idle if hook.place not in places]
        if out:
            self.hooks = [hook for hook in self.hooks if hook.attention in homes]
            warnings.warn(
                f"the attention of {quoted(out)} was taken out of the model with the modules around it",
                stacklevel=2,
            )
        self.standing = list(there.values())  # a norm may have been folded into a copy of one
        names = [homes[hook.attention] for hook in missed]
        names += [hook.place for hook in idle if there.get(hook.place) is hook]
        if names:
            self.is_done = True
            warnings.warn(
                f"the attention {quoted(names)} did not run in a forward pass: the model did not call the "
                "modules that it follows, or not as modules",
                stacklevel=2,
            )


def is_compiled(module: nn.Module) -> bool:
    """Whether a module runs code that torch.compile made of it."""
    return module._compiled_call_impl is not None or hasattr(module, "_orig_mod")


def quoted(names: Sequence[str]) -> str:
    """A few names in quotes, and how many more there are."""
    return listed([repr(name) for name in names], 3)


def hooks_on(module: nn.Module) -> list[Hook]:
    """The hooks by which a module runs attention."""
    return [
        hook
        for hooks in (module._forward_pre_hooks, module._forward_hooks)
        for hook in hooks.values()
        if isinstance(hook, Hook)
    ]


def hooks_of(model: nn.Module) -> Iterator[tuple[str, Hook]]:
    """All of a model, with the name of the module that runs each."""
    for name, module in model.named_modules():
        for hook in hooks_on(module):
            yield name, hook


def watch_of(model: nn.Module) -> Watch | None:
    """What looks whether a model's attention runs, if anything does."""
    return next((hook for hook in model._forward_hooks.values() if isinstance(hook, Watch)), None)


def hang(
    model: nn.Module,
    name: str,
    attention: nn.Module,
    text: str,
    *,
    before: bool = False,
    channels: int | None = None,
) -> None:
    """Has a module pass its output, or its input, through attention, which becomes part of the model.

    The attention stands beside the module, in the nearest module around it that does not run all of its
    children, as `bn2_attention`; where there is none it becomes the module's own child.

    Args:
        model: Changed in place.
        name: Dotted name of the module.
        attention: Keeps the shape of its input.
        text: The attention in the grammar.
        before: Whether it transforms the input.
        channels: Channels of the attention where the module may give no map (b, c, h, w).
    """
    kind = INPUT_CHILD if before else CHILD
    old = f"{name}.{kind}"
    home, child = name, ""
    while True:
        home, _, last = home.rpartition(".")
        child = f"{last}_{child}" if child else last
        if not isinstance(model.get_submodule(home), RUNNERS):
            add = f"{child}_{kind}"
            break
        if not home:
            home, child, add = name, "", kind
            break
    owner = model.get_submodule(home)
    while hasattr(owner, add):
        add += "_"
    owner.add_module(add, attention)
    if child:
        # Right behind what it follows: weights keep the order of version 0.1, by which optimizers know them.
        order, first = list(owner._modules), child_of(name, home)
        for later in order[order.index(first) + 1 :]:
            if not later.startswith(f"{first}_"):
                owner._modules[later] = owner._modules.pop(later)
    prefix = f"{home}." if home else ""
    if old != prefix + add:
        owner.register_load_state_dict_pre_hook(OldNames(f"{old[len(prefix) :]}.", f"{add}."))
    if not before:
        guard(model, name, Hook)
    hook = (InputHook if before else Hook)(attention, text, name, channels)
    hook.hang_on(model.get_submodule(name))
    _watched(model).hooks.append(hook)


def stand(model: nn.Module, name: str) -> None:
    """Has a model notice that what stands for the convolution `name` is gone, or half folded."""
    operator = model.get_submodule(name)
    guard_stand_in(operator, name)
    seen = StandIn(name)
    operator.register_forward_hook(seen)
    _watched(model).standing.append(seen)


def _watched(model: nn.Module) -> Watch:
    """What looks whether a model's attention runs, from now on if nothing did."""
    watch = watch_of(model)
    if watch is None:
        watch = Watch()
        watch.hang_on(model)
    return watch


def todays_names(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with the names of today, also where version 0.1 wrote it."""
    state = dict(state)
    for name, module in model.named_modules():
        for hook in module._load_state_dict_pre_hooks.values():
            rename = getattr(hook, "hook", hook)
            if isinstance(rename, OldNames):
                rename(module, state, f"{name}." if name else "")
    return state


def child_of(name: str, home: str) -> str:
    """The child of `home` that is, or holds, the module `name`."""
    return (name[len(home) + 1 :] if home else name).partition(".")[0]


def take_off(model: nn.Module) -> None:
    """Undoes all of `hang` and `stand`, but for the operators that stand for convolutions."""
    watch = watch_of(model)
    hooks = [hook for _, hook in hooks_of(model)]
    if watch is not None:
        hooks += [hook for hook in watch.hooks if hook not in hooks]
    attentions = {id(hook.attention) for hook in hooks}
    for module in model.modules():
        for hooks_of_module in (module._forward_pre_hooks, module._forward_hooks):
            for number, hook in list(hooks_of_module.items()):
                if isinstance(hook, Hook | Watch | StandIn | FoldGuard):
                    del hooks_of_module[number]
        for name, child in list(module._modules.items()):
            if id(child) in attentions:
                del module._modules[name]
        for number, hook in list(module._load_state_dict_pre_hooks.items()):
            if isinstance(getattr(hook, "hook", hook), OldNames):
                del module._load_state_dict_pre_hooks[number]
