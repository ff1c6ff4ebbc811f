"""A network that translates, its sentences and its score: what the training loop needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from evaluators.evaluating import modes_kept
from evaluators.gather import gather
from evaluators.tasks import Split
from evaluators.tasks.translation.beam import translate
from evaluators.tasks.translation.scores import scores
from evaluators.tasks.translation.sentences import Part, TokenBatches
from evaluators.tasks.translation.subwords import Subwords
from supernet.networks.transformer import PAD, Transformer

if TYPE_CHECKING:
    from lightning.fabric import Fabric


class TranslationTask:
    """A network and its sentences; see `Task`.

    Args:
        model: Source words and words so far to logits of the next ones.
        train: Batches of pairs.
        fabric: Device and processes.
        subwords: What turns words into text.
        validation: Pairs that are held out; None for none.
        test: Pairs to translate at the end.
        beams: Hypotheses that are kept, by split.
        length_penalty: Power of the length; see `beam.translate`.
        label_smoothing: Share of the label spread evenly over the vocabulary.
    """

    figures: tuple[str, ...] = ("nll", "accuracy")
    score: str = "BLEU"

    def __init__(
        self,
        model: nn.Module,
        train: TokenBatches,
        fabric: Fabric,
        subwords: Subwords,
        *,
        validation: Part | None,
        test: Part,
        beams: Mapping[str, int],
        length_penalty: float,
        label_smoothing: float = 0.0,
    ) -> None:
        self.model, self.train, self.fabric, self.subwords = model, train, fabric, subwords
        self.splits = {"validation": validation, "test": test}
        self.beams, self.length_penalty, self.label_smoothing = beams, length_penalty, label_smoothing
        self.num_batches = len(train)
        self.has_validation = validation is not None

    def batch(self, epoch: int, index: int) -> tuple[Tensor, Tensor]:
        source, target = self.train.batch(epoch, index)
        return source.to(self.fabric.device), target.to(self.fabric.device)

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Means over the words of all processes: more processes take the same step.

        The figures are the negative log-likelihood without smoothing, in nats, and the share of the words
        that are the likeliest ones.
        """
        source, target = batch
        logits, labels = model(source, target[:, :-1]), target[:, 1:]
        real = labels != PAD
        chances = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
        count = torch.as_tensor(self.fabric.all_reduce(real.sum().float(), reduce_op="mean")).clamp(min=1)
        nll = -chances.gather(2, labels[..., None])[..., 0].masked_fill(~real, 0.0).sum() / count
        loss = nll
        if self.label_smoothing:
            evenly = -chances.mean(-1).masked_fill(~real, 0.0).sum() / count
            loss = (1 - self.label_smoothing) * nll + self.label_smoothing * evenly
        right = ((chances.detach().argmax(-1) == labels) & real).sum() / count
        return loss, nll, right

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        part, fabric = self.splits[split], self.fabric
        assert part is not None, f"the task has no {split} part"
        mine = range(fabric.global_rank, len(part), fabric.world_size)
        with modes_kept(model), torch.no_grad(), fabric.autocast():
            found = translate(
                cast(Transformer, model.eval()),
                [part.source[index] for index in mine],
                beam=self.beams[split],
                penalty=self.length_penalty,
            )
        texts = dict(gather(fabric, list(zip(mine, self.subwords.decode(found)))))
        return scores([texts[index] for index in range(len(part))], part.references)
