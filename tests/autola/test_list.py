"""`autola list` names whatever is registered."""

import json

from autola.comparing.presets import COMPARE_PRESETS
from autola.presets import RETRAIN_PRESETS, SEARCH_PRESETS
from evaluators.data import READERS
from evaluators.tasks import TASKS
from outputs.trackers import TRACKERS
from search_space.operator import OPERATORS
from search_space.space import SPACES
from searchers import SEARCHERS
from supernet.backbones import BACKBONES

REGISTRIES = {
    "search_presets": SEARCH_PRESETS,
    "retrain_presets": RETRAIN_PRESETS,
    "compare_presets": COMPARE_PRESETS,
    "searchers": SEARCHERS,
    "search_spaces": SPACES,
    "attention": OPERATORS,
    "backbones": BACKBONES,
    "readers": READERS,
    "tasks": TASKS,
    "trackers": TRACKERS,
}


def test_json_is_one_object_and_nothing_else(call):
    told = call("list --json")
    assert (told.code, told.err) == (0, "")
    assert told.out.count("\n") == 1
    listing = json.loads(told.out)
    assert listing.keys() == REGISTRIES.keys()
    for kind, registry in REGISTRIES.items():
        assert set(registry) <= set(listing[kind])
    assert "hoga" in listing["attention"]


def test_a_person_sees_every_name_with_a_line_on_it(call):
    lines = call("list").out.splitlines()
    for kind, registry in REGISTRIES.items():
        assert kind.replace("_", " ") in lines
        for name in registry:
            assert any(line.startswith(f"  {name} ") or line == f"  {name}" for line in lines), name
