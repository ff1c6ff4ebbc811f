"""Tables of latencies of this device, which a search on another one keeps its limits by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from autola.configs import DeviceKind, SearchConfig
from autola.problem import places_in
from evaluators.data.config import DataConfig
from evaluators.device_table import DeviceTable, measured_table
from evaluators.latency import checked_device, own_threads
from evaluators.runtimes import Target, check_target
from evaluators.used_latency import check_native
from foundation.config import to_json
from foundation.errors import InputError
from foundation.files import check_new_file, write_text
from search_space.genotype import Fuse
from searchers.darts import Darts
from supernet.backbones import build_backbone, usual_images


def make_table(
    path: str | Path,
    *,
    backbone: str = "cifar_resnet20",
    input_shape: tuple[int, int, int] | None = None,
    width: int | None = None,
    num_classes: int | None = None,
    space: str = "hoga",
    primitives: Sequence[str] | None = None,
    num_nodes: int | None = None,
    fuse: Fuse | None = None,
    runtime: Target = "eager",
    native: bool | None = None,
    device: DeviceKind = "cpu",
    threads: int = 1,
) -> DeviceTable:
    """Measures what everything that a search may put into a network takes on this device, and writes it.

    Networks have random weights and are deployed; all of them take turns, one image at a time.

    Args:
        path: The file, which is new.
        backbone: Registered name of the network.
        input_shape: (channels, height, width) of the image; None for the usual one of the network.
        width: As of the search.
        num_classes: Outputs of the network; None for the usual number.
        space: Name of a space of cells, or places.
        primitives: As of the search.
        num_nodes: As of the search.
        fuse: As of the search.
        runtime: What runs the network.
        native: Whether cells run by the native operator, which the device that is searched for has to have as
            well; left out, where there is a compiler and the runtime knows it.
        device: Where PyTorch runs it; ONNX Runtime and OpenVINO run on the CPU.
        threads: CPU threads.

    Raises:
        InputError: If a name or number is wrong, the file is there, its folder is not, or the runtime or
            device cannot be used; nothing is written then.
    """
    path = Path(path)
    check_new_file(path)
    check_target(runtime)
    if device != "cpu" and runtime in ("onnxruntime", "openvino"):
        raise InputError(f"{runtime} runs on the CPU here; leave out the device")
    fastest = torch.accelerator.current_accelerator() or torch.device("cpu")
    where = checked_device(fastest if device == "auto" else {"gpu": "cuda"}.get(device, device))
    if native:
        check_native(where, runtime)
    if threads < 1:
        raise InputError(f"threads={threads} is not positive")
    config = SearchConfig(
        data=DataConfig(name="digits"),  # not read
        backbone=backbone,
        width=width,
        searcher=Darts(),
        space=space,
        primitives=None if primitives is None else tuple(primitives),
        num_nodes=num_nodes,
        fuse=fuse,
    )
    shape, classes = usual_images(backbone)
    shape = input_shape or shape

    def build() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            return build_backbone(
                backbone, num_classes=num_classes or classes, in_channels=shape[0], width=width
            )

    with own_threads(threads):
        table = measured_table(
            places_in(config, build, shape) if config.of_places else config.resolved_space(),
            build,
            where,
            runtime=runtime,
            native=native,
            backbone=backbone,
            width=width,
            input_shape=shape,
        )
    write_text(path, to_json(table))
    return table
