"""Attended networks under torch's own ways to train on several processes: replicated and sharded."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torchvision
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from supernet.attach import attach, attached

ATTENTIONS = ("se", "hoga", "aa", "dcn")


def sharded(model: nn.Module) -> nn.Module:
    """Every block is a shard of its own, and the rest one."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for block in [module for module in model.modules() if type(module).__name__ == "BasicBlock"]:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def sharded_at_once(model: nn.Module) -> nn.Module:
    return FullyShardedDataParallel(model, device_id=torch.device("cpu"))


WRAPS: tuple[Callable[[nn.Module], nn.Module], ...] = (DistributedDataParallel, sharded, sharded_at_once)


def network(attention: str) -> nn.Module:
    torch.manual_seed(0)
    model = attach(torchvision.models.resnet18(num_classes=3), attention, input_shape=(3, 40, 56))
    return model.double().eval()  # norms at rest: shares of a batch give what the batch gives


def step(model: nn.Module, images: Tensor) -> Tensor:
    """One step of SGD, and what the network then returns."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(images).square().mean().backward()
    optimizer.step()
    with torch.no_grad():
        return model(images)


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("wrap", WRAPS, ids=lambda wrap: wrap.__name__)
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_wrapped_network_steps_as_the_bare_one(
    attention: str, wrap: Callable[[nn.Module], nn.Module], one_process: None
) -> None:
    bare, images = network(attention), torch.randn(2, 3, 40, 56, dtype=torch.float64)
    wrapped = wrap(copy.deepcopy(bare))
    before, count = bare(images), len(attached(bare))
    assert torch.equal(step(wrapped, images), wanted := step(bare, images))
    assert not torch.equal(before, wanted)
    assert len(attached(wrapped)) == count > 0


def work(rank: int, folder: str, attention: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.manual_seed(1)
    images = torch.randn(4, 3, 40, 56, dtype=torch.float64)
    wanted = step(network(attention), images)[2 * rank : 2 * rank + 2]
    for wrap in (DistributedDataParallel, sharded):
        found = step(wrap(network(attention)), images[2 * rank : 2 * rank + 2])
        assert (found - wanted).abs().max() <= 1e-12 * wanted.abs().max(), wrap
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_two_processes_step_as_one(attention: str, tmp_path: Path) -> None:
    spawn(work, (str(tmp_path), attention), nprocs=2)
