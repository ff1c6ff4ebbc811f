"""Files on huggingface.co, or on a server that answers as it does (HF_ENDPOINT): fetched and sent."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Collection, Generator
from dataclasses import dataclass
from pathlib import Path

from foundation.errors import InputError, shown
from foundation.files import no_space, out_of_space

SCHEME = "hf://"
"""What the address of a repository begins with where paths of this machine may stand, too."""

_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)

_TOKEN = "`hf auth login` stores a token, or set HF_TOKEN"


@dataclass(frozen=True)
class Address:
    """A repository of models on the hub.

    Attributes:
        repo: Its name: user/name.
        revision: Branch, tag or commit; None for the newest commit of the main branch.
    """

    repo: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Reads `user/name`, `user/name@revision`, or either behind hf://.

        Raises:
            InputError: If it is neither.
        """
        repo, at, revision = text.removeprefix(SCHEME).partition("@")
        if not _REPO.fullmatch(repo) or (at and not revision):
            raise InputError(
                f"{shown(text)} is no repository on the hub; the form is user/name or user/name@revision"
            )
        return cls(repo, revision or None)

    def __str__(self) -> str:
        return f"{SCHEME}{self.repo}" + (f"@{self.revision}" if self.revision else "")


def fetch(address: Address, names: Collection[str]) -> Path:
    """Brings files of a repository into the hub's cache; what is there already is not fetched again.

    Args:
        address: The repository.
        names: The files, of which some may be missing; no other file is fetched.

    Returns:
        The folder of the cache that holds them.

    Raises:
        InputError: If there is no such repository or revision, or it can neither be reached nor is all of it
            in the cache.
    """
    from huggingface_hub import HfApi  # slow

    api = HfApi(library_name="autola")
    with _plain_errors(address), _quiet():
        folder = api.snapshot_download(  # pyright: ignore[reportUnknownMemberType]
            address.repo, revision=address.revision, allow_patterns=list(names)
        )
    return Path(folder)


@contextlib.contextmanager
def named(folder: Path, address: Address) -> Generator[None]:
    """Errors about files of a folder of the cache name the repository that they come from."""
    try:
        yield
    except InputError as error:
        raise InputError(str(error).replace(str(folder), str(address))) from None


def send(folder: Path, address: Address, names: Collection[str], *, private: bool | None) -> str:
    """Sends all files of a folder as one commit to a repository, which is made if it is not there.

    Args:
        folder: The folder.
        address: The repository.
        names: Files that are removed from the repository where the folder lacks them; others stay.
        private: Whether only its owner may see a new repository; None for what the owner's settings say.

    Returns:
        The address of the repository for a browser.

    Raises:
        InputError: If there is no token, it may not write there, the hub cannot be reached, or the repository
            is public and should be private; nothing is sent then.
    """
    from huggingface_hub import HfApi, get_token  # slow
    from huggingface_hub.errors import RepositoryNotFoundError

    if get_token() is None:
        raise InputError(f"no token to write to {address} with; {_TOKEN}")
    api = HfApi(library_name="autola")
    with _plain_errors(address), _quiet():
        with contextlib.suppress(RepositoryNotFoundError):
            if private and not api.model_info(address.repo).private:
                raise InputError(
                    f"{address} is public already, so nothing in it would be private; choose another name"
                )
        url = api.create_repo(address.repo, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=address.repo,
            folder_path=folder,
            revision=address.revision,
            commit_message="Share what autola recorded",
            delete_patterns=list(names),
        )
    return str(url)


@contextlib.contextmanager
def _plain_errors(address: Address) -> Generator[None]:
    """Turns what huggingface_hub raises into one line."""
    from huggingface_hub import errors
    from huggingface_hub.errors import HTTPError  # pyright: ignore[reportPrivateImportUsage]

    try:
        yield
    except InputError:
        raise
    except errors.RevisionNotFoundError:
        wanted = address.revision or "main"
        raise InputError(f"{SCHEME}{address.repo} has no revision {shown(wanted)}") from None
    except errors.RepositoryNotFoundError:
        raise InputError(
            f"no repository {address} that you may read; check user and name (a private one needs a token: "
            f"{_TOKEN})"
        ) from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise InputError(f"your token may not do this with {address}; {_TOKEN}") from None
        raise InputError(f"the hub answers {status} about {address}: {_first_line(error)}") from None
    except (HTTPError, errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError):
        raise _unreached(address) from None
    except (OSError, ValueError) as error:  # the cache's, and those of names that the hub does not allow
        if out_of_space(error):
            from huggingface_hub import constants

            raise no_space(Path(constants.HF_HUB_CACHE)) from None
        raise InputError(f"{address}: {_first_line(error)}") from None


def _unreached(address: Address) -> InputError:
    from huggingface_hub import constants

    why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"{constants.ENDPOINT} does not answer"
    return InputError(f"cannot reach {address} ({why}), and it is not whole in the cache")


def _first_line(error: Exception) -> str:
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Progress bars show on a terminal alone."""
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    silenced = not sys.stderr.isatty() and not are_progress_bars_disabled()
    if silenced:
        disable_progress_bars()
    try:
        yield
    finally:
        if silenced:
            enable_progress_bars()
