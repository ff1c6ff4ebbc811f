"""`autola share`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from autola.arguments import out_of_terminal, read_arguments
from foundation.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Puts a trained network or a genotype on the hub, with a model card filled from its records.

    Places of your machine, such as the folder of the data, are not sent.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Folder of one training (RUN/se-seed0) or of a search, or a genotype file."""
    repo: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[USER/NAME]")] = None
    """Repository on the hub, made if it is not there; USER/NAME@BRANCH for a branch that is. If left out,
    --folder alone is written."""
    folder: Path | None = None
    """Folder to make with what is shared."""
    send: bool = True
    """Send it; --no-send writes --folder alone, with USER/NAME in its model card."""
    private: bool = False
    """Make the repository one that only you see; one that is public already is refused."""
    license: str = "unknown"
    """Licence in the hub's words, such as apache-2.0; what you name none for may hardly be used."""


def run(arguments: list[str]) -> None:
    """Shares."""
    given = read_arguments(Arguments, arguments, command="share")
    if given.folder is None and (given.repo is None or not given.send):
        raise InputError("where to? name the repository, USER/NAME, or --folder FOLDER, or both")
    from autola.sharing import push_to_hub, save_pretrained

    if given.repo is None or not given.send:
        assert given.folder is not None
        if given.private:
            raise InputError("--private is for a repository that is sent to; leave it out")
        save_pretrained(given.run, given.folder, license=given.license, repo=given.repo)
        out_of_terminal(f"{given.folder}  nothing was sent")
        return
    private = given.private or None
    url = push_to_hub(given.run, given.repo, private=private, license=given.license, folder=given.folder)
    out_of_terminal(url)
