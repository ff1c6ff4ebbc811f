"""Workers as tasks of Ray, on one machine or a cluster: which nodes there are, or are lost, is its matter.

Ray's processes listen on every address of their machine, so a cluster that answers without its token is
refused: whoever reaches it could run anything there.

Source: https://docs.ray.io/en/latest/ray-security/token-auth.html
"""

from __future__ import annotations

import logging
import os
import platform
import re
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from autola.executors import EXECUTORS, Ended, number_of, options_of
from foundation.errors import InputError, shown

if TYPE_CHECKING:
    from autola.working.apart import Parcel, Sender

log = logging.getLogger(__name__)

USUAL = {"cpus": "", "gpus": "", "workers": "1000", "disk": "shared"}
"""Options: CPUs that Ray keeps for each worker, as many as its threads if left out; GPUs likewise, one where
this machine has any; workers at most, those that wait for a place included; whether all machines see the
run's folder (shared), or files go there and come back (none)."""

MODE = "RAY_AUTH_MODE"
"""Variable that says whether Ray asks for its token."""

CONNECT_SECONDS = 5.0
"""Time in which a cluster has to answer."""

STARTS = 3
"""Times that a cluster of this machine is tried to be started."""

PROBES = ("/ray.rpc.NodeInfoGcsService/CheckAlive", "/ray.rpc.RayletDriver/KVGet")
"""What is asked without a token: a cluster's control service, and its service for clients."""


