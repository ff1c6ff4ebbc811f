"""What is published of a record: no path of the machine that it was made on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from outputs.comparison import COMPARISON
from outputs.records import CONFIG, DATA

ROOT = "FOLDER"
"""What stands for the folder of the data in files that are published."""


def moved(keys: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    """A config whose data, and weights among them, are in another folder."""
    was, now = (json.dumps(folder)[:-1] for folder in (old, new))
    return json.loads(json.dumps(keys).replace(was, now))


PUBLIC: dict[str, Callable[[dict[str, Any], Path], Any]] = {
    CONFIG: lambda keys, file: moved(keys, keys["task"]["data"]["root"] or ROOT, ROOT),
    COMPARISON: lambda keys, file: keys | {"run": file.parent.name},
    DATA: lambda keys, file: {key: value for key, value in keys.items() if key != "vocabulary"},
}
"""What is published of a record: no path of this machine, no sub-words, which the same text gives again."""


def publish(file: Path, to: Path) -> None:
    """Copies a file whole or not at all, if it is another than the one that is there."""
    content = file.read_bytes()
    if file.name in PUBLIC:
        public = PUBLIC[file.name](json.loads(content), file)
        content = (json.dumps(public, indent=2) + "\n").encode()
    if to.exists() and to.read_bytes() == content:
        return
    partial = to.with_name(f".{to.name}")
    partial.write_bytes(content)
    partial.replace(to)
