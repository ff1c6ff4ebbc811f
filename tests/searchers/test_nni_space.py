"""NNI's own strategies on the space, one after the other in this process."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# In a process of its own: NNI wraps torch's modules where it is imported, and warns of what it does not know.
START = """
import torch
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import RawFormatModelSpace
from search_space.space import Space
from searchers.nni.model_space import AttentionSpace, genotype_of
from supernet.backbones import build_backbone

space = Space(name="hoga", primitives=("none", "skip_connect", "SE", "ga:0010"), num_nodes=2)

def backbone():
    return build_backbone("cifar_resnet8", num_classes=3, in_channels=3, width=8)

def search(strategy, evaluator):
    model_space = RawFormatModelSpace(AttentionSpace(backbone, space), evaluator)
    strategy(model_space, SequentialExecutionEngine(max_model_count=8))
    found = [model.sample for model in strategy.list_models()]
    return [space.check(genotype_of(space, sample)) for sample in found]
"""

RANDOM = """
import nni
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.strategy import Random

def evaluate(model):
    assert model(torch.ones(1, 3, 5, 7)).shape == (1, 3)
    weights = sum(parameter.numel() for parameter in model.parameters())
    nni.report_final_result(-float(weights))

found = search(Random(seed=0), FunctionalEvaluator(evaluate))
assert len(set(found)) == 8
# The best one has the fewest weights, and those weigh what our own network of the same genotype weighs.
from search_space.term import Term
from supernet.attach import attach
def size(genotype):
    network = attach(backbone(), (Term(name="hoga", genotype=genotype),))
    return sum(parameter.numel() for parameter in network.parameters())
assert size(found[0]) == min(map(size, found)), list(map(size, found))
"""

DARTS = """
import nni.nas.evaluator.pytorch as pl
from nni.nas.strategy import DARTS
from torch.utils.data import TensorDataset

images, labels = torch.randn(24, 3, 6, 5), torch.arange(24) % 3
halves = [TensorDataset(images[half::2], labels[half::2]) for half in (0, 1)]
train, judge = (pl.DataLoader(half, batch_size=4) for half in halves)
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
evaluator = pl.Classification(
    train_dataloaders=train, val_dataloaders=judge, max_epochs=2, num_classes=3, **quiet
)
(found,) = search(DARTS(), evaluator)
assert len(list(found.edges())) == 3
"""


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [RANDOM, DARTS], ids=["Random", "DARTS"])
def test_a_strategy_of_nni_searches_the_space(strategy, tmp_path):
    code = f"import sys; sys.path.append({str(ROOT)!r}){START}{strategy}"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
