"""Deployed networks in eight bits: what accuracy on digits is lost, how small the file and how fast it is.

Each attention is trained on digits, deployed in stock operators and written as ONNX for one image at a time.
ONNX Runtime, and NNCF through OpenVINO, quantise that file statically with 300 training images. One thread,
CPU seconds, the files of a runtime taking turns. What is not installed is skipped, and said:
`pip install 'autola[export,openvino]' nncf`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import autola
from autola.trained import open_trained
from benchmarks.answer import answer
from benchmarks.measure import surroundings
from evaluators.data.config import DataConfig
from evaluators.data.digits import read_digits
from evaluators.data.image_set import ImageSet
from evaluators.deploying import deploy
from evaluators.runtimes import onnx_bytes
from supernet.attach import attached

CALIBRATION = 300
"""Training images that ranges are taken from."""

Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Quantises deployed networks and says what that costs and gains."""

    attentions: tuple[str, ...] = ("none", "hoga")
    """What is trained."""
    backbone: str = "cifar_resnet8"
    """Backbone."""
    epochs: int = 30
    """Epochs of each training."""
    turns: int = 200
    """Timed passes of each file; the median counts."""
    folder: Path | None = None
    """Folder of trainings to keep, or to take where they are there; a temporary one if left out."""
    json: bool = False
    """Print one JSON object alone."""


