"""Stand-ins for the packages of trackers: the few functions that are called, over lists in memory."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


@dataclass
class Held:
    """A run as a tracker has it: what all of them know, whatever they call it."""

    experiment: str
    name: str
    settings: dict[str, Any]
    tags: dict[str, Any]
    figures: list[tuple[int, str, float]] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    finished: bool = False


@dataclass
class Stand:
    """A stand-in: the runs that it holds by id, and what it does before every call."""

    runs: dict[str, Held] = field(default_factory=dict)
    before_call: Callable[[], None] = lambda: None
    addresses: list[str] = field(default_factory=list)


def module(monkeypatch: pytest.MonkeyPatch, name: str, **contents: Any) -> None:
    made = ModuleType(name)
    made.__spec__ = ModuleSpec(name, None)
    vars(made).update(contents)
    monkeypatch.setitem(sys.modules, name, made)


def stand_for_mlflow(monkeypatch: pytest.MonkeyPatch) -> Stand:
    """MLflow as mlflow-skinny 3 has it: it keeps what it is given, twice if given twice."""
    stand, experiments = Stand(), dict[str, str]()

    class Client:
        def __init__(self, tracking_uri: str) -> None:
            stand.addresses.append(tracking_uri)

        def get_experiment_by_name(self, name: str) -> Any:
            stand.before_call()
            return SimpleNamespace(experiment_id=experiments[name]) if name in experiments else None

        def create_experiment(self, name: str) -> str:
            assert name not in experiments
            experiments[name] = str(len(experiments))
            return experiments[name]

        def create_run(self, experiment_id: str, tags: dict[str, str], run_name: str) -> Any:
            (experiment,) = (name for name, known in experiments.items() if known == experiment_id)
            run = f"run{len(stand.runs)}"
            stand.runs[run] = Held(experiment, run_name, {}, tags)
            return SimpleNamespace(info=SimpleNamespace(run_id=run))

        def update_run(self, run_id: str, status: str) -> None:
            stand.before_call()
            stand.runs[run_id].finished = status != "RUNNING"

        def log_batch(self, run_id: str, metrics: Any = (), params: Any = ()) -> None:
            stand.before_call()
            assert len(params) <= 100
            for param in params:
                assert param.key not in stand.runs[run_id].settings
                stand.runs[run_id].settings[param.key] = param.value
            for metric in metrics:
                stand.runs[run_id].figures.append((metric.step, metric.key, metric.value))

        def get_metric_history(self, run_id: str, key: str) -> list[Any]:
            stand.before_call()
            return [SimpleNamespace(step=step) for step, name, _ in stand.runs[run_id].figures if name == key]

        def set_tag(self, run_id: str, key: str, value: str) -> None:
            stand.runs[run_id].texts[key] = value

        def set_terminated(self, run_id: str, status: str) -> None:
            stand.runs[run_id].finished = status == "FINISHED"

    def metric(key: str, value: float, timestamp: int, step: int) -> Any:
        return SimpleNamespace(key=key, value=value, timestamp=timestamp, step=step)

    def param(key: str, value: str) -> Any:
        return SimpleNamespace(key=key, value=value)

    module(monkeypatch, "mlflow.entities", Metric=metric, Param=param)
    module(monkeypatch, "mlflow", MlflowClient=Client)
    return stand


def stand_for_trackio(monkeypatch: pytest.MonkeyPatch) -> Stand:
    """trackio as version 0.43 has it: rows wait in memory until the run is finished."""
    stand, current = Stand(), list[Any]()

    class Run:
        def __init__(self, held: Held) -> None:
            self.held, self.waiting = held, list[tuple[int, dict[str, Any]]]()

        def log(self, metrics: dict[str, Any], step: int) -> None:
            stand.before_call()
            self.waiting.append((step, metrics))

    def init(project: str, name: str, resume: str, config: dict[str, Any], **options: Any) -> Run:
        stand.before_call()
        assert resume == "allow"
        assert options == {"embed": False, "auto_log_gpu": False, "auto_log_cpu": False}
        settings = {key: value for key, value in config.items() if key != "environment"}
        held = stand.runs.setdefault(name, Held(project, name[:-7], settings, config["environment"]))
        sys.stdout.write("* Trackio project initialized\n")
        current.append(Run(held))
        return current[-1]

    def finish() -> None:
        run = current.pop()
        for step, metrics in run.waiting:
            for name, value in metrics.items():
                if isinstance(value, str):
                    run.held.texts[name] = value
                else:
                    run.held.figures.append((step, name, value))
        run.held.finished = "result/seconds" in {name for _, name, _ in run.held.figures}

    class SQLiteStorage:
        @staticmethod
        def get_logs(project: str, run: str) -> list[dict[str, Any]]:
            held = stand.runs[run]
            assert held.experiment == project
            texts = [{"step": 0, **held.texts}] if held.texts else []
            return [{"step": step, name: value} for step, name, value in held.figures] + texts

    module(monkeypatch, "trackio.sqlite_storage", SQLiteStorage=SQLiteStorage)
    module(monkeypatch, "trackio", init=init, finish=finish)
    return stand


STANDS = {"mlflow": stand_for_mlflow, "trackio": stand_for_trackio}
"""Stand-ins by the name of the tracker."""
