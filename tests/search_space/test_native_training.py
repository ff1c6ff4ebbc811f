"""A cell that trains as one operator: function, gradients and statistics as by PyTorch's own operators."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import random

import pytest
import torch
from torch import Tensor

from foundation.errors import InputError
from search_space.cell import FoundEdges
from search_space.found_cell import FoundCell, found_cell
from search_space.genotype import PUBLISHED, Genotype
from search_space.native import training
from search_space.native.explicit import explicit_cell
from search_space.native.training import training_program, why_not_trained
from search_space.norm import OperatorNorm
from search_space.space import HOGA
from tests.equality import assert_equal
from tests.modules import image, scrambled
from tests.search_space.test_deployed import drawn

SHAPES = [(1, 5, 7), (2, 2, 1), (5, 8, 8), (3, 9, 4), (17, 13, 33), (2, 7, 7)]
"""(batch, height, width)."""

built = pytest.mark.skipif(why_not_trained() is not None, reason=str(why_not_trained()))


def test_a_compiler_that_is_there_builds_it() -> None:
    assert (why_not_trained() or "no C++ compiler").startswith("no C++ compiler"), "else all here are skipped"


def cell_of(genotype: Genotype, channels: int = 16, seed: int = 0) -> FoundCell:
    torch.manual_seed(seed)
    return scrambled(found_cell(channels, genotype), seed).train()


def trained(cell: FoundCell, x: Tensor, *, native: bool) -> dict[str, Tensor]:
    """The output, the gradients of the input and all weights, and the statistics after a step."""
    cell.native = native
    given = x.clone(memory_format=torch.preserve_format).requires_grad_()
    assert training_program(cell).takes(given)
    y = cell(given)
    (y * image(*y.shape, seed=9)).sum().backward()
    found = {"output": y.detach(), "input": given.grad}
    found |= {name: weight.grad for name, weight in cell.named_parameters()}
    return found | {name: buffer.double() for name, buffer in cell.named_buffers()}


def assert_trains_alike(cell: FoundCell, x: Tensor) -> None:
    """All agree to 1e-10 of the largest of their kind, in both layouts of the map."""
    for given in (x, x.contiguous(memory_format=torch.channels_last)):
        ours = trained(copy.deepcopy(cell), given, native=True)
        theirs = trained(copy.deepcopy(cell), given, native=False)
        gradients = [name for name in theirs if name != "output" and "running" not in name]
        gradients = [name for name in gradients if "num_batches" not in name]
        largest = max(theirs[name].abs().max() for name in gradients)
        for name, expected in theirs.items():
            of = largest if name in gradients else expected.abs().max().clamp(min=1e-300)
            assert (ours[name] - expected).abs().max() <= 1e-10 * of, name
        assert ours["output"].stride() == theirs["output"].stride()


def assert_trains_alike_everywhere(seed: int) -> None:
    """A genotype of operators that all have a form, of any fuse, often with edges left out."""
    seed += seed // 2  # every third of the others' seeds is of the wide space
    channels = 16 + 4 * (seed % 5)
    b, h, w = SHAPES[seed % len(SHAPES)]
    assert_trains_alike(cell_of(drawn(seed), channels, seed), image(b, channels, h, w, seed=seed))


@built
@pytest.mark.parametrize("seed", range(18))
def test_trains_as_the_cell(seed: int) -> None:
    assert_trains_alike_everywhere(seed)


@built
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(18, 218))
def test_trains_as_the_cell_of_more_genotypes(seed: int) -> None:
    assert_trains_alike_everywhere(seed)


@built
@pytest.mark.parametrize("name", HOGA.candidates)
def test_trains_every_operator_of_the_space(name: str) -> None:
    assert_trains_alike(cell_of(HOGA.genotype([name] * len(HOGA.edges))), image(2, 16, 6, 5))


@built
@pytest.mark.parametrize("shift", [0.0, 300.0])
def test_single_precision_loses_no_more_than_its_digits(shift: float) -> None:
    """Output and statistics, where a variance as a difference of means would cancel."""
    cell, x = cell_of(PUBLISHED), image(17, 16, 13, 9) + shift
    expected = trained(copy.deepcopy(cell), x, native=False)
    found = trained(copy.deepcopy(cell).float(), x.float(), native=True)
    for name in ("output", *(name for name in expected if "running" in name)):
        assert (found[name] - expected[name]).abs().max() <= 1e-5 * expected[name].abs().max(), name


@built
@pytest.mark.parametrize("num_nodes", [1, 2, 3])
def test_cells_of_other_sizes(num_nodes: int) -> None:
    space = dataclasses.replace(HOGA, name="own", num_nodes=num_nodes)
    genotype = space.sample(random.Random(num_nodes))
    assert_trains_alike(cell_of(genotype, 9 * num_nodes), image(2, 9 * num_nodes, 5, 7))


@built
def test_threads_change_no_bit() -> None:
    cell, x = cell_of(PUBLISHED), image(7, 16, 5, 7)
    threads = torch.get_num_threads()
    try:
        results = []
        for number in (1, 2):
            torch.set_num_threads(number)
            results.append(trained(copy.deepcopy(cell), x, native=True))
    finally:
        torch.set_num_threads(threads)
    for name, value in results[0].items():
        assert torch.equal(value, results[1][name]), name


@built
def test_second_derivatives_are_those_of_the_cell() -> None:
    x, found = image(2, 8, 4, 3), list[list[Tensor]]()
    for native in (True, False):
        cell = cell_of(PUBLISHED, 8)
        cell.native = native
        given = x.clone().requires_grad_()
        weights = list(cell.parameters())
        (gradient,) = torch.autograd.grad((cell(given) ** 2).sum(), given, create_graph=True)
        second = torch.autograd.grad((gradient * image(*x.shape, seed=5)).sum(), [given, *weights])
        found.append(list(second))
    assert_equal(found[0], found[1], through=cell_of(PUBLISHED, 8))


@built
def test_the_explicit_form_is_the_cell() -> None:
    for seed in range(0, 12, 3):
        cell = cell_of(drawn(seed), seed=seed)
        cell.native = False
        program = training_program(cell)
        weights = torch.cat([weight().flatten() for weight in program.weights])
        x = image(2, 16, 5, 7, seed=seed)
        eps = program.norms[0].eps if program.norms else 0.0
        assert_equal(explicit_cell(x, weights, program.numbers, eps), cell(x), through=cell)


@built
def test_keeps_the_nodes_alone() -> None:
    """Of maps, the input and one more of its size are kept for the backward pass."""
    cell, x = cell_of(PUBLISHED), image(4, 16, 16, 16).requires_grad_()
    kept = dict[int, int]()

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y = cell(x)
    weights = 8 * sum(parameter.numel() for parameter in cell.parameters())
    assert sum(kept.values()) <= 2 * 8 * x.numel() + 3 * weights
    y.sum().backward()


@built
def test_what_it_does_not_take_runs_as_before() -> None:
    x = image(2, 16, 5, 7)

    def taken(cell: FoundCell, given: Tensor = x) -> bool:
        return training_program(cell).takes(given)

    assert taken(cell_of(PUBLISHED))
    assert not taken(cell_of(PUBLISHED).eval())
    assert not taken(cell_of(PUBLISHED), image(1, 16, 1, 1))
    assert not taken(cell_of(PUBLISHED), x.float())
    assert not taken(cell_of(PUBLISHED).bfloat16(), x.bfloat16())
    assert not taken(cell_of(Genotype.of([[("simam", 0)], [("SE", 0)]], space="own")))
    frozen, hooked, lazy = (cell_of(PUBLISHED) for _ in range(3))
    next(norm for norm in frozen.modules() if isinstance(norm, OperatorNorm)).eval()
    hooked.output_gate.register_forward_hook(lambda *_: None)
    assert not taken(frozen)
    assert not taken(hooked)
    with torch.autocast("cpu", torch.bfloat16):
        assert not taken(lazy)
    with torch.no_grad():
        before = lazy.output_gate.excite.weight.clone()
        lazy(x)
        assert torch.equal(lazy.output_gate.excite.weight, before)


@built
def test_follows_what_becomes_of_its_modules() -> None:
    x, cell = image(2, 16, 5, 7), cell_of(PUBLISHED)
    cell(x)
    for other in (copy.deepcopy(cell), pickle.loads(pickle.dumps(cell))):
        assert other._program is None
        assert_equal(other(x), cell(x), through=cell)
    # An operator replaced by another, and momenta and counters as a pass that is computed again sets them.
    other = cell_of(with_se())
    assert isinstance(cell.edges, FoundEdges)
    assert isinstance(other.edges, FoundEdges)
    name = next(iter(cell.edges.operators))
    cell.edges.operators[name] = copy.deepcopy(other.edges.operators[name])
    other.load_state_dict(cell.state_dict())
    other.native = False
    assert_equal(cell(x), other(x), through=cell)
    norms = [module for module in cell.modules() if isinstance(module, OperatorNorm)]
    before = {name: buffer.clone() for name, buffer in cell.named_buffers() if "running" in name}
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    cell(x)
    for name, buffer in before.items():
        assert torch.equal(cell.get_buffer(name), buffer)


def with_se() -> Genotype:
    """The published genotype with SE on its first edge."""
    first, *rest = PUBLISHED.nodes
    edges = (dataclasses.replace(first.edges[0], operator="SE"), *first.edges[1:])
    return dataclasses.replace(PUBLISHED, nodes=(dataclasses.replace(first, edges=edges), *rest))


@built
@pytest.mark.filterwarnings("ignore")  # of torch, about its own tracing
def test_pytorch_sees_one_operator_and_its_backward_pass() -> None:
    program = training_program(cell_of(PUBLISHED))
    weights = torch.cat([weight().detach().flatten() for weight in program.weights]).requires_grad_()
    x = image(2, 16, 5, 7).contiguous(memory_format=torch.channels_last).requires_grad_()
    torch.library.opcheck(
        torch.ops.autola.cell_training.default,
        (x, weights, program.numbers, 1e-5),
        test_utils=("test_schema", "test_faketensor", "test_autograd_registration"),
    )


@built
def test_a_program_that_is_none_is_refused() -> None:
    program = training_program(cell_of(PUBLISHED))
    weights = torch.cat([weight().detach().flatten() for weight in program.weights])
    x, numbers = image(1, 16, 5, 7), program.numbers
    for wrong in (numbers[:-1], [*numbers, 1], [*numbers[:3], 0, *numbers[4:]], []):
        with pytest.raises(RuntimeError, match="the program of a cell"):
            torch.ops.autola.cell_training(x, weights, wrong, 1e-5)
    for shown, of in ((x[:, :8], weights), (x, weights[1:]), (x, weights.float()), (x[:0], weights)):
        with pytest.raises(RuntimeError, match="the cell "):
            torch.ops.autola.cell_training(shown, of, numbers, 1e-5)


def test_trains_where_it_cannot_be_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "why_not_trained", lambda: "no C++ compiler")
    x = image(2, 16, 5, 7)
    cell, other = cell_of(PUBLISHED), cell_of(PUBLISHED)
    other.native = False
    assert torch.equal(cell(x), other(x))


def test_single_values_are_refused_as_before() -> None:
    with pytest.raises(InputError, match="cannot train on this at batch 1"):
        cell_of(PUBLISHED)(image(1, 16, 1, 1))
