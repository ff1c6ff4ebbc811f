"""The command line: finds the command, sets up logging, turns errors into one line and exit code 2."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import shlex
import sys
from collections.abc import Sequence

from autola.speaking import ROOMS, another_failed, follows, reports
from autola.streams import check_text, prepare

COMMANDS = {
    "search": "find an attention module on your images",
    "inspect": "show what a search found: edges, shares, drawing, cost",
    "retrain": "train networks with attention modules, and compare them",
    "compare": "test found cells against random ones and controls of equal cost",
    "analyze": "look at trained networks: selectivity, Grad-CAM, t-SNE, gates, edges",
    "work": "do what waits in a run's folder, beside other machines; or one training of it",
    "status": "show how far a run is: done, running, failed, time left",
    "advise": "say which attention to put where in a network, or that nothing is shown to help",
    "predict": "draw what a trained network finds onto images",
    "export": "write a trained network as ONNX or torch.export's program",
    "eject": "write attention as one Python file that needs torch alone",
    "share": "put a trained network or a genotype on the hub, with a model card",
    "cost": "count parameters, multiply-accumulates, memory and latency",
    "list": "name presets, searchers, operators, backbones, readers and tasks",
    "report": "write one HTML page about runs: cell, curves, results, how to repeat it",
    "estimate": "say what a search or retraining will take: time, memory, disk",
    "doctor": "look at versions, devices and data: what is missing for which task, and what mends it",
    "demo": "search, inspect, retrain and compare on handwritten digits",
}

HELP = """\
usage: autola COMMAND [options]

Automatic search of attention modules.

commands:
{commands}

first try:
  autola demo                                     minutes on a laptop, no download
  autola search cifar10 --data.root FOLDER        the paper's job
  autola inspect RUN
  autola retrain none se cbam hoga:RUN --preset cifar10 --data.root FOLDER

`autola COMMAND --help` shows every option. `--import MODULE` before or after a command registers
your own operators, searchers, readers and tasks. `--version` prints the version.
"""


def main(arguments: Sequence[str]) -> int:
    """Runs a command.

    Args:
        arguments: As on a command line, without the program's name.

    Returns:
        0 if all went well, 1 if something is missing (for `doctor`, or in a table), 2 for bad input, 130 if
        it was interrupted.
    """
    rest = list(arguments)
    from foundation.errors import InputError, unknown

    try:
        prepare()
        check_text(rest)
        _import_extensions(rest)
        if not rest or rest[0] in ("-h", "--help", "help"):
            sys.stdout.write(HELP.format(commands=_table()))
            return 0
        if rest[0] == "--version":
            from importlib.metadata import version

            sys.stdout.write(version("autola") + "\n")
            return 0
        name = rest[0]
        if name not in COMMANDS:
            raise unknown("command", name, COMMANDS)
        _log_to_stderr(logging.ERROR if follows() else logging.INFO)
        with (
            open(os.devnull, "w") as nowhere,
            contextlib.redirect_stdout(nowhere if follows() else sys.stdout),
        ):
            code: int | None = importlib.import_module(f"autola.commands.{name}").run(rest[1:])
        sys.stdout.flush()  # a full disk is reported now, not while Python ends
    except InputError as error:
        if reports():
            sys.stderr.write(f"autola: {error}\n")
        return 2
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        where = f": {error.filename}" if error.filename else ""
        if reports():
            sys.stderr.write(f"autola: {error.strerror or error}{where}\n")
        return 2
    except RuntimeError:
        if another_failed():
            return 2
        raise
    except KeyboardInterrupt as interrupt:
        if not follows():
            *_, kept = ("nothing was recorded", *getattr(interrupt, "__notes__", ()))
            sys.stderr.write(f"autola: interrupted; {kept}\n")
        return 130
    return code or 0


def _table() -> str:
    return "\n".join(f"  {name:<10}{summary}" for name, summary in COMMANDS.items())


def _import_extensions(arguments: list[str]) -> None:
    """Takes every `--import MODULE` out of the arguments and imports the modules."""
    from foundation.errors import InputError

    IMPORTED.clear()
    modules = list[str]()
    rest = iter(list(arguments))
    arguments.clear()
    for argument in rest:
        flag, equals, value = argument.partition("=")
        if flag != "--import":
            arguments.append(argument)
            continue
        modules.append(value if equals else next(rest, ""))
        if not modules[-1]:
            raise InputError("--import needs the name of a module")
    import_modules(modules)


IMPORTED: list[str] = []
"""Modules of the user's that were imported: processes that do a part of the job import them too."""


def command_line(words: Sequence[str]) -> str:
    """A command as one types it, with the modules of the user's that this process imported."""
    imports = (word for module in IMPORTED for word in ("--import", module))
    return shlex.join(["autola", *imports, *words])


def import_modules(modules: Sequence[str]) -> None:
    """Imports modules of the user's, from the current folder or the environment.

    Raises:
        InputError: If there is no such module, or it cannot be imported.
    """
    from foundation.errors import InputError

    for module in modules:
        if not all(part.isidentifier() for part in module.split(".")):
            raise InputError(
                f"{module!r} is no name of a module; give it as in `import`: my_package.my_module"
            )
        if "" not in sys.path and os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise InputError(f"{_misfit(module, error)}; install it, or mend the import") from None
            raise InputError(f"no module {module!r} to import from here or the environment") from None
        except (Exception, SystemExit) as error:  # whatever a user's module may raise
            raise InputError(_misfit(module, error)) from None
        IMPORTED.append(module)


def _misfit(module: str, error: BaseException) -> str:
    """What went wrong while a user's module was imported, and at which of its lines, on one line."""
    import traceback

    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename
    ]
    last = frames[-1] if len(frames) > 1 else None  # the first is ours
    position = f" ({last.filename}:{last.lineno})" if last else ""
    text = " ".join(str(error).split())
    return f"cannot import {module!r}: {type(error).__name__}: {text}{position}"


def _log_to_stderr(level: int) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    for room in ROOMS:
        logger = logging.getLogger(room)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False
