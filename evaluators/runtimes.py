"""What runs a network where it is used, each behind one function: given a module, how to run it."""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from foundation.errors import InputError, unknown
from search_space.native.onnx_form import holds_native, onnxruntime_library, translations

Target = Literal["eager", "onnxruntime", "openvino", "inductor"]
"""PyTorch as it is, ONNX Runtime, OpenVINO, or torch.compile."""

NEEDED: dict[str, tuple[tuple[str, ...], str]] = {
    "eager": ((), ""),
    "onnxruntime": (("onnx", "onnxscript", "onnxruntime"), "pip install 'autola[export]'"),
    "openvino": (("onnx", "onnxscript", "openvino"), "pip install 'autola[export,openvino]'"),
    "inductor": ((), ""),
}
"""The packages that a target needs, and how they are installed."""


def check_target(target: str) -> None:
    """Raises an error for a target that is not known, or not installed.

    Raises:
        InputError: If it is one.
    """
    if target not in get_args(Target):
        raise unknown("target", target, get_args(Target))
    packages, how = NEEDED[target]
    if missing := [name for name in packages if importlib.util.find_spec(name) is None]:
        raise InputError(f"{target} needs {', '.join(missing)}: {how}")


def runner(module: nn.Module, images: Tensor, target: Target) -> Callable[[], Tensor]:
    """A function that computes a module's output for some images by a target, as if for the first time.

    Numbers are those of single precision, also where a processor has faster ones. ONNX Runtime and OpenVINO
    compute on the CPU, with as many threads as PyTorch has.

    Raises:
        InputError: If the target is not installed, or its exporter or compiler refuses the module.
    """
    check_target(target)
    try:
        match target:
            case "eager":
                return lambda: module(images)
            case "inductor":
                return _inductor(module, images)
            case "onnxruntime":
                library = str(onnxruntime_library()) if holds_native(module) else None
                return _onnxruntime(onnx_bytes(module, images), images, library)
            case "openvino":
                return _openvino(onnx_bytes(module, images), images)
    except InputError:
        raise
    except Exception as error:  # the exporters' and compilers' own, of many kinds
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{target} refuses {type(module).__name__} ({reason})") from None


def onnx_bytes(module: nn.Module, images: Tensor) -> bytes:
    """A module as an ONNX model for images of this shape."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporters, about themselves
        program = torch.export.export(module, (images,))
        made = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            input_names=["images"],
            custom_translation_table=dict(translations()) if holds_native(module) else None,
        )
    assert made is not None
    file = io.BytesIO(made.model_proto.SerializeToString())
    return file.getvalue()


def _onnxruntime(model: bytes, images: Tensor, library: str | None) -> Callable[[], Tensor]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    if library is not None:
        options.register_custom_ops_library(library)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    given = {"images": images.cpu().contiguous().numpy()}
    return lambda: torch.from_numpy(session.run(None, given)[0])


def _openvino(model: bytes, images: Tensor) -> Callable[[], Tensor]:
    import openvino  # pyright: ignore[reportMissingImports]

    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model=io.BytesIO(model)), "CPU", settings)
    request: Any = compiled.create_infer_request()
    given = {0: images.cpu().contiguous().numpy()}
    return lambda: torch.from_numpy(request.infer(given, share_inputs=True)[0])


def _inductor(module: nn.Module, images: Tensor) -> Callable[[], Tensor]:
    import torch._dynamo
    import torch._inductor

    # Weights become constants of the code. It would be used for the next module of the class as well if torch
    # took weights for inputs, which it does not guard.
    settings = torch._dynamo.config.patch(inline_inbuilt_nn_modules=False, recompile_limit=256)
    compiled = torch.compile(module, options={"freezing": True})
    with settings, torch.no_grad():
        compiled(images)

    def run() -> Tensor:
        with torch.no_grad():
            return compiled(images)

    return run
