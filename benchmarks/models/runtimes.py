"""Programs of torch.export, ONNX Runtime, and eight bits in both."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import math
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from benchmarks.models.trial import RefusedError, Trial, WrongError, must_be_close, outputs, tensors

FILE, SMALL_FILE = "model.onnx", "model-int8.onnx"
MOST_LOSS = 0.5
"""Share of the outputs' norm that eight bits may cost; or else three times what the plain network loses."""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Nothing of what exporters tell on the way."""
    logging.disable(logging.WARNING)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        yield


def program(trial: Trial) -> None:
    """The exported program gives the same."""
    with _quiet():
        exported = torch.export.export(trial.few, (trial.images,))
        trial.program = exported
        must_be_close(outputs(exported.module(), trial.images), trial.few_wanted, "the program's output")


def onnx(trial: Trial) -> None:
    """ONNX Runtime gives the same; where there is no program, by the older exporter."""
    if find_spec("onnxruntime") is None:
        raise RefusedError("onnxruntime is not installed")
    with _quiet():
        if (exported := trial.program) is not None:
            made = torch.onnx.export(exported, dynamo=True, verbose=False)
            assert made is not None
            made.save(trial.folder / FILE, external_data=False)
        else:
            torch.onnx.export(trial.few, (trial.images,), str(trial.folder / FILE), dynamo=False)
    must_be_close(_run(trial, FILE), trial.few_wanted, "ONNX Runtime's output")
    trial.has_onnx = True


def eight_bits(trial: Trial) -> None:
    """ONNX Runtime runs it with eight-bit convolutions, and loses little by it."""
    if not trial.has_onnx:
        if trial.attention != "none":
            raise RefusedError("there is no ONNX file")
        onnx(trial)
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    batches = iter([{_input(trial, FILE): trial.images.numpy()}])

    class Images(CalibrationDataReader):
        """The images once."""

        def get_next(self) -> Any:
            return next(batches, None)

    with _quiet():
        quantize_static(str(trial.folder / FILE), str(trial.folder / SMALL_FILE), Images())
    _check_loss(trial, "int8", _loss(_run(trial, SMALL_FILE), trial.few_wanted), eight_bits)


def quantized_program(trial: Trial) -> None:
    """The exported program in eight bits, by torchao, loses little."""
    if find_spec("torchao") is None:
        raise RefusedError("torchao is not installed")
    if trial.program is None:
        program(trial)
    exported: Any = trial.program
    pt2e: Any = importlib.import_module("torchao.quantization.pt2e.quantize_pt2e")
    x86: Any = importlib.import_module("torchao.quantization.pt2e.quantizer.x86_inductor_quantizer")

    with _quiet():
        quantizer = x86.X86InductorQuantizer()
        quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
        prepared = pt2e.prepare_pt2e(exported.module(), quantizer)
        prepared(trial.images)
        found = outputs(pt2e.convert_pt2e(prepared), trial.images)
    _check_loss(trial, "pt2e", _loss(found, trial.few_wanted), quantized_program)


def _loss(found: list[Tensor], wanted: list[Tensor]) -> float:
    """Norm of the difference as a share of the outputs' norm, the largest of all outputs."""
    return max(
        float((ours.double() - theirs.double()).norm() / theirs.double().norm().clamp(min=1e-30))
        for ours, theirs in zip(found, wanted, strict=True)
    )


def _check_loss(trial: Trial, kind: str, loss: float, check: Callable[[Trial], None]) -> None:
    trial.losses[kind] = round(loss, 4) if math.isfinite(loss) else None
    if loss <= MOST_LOSS or trial.attention == "none":
        return
    check(trial.without)
    plain = trial.without.losses[kind]
    if plain is not None and not loss <= 3 * plain:
        raise WrongError(f"eight bits cost {loss:.2g} of the outputs, and {plain:.2g} without attention")


def _session(trial: Trial, file: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(trial.folder / file), options, providers=["CPUExecutionProvider"])


def _input(trial: Trial, file: str) -> str:
    return _session(trial, file).get_inputs()[0].name


def _run(trial: Trial, file: str) -> list[Tensor]:
    session = _session(trial, file)
    found = session.run(None, {session.get_inputs()[0].name: trial.images.numpy()})
    return tensors([torch.as_tensor(part) for part in found])
