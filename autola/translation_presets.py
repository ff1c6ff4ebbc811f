"""The study's settings of translation, each number with its source, and ours for a small text on a CPU."""

from __future__ import annotations

from dataclasses import replace

from autola.configs import RetrainConfig
from evaluators.recipe import TrainConfig
from evaluators.tasks.translation import Translation
from evaluators.tasks.translation.data import TextData
from supernet.networks.translator import TRANSFORMERS

# Zhu et al., ICCV 2019, appendix: Adam with betas 0.9 and 0.98, epsilon 1e-9 and no decay, rate from 1e-7 to
# 1e-3 along a line in 4,000 steps and then by (step / 4,000) ** -0.5, label smoothing 0.1. About 30,000
# source and 30,000 target tokens a batch, on 8 GPUs, for 100,000 steps.
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
    # The tiny Transformer and the rate of Wu et al., "Good for Misconceived Reasons", ACL 2021, which trains
    # on Multi30k in 8,000 steps of 4,096 tokens with a warm-up of 2,000. Ours, for an hour or two of one
    # thread: 40 epochs, which are some 5,000 steps, and a warm-up of 1,000.
    "multi30k": RetrainConfig(
        task=Translation(
            data=TextData(test="test_2016_flickr", vocabulary=4000),
            transformer=TRANSFORMERS["transformer_tiny"],
        ),
        train=replace(
            STUDY, epochs=40, batch_size=4096, learning_rate=5e-3, warmup_steps=1000, warmup_factor=0.0
        ),
        threads=1,
    ),
}
