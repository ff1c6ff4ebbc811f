"""The tuner of an experiment, in a process of its own, that asks one of our searchers.

NNI imports this file by itself and gives up on a tuner that is not there within ten seconds, so nothing of
autola, which brings torch, is imported before NNI is connected.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from nni.tuner import Tuner

C = TypeVar("C", bound=Callable[..., Any])


def fatal(method: C) -> C:
    """Ends the process where a method fails: NNI would wait for ever for a tuner that lives but is broken."""

    @functools.wraps(method)
    def guarded(*given: Any, **named: Any) -> Any:
        try:
            return method(*given, **named)
        except Exception:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)

    return guarded  # type: ignore[return-value]


class ProposerTuner(Tuner):
    """Proposes what a searcher proposes.

    Args:
        given: JSON text of the searcher, the space, the limits, the seed, the history so far, and the modules
            to import.
    """

    def __init__(self, given: str) -> None:
        self.given = json.loads(given)

    @fatal
    def update_search_space(self, search_space: Any) -> None:
        """Starts; the space itself is ours."""
        given = self.given
        sys.path.extend(path for path in given["path"] if path not in sys.path)
        for module in given["imports"]:
            importlib.import_module(module)
        from foundation.config import parse
        from search_space.space import Space
        from searchers import SEARCHERS
        from searchers.blackbox import BlackBox
        from searchers.candidates import Candidates, restored
        from searchers.limits import Limits

        keys = dict(given["searcher"])
        name = keys.pop("name")
        searcher = parse(SEARCHERS[name], keys, name)
        assert isinstance(searcher, BlackBox)
        self.space = parse(Space, given["space"], "space")
        limits = None if given["limits"] is None else Limits.from_values(self.space, given["limits"])
        self.propose = searcher.proposer(Candidates(space=self.space, limits=limits, seed=given["seed"]))
        self.history = restored(given["history"], self.space)
        self.numbers = dict[int, int]()

    @fatal
    def generate_parameters(self, parameter_id: int, **_: Any) -> dict[str, Any]:
        """The next trial: its number and the operators of the edges."""
        from searchers.candidates import Trial
        from searchers.nni.experiment import TRIAL
        from searchers.nni.proposer import name_of

        genotype = self.propose(self.history)
        number = self.numbers[parameter_id] = len(self.history)
        self.history.append(Trial(genotype=genotype, score=None))
        operators = zip(map(name_of, self.space.edges), self.space.operators(genotype))
        return {TRIAL: number, **dict(operators)}

    @fatal
    def receive_trial_result(self, parameter_id: int, parameters: Any, value: Any, **_: Any) -> None:
        """A score."""
        number = self.numbers[parameter_id]
        self.history[number] = replace(self.history[number], score=float(value))

    @fatal
    def trial_end(self, parameter_id: int, success: bool, **_: Any) -> None:
        """A trial ended, with a score or without."""
        number = self.numbers[parameter_id]
        if self.history[number].score is None:
            self.history[number] = replace(self.history[number], failed=True)
