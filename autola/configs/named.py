"""Configs that a registry knows, as records name them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from evaluators.tasks import TASKS, TaskConfig
from foundation.config import adapter, parse
from foundation.errors import InputError
from foundation.registry import Registry
from searchers import SEARCHERS, SearcherConfig


class Named:
    """Reads a registered config from JSON, and writes it, as its name and its own keys.

    Args:
        registry: The registry that knows the class of every name.
    """

    def __init__(self, registry: Registry[Any]) -> None:
        self.registry = registry

    def read(self, value: object) -> object:
        """A config from a dict of its keys; any other value is returned unchanged."""
        if not isinstance(value, dict):
            return value
        keys = dict(value)
        name = keys.pop("name", None)
        if not isinstance(name, str):
            raise InputError(f"the {self.registry.kind} has no name")
        return parse(self.registry[name], keys, name)

    @staticmethod
    def write(value: Any) -> dict[str, Any]:
        """The keys of a config."""
        return {"name": value.name, **adapter(type(value)).dump_python(value, mode="json")}

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        """The schema that pydantic asks for, made of `read` and `write`."""
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(
            self.read,
            handler(source),
            serialization=core_schema.plain_serializer_function_ser_schema(self.write, when_used="json"),
        )


AnySearcher = Annotated[SearcherConfig, Named(SEARCHERS)]
AnyTask = Annotated[TaskConfig, Named(TASKS)]
