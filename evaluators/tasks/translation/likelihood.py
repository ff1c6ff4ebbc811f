"""A translation that is judged by how likely it finds the words of the references, for searches."""

from __future__ import annotations

import math

import torch
from torch import nn

from evaluators.evaluating import modes_kept
from evaluators.tasks import Split
from evaluators.tasks.translation.sentences import TokenBatches
from evaluators.tasks.translation.training import TranslationTask
from supernet.networks.transformer import PAD


class LikelihoodTask(TranslationTask):
    """As `TranslationTask`, but nothing is translated: every word of the references is given those before it.

    The score is the geometric mean of the chances that the words have, 1 over the perplexity. One pass over a
    part gives it, where BLEU takes a pass a word, and it tells apart networks that translate badly yet.
    """

    score: str = "likelihood"

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        part, fabric = self.splits[split], self.fabric
        assert part is not None, f"the task has no {split} part"
        batches = TokenBatches(
            part.source,
            part.target,
            self.train.tokens,
            seed=0,
            rank=fabric.global_rank,
            world_size=fabric.world_size,
        )
        sums = torch.zeros(3, dtype=torch.float64, device=fabric.device)  # of -log chances, right ones, words
        with modes_kept(model), torch.no_grad(), fabric.autocast():
            model.eval()
            for index in range(len(batches)):
                source, target = (words.to(fabric.device) for words in batches.batch(0, index))
                logits, labels = model(source, target[:, :-1]), target[:, 1:]
                real = labels != PAD
                chances = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
                nll = -chances.gather(2, labels[..., None])[..., 0].masked_fill(~real, 0.0)
                right = (chances.argmax(-1) == labels) & real
                sums += torch.stack([each.sum(dtype=torch.float64) for each in (nll, right, real)])
        nll, right, words = torch.as_tensor(fabric.all_reduce(sums, reduce_op="sum")).tolist()
        return {"likelihood": math.exp(-nll / words), "accuracy": right / words}
