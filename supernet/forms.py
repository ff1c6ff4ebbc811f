"""How mixed edges may be computed."""

from typing import Literal

Form = Literal["grouped", "plain"]
"""Side by side, or edge by edge; every form is the same function."""
