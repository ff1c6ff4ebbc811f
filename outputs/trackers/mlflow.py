"""MLflow (https://mlflow.org), through its light package mlflow-skinny: a server, or files in a folder."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

from filelock import FileLock

from outputs.trackers import TRACKERS, Start

FOLDER = "mlruns"
"""Where MLflow keeps files: beside the run folders, unless MLFLOW_TRACKING_URI says otherwise."""

_ADDRESS = "MLFLOW_TRACKING_URI"

_USUAL = {
    "MLFLOW_ALLOW_FILE_STORE": "true",  # files need neither a server nor a database
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # a server that is down must not hold up the training
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output is for results
}
"""MLflow's own variables, as they are set where the user has not."""

_MOST_PARAMS = 100
"""Settings that MLflow takes at a time."""

_LONGEST = 6000
"""Characters of a setting that MLflow takes."""


@TRACKERS.register("mlflow")
class MLflow:
    """MLflow: a server that MLFLOW_TRACKING_URI names, or files in `mlruns` beside the run folders."""

    package: ClassVar[str] = "mlflow"
    install: ClassVar[str] = "pip install 'autola[mlflow]'"

    def __init__(self, start: Start) -> None:
        self._entities = importlib.import_module("mlflow.entities")
        address = os.environ.get(_ADDRESS)
        files = start.folder / FOLDER
        client = importlib.import_module("mlflow").MlflowClient
        self._client: Any = client(tracking_uri=address or files.absolute().as_uri())
        if start.id is None:
            self.id = self._begin(start, None if address else files)
        else:
            self.id = start.id
            self._client.update_run(self.id, status="RUNNING")

    @staticmethod
    def prepare() -> None:
        for name, value in _USUAL.items():
            os.environ.setdefault(name, value)

    def steps(self, name: str) -> set[int]:
        return {metric.step for metric in self._client.get_metric_history(self.id, name)}

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        now = round(1000 * time.time())
        metrics = [self._entities.Metric(name, value, now, step) for name, value in figures.items()]
        self._client.log_batch(self.id, metrics=metrics)

    def conclude(self, texts: Mapping[str, str]) -> None:
        for name, text in texts.items():
            self._client.set_tag(self.id, name, text)
        self._client.set_terminated(self.id, status="FINISHED")

    def close(self) -> None:
        pass

    def _begin(self, start: Start, files: Path | None) -> str:
        """Makes the run, and the experiment where it is the first of it."""
        if files is not None:
            files.mkdir(parents=True, exist_ok=True)
        # Processes that train side by side would each make an experiment of that name among the files.
        with nullcontext() if files is None else FileLock(files / ".autola.lock"):
            known = self._client.get_experiment_by_name(start.experiment)
            experiment = known.experiment_id if known else self._client.create_experiment(start.experiment)
        run: str = self._client.create_run(experiment, tags=dict(start.tags), run_name=start.name).info.run_id
        params = [self._entities.Param(name, text[:_LONGEST]) for name, text in start.settings.items()]
        for first in range(0, len(params), _MOST_PARAMS):
            self._client.log_batch(run, params=params[first : first + _MOST_PARAMS])
        return run
