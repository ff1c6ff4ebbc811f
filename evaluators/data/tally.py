"""Counts of the user's files that are used, and of those that are not, with the reason."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field

from foundation.errors import InputError

log = logging.getLogger(__name__)

MUCH = 0.1
"""Share of the files; a reader that leaves out more than this warns."""

_EXAMPLES = 2


@dataclass
class Tally:
    """Counts that a reader makes while it reads, logged by whoever uses what was read.

    Attributes:
        where: File or folder that was read.
        what: The word for what is counted, in plural.
        used: The number of those that are used.
    """

    where: str
    what: str
    used: int = 0
    _left: Counter[str] = field(default_factory=Counter)
    _passed: Counter[str] = field(default_factory=Counter)
    _noted: Counter[str] = field(default_factory=Counter)
    _examples: dict[str, list[str]] = field(default_factory=dict)

    def leave_out(self, reason: str, name: str = "", count: int = 1) -> None:
        """Counts some of what is there and not used.

        Args:
            reason: Text that follows their number in the line that reports them.
            name: Name of one of them; the first few are printed.
            count: The number of them.
        """
        self._left[reason] += count
        self._example(reason, name)

    def pass_over(self, reason: str, name: str = "") -> None:
        """Counts what was never meant to be used: it is logged, but weighs nothing."""
        self._passed[reason] += 1
        self._example(reason, name)

    def note(self, reason: str, name: str = "", count: int = 1) -> None:
        """Counts some of what is used although it is odd; see `leave_out`."""
        if count:
            self._noted[reason] += count
            self._example(reason, name)

    @property
    def left(self) -> int:
        """How many are left out."""
        return self._left.total()

    @property
    def passed(self) -> int:
        """How many are passed over."""
        return self._passed.total()

    def __str__(self) -> str:
        text = f"{self.where}: {self.used} {self.what}"
        if self._left:
            text += f", {self.left} left out ({self._reasons(self._left)})"
        if self._noted:
            text += f"; among them {self._reasons(self._noted)}"
        if self._passed:
            text += f"; passed over: {self._reasons(self._passed)}"
        return text

    def report(self) -> None:
        """Logs one line where anything is odd, left out or passed over; a warning from a tenth on.

        What is used in full is counted by whoever uses it, in the first line of a training.

        Raises:
            InputError: If something is there and all of it is left out.
        """
        if self.left and not self.used:
            raise InputError(f"{self}: nothing is left to use")
        most = max([self.left, *self._noted.values()])
        if most or self.passed:
            level = logging.WARNING if most > MUCH * (self.used + self.left) else logging.INFO
            log.log(level, "%s", self)

    def _example(self, reason: str, name: str) -> None:
        known = self._examples.setdefault(reason, [])
        if name and len(known) <= _EXAMPLES:
            known.append(name)

    def _reasons(self, counts: Counter[str]) -> str:
        return ", ".join(f"{count} {reason}{self._named(reason)}" for reason, count in counts.items())

    def _named(self, reason: str) -> str:
        known = self._examples.get(reason, [])
        more = " ..." if len(known) > _EXAMPLES else ""
        return f": {' '.join(known[:_EXAMPLES])}{more}" if known else ""
