"""`autola export`: files that agree with the network, or none."""

import importlib.util
import math
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import autola
from autola import exporting
from autola.exporting import TOLERANCE, _checked, _difference, _program
from evaluators.tasks import Exportable, new_network
from evaluators.tasks.coco_detection import CocoDetection
from foundation.errors import InputError
from search_space.grammar import parse_attention
from search_space.native.operator import why_missing
from tests.evaluators.tasks.test_trained_weights import DATA
from tests.evaluators.tasks.test_trained_weights import TASKS as TRAINED

ROOT = Path(__file__).parents[2]


def test_a_program_agrees_on_test_pictures(call, trained, own_folder):
    told = call(f"export {trained}/none-seed0 --program none.pt2")
    assert told.code == 0, told.err
    assert "input  any x 1 x 8 x 8" in told.out
    assert "on 4 test image(s)" in told.out
    program = torch.export.load(own_folder / "none.pt2").module()
    x = torch.randn(3, 1, 8, 8)
    torch.testing.assert_close(program(x), autola.load(trained / "none-seed0")(x))


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["se", "cbam", "hoga", "aw", "aa", "dynamic"])
def test_onnx_agrees_on_given_pictures(own_folder, attention):
    # In a process of its own: shapes of signatures are not checked there.
    Image.fromarray(np.full((9, 9), 100, np.uint8)).save(own_folder / "x.png")
    small = (
        "--data.limit 60 --width 16 --train.epochs 1 --train.batch-size 20 --train.warmup-epochs 0 --seeds 0"
    )
    for command in (
        f"retrain {attention} {small} --out run",
        f"export run/{attention}-seed0 --onnx net.onnx --program net.pt2 --images x.png",
    ):
        told = subprocess.run(
            [sys.executable, "-m", "autola", *command.split()],
            cwd=own_folder,
            env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert told.returncode == 0, told.stderr
    assert told.stdout.count("on 1 given image(s)") == 2
    assert (own_folder / "net.onnx").is_file()


@pytest.mark.slow
def test_a_deployed_network_agrees(own_folder):
    onnxruntime, outputs = pytest.importorskip("onnxruntime"), []
    # In a process of its own: shapes of signatures are not checked there.
    small = (
        "--data.limit 60 --width 16 --train.epochs 1 --train.batch-size 20 --train.warmup-epochs 0 --seeds 0"
    )
    for command in (
        f"retrain hoga {small} --out run",
        "export run/hoga-seed0 --onnx net.onnx --program net.pt2 --deploy",
        *(["export run/hoga-seed0 --onnx native.onnx --deploy --native"] if why_missing() is None else []),
    ):
        told = subprocess.run(
            [sys.executable, "-m", "autola", *command.split()],
            cwd=own_folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert told.returncode == 0, told.stderr
        outputs.append(told.stdout)
    assert "deploy forms of cells for onnxruntime (measured): " in outputs[1]
    assert outputs[1].count("on 4 test image(s)") == 2
    if why_missing() is None:
        assert "native.so  operators of it" in outputs[2]
        options = onnxruntime.SessionOptions()
        options.register_custom_ops_library(str(own_folder / "native.so"))
        given = {"images": np.ones((3, 1, 8, 8), np.float32)}
        ours, plain = (
            onnxruntime.InferenceSession(own_folder / name, options).run(None, given)[0]
            for name in ("native.onnx", "net.onnx")
        )
        assert np.abs(ours - plain).max() <= 1e-4 * np.abs(plain).max()
    assert (own_folder / "net.onnx").is_file()


def test_what_cannot_be_deployed_writes_nothing(refused, trained, own_folder):
    words = f"export {trained}/none-seed0 --program net.pt2"
    assert "no attention in the model; autola.attach first" in refused(f"{words} --deploy")
    assert "give --deploy as well" in refused(f"{words} --runtime eager")
    assert "native operators are for ONNX Runtime" in refused(f"{words} --deploy --native")
    words = f"export {trained}/none-seed0 --onnx net.onnx --native"
    assert "native operators are for ONNX Runtime" in refused(words)
    assert "native operators are for ONNX Runtime" in refused(f"{words} --deploy --runtime openvino")
    (own_folder / "net.so").touch()
    assert "net.so exists already" in refused(f"{words} --deploy")
    assert not list(own_folder.glob("net.[!s]*"))


def test_a_file_that_does_not_agree_is_not_kept(call, monkeypatch, trained, own_folder):
    monkeypatch.setattr(exporting, "_write_program", lambda *given: lambda x: [torch.ones(len(x), 10)])
    told = call(f"export {trained}/none-seed0 --program net.pt2")
    assert told.code == 2
    assert "differs from the network by" in told.err
    assert not list(own_folder.glob("*.pt2*"))


def test_a_file_that_is_there_is_not_written_over(refused, trained, own_folder):
    (own_folder / "net.pt2").write_text("before")
    assert "net.pt2 exists already" in refused(f"export {trained}/none-seed0 --program net.pt2")
    assert (own_folder / "net.pt2").read_text() == "before"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("", "nothing to write: give --onnx FILE, --program FILE or both"),
        ("--onnx no/such/net.onnx", "no folder no/such to write net.onnx to"),
        ("--program net.pt2 --images nowhere.jpg", "no image at nowhere.jpg"),
    ],
)
def test_bad_input_leaves_nothing(refused, trained, words, problem):
    assert problem in refused(f"export {trained}/none-seed0 {words}")


