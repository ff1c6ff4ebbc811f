"""NNI's manager: a process that starts trials and has a web portal. It is started, asked and stopped here."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foundation.errors import InputError, shown

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""Seconds between two questions to the manager."""
PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds of waiting before a port is looked at again, and before the manager is started again."""
ORPHAN = Path(__file__).with_name("orphan.js")
"""Loaded into the manager: it would outlive a command that is killed, and hold the port."""
ADDRESS = Path(__file__).with_name("address.js")
"""Loaded into the manager: it would listen on all addresses of the machine."""
HOST = "127.0.0.1"
"""Where the portal listens if nothing else is asked for: on the loopback, which no other machine reaches."""
SILENCES = 10
"""Questions in a row that the manager may leave without an answer, twenty seconds each."""


class Manager:
    """The manager of one experiment.

    Args:
        config: NNI's own config of the experiment; what it says when the manager starts counts.
        port: Port of the web portal.
        host: Address that the manager listens on, beside the loopback.
    """

    def __init__(self, config: Any, port: int, host: str = HOST) -> None:
        self.config, self.port, self.host = config, port, host

    def start(self) -> None:
        """Starts it, once more after each pause where it fails: a busy machine is slow to answer."""
        from nni.experiment import Experiment

        for pause in (*PAUSES, None):
            wait_for_port(self.port, self.host)
            self.experiment = Experiment(self.config)
            try:
                with _preloaded(self.host):
                    self.experiment.start(self.port)
            except Exception as error:  # whatever NNI raises where its manager does not start
                with contextlib.suppress(Exception):
                    self.experiment.stop()
                if pause is None:
                    reason = " ".join(str(error).split()) or type(error).__name__
                    raise InputError(
                        f"NNI's manager does not start, tried {len(PAUSES) + 1} times: {shown(reason)}; "
                        f"see {self.config.experiment_working_directory}, then --resume"
                    ) from None
                log.warning("NNI's manager does not start; trying again in %g s", pause)
                time.sleep(pause)
            else:
                return

    def stop(self) -> None:
        """Stops it, and with it the trials under way."""
        self.experiment.stop()

    def state(self) -> tuple[str, list[Any]]:
        """Status of the experiment, and its trials; a manager on a busy machine may be slow to answer."""
        from requests import RequestException

        for _ in range(SILENCES):
            try:
                return self.experiment.get_status(), self.experiment.list_trial_jobs()
            except RequestException:
                time.sleep(POLL_SECONDS)
        raise InputError(f"NNI's manager does not answer any more; see {self.folder / 'log'}, then --resume")

    @property
    def folder(self) -> Path:
        """Where it keeps its records."""
        return Path(str(self.config.experiment_working_directory)) / self.experiment.id


def wait_for_port(port: int, host: str = HOST) -> None:
    """Waits until nothing listens on a port: the manager of the experiment before may be about to end.

    Raises:
        InputError: If something still listens after all pauses, the number is no port for this, or the
            address is none of this machine.
    """
    if not 1024 <= port < 65535:
        raise InputError(f"portal port {port} is not in 1024 ... 65534")
    _check_host(host)
    for pause in (*PAUSES, None):
        if not _in_use(port):
            return
        if pause is not None:
            time.sleep(pause)
    raise InputError(
        f"portal port {port} is in use; choose another one: --portal-port {port + 1}, or end the experiment "
        "that holds it: nnictl stop --all"
    )


def _in_use(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _check_host(host: str) -> None:
    """Refuses what no server of this machine can listen on."""
    try:
        family, *_, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.bind(address)
    except (OSError, UnicodeError):  # the latter of a name that is none
        raise InputError(
            f"portal host {shown(host)} is no address of this machine; give one, or 0.0.0.0 for all of them"
        ) from None


@contextlib.contextmanager
def _preloaded(host: str) -> Iterator[None]:
    """Has Node load our files and know this process and where to listen; leaves the environment as it was."""
    required = (f'--require "{file}"' for file in (ORPHAN, ADDRESS))
    given = {
        "NODE_OPTIONS": " ".join([os.environ.get("NODE_OPTIONS", ""), *required]).strip(),
        "AUTOLA_PID": str(os.getpid()),
        "AUTOLA_PORTAL_HOST": host,
    }
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