def measure(options: Options) -> dict[str, Any]:
    """All figures."""
    torch.set_num_threads(1)
    splits = read_digits(DataConfig(name="digits"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        networks = {
            attention: measure_network(attention, options, folder, splits.train, splits.test)
            for attention in options.attentions
        }
    return {
        "data": "digits",
        "backbone": options.backbone,
        "epochs": options.epochs,
        "test_images": len(splits.test),
        "turns": options.turns,
        "networks": networks,
        "skipped": [f"{name} is not installed" for name in ("openvino", "nncf") if not is_there(name)],
        **surroundings(),
    }


def measure_network(
    attention: str, options: Options, folder: Path, train: ImageSet, test: ImageSet
) -> dict[str, Any]:
    """One attention: accuracy in percent, size in kB and milliseconds of each file."""
    run = folder / attention
    if not run.exists():
        autola.retrain(
            attention,
            out=run,
            seeds=(0,),
            backbone=options.backbone,
            train={"epochs": options.epochs},
        )
    trained = open_trained(run / f"{attention}-seed0" if (run / f"{attention}-seed0").exists() else run)
    mean, std = (torch.tensor(trained.data[key]).view(1, -1, 1, 1) for key in ("mean", "std"))

    def prepared(images: ImageSet) -> Tensor:
        return (images.images.permute(0, 3, 1, 2).float() / 255 - mean) / std

    images, labels, calibration = prepared(test), test.labels, prepared(train)[:CALIBRATION]
    shape = tuple(images.shape[1:])
    network = trained.network
    if attached(network):
        network = deploy(network, shape, target="onnxruntime", native=False)
    model = onnx_bytes(network, images[:1])
    found = {"torch": {"accuracy": accuracy(network, images, labels)}}
    files = {"onnxruntime": model, "onnxruntime_int8": eight_bits(model, calibration)}
    runs = {name: in_onnxruntime(file) for name, file in files.items()}
    for name, value in milliseconds(
        {name: of_first(run, images) for name, run in runs.items()}, options.turns
    ).items():
        found[name] = {
            "accuracy": accuracy(runs[name], images, labels),
            "kilobytes": round(len(files[name]) / 1e3, 1),
            "milliseconds": value,
        }
    if is_there("openvino") and is_there("nncf"):
        found |= with_nncf(model, images, labels, calibration, options.turns)
    return found


def is_there(package: str) -> bool:
    """Whether it is installed."""
    return importlib.util.find_spec(package) is not None


def accuracy(run: Run, images: Tensor, labels: Tensor) -> float:
    """Percent of the images whose largest logit is their label's."""
    with torch.no_grad():
        return round(100 * (run(images).argmax(1) == labels).float().mean().item(), 2)


def milliseconds(runs: dict[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """Median CPU time of each, taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(-3, turns):
        for name, run in runs.items():
            start = time.process_time()
            run()
            if turn >= 0:
                seconds[name].append(time.process_time() - start)
    return {name: round(1e3 * statistics.median(values), 3) for name, values in seconds.items()}


def of_first(run: Run, images: Tensor) -> Callable[[], object]:
    """The run on the first image alone."""
    return lambda: run(images[:1])


def in_onnxruntime(model: bytes) -> Run:
    """Runs a file on one thread, image by image."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])

    def run(x: Tensor) -> Tensor:
        rows = [session.run(None, {"images": row.contiguous().numpy()})[0] for row in x.split(1)]
        return torch.cat([torch.from_numpy(row) for row in rows])

    return run


def eight_bits(model: bytes, calibration: Tensor) -> bytes:
    """The file with eight-bit convolutions and products of matrices, by ONNX Runtime."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    given: Iterator[dict[str, Any]] = iter([{"images": row.numpy()} for row in calibration.split(1)])

    class Images(CalibrationDataReader):
        """The training images, one at a time."""

        def get_next(self) -> Any:
            return next(given, None)

    with tempfile.TemporaryDirectory() as folder:
        whole, ready, small = (str(Path(folder) / f"{name}.onnx") for name in ("whole", "ready", "small"))
        Path(whole).write_bytes(model)
        quant_pre_process(whole, ready, skip_symbolic_shape=True)
        quantize_static(ready, small, Images(), quant_format=QuantFormat.QDQ, per_channel=True)
        return Path(small).read_bytes()


def with_nncf(
    model: bytes, images: Tensor, labels: Tensor, calibration: Tensor, turns: int
) -> dict[str, Any]:
    """The file in OpenVINO, as it is and quantised by NNCF."""
    import nncf  # pyright: ignore[reportMissingImports]
    import openvino  # pyright: ignore[reportMissingImports]

    core = openvino.Core()
    whole = core.read_model(model=io.BytesIO(model))
    parts = [part.numpy() for part in calibration.split(1)]
    with contextlib.redirect_stdout(sys.stderr):  # its progress
        small = nncf.quantize(whole, nncf.Dataset(parts), subset_size=len(parts))
    settings = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    found, runs = dict[str, Any](), dict[str, Callable[[], object]]()
    with tempfile.TemporaryDirectory() as folder:
        for name, made in (("openvino", whole), ("openvino_int8", small)):
            request: Any = core.compile_model(made, "CPU", settings).create_infer_request()

            def run(x: Tensor, request: Any = request) -> Tensor:
                rows = [torch.from_numpy(request.infer({0: row.numpy()})[0].copy()) for row in x.split(1)]
                return torch.cat(rows)

            path = Path(folder) / f"{name}.xml"
            openvino.save_model(made, path, compress_to_fp16=False)
            size = sum(file.stat().st_size for file in (path, path.with_suffix(".bin")))
            found[name] = {"accuracy": accuracy(run, images, labels), "kilobytes": round(size / 1e3, 1)}
            runs[name] = of_first(run, images)
    for name, value in milliseconds(runs, turns).items():
        found[name]["milliseconds"] = value
    return found


def show(figures: dict[str, Any]) -> None:
    """Prints the figures for a person."""
    print(f"digits, {figures['backbone']}, {figures['test_images']} test images, {figures['processor']}")
    for attention, files in figures["networks"].items():
        for name, values in files.items():
            print(f"{attention:8}{name:20}{json.dumps(values)}")
    for line in figures["skipped"]:
        print(line)


def main() -> None:
    """Prints the figures."""
    answer(Options, __doc__, measure, show)


if __name__ == "__main__":
    main()
