"""An ejected file as a text: what it says of itself, its definitions, and its check."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version

from autola.cli import command_line
from autola.ejecting.building import Builder, roots
from autola.ejecting.gathering import Gathered, gather, import_lines
from autola.ejecting.layout import WIDTH
from autola.ejecting.placing import Group, Network, attach_text
from autola.ejecting.rewriting import Shared
from autola.ejecting.sources import Import, Name, source_of
from foundation.hub import SCHEME
from search_space.operator import OPERATORS
from search_space.term import Term, label, short_label

CHECKING = "autola.ejecting.checking"

LEAST_TORCH = (2, 4)
"""Oldest torch that files run on, tried."""

NEWER = {"torch.compiler.is_exporting": (2, 7)}
"""What older ones lack, and the first torch that has it."""

LEAST_PYTHON = "3.10"
"""Oldest Python that a file runs on."""

PACKAGES = ("torchvision", "timm")
"""Packages besides torch that some operators are made of."""


MARKS = {
    "GENOTYPE": "a file or run with the genotype above",
    "PLACEMENT": "a file or run with what stands where, below",
}
"""What stands for a path of the machine, and what that has to hold."""

CHECKED = (3, 8, 9)
"""Batch, height and width of the maps that a file checks itself on."""


def checked_shape(channels: int) -> tuple[int, int, int, int]:
    """The input of the check, (b, c, h, w)."""
    b, h, w = CHECKED
    return b, channels, h, w


@dataclass(kw_only=True)
class File:
    """What a file holds.

    Attributes:
        terms: The attention.
        given: The same as it was named: with a placement, and not what stands in it.
        cost: What it costs, in words.
        builders: Functions that build it.
        groups: Places in a network, if it is for one.
        options: Those of the command that writes this file; none where no command does.
        backbone: Name of the network.
        network: How the network is made, if the file can.
        digests: What the check has to find for each builder.
        network_shape: The images of the network's check.
        network_digest: What that has to find.
    """

    terms: tuple[Term, ...]
    given: tuple[Term, ...]
    cost: str
    builders: Sequence[Builder]
    options: Sequence[str] = ()
    groups: Sequence[Group] = ()
    backbone: str = ""
    network: Network | None = None
    digests: Sequence[Mapping[str, float]] = ()
    network_shape: tuple[int, ...] = ()
    network_digest: float = 0.0

    def text(self) -> str:
        """All of it."""
        gathered = self._gathered()
        checks = [text for name, text in gathered.texts.items() if name.module == CHECKING]
        others = [text for name, text in gathered.texts.items() if name.module != CHECKING]
        builders = [builder.text(gathered.called) for builder in self.builders]
        parts = [*others, *builders, *self._attaching(gathered), *checks, *self._expected(), self._main()]
        head = [
            self._docstring(gathered),
            "from __future__ import annotations",
            import_lines(gathered.imports | {Import("sys", "", "sys"), Import("torch", "", "torch")}),
            _version_check(_least_torch(gathered)),
        ]
        return (
            "\n\n".join(head) + "\n\n\n" + _joined(parts) + '\n\n\nif __name__ == "__main__":\n    main()\n'
        )

    def _gathered(self) -> Gathered:
        names = roots(self.terms)
        if self.network is not None and self.network.root is not None:
            names.append(self.network.root)
        names += dict.fromkeys(group.verb for group in self.groups)
        names.append(Name(CHECKING, "faults"))
        if self.network is not None:
            names.append(Name(CHECKING, "network_faults"))
        if any(term.genotype for term in self.terms):
            return gather(names, stateless=False)
        try:
            return gather(names, stateless=True)
        except Shared:
            return gather(names, stateless=False)

    def _docstring(self, gathered: Gathered) -> str:
        what = short_label(label(self.terms))
        where = f" in {self.backbone}" if self.backbone else f", for {self.builders[0].channels} channels"
        parts = [f"The attention `{what}`{where}: one file that checks itself."]
        for term in self.terms:
            if term.genotype is None:
                summary = OPERATORS[term.name].summary
                parts.append(_wrapped(f"`{term.name}`: {summary}" if len(self.terms) > 1 else summary))
            else:
                nodes = "".join(f"\n    {line}" for line in str(term.genotype).split("; "))
                parts.append(f'Genotype, its nodes joined by the fuse "{term.genotype.fuse}":\n{nodes}')
        names = [*roots(self.terms), *gathered.texts]
        sources = dict.fromkeys(source for name in names if (source := _source_line(name)))
        parts.append("\n".join(["Source:", *(_wrapped(source, "    ") for source in sources)]))
        needs = [package for package in PACKAGES if self._needs(gathered, package)]
        least = ".".join(map(str, _least_torch(gathered)))
        facts = [
            "Licence: Apache-2.0 (https://www.apache.org/licenses/LICENSE-2.0), as the source in autola.",
            f"Cost: {self.cost}.",
            f"Needs: Python {LEAST_PYTHON} and torch {least} or newer"
            + "".join(f", {name}" for name in needs)
            + ".",
            f"Made by autola {version('autola')}{self._made()}",
        ]
        parts += ["\n".join(_wrapped(fact) for fact in facts), self._use()]
        return '"""' + "\n\n".join(parts) + '\n"""'

    def _needs(self, gathered: Gathered, package: str) -> bool:
        imported = any(found.module.partition(".")[0] == package for found in gathered.imports)
        return imported or any(f"import {package}" in text for text in gathered.texts.values())

    def _made(self) -> str:
        """What writes this file once more; no path of the machine, which means nothing elsewhere."""
        named = tuple(map(_placeheld, self.given))
        what = label(named)
        if self.options:
            call = command_line(["eject", what, *self.options])
        else:
            call = f'autola.eject("{what}", backbone=model), with a {self.backbone} of the user\'s'
        if named == self.given:
            return f": {call}"
        (kind,) = (mark for mark in MARKS if f":{mark}" in what)
        return f" from {short_label(label(self.given))}: {call}, where {kind} is {MARKS[kind]}"

    def _use(self) -> str:
        if not self.groups:
            use = f"`build({self.builders[0].channels})` is the module, (b, c, h, w) in and out."
        else:
            use = (
                f"`attach(model)` puts it into a plain {self.backbone}; load trained weights before or after."
            )
        return _wrapped(
            f"{use} State dicts go both ways between it and autola's own. `python FILE` checks outputs, "
            "gradients and shapes against those of the day it was made; what does that starts at `MAPS` and "
            "may be deleted.",
            hanging="",
        )

    def _attaching(self, gathered: Gathered) -> list[str]:
        if not self.groups:
            return []
        parts = [*(group.text() for group in self.groups), attach_text(self.groups, self.backbone)]
        if self.network is not None:
            root = self.network.root
            parts.append(self.network.text.replace("{name}", gathered.called[root] if root else ""))
        return parts

    def _expected(self) -> list[str]:
        parts = list[str]()
        for builder, digest in zip(self.builders, self.digests):
            parts.append(f"{builder.table('SHAPE')} = {checked_shape(builder.channels)}")
            values = "".join(f'    "{name}": {value!r},\n' for name, value in digest.items())
            parts.append(f"{builder.table('DIGEST')} = {{\n{values}}}")
        if self.network is not None:
            parts += [f"NETWORK_SHAPE = {self.network_shape}", f"NETWORK_DIGEST = {self.network_digest!r}"]
        return ["\n".join(parts) + '\n"""What the check reads and has to find."""']

    def _main(self) -> str:
        checks = [
            f"faults({builder.name}(), {builder.table('SHAPE')}, {builder.table('DIGEST')})"
            for builder in self.builders
        ]
        lines = [
            "def main() -> None:",
            '    """Checks the file; ends with 1 where it is not what it was when it was made."""',
            f"    found = {checks[0]}",
            *(f"    found += {check}" for check in checks[1:]),
        ]
        if self.network is not None:
            lines += [
                "    try:",
                "        model = attach(network())",
                "    except ImportError as error:",
                '        print(f"the attach step is not checked, there is no network for it: {error}")',
                "    else:",
                "        found += network_faults(model, NETWORK_SHAPE, NETWORK_DIGEST)",
            ]
        lines += [
            "    for fault in found:",
            "        print(fault)",
            '    print("not what it was" if found else "as it was: outputs, gradients and shapes agree")',
            "    sys.exit(bool(found))",
        ]
        return "\n".join(lines)


def _placeheld(term: Term) -> Term:
    """A term with a word in place of a path that holds on one machine alone."""
    is_shared = (term.argument or "").startswith(SCHEME)
    if label((term,)) == term.name or is_shared or not (term.genotype or term.placement):
        return term
    return replace(term, argument="PLACEMENT" if term.placement else "GENOTYPE")


def _least_torch(gathered: Gathered) -> tuple[int, int]:
    texts = "".join(gathered.texts.values())
    return max([LEAST_TORCH, *(first for word, first in NEWER.items() if word in texts)])


def _version_check(least: tuple[int, int]) -> str:
    version = ".".join(map(str, least))
    return textwrap.dedent(
        f"""\
        if tuple(map(int, torch.__version__.split(".")[:2])) < {least}:
            kind = SystemExit if __name__ == "__main__" else ImportError
            raise kind(f"this file needs torch {version} or newer, and torch is {{torch.__version__}}")"""
    )


def _joined(parts: Sequence[str]) -> str:
    """Definitions with two empty lines around functions and classes, one between constants."""
    text, before = parts[0], "class "
    for part in parts[1:]:
        constants = not any(one.startswith(("def ", "class ", "@", "if ")) for one in (before, part))
        text += ("\n\n" if constants else "\n\n\n") + part
        before = part
    return text


def _source_line(name: Name) -> str:
    """The source that the module of a class names for all in it."""
    source = source_of(name.module)
    statement = source.definitions[name.name]
    if not name.module.startswith("search_space.") or type(statement).__name__ != "ClassDef":
        return ""
    first = source.tree.body[0]
    text = source.data[: _end_of_first(source.data)].decode() if first.col_offset == 0 else ""
    found = re.search(r"^Source: (.*?)(?:\n\n|\n?\"\"\")", text, re.MULTILINE | re.DOTALL)
    line = "" if found is None else " ".join(found[1].split())
    return line[:1].upper() + line[1:]


def _end_of_first(data: bytes) -> int:
    """Where the docstring of a module ends."""
    return data.index(b'"""', 3) + 3


def _wrapped(text: str, indent: str = "", hanging: str = "    ") -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + hanging,
        break_on_hyphens=False,
        break_long_words=False,
    )
