"""What an attention operator is, and the registry of all of them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, TypeVar, get_type_hints

from jaxtyping import Float
from torch import Tensor, nn
from torch.fx import Proxy

from foundation.config import parse_text
from foundation.errors import InputError, shown, unknown
from foundation.registry import Registry
from search_space.state import State

Place = Literal["block", "inner", "activation", "conv"]
"""Where in a block an operator goes: after the block's last norm ("block"), or after the norm of the
3x3 convolution and before its ReLU, at the inner width ("inner"; in a basic block the same place), or after
the ReLU of a 3x3 convolution ("activation"; in a basic block of the first), or instead of a convolution
("conv": see search_space/convolution.py)."""


class Operator(nn.Module):
    """An attention operator: reads a state and returns features of the same shape.

    Usable alone as a module: (b, c, h, w) in and out, channels as the first argument.
    """

    place: ClassVar[Place] = "block"
    last_stages: ClassVar[int | None] = None
    """Number of a backbone's last stages that get it where no stages are given; None for all."""
    sized: ClassVar[bool] = False
    """Whether it is made for maps of one size, the (height, width) that its option `size` takes."""
    ignores_order: ClassVar[bool] = False
    """Whether positions may be put in another order, and the result with them: then it reads tokens too."""
    twice_differentiable: ClassVar[bool] = True
    """Whether second derivatives exist, with fused attention computed explicitly."""
    search_options: ClassVar[Mapping[str, Any]] = {}
    """Options that differ in a supernet (the public search has batch norms without affine weights)."""

    def read(self, state: State) -> Float[Tensor, "b c h w"]:
        """The operator applied to a state."""
        raise NotImplementedError(f"{type(self).__name__} has to define read")

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return traced(self, x) if isinstance(x, Proxy) else self.read(State(x))


def traced(module: nn.Module, x: Proxy) -> Any:
    """An operator in a graph of `torch.fx`: one call of the module, as torch's own layers are."""
    return x.tracer.create_proxy("call_module", x.tracer.path_of_module(module), (x,), {})  # pyright: ignore[reportAttributeAccessIssue]


class Gate(Operator):
    """An operator that scales its input: x * gate(x)."""

    def gate(self, state: State) -> Float[Tensor, "b c_or_1 h_or_1 w_or_1"]:
        """Factors that broadcast over (b, c, h, w)."""
        raise NotImplementedError(f"{type(self).__name__} has to define gate")

    def read(self, state: State) -> Float[Tensor, "b c h w"]:
        return state.x * self.gate(state)


