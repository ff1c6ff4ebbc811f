"""Items that are done where the run's folder is not seen: files go there, and what came of them comes back.

What is sent are the JSON records that an item begins with; what comes back are its records, weights
(safetensors) and TensorBoard's events. An item whose machine is lost begins anew elsewhere: no checkpoint of
it was seen here.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path, PurePosixPath

from autola.working.attempt import LOG, WORK
from autola.working.items import ITEM, LIST, read_list
from autola.working.lease import Lease
from autola.working.worker import Task, main
from autola.working.worklist import WorkList
from foundation.config import parse_json, to_json
from foundation.errors import InputError
from foundation.files import write_atomically
from outputs.records import CHECKPOINTS, CONFIG, DATA, ENVIRONMENT, RESULT

Files = dict[str, bytes]
"""Contents of files by their paths in the run's folder."""

OF_RUN, OF_ITEM = (CONFIG, DATA, ENVIRONMENT), (CONFIG, DATA, ENVIRONMENT, f"{WORK}/{ITEM}")
"""Records that are sent."""


class Parcel:
    """An item that was taken up for a machine that does not see its folder.

    Args:
        lease: Of the item; its heart beats here.
        worklist: Its list.
        driver: For whom it is done.
    """

    def __init__(self, lease: Lease, worklist: WorkList, driver: str) -> None:
        self._lease, self.driver = lease, driver
        self._beating = ExitStack()
        self._beating.enter_context(lease.kept())
        name, whole = lease.folder.name, worklist.whole
        self.files: Files = {LIST: to_json(replace(worklist.listed, items=(name,))).encode()}
        for path in (*OF_RUN, *(f"{name}/{each}" for each in OF_ITEM)):
            if (whole / path).is_file():
                self.files[path] = (whole / path).read_bytes()

    def arrived(self, files: Files) -> None:
        """Puts what came back into the item's folder, its result last.

        Raises:
            InputError: If a path leads out of the folder.
            NoSpaceError: If the disk is full; the item waits.
        """
        folder, name = self._lease.folder, self._lease.folder.name
        own = {PurePosixPath(path).relative_to(name): content for path, content in files.items()}
        try:
            for path, content in sorted(own.items(), key=lambda each: str(each[0]) == RESULT):
                if path.is_absolute() or ".." in path.parts:
                    raise InputError(f"{path} came back for {folder}, and leads out of it")
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                write_atomically(folder / path, lambda to, content=content: to.write_bytes(content))
        except BaseException:
            self.lost()
            raise
        if PurePosixPath(RESULT) in own:
            self._end("done")
        else:
            lines = own.get(PurePosixPath(WORK, LOG), b"").decode("utf-8", "replace").splitlines()
            failed = [line for line in lines if line.startswith(f"{name} failed: ")]
            why = failed[-1].partition(": ")[2] if failed else "it came back without a result"
            self._end("unfit", why)  # it was tried as often as is tried there

    def lost(self, why: str = "") -> None:
        """Has the item wait again.

        Args:
            why: What ended its machine or process, which counts as a failure; "" where it was asked to end.
        """
        self._end("failed" if why else "released", why)

    def _end(self, state: str, why: str = "") -> None:
        self._beating.close()
        self._lease.end(state, why)  # pyright: ignore[reportArgumentType]


class Sender:
    """Takes up items for machines that do not see them."""

    def __init__(self) -> None:
        self._worklist: WorkList | None = None

    def take(self, text: str) -> Parcel | None:
        """The next item; None if none waits.

        Args:
            text: A `Task` as JSON.
        """
        task = parse_json(Task, text, "task")
        listed = read_list(Path(task.whole))
        if self._worklist is None or self._worklist.listed != listed:  # kept: it knows what is done
            self._worklist = WorkList(Path(task.whole), listed)
        self._worklist.believe(task.dead)
        lease = self._worklist.take(driver=task.driver)
        return None if lease is None else Parcel(lease, self._worklist, task.driver)


def do_apart(files: Files, driver: str) -> tuple[str, Files]:
    """Does an item from its files, in a folder of its own.

    Args:
        files: As in a `Parcel`.
        driver: For whom.

    Returns:
        Why this machine cannot do it, in a line, or ""; and what came of it.
    """
    with tempfile.TemporaryDirectory(prefix="autola-") as folder:
        whole = Path(folder)
        for path, content in files.items():
            (whole / path).parent.mkdir(parents=True, exist_ok=True)
            (whole / path).write_bytes(content)
        refused = main(to_json(Task(whole=str(whole), driver=driver)))
        found = {path.relative_to(whole).as_posix(): path for path in whole.rglob("*") if path.is_file()}
        return refused, {name: path.read_bytes() for name, path in found.items() if _returns(name, files)}


def _returns(name: str, sent: Files) -> bool:
    """Whether a file is something that came of an item: no lock, lease or checkpoint."""
    path = PurePosixPath(name)
    if name in sent or len(path.parts) < 2 or CHECKPOINTS in path.parts or path.name == ".lock":
        return False
    return path.parts[1] != WORK or path.name == LOG
