"""Names for things that plug in: one class, one instance a kind of thing."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from foundation.errors import InputError, unknown

T = TypeVar("T")
C = TypeVar("C", bound=type)


class Registry(Generic[T]):
    """Maps names to registered things of one kind.

    A registry knows the package its entries live in and imports every module of it at the first
    look-up, so a new entry is one new file and no other edit.

    Args:
        kind: What the entries are, in the words of error messages ("operator").
        package: The package whose modules register entries; empty for none.
    """

    def __init__(self, kind: str, package: str = "") -> None:
        self.kind = kind
        self._package = package
        self._entries: dict[str, T] = {}
        self._homes: dict[str, str] = {}
        self._loaded = not package

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that registers what it decorates under `name`.

        Raises:
            InputError: If the name is taken: two entries would hide each other.
        """

        def decorate(entry: T) -> T:
            self.add(name, entry)
            return entry

        return decorate

    def named(self, name: str) -> Callable[[C], C]:
        """Decorator that registers a class under `name` and notes that as `cls.name`; see `register`."""

        def decorate(cls: C) -> C:
            cls.name = name  # pyright: ignore[reportAttributeAccessIssue]
            self.add(name, cls)  # pyright: ignore[reportArgumentType]
            return cls

        return decorate

    def add(self, name: str, entry: T) -> None:
        """Registers `entry` under `name`; see `register`."""
        if name in self._entries:
            raise self._taken(name, _registering_module())
        self._entries[name] = entry
        self._homes[name] = _registering_module()

    @contextmanager
    def lent(self, name: str, entry: T) -> Generator[None]:
        """Registers `entry` under `name` inside a block alone; see `register`."""
        self._load()
        self.add(name, entry)
        self._homes[name] = str(getattr(entry, "__module__", ""))
        try:
            yield
        finally:
            del self._entries[name], self._homes[name]

    def home(self, name: str) -> str:
        """Name of the module that registered an entry: importing it elsewhere registers the entry there."""
        self[name]
        return self._homes[name]

    def __getitem__(self, name: str) -> T:
        self._load()
        if name not in self._entries:
            raise unknown(self.kind, name, self._entries)
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        self._load()
        return len(self._entries)

    def items(self) -> list[tuple[str, T]]:
        """Names and entries, sorted by name."""
        return [(name, self._entries[name]) for name in self]

    def _taken(self, name: str, module: str) -> InputError:
        text = f"{self.kind} {name!r} is registered twice"
        other = self._homes[name]
        return InputError(
            text if other == module else f"{text}, by {other} and by {module}; give yours another name"
        )

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True  # at once: the modules imported here may look things up
        try:
            package = importlib.import_module(self._package)
            for module in pkgutil.iter_modules(package.__path__, f"{self._package}."):
                importlib.import_module(module.name)
        except BaseException:
            self._loaded = False  # the next look-up fails as well, and not for a missing entry
            raise


def _registering_module() -> str:
    """The module whose import registers something at this moment: the innermost one whose body is running."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    return "__main__" if frame is None else frame.f_globals["__name__"]
