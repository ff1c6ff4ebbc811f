"""A process that does parts of a retraining or comparison, those that the process that started it names."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from autola.cli import import_modules
from autola.configs import RetrainConfig
from autola.data_record import check_data, described
from autola.member import members_of, train_member
from autola.runs import is_comparison, stored_config
from autola.runtime import make_fabric, own_state
from foundation.errors import InputError
from outputs.run_directory import RunDirectory

Say = Callable[..., None]


def main(run: str, modules: Sequence[str]) -> None:
    """Does the searches and trainings that standard input names, one a line, until that closes.

    Says in lines of JSON on standard output what it comes to: epochs, lines of the log, ends, an error.

    Args:
        run: Folder of the whole run, which the process that started this one has locked.
        modules: Names of the user's modules, which are imported first.
    """
    lines, say = _lines(), _speech()
    try:
        import_modules(modules)
        whole = RunDirectory.open(Path(run))

        def report(record: dict[str, Any]) -> None:
            say(epoch=record["epoch"])

        with _doing(whole) as do:
            _log_by(say)
            for line in lines:
                do(line.strip(), report)
                say(done=True)
    except InputError as error:
        say(error=str(error))
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        say(error=f"{error.strerror or error}{where}")


Report = Callable[[dict[str, Any]], None]


@contextmanager
def _doing(whole: RunDirectory) -> Iterator[Callable[[str, Report], None]]:
    """What does a search or training of a run, given its folder's name and what is called after epochs.

    Raises:
        InputError: If the data are not those that the run began with.
    """
    if is_comparison(whole):
        from autola.comparing.items import full_config  # a retraining needs none of it
        from autola.comparing.work import Work

        comparison = full_config(whole)
        with own_state(comparison, resumed=whole):
            work = Work(comparison, make_fabric(comparison))
            check_data(whole, work.describe())
            yield lambda name, report: work.do(name, whole, report)
        return
    config = replace(stored_config(whole, RetrainConfig), devices=1, machines=1)
    with own_state(config, resumed=whole):
        fabric = make_fabric(config)
        setting = config.task.read(config.train, fabric)
        check_data(whole, described(config, setting))
        members = {member.name: member for member in members_of(config)}

        def train(name: str, report: Report) -> None:
            train_member(config, members[name], setting, whole, fabric, after_epoch=report)

        yield train


def _lines() -> Iterator[str]:
    """Lines of standard input; the process ends when that does, whatever it is doing.

    Standard input itself is replaced: processes that load data close it, which would wait for the reader.
    """
    source, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    lines = SimpleQueue[str]()

    def read() -> None:
        with os.fdopen(source, encoding="utf-8") as file:
            for line in file:
                lines.put(line)
        os._exit(0)

    Thread(target=read, daemon=True).start()
    return iter(lines.get, None)


def _speech() -> Say:
    """Takes standard output for the messages; what else is printed goes to standard error."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)

    def say(**message: Any) -> None:
        out.write(json.dumps(message) + "\n")

    return say


def _log_by(say: Say) -> None:
    """Has every line of the log said."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(log=record.getMessage(), level=record.levelno)

    for room in ("autola", "searchers", "evaluators", "supernet", "outputs"):
        logger = logging.getLogger(room)
        logger.handlers, logger.propagate = [Handler()], False
        logger.setLevel(logging.INFO)
