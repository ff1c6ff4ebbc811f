"""Translation: sentences of one language to those of another, scored by BLEU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from evaluators.recipe import TrainConfig
from evaluators.tasks import Prediction, TaskConfig, task
from evaluators.tasks.translation.data import TextData
from foundation import rules
from foundation.config import config
from foundation.errors import InputError
from search_space.term import Term
from supernet.networks.translator import TRANSFORMERS, TransformerConfig

if TYPE_CHECKING:
    from pathlib import Path

    from lightning.fabric import Fabric
    from PIL.Image import Image
    from torch import nn

    from evaluators.tasks.translation.setting import TranslationSetting

SMOKE = TransformerConfig(encoder_layers=1, decoder_layers=1, width=32, heads=2, hidden=64)


@task("translation")
@config
class Translation(TaskConfig):
    """Sentences of one language to those of another, by a Transformer.

    Attention is named with where it stands, as `self=ga:0110` or `decoder.self=dynamic[kernel_size=7]`;
    elsewhere it is plain. A batch is counted in tokens.
    Source of the variants: Zhu et al., "An Empirical Study of Spatial Attention Mechanisms in Deep Networks",
    ICCV 2019 (arXiv:1904.05873).
    """

    preset: ClassVar[str] = "multi30k"
    extra: ClassVar[str | None] = "translation"
    hub_task: ClassVar[str] = "translation"
    facts: ClassVar[tuple[str, ...]] = ("vocabulary",)
    smoke_batch: ClassVar[int] = 400
    unused: ClassVar[Mapping[str, str]] = {
        "drop_path": "leaves out branches of a CIFAR ResNet, of which a Transformer has none",
        "norm": "is for batch norms, of which a Transformer has none",
    }

    data: TextData = TextData()
    """The sentences and their translations."""
    transformer: TransformerConfig = TRANSFORMERS["transformer_tiny"]
    """The network."""
    beam: int = 4
    """Hypotheses of a sentence that are kept in the search for its translation, on the test set and in
    `predict`; more find likelier ones and take longer."""
    validation_beam: int = 1
    """The same after every epoch, on the part that is looked at there."""
    length_penalty: float = 0.6
    """Power of the length that the log-probability of a translation is divided by; higher makes translations
    longer."""

    def __post_init__(self) -> None:
        if not isinstance(self.data, TextData):
            raise InputError(f"{self.name} reads parallel text; start from a preset of its own")
        if self.identity:
            raise InputError("identity is for attention that is added to a network; here it is the network")
        rules.positive(self, "beam", "validation_beam")
        rules.not_negative(self, "length_penalty")

    def read(self, train: TrainConfig, fabric: Fabric) -> TranslationSetting:
        from evaluators.tasks.translation.setting import TranslationSetting

        return TranslationSetting(self, train, fabric)

    def network(self, data: Mapping[str, Any], attention: tuple[Term, ...]) -> nn.Module:
        from evaluators.tasks.translation.setting import digest_of
        from evaluators.tasks.translation.subwords import Subwords
        from supernet.networks.transformer import build_transformer

        subwords = Subwords.of_text(data["vocabulary"], "the vocabulary in data.json")
        return build_transformer(self.transformer, len(subwords), attention, digest_of(subwords))

    def unsearched(self) -> tuple[Term, ...]:
        """Plain attention, or all four terms where plain self-attention would know no positions."""
        relative = self.transformer.positions == "relative"
        return (Term(name="ga", argument="1111", site="self"),) if relative else ()

    def predict(self, network: nn.Module, data: Mapping[str, Any], image: Image) -> Prediction:
        raise InputError(
            f"the task {self.name} reads lines from standard input: autola predict RUN < FILE, with no image"
        )

    def translate(self, network: nn.Module, data: Mapping[str, Any], lines: Sequence[str]) -> list[str]:
        from evaluators.tasks.translation.prediction import translate_lines

        return translate_lines(self, network, data["vocabulary"], lines)

    @classmethod
    def look(cls, root: Path) -> str:
        from evaluators.tasks.translation.folder import look

        return look(root)

    def network_name(self) -> str:
        network = self.transformer
        return f"{network.encoder_layers}+{network.decoder_layers} layers of {network.width}"

    def summary(self) -> str:
        return f"{self.name} {self.data.source}-{self.data.target}, {self.network_name()}"

    def smoke(self) -> Translation:
        data = replace(self.data, limit=min(self.data.limit or 60, 60), vocabulary=150, longest=60)
        network = replace(SMOKE, norm=self.transformer.norm, positions=self.transformer.positions)
        return replace(self, data=data, transformer=network, weights=None, beam=1)
