"""The study's settings of translation, each number with its source, and ours for a small text on a CPU."""

from __future__ import annotations

from dataclasses import replace

from autola.configs import RetrainConfig
from evaluators.recipe import TrainConfig
from evaluators.tasks.translation import Translation
from evaluators.tasks.translation.data import TextData
from supernet.networks.translator import TRANSFORMERS

# Zhu et al., ICCV 2019, appendix: Adam with betas 0.9 and 0.98, epsilon 1e-9 and no decay, rate from 1e-7 to
# 1e-3 along a line in 4,000 steps and then by (step / 4,000) ** -0.5, label smoothing 0.1. About 30,000 source
# and 30,000 target tokens a batch, on 8 GPUs, for 100,000 steps.
STUDY = TrainConfig(
    epochs=22,  # of WMT14's 4.5 million pairs, which make about 4,500 such batches
    batch_size=30_000,
    optimizer="adam",
    learning_rate=1e-3,
    beta2=0.98,
    epsilon=1e-9,
    weight_decay=0.0,
    schedule="inverse_sqrt",
    warmup_steps=4000,
    warmup_factor=1e-4,
    label_smoothing=0.1,
    select="last",
    average=5,  # not in the appendix; as the base model of Vaswani et al., who average the last 5 checkpoints
)

TRANSLATION = {
    # Transformer base with relative positions instead of absolute ones. What is not in the appendix: 37,000
    # sub-words, beam 4 and length penalty 0.6, as in Vaswani et al.
    "wmt14": RetrainConfig(
        task=Translation(
            data=TextData(source="en", target="de", vocabulary=37_000),
            transformer=replace(TRANSFORMERS["transformer_base"], positions="relative"),
        ),
        train=STUDY,
        precision="bf16-mixed",  # ours
    ),
    # Ours: the small Transformer, for 29,000 pairs and one thread.
    "multi30k": RetrainConfig(
        task=Translation(
            data=TextData(test="test_2016_flickr", vocabulary=4000),
            transformer=replace(TRANSFORMERS["transformer_small"], dropout=0.3),
        ),
        train=replace(STUDY, epochs=20, batch_size=2000, warmup_steps=800, warmup_factor=0.0),
        threads=1,
    ),
}