class Ray:
    """Tasks of Ray, one a worker.

    Args:
        text: //HOST:PORT of a cluster's service for clients, and options; without an address, the cluster of
            RAY_ADDRESS or of this machine, and a new one on this machine if there is none.

    Raises:
        InputError: If it cannot be read.
    """

    def __init__(self, text: str) -> None:
        address = re.match(r"//([\w.-]+|\[[\da-fA-F:.]+\]):(\d{1,5})(,|$)", text)
        if text.startswith("//") and address is None:
            raise InputError(f"--on ray:{text}: give an address as ray://HOST:PORT")
        options = text if address is None else text[address.end() :]
        self._address = None if address is None else (address[1].strip("[]"), int(address[2]))
        known = options_of(options, USUAL, "ray")
        self.most = number_of(known, "workers", "ray", 100_000)
        self._cpus = number_of(known, "cpus", "ray", 4096) if known["cpus"] else None
        self._gpus = number_of(known, "gpus", "ray", 64) if known["gpus"] else None
        if known["disk"] not in ("shared", "none"):
            raise InputError(f"--on ray: disk is {shown(known['disk'])}; give shared or none")
        self._apart = known["disk"] == "none"
        self._sender: Sender | None = None
        self._parcels: dict[Any, Parcel] = {}
        self.where, self.local = "by Ray", False
        self._ray: Any = None
        self._start: Any = None
        self._refs = list[Any]()

    def open(self, *, gpus: bool, threads: int) -> None:
        if os.environ.get(MODE, "token").lower() == "disabled":
            raise InputError(f"{MODE} is disabled, and Ray listens on every address of a machine; unset it")
        os.environ.setdefault(MODE, "token")  # before the import, which reads it
        try:
            import_module("grpc")  # what `ray[client]` brings
            ray: Any = import_module("ray")
        except ModuleNotFoundError as error:
            raise InputError(f"--on ray needs {error.name}: pip install 'autola[ray]'") from None
        self._ray = ray
        if not ray.is_initialized():
            self._connect()
        self._check_token()
        free = ray.cluster_resources()
        self.where = f"by Ray ({free.get('CPU', 0):g} CPUs, {free.get('GPU', 0):g} GPUs)"
        kept = {"num_cpus": self._cpus or threads, "num_gpus": self._gpus or int(gpus), "max_retries": 0}
        self._say_lacking(kept)
        self._start = ray.remote(**kept)(_worker(apart=self._apart))

    def _connect(self) -> None:
        if self._address is not None:
            host, port = self._address
            _reach(host, port, f"ray://{host}:{port}")
        elif known := os.environ.get("RAY_ADDRESS", "").partition("://")[2] or os.environ.get("RAY_ADDRESS"):
            host, _, port = known.rpartition(":")
            if host and port.isdecimal():
                _reach(host, int(port), f"{known} (RAY_ADDRESS)")
        address = None if self._address is None else f"ray://{self._address[0]}:{self._address[1]}"
        usual: Any = {} if address or os.environ.get("RAY_ADDRESS") else {"include_dashboard": False}
        for left in reversed(range(1 if address else STARTS)):  # a busy machine takes longer than Ray waits
            try:
                self._ray.init(address=address, logging_level=logging.ERROR, **usual)
                return
            except Exception as error:  # whatever it and its transport raise
                self._ray.shutdown()
                if not left:
                    said = " ".join(str(error).split())
                    raise InputError(f"cannot start or join a Ray cluster: {said[:300]}") from None

    def _say_lacking(self, kept: Mapping[str, Any]) -> None:
        """Says that workers will wait where no machine of the cluster is large enough for one of them."""
        wanted = {"CPU": kept["num_cpus"], "GPU": kept["num_gpus"]}
        machines = [node.get("Resources", {}) for node in self._ray.nodes() if node.get("Alive")]
        if any(all(each.get(kind, 0) >= number for kind, number in wanted.items()) for each in machines):
            return
        said = " and ".join(f"{number} {kind}s" for kind, number in wanted.items() if number)
        log.warning(
            "no machine of the cluster has the %s that each worker asks for: all wait until one joins "
            "(--on ray:cpus=N, --threads N, --device cpu ask for less)",
            said,
        )

    def _check_token(self) -> None:
        """Asks the cluster something without its token.

        Raises:
            InputError: If it answers.
        """
        grpc: Any = import_module("grpc")
        place, method = self._ray.get_runtime_context().gcs_address, PROBES[0]
        if self._address is not None:
            place, method = f"{self._address[0]}:{self._address[1]}", PROBES[1]
        with grpc.insecure_channel(place) as channel:
            try:
                channel.unary_unary(method)(b"", timeout=CONNECT_SECONDS)
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.UNAUTHENTICATED:
                    return
                said = f"does not say whether it asks for its token ({error.code().name})"
            else:
                said = "answers without a token: whoever reaches it can run anything there"
        raise InputError(
            f"the Ray cluster at {place} {said}; start it with {MODE}=token (ray get-auth-token --generate)"
        )

    def start(self, task: str) -> None:
        path = [path for path in sys.path if path]
        if not self._apart:
            self._refs.append(self._start.remote(task, path))
            return
        from autola.working.apart import Sender

        self._sender = self._sender or Sender()
        parcel = self._sender.take(task)
        if parcel is not None:
            self._refs.append(self._start.remote((parcel.files, parcel.driver), path))
            self._parcels[self._refs[-1]] = parcel

    def alive(self) -> int:
        return len(self._refs) - len(self._ready())

    def _ready(self) -> list[Any]:
        if not self._refs:
            return []
        return self._ray.wait(self._refs, num_returns=len(self._refs), timeout=0)[0]

    def ended(self) -> list[Ended]:
        found, errors = list[Ended](), self._ray.exceptions
        for ref in self._ready():
            self._refs.remove(ref)
            parcel = self._parcels.pop(ref, None)
            try:
                refused = self._ray.get(ref)
                if parcel is not None:
                    refused, files = refused
                    parcel.lost() if refused else parcel.arrived(files)
            except errors.TaskCancelledError:
                _lose(parcel)
            except errors.RayError as error:
                found.append(
                    Ended(why=f"{type(error).__name__}: {str(error).strip().splitlines()[-1][:200]}")
                )
                _lose(parcel, found[-1].why)
            else:
                if refused:
                    found.append(Ended(refused=refused))
        return found

    def stop(self) -> None:
        for ref in self._refs:
            self._ray.cancel(ref, force=False)

    def close(self) -> None:
        for ref in self._refs:
            with suppress(Exception):  # the cluster may be gone
                self._ray.cancel(ref, force=True)
        self._refs.clear()
        for parcel in self._parcels.values():
            parcel.lost()
        self._parcels.clear()


EXECUTORS.add("ray", Ray)


def _lose(parcel: Parcel | None, why: str = "") -> None:
    if parcel is not None:
        parcel.lost(why)


def _worker(*, apart: bool) -> Any:
    """What a task runs; sent as it is, for autola may have to be found first."""

    def worker(task: Any, path: list[str]) -> Any:
        sys.path += [folder for folder in path if folder not in sys.path and os.path.isdir(folder)]
        try:
            from autola.working.apart import do_apart
            from autola.working.worker import main
        except ImportError as error:
            refused = f"on {platform.node()}: {error}; install there what is installed here"
            return (refused, {}) if apart else refused
        return do_apart(*task) if apart else main(task)

    worker.__module__ = "__main__"  # else it would be looked up in autola
    return worker


def _reach(host: str, port: int, said: str) -> None:
    """Refuses a cluster that nobody answers for.

    Raises:
        InputError: If nothing listens there.
    """
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"no Ray cluster at {shown(said)[1:-1]} ({error})") from None
