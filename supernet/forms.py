"""How mixed edges may be computed."""

from typing import Literal

Form = Literal["grouped", "plain"]
"""Edges side by side (grouped), or one by one (plain); both are the same function."""