def test_a_missing_package_is_named(refused, monkeypatch, trained):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnx" else real(name))
    problem = refused(f"export {trained}/none-seed0 --onnx net.onnx")
    assert "ONNX needs onnx: pip install 'autola[export]'" in problem


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_every_task_exports_what_its_network_computes(name, tmp_path):
    task = TRAINED[name]
    if isinstance(task, CocoDetection):
        small = replace(task.detector, min_sizes=(128,), max_size=160)
        task = replace(task, detector=small)
    shapes = {"keypoints": [3, 256, 192], "segmentation": [3, 65, 97], "ssd300": [3, 300, 300]}
    data = DATA | {"input_shape": shapes.get(name, [3, 128, 160])}
    network = new_network(task, data, parse_attention("se+hoga"), 0).eval()
    exportable = task.exportable(network, data)
    pixels = np.random.default_rng(0).integers(0, 255, (2, 90, 120, 3), dtype=np.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporters, about themselves
        inputs = [exportable.prepare(Image.fromarray(picture)) for picture in pixels]
        program, _ = _program(exportable, inputs[0])
        assert (program is None) == (name == "faster_rcnn")
        kinds = [("ONNX", "f.onnx")] + ([] if program is None else [("program", "f.pt2")])
        for kind, file in kinds:
            done = _checked(tmp_path / file, kind, program, exportable.module, exportable, inputs)
            assert done.difference <= TOLERANCE * done.scale
            assert (tmp_path / file).is_file()


def exportable_of(function):
    module = nn.Module()
    module.forward = function
    return Exportable(module, lambda image: torch.ones(1, 2), (1, 1, 1))


@pytest.mark.parametrize(
    ("network", "file", "told"),
    [
        (1.0, math.nan, math.inf),
        (1.0, math.inf, math.inf),
        (1.0, 1.5, 0.5),
        (math.nan, 1.0, "the network itself gives infinity or NaN"),
        (math.nan, math.nan, "the network itself gives infinity or NaN"),
        (math.inf, math.inf, "the network itself gives infinity or NaN"),
    ],
)
def test_a_file_agrees_only_in_numbers(network, file, told):
    exportable = exportable_of(lambda given: given * network)

    def difference():
        return _difference(exportable, lambda given: [given * file], [torch.ones(1, 2)])

    if isinstance(told, str):
        with pytest.raises(InputError, match=told):
            difference()
    else:
        assert difference() == (told, 1.0)


def test_a_comparison_over_nothing_is_no_pass():
    exportable = exportable_of(lambda given: given[:0])
    with pytest.raises(InputError, match="nothing to compare"):
        _difference(exportable, lambda given: [given[:0]], [torch.ones(1, 2)])


def test_a_batch_that_torch_binds_is_said(call, trained, own_folder, monkeypatch):
    whole = torch.export.export

    def binds(*given, dynamic_shapes=None):
        if dynamic_shapes:
            raise ValueError("Constraints violated")
        return whole(*given)

    monkeypatch.setattr(torch.export, "export", binds)
    told = call(f"export {trained}/none-seed0 --program none.pt2")
    assert "input  1 x 1 x 8 x 8" in told.out
    assert "note   one image at a time: torch.export binds" in told.out
