"""Settings of a search and of a retraining, as config.json, the command line and Python share them."""

from autola.configs.device import MOST_THREADS, DeviceConfig, DeviceKind
from autola.configs.named import AnySearcher, AnyTask, Named
from autola.configs.retraining import RetrainConfig
from autola.configs.searching import AnySearch, ExperimentConfig, SearchConfig, TaskSearch

__all__ = [
    "MOST_THREADS",
    "AnySearch",
    "AnySearcher",
    "AnyTask",
    "DeviceConfig",
    "DeviceKind",
    "ExperimentConfig",
    "Named",
    "RetrainConfig",
    "SearchConfig",
    "TaskSearch",
]
