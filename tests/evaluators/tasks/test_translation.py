"""Translation: batches by tokens, loss and score, what is left out, stop and resume."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from autola.presets import RETRAIN_PRESETS
from evaluators.recipe import TrainConfig
from evaluators.tasks import new_network
from evaluators.tasks.translation import Translation
from evaluators.tasks.translation.sentences import Sentences, TokenBatches, groups
from foundation.errors import InputError
from search_space.grammar import parse_attention
from supernet.networks.transformer import END, PAD, START
from supernet.networks.translator import TransformerConfig
from tests.evaluators.dense import fabric, start
from tests.evaluators.sentences import pairs, text, write
from tests.evaluators.trainings import advance
from tests.searchers.test_searchers import assert_equal_states

__all__ = ["text"]

SMALL = TransformerConfig(encoder_layers=1, decoder_layers=1, width=8, heads=2, hidden=12, dropout=0.1)
RECIPE = TrainConfig(
    epochs=2,
    batch_size=120,
    optimizer="adam",
    learning_rate=0.01,
    schedule="inverse_sqrt",
    warmup_steps=3,
    label_smoothing=0.1,
    select="last",
    average=2,
)


@pytest.fixture
def small(text):
    pytest.importorskip("sentencepiece")
    pytest.importorskip("sacrebleu")
    return Translation(data=text, transformer=SMALL, beam=2)


def sentences(lengths):
    found = Sentences()
    for number, length in enumerate(lengths):
        found.append([3 + number] * length)
    return found


LENGTHS = ([5, 1, 9, 3, 3, 4, 7, 2, 2, 6, 1, 8], [4, 2, 7, 9, 3, 1, 7, 5, 2, 2, 1, 3])


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_batches_hold_every_pair_once_and_no_more_tokens_than_asked(processes):
    source, target = map(sentences, LENGTHS)
    several = [
        TokenBatches(source, target, 30, 5, rank=rank, world_size=processes) for rank in range(processes)
    ]
    orders = []
    for epoch in range(3):
        met = []
        for index in range(len(several[0])):
            longest, rows = 0, 0
            for batches in several:
                given, wanted = batches.batch(epoch, index)
                if bool((wanted[:, 1:] == PAD).all()):  # nothing left for this process
                    continue
                for words, translation in zip(given.tolist(), wanted.tolist()):
                    number = words[0] - 3
                    met.append(number)
                    assert [word for word in words if word != PAD] == [3 + number] * LENGTHS[0][number] + [
                        END
                    ]
                    expected = [START, *[3 + number] * LENGTHS[1][number], END]
                    assert [word for word in translation if word != PAD] == expected
                rows += len(given)
                longest = max(longest, given.shape[1], wanted.shape[1] - 1)
            assert rows * longest <= 30
        assert sorted(met) == list(range(12))
        orders.append(met)
    assert orders[0] != orders[1] != orders[2]
    again = TokenBatches(source, target, 30, 5, rank=processes - 1, world_size=processes)
    for mine, same in zip(again.batch(1, 2), several[-1].batch(1, 2)):
        assert torch.equal(mine, same)


def test_batches_do_not_depend_on_the_number_of_processes():
    source, target = map(sentences, LENGTHS)
    one, two = TokenBatches(source, target, 30, 5), TokenBatches(source, target, 30, 5, rank=1, world_size=2)
    for index in range(len(one)):
        mine = two.batch(0, index)[0]
        whole = one.batch(0, index)[0][1::2]
        if len(whole):
            assert torch.equal(whole[:, : mine.shape[1]], mine)


def test_a_pair_that_fits_no_batch_is_named():
    source, target = map(sentences, LENGTHS)
    with pytest.raises(InputError, match="a sentence of 10 tokens does not fit a batch of 9"):
        TokenBatches(source, target, 9, 5)


def test_groups_hold_all():
    lengths = [5, 1, 9, 3, 50, 4]
    found = groups(lengths, 12)
    assert sorted(index for group in found for index in group) == list(range(6))
    assert all(len(group) * max(lengths[i] for i in group) <= 12 or len(group) == 1 for group in found)


def test_loss_is_the_smoothed_mean_over_the_words(small):
    task = start(small, RECIPE).task
    source, target = task.batch(0, 0)
    target[0, 3:] = PAD
    logits = torch.randn(len(target), target.shape[1] - 1, 40, dtype=torch.float64)
    loss, nll, accuracy = task.loss(Asked(logits), (source, target))
    total = smooth = right = count = 0
    for b in range(len(target)):
        for place in range(target.shape[1] - 1):
            label = int(target[b, place + 1])
            if label != PAD:
                chances = logits[b, place].log_softmax(0)
                total -= float(chances[label])
                smooth -= float(chances.mean())
                right += int(logits[b, place].argmax()) == label
                count += 1
    assert nll.item() == pytest.approx(total / count)
    assert loss.item() == pytest.approx((0.9 * total + 0.1 * smooth) / count)
    assert accuracy.item() == pytest.approx(right / count)
    nothing = task.loss(Asked(logits), (source, torch.full_like(target, PAD)))
    assert [value.item() for value in nothing] == [0, 0, 0]


class Asked(nn.Module):
    """Says the same whatever it is asked."""

    def __init__(self, said):
        super().__init__()
        self.said = said

    def forward(self, source, target):
        return self.said


def test_the_score_is_sacrebleus_of_the_text_as_it_was_read(small, monkeypatch):
    sacrebleu = pytest.importorskip("sacrebleu")
    task: Any = start(small, RECIPE).task
    references = task.splits["test"].references
    assert references == [target for _, target in pairs(7)]
    said = [*references[:3], "dog", "", "man sees a tree", "car"]
    monkeypatch.setattr(
        "evaluators.tasks.translation.training.translate", lambda *_, **__: task.subwords.encode(said)
    )
    found = task.evaluate(task.model, "test")
    said = task.subwords.decode(task.subwords.encode(said))
    assert found["BLEU"] == sacrebleu.corpus_bleu(said, [references]).score / 100
    assert found["chrF"] == sacrebleu.corpus_chrf(said, [references]).score / 100
    assert 0 < found["BLEU"] < 1


def test_the_record_has_signatures_and_the_vocabulary(small):
    known = small.read(RECIPE, fabric()).describe()
    assert known == json.loads(json.dumps(known))
    assert "tok:13a" in known["metrics"]["BLEU"]
    assert "version:" in known["metrics"]["chrF"]
    assert known == small.read(RECIPE, fabric()).describe()  # the same text gives the same sub-words
    assert known["parts"]["train"]["counts"] == {"pairs of sentences": 37}


def test_pairs_that_are_empty_or_long_are_counted(small, tmp_path, caplog):
    caplog.set_level("WARNING", "evaluators")
    write(tmp_path, train=[*pairs(20), ("", "dog"), ("hund", "  "), ("hund " * 60, "dog " * 60)])
    setting = replace(small, data=replace(small.data, longest=50)).read(RECIPE, fabric())
    assert len(setting.train) == 20
    assert caplog.messages == [
        "2 training pairs have an empty sentence and are left out",
        "1 training pairs are longer than 50 sub-words and are left out",
    ]


def test_text_that_is_nearly_right_is_named(small, tmp_path, caplog):
    caplog.set_level("WARNING", "evaluators")
    copied = [(source, source) for source, _ in pairs(20)]
    write(tmp_path, train=[*copied, *pairs(9)], test=[*pairs(7), ("hund", ""), ("", "dog")])
    setting = small.read(RECIPE, fabric())
    assert len(setting.test) == 9
    assert caplog.messages == [
        "20 of 29 training pairs have the same sentence on both sides",
        "2 pairs of test have an empty sentence; they count in its score",
    ]
    write(tmp_path, test=[("", "dog"), ("hund", " ")])
    with pytest.raises(InputError, match="no pair of the part 'test' has words on both sides"):
        small.read(RECIPE, fabric())


def test_a_share_is_held_out_where_there_is_no_validation_part(small):
    data = replace(small.data, validation=None)
    setting = replace(small, data=data).read(RECIPE, fabric())
    assert (len(setting.train), len(setting.validation)) == (33, 4)
    whole = replace(small, data=data).read(replace(RECIPE, validation_fraction=0.0), fabric())
    assert len(whole.train) == 37
    assert whole.validation is None
    limited = replace(small, data=replace(data, limit=10)).read(RECIPE, fabric())
    assert (len(limited.train), len(limited.validation), len(limited.test)) == (9, 1, 7)


def test_a_vocabulary_that_the_text_has_not_is_named(small):
    data = replace(small.data, vocabulary=5000)
    with pytest.raises(InputError, match="no 5000 sub-words are in the training text"):
        replace(small, data=data).read(RECIPE, fabric())


def test_weights_of_another_vocabulary_are_refused(small, tmp_path):
    known = small.read(RECIPE, fabric()).describe()
    network = new_network(small, known, (), 0)
    write(tmp_path, train=[*pairs(24), *pairs(15)])
    other = small.read(RECIPE, fabric()).describe()
    assert len(other["vocabulary"]) > 0
    assert other["vocabulary"] != known["vocabulary"]
    with pytest.raises(InputError, match="trained with another vocabulary"):
        new_network(small, other, (), 0).load_state_dict(network.state_dict())


def test_a_given_model_is_used(small, tmp_path):
    setting = small.read(RECIPE, fabric())
    path = tmp_path / "own.model"
    path.write_bytes(setting.subwords.model)
    write(tmp_path, train=pairs(30))
    given = replace(small, data=replace(small.data, subwords=str(path))).read(RECIPE, fabric())
    assert given.subwords.model == setting.subwords.model
    path.write_bytes(b"no model")
    with pytest.raises(InputError, match=r"own\.model is no sentencepiece model"):
        replace(small, data=replace(small.data, subwords=str(path))).read(RECIPE, fabric())


@pytest.mark.parametrize("attention", ["none", "self=ga:0110+decoder.cross=ga:1010", "self=dynamic+self=dcn"])
def test_stops_and_goes_on_to_the_same_bits(small, attention):
    whole, stopped = start(small, RECIPE, attention), start(small, RECIPE, attention)
    advance(whole, whole.total_steps)
    for step in (1, whole.steps_per_epoch + 1, whole.total_steps):
        advance(stopped, step - stopped.step)
        state = stopped.state_dict()
        stopped = start(small, RECIPE, attention)
        stopped.load_state_dict(state)
    assert_equal_states(whole.state_dict(), stopped.state_dict())
    assert whole.result() == stopped.result()


def test_the_last_epochs_are_averaged(small):
    job, kept = start(small, replace(RECIPE, epochs=3)), []
    while job.step < job.total_steps:
        advance(job, 1)
        if job.step % job.steps_per_epoch == 0:
            kept.append({name: tensor.clone() for name, tensor in job.task.model.state_dict().items()})
    job.result()
    for name, tensor in job.task.model.state_dict().items():
        if tensor.is_floating_point():
            assert torch.equal(tensor, (kept[1][name] + kept[2][name]) / 2)
        else:
            assert torch.equal(tensor, kept[0][name])


def test_the_rate_rises_and_falls_as_the_study_says():
    study = RETRAIN_PRESETS["wmt14"].train
    assert study.rate(0, 1000) == pytest.approx(1e-7)
    assert study.rate(2000, 1000) == pytest.approx((1e-7 + 1e-3) / 2)
    assert study.rate(4000, 1000) == pytest.approx(1e-3)
    assert study.rate(16000, 1000) == pytest.approx(1e-3 / 2)
    with pytest.raises(InputError, match="inverse_sqrt falls from the end of the warm-up"):
        replace(study, warmup_steps=0)
    with pytest.raises(InputError, match="give select=last"):
        replace(study, select="best")


def test_adams_numbers_arrive(small):
    (group,) = start(small, replace(RECIPE, beta2=0.98, epsilon=1e-9)).optimizer.param_groups
    assert (group["betas"], group["eps"]) == ((0.9, 0.98), 1e-9)


def test_lines_are_translated_in_their_order(small):
    setting = small.read(RECIPE, fabric())
    known = setting.describe()
    network = new_network(small, known, parse_attention("self=dynamic"), 0)
    lines = [source for source, _ in pairs(6)]
    found = small.translate(network, known, [*lines, "", *lines[::-1]])
    assert found[6] == ""
    assert found[7:] == found[5::-1]
    assert network.training


@pytest.mark.slow
def test_a_small_language_is_learned(small):
    """Word by word: the loss of what is not smoothed falls to a fraction of a guess's."""
    transformer = replace(SMALL, width=32, heads=4, hidden=64, dropout=0.0)
    config = replace(small, transformer=transformer)
    job = start(config, replace(RECIPE, epochs=40, learning_rate=0.02, warmup_steps=10))
    advance(job, job.total_steps)
    with torch.no_grad():
        _, nll, accuracy = job.task.loss(job.task.model.eval(), job.task.batch(0, 0))
    assert nll.item() < 0.3 * math.log(40)
    assert accuracy.item() > 0.9
    assert isinstance(job.task.model, nn.Module)