def read(module: nn.Module, state: State) -> Float[Tensor, "b c h w"]:
    """Applies an operator to a state; any other module gets the tensor alone."""
    return module.read(state) if isinstance(module, Operator) else module(state.x)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A registered operator: a module class and the options that its name stands for."""

    name: str
    module: type[nn.Module]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def known_options(self) -> dict[str, inspect.Parameter]:
        """What can be set, by name: the parameters of the class besides the channels."""
        parameters = list(inspect.signature(self.module).parameters.values())
        return {parameter.name: parameter for parameter in parameters[1:]}

    def read_option(self, name: str, text: str) -> Any:
        """The value of an option from text, of the type that the class says.

        Raises:
            InputError: If the text is no such value, or infinite.
        """
        kind = get_type_hints(self.module.__init__).get(name, str)
        value = parse_text(kind, text, f"{self.name}[{name}={text}]")
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{self.name}[{name}={text}] is not a finite number")
        return value

    @property
    def place(self) -> Place:
        return getattr(self.module, "place", "block")

    @property
    def last_stages(self) -> int | None:
        return getattr(self.module, "last_stages", None)

    @property
    def twice_differentiable(self) -> bool:
        return getattr(self.module, "twice_differentiable", True)

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(self.module) or "").partition("\n")[0]

    def build(self, channels: int | nn.Conv2d, **options: Any) -> nn.Module:
        """A new module for a number of channels; at the place "conv", also for a convolution.

        Raises:
            InputError: If the operator has no such option, or cannot be built with a value.
        """
        for name in options:
            if name not in self.known_options:
                raise InputError(f"{self.name}: {unknown('option', name, self.known_options)}")
        try:
            return self.module(channels, **{**self.options, **options})
        except InputError:
            raise
        except (ArithmeticError, MemoryError, RuntimeError, TypeError, ValueError) as error:
            if not options:  # what was registered cannot be built: that is no fault of the user's
                raise
            given = ",".join(f"{name}={value}" for name, value in options.items())
            raise InputError(f"{self.name}[{given}] cannot be built: {shown(_reason(error))}") from None

    def build_for_search(self, channels: int) -> nn.Module:
        """A new module as it stands in a supernet."""
        return self.build(channels, **getattr(self.module, "search_options", {}))


def _reason(error: Exception) -> str:
    """The first line of an error of torch's or Python's, in fewer words where memory is short."""
    text = str(error).partition("\n")[0]
    return "it is larger than the memory" if "allocate memory" in text else text


@dataclass(frozen=True, kw_only=True)
class SequenceRecipe(Recipe):
    """An operator in its form on sequences (search_space/sequence.py)."""

    @property
    def known_options(self) -> dict[str, inspect.Parameter]:
        """What can be set, by name: the parameters of the class besides the channels and the role."""
        return {name: kind for name, kind in super().known_options.items() if name != ROLE}

    @property
    def before(self) -> bool:
        """Whether it stands before a self-attention, not in its stead."""
        return bool(getattr(self.module, "before", False))

    def build_as(self, channels: int, role: str, **options: Any) -> nn.Module:
        """A new module for a width and a role; see `build`."""
        return replace(self, options={**self.options, ROLE: role}).build(channels, **options)


ROLE = "role"
"""Parameter of operators on sequences that the place decides, not the user."""


class Operators(Registry[Recipe]):
    """All operators by name, an argument after a colon: "ga:0010" is `ga` given "0010".

    Attributes:
        sequences: The forms on sequences of those that have one, by the same names.
    """

    def __init__(self, kind: str, package: str) -> None:
        super().__init__(kind, package)
        self.sequences: Registry[SequenceRecipe] = Registry("operator on sequences", package)

    def __getitem__(self, name: str) -> Recipe:
        base, colon, argument = name.partition(":")
        recipe = super().__getitem__(base)
        if not colon:
            return recipe
        if "argument" not in recipe.known_options:
            raise InputError(f"`{base}` takes no argument, but {name!r} gives it {argument!r}")
        return replace(recipe, name=name, options={**recipe.options, "argument": argument})

    def __contains__(self, name: object) -> bool:
        base, colon, _ = str(name).partition(":")
        return super().__contains__(base) and (not colon or "argument" in self[base].known_options)


OPERATORS = Operators("operator", "search_space.operators")

M = TypeVar("M", bound=type[nn.Module])


def operator(name: str, **options: Any) -> Callable[[M], M]:
    """Registers a module class as the operator `name`, built with `options` where no others are given.

    The class takes the channels first; one class may have several names.
    """

    def decorate(module: M) -> M:
        recipe = Recipe(name=name, module=module, options=options)
        if "stages" in recipe.known_options:
            raise ValueError(
                f"operator {name!r} has an option stages, which the grammar gives to all operators"
            )
        OPERATORS.add(name, recipe)
        return module

    return decorate


def on_sequences(name: str) -> Callable[[M], M]:
    """Registers a module class as the form on sequences of the operator `name`.

    The class takes the width first, then the role (search_space/sequence.py).
    """

    def decorate(module: M) -> M:
        OPERATORS.sequences.add(name, SequenceRecipe(name=name, module=module))
        return module

    return decorate


def hidden_units(channels: int, reduction: int) -> int:
    """Units of a gate's hidden layer: channels // reduction, at least one.

    Raises:
        InputError: If the reduction is not positive.
    """
    if reduction < 1:
        raise InputError(f"reduction={reduction} is not positive")
    return max(1, channels // reduction)


def heads_of(channels: int, heads: int | None, name: str) -> int:
    """Number of heads: what is given, or the greatest common divisor of 8 and the channels.

    Raises:
        InputError: If the heads do not divide the channels.
    """
    if heads is None:
        return math.gcd(channels, 8)
    if heads < 1 or channels % heads:
        divisors = [n for n in range(1, min(channels, 64) + 1) if channels % n == 0]
        raise InputError(
            f"{name}[heads={heads}] does not divide {channels} channels; "
            f"choose heads among {', '.join(map(str, divisors))}"
        )
    return heads
