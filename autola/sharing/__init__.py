"""Trained networks and genotypes on the hub, or in a folder that holds the same."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autola.runs import is_search
from foundation.config import to_json
from foundation.errors import InputError, shown
from foundation.hub import Address, fetch, named, send
from outputs.new_folder import make_folder
from outputs.records import CONFIG, DATA, ENVIRONMENT, GENOTYPE, RESULT, WEIGHTS, Records
from outputs.run_directory import RunDirectory
from search_space.attention import Finding
from search_space.genotype import Genotype
from search_space.grammar import genotype_at, space_of

if TYPE_CHECKING:
    from torch import nn

    from autola.sharing.contents import SharedGenotype, SharedNetwork

README, TABLE, UNKNOWN = "README.md", "table.json", "unknown"

FILES = (README, CONFIG, DATA, ENVIRONMENT, GENOTYPE, RESULT, TABLE, WEIGHTS)
"""All that is ever shared, and all that is ever fetched."""

Shareable = str | Path | Genotype | Finding
"""The folder of a training, of a search, a genotype file, a genotype, or what a search gave back."""


def save_pretrained(
    what: Shareable, folder: str | Path, *, license: str = UNKNOWN, repo: str | None = None
) -> Path:
    """Writes what `push_to_hub` would send into a new folder, and sends nothing.

    Args:
        what: The folder of one training or of a search, a genotype file, a genotype, or what a search gave
            back.
        folder: The folder to make.
        license: The hub's name of the licence, such as apache-2.0.
        repo: user/name, where it will be; the model card then says so.

    Returns:
        The folder. `from_pretrained`, `autola.load`, `autola predict` and `autola export` take it.

    Raises:
        InputError: If there is nothing to share, a record is damaged, or the folder exists already.
    """
    if repo is not None:
        repo = Address.parse(repo).repo
    if not license.strip() or not license.isprintable():
        raise InputError(f"license={shown(license)} names no licence; give one such as apache-2.0")
    folder, contents = Path(folder), _contents(what)
    if isinstance(contents, Genotype):
        contents = _bare(contents)
    make_folder(folder, lambda new: _write(new, contents, repo, license), choice="folder")
    return folder


def push_to_hub(
    what: Shareable,
    repo: str,
    *,
    private: bool | None = None,
    license: str = UNKNOWN,
    folder: str | Path | None = None,
) -> str:
    """Sends a trained network or a genotype to the hub as one commit, with a model card from its records.

    Places of the user's machine are not sent. A repository that is there already keeps its other files.

    Args:
        what: The folder of one training or of a search, a genotype file, a genotype, or what a search gave
            back.
        repo: user/name, which is made if it is not there; user/name@branch for a branch that is.
        private: Whether only its owner may see a new repository; None for what the owner's settings say.
        license: The hub's name of the licence, such as apache-2.0.
        folder: A new folder that keeps what was sent; None to keep nothing.

    Returns:
        The address of the repository for a browser.

    Raises:
        InputError: If there is nothing to share, no token, or the hub refuses or cannot be reached.
    """
    address = Address.parse(repo)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary) / "shared" if folder is None else Path(folder)
        save_pretrained(what, place, license=license, repo=address.repo)
        return send(place, address, FILES, private=private)


def from_pretrained(source: str | Path, *, revision: str | None = None) -> nn.Module | Genotype:
    """What `push_to_hub` or `save_pretrained` shared.

    Args:
        source: A folder, or user/name on the hub, which is fetched into the hub's cache.
        revision: Branch, tag or commit; None for the newest.

    Returns:
        A network, on the CPU in eval mode, whose attribute `facts` is what it knows of its data: classes,
        shape, mean and deviation; or a genotype.

    Raises:
        InputError: If there is none, it is not autola's, or it is damaged. Weights are read from safetensors
            alone, which carry no code.
    """
    if os.path.isdir(source):
        if revision is not None:
            raise InputError(f"{source} is a folder, which has no revisions; leave the revision out")
        return _opened(Path(source), str(source))
    if isinstance(source, Path):
        raise InputError(f"no folder {source}")
    address = Address.parse(source)
    if revision is not None:
        if address.revision is not None:
            raise InputError(f"two revisions are given: {address.revision} and {revision}")
        address = Address(address.repo, revision)
    folder = fetch(address, FILES)
    with named(folder, address):
        return _opened(folder, str(address))


def _opened(folder: Path, where: str) -> nn.Module | Genotype:
    records = Records(folder)
    if records.has(WEIGHTS):
        from autola.trained import open_trained  # slow: PyTorch

        trained = open_trained(folder)
        facts: dict[str, Any] = {key: trained.data[key] for key in trained.task.facts}
        trained.network.facts = facts  # pyright: ignore[reportArgumentType]
        return trained.network
    if records.has(GENOTYPE):
        return genotype_at(folder)
    raise InputError(f"{where} is not autola's: it has neither {WEIGHTS} nor {GENOTYPE}")


def _contents(what: Shareable) -> SharedNetwork | SharedGenotype | Genotype:
    if isinstance(what, Genotype):
        return space_of(what).check(what)
    path = what.run if isinstance(what, Finding) else Path(what)
    if (path / CONFIG).is_file():
        from autola.sharing.contents import search_contents, training_contents  # slow: PyTorch

        run = RunDirectory.open(path)
        return search_contents(run) if is_search(run) else training_contents(run)
    if not path.exists():
        raise InputError(f"no run folder or genotype file at {shown(str(path))}")
    return genotype_at(path)


def _bare(genotype: Genotype) -> SharedGenotype:
    from autola.sharing.contents import SharedGenotype

    return SharedGenotype(genotype=genotype)


def _write(folder: Path, contents: SharedNetwork | SharedGenotype, repo: str | None, license: str) -> None:
    from autola.sharing.card import genotype_card, network_card
    from autola.sharing.contents import SharedNetwork
    from autola.tables import Table
    from outputs.weights import save_weights

    records = Records(folder)
    if contents.genotype is not None:
        records.write_text(GENOTYPE, contents.genotype.to_json())
    if contents.config is not None:
        records.write_text(CONFIG, to_json(contents.config))
    if contents.data is not None:
        records.write_json(DATA, contents.data)
    if contents.environment:
        records.write_json(ENVIRONMENT, contents.environment)
    if not isinstance(contents, SharedNetwork):
        records.write_text(README, genotype_card(contents, repo, license))
        return
    save_weights(folder / WEIGHTS, contents.network.state_dict())
    records.write_json(RESULT, contents.result)
    records.write_text(TABLE, to_json(Table(run=".", score=contents.score, rows=contents.rows)))
    records.write_text(README, network_card(contents, repo, license))
