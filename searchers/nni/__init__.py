"""All of NNI: its tuners as searchers, experiments of many trials, a space for its own strategies.

NNI 3.0 is not maintained any more, and slow to import; nothing else of autola imports it, and this only where
it is used.
"""

from __future__ import annotations

from searchers import searcher
from searchers.nni.tuners import (
    EvolutionTuner,
    GridTuner,
    RandomTuner,
    RegularizedTuner,
    TpeTuner,
)

for _name, _config in {
    "tpe": TpeTuner,
    "evolution": EvolutionTuner,
    "random": RandomTuner,
    "grid": GridTuner,
    "regularized": RegularizedTuner,
}.items():
    searcher(f"nni:{_name}")(_config)
