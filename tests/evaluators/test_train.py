"""The training loop against a literal restatement, stopped and resumed at any step, and what it selects."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from evaluators.job import NotFiniteError
from evaluators.train import TrainConfig, drop_paths
from foundation.config import parse_json, to_json
from foundation.errors import InputError
from supernet.backbones import build_backbone
from tests.equality import assert_equal
from tests.evaluators.trainings import STEPS, advance, setting, small_splits, training
from tests.searchers.test_searchers import assert_equal_states, flat

RECIPES = {
    "plain": {},
    "cosine, clipped": {"min_learning_rate": 0.01, "clip": 0.3, "learning_rate": 0.2},
    "step": {"schedule": "step", "milestones": (1, 2), "gamma": 0.5, "momentum": 0.5, "nesterov": True},
    "warm-up, smoothing": {"warmup_epochs": 1.5, "label_smoothing": 0.2, "weight_decay": 0.05},
    "average": {"ema": 0.7},
}


def literal_rate(recipe, step):
    epochs, highest = 3, recipe.get("learning_rate", 0.1)
    warmup = recipe.get("warmup_epochs", 0.0) * STEPS
    if step < warmup:
        return highest * step / warmup
    epoch = step // STEPS
    if recipe.get("schedule") == "step":
        return highest * {0: 1, 1: 0.5, 2: 0.25}[epoch]
    lowest = recipe.get("min_learning_rate", 0.0)
    return lowest + (highest - lowest) * 0.5 * (1 + math.cos(math.pi * epoch / epochs))


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_step_is_sgd_as_it_is_written(monkeypatch, recipe):
    job = training(monkeypatch, **recipe)
    model = copy.deepcopy(job.task.model)
    average = copy.deepcopy(model)
    buffers = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    momentum, decay = recipe.get("momentum", 0.9), recipe.get("weight_decay", 5e-4)
    for step in range(2 * STEPS + 1):
        images, labels = job.task.batch(*divmod(step, STEPS))
        rate = literal_rate(recipe, step)
        share = recipe.get("label_smoothing", 0.0)
        model.train()
        log_p = F.log_softmax(model(images).float(), 1)  # Fabric hands logits on in float32
        target = F.one_hot(labels, 3) * (1 - share) + share / 3
        model.zero_grad()
        (-(target * log_p).sum(1).mean()).backward()
        gradients = {name: torch.as_tensor(p.grad) for name, p in model.named_parameters()}
        norm = torch.stack([g.square().sum() for g in gradients.values()]).sum().sqrt()
        if recipe.get("clip"):
            assert norm > recipe["clip"], "the test does not clip"
        scale = min(1.0, recipe["clip"] / (norm.item() + 1e-6)) if recipe.get("clip") else 1.0
        with torch.no_grad():
            for name, p in model.named_parameters():
                gradient = gradients[name] * scale + decay * p
                buffers[name] = gradient if step == 0 else momentum * buffers[name] + gradient
                ahead = gradient + momentum * buffers[name] if recipe.get("nesterov") else buffers[name]
                p -= rate * ahead
        for ours, now in zip(average.state_dict().values(), model.state_dict().values()):
            share = recipe.get("ema", 0.0) if step and ours.is_floating_point() else 0.0
            ours.copy_(share * ours + (1 - share) * now)
        job.advance()
    expected = average if "ema" in recipe else model
    for (name, ours), theirs in zip(job.trained().state_dict().items(), expected.state_dict().values()):
        if "num_batches" not in name:
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6, msg=name)


@pytest.mark.parametrize("stop", [1, STEPS - 1, STEPS, 2 * STEPS + 2, 3 * STEPS])
@pytest.mark.parametrize(
    "recipe", [{}, {"ema": 0.8, "drop_path": 0.5, "select": "last"}, {"ema": 0.5}], ids=str
)
def test_a_training_that_stops_and_goes_on_ends_where_it_would_have(monkeypatch, tmp_path, stop, recipe):
    torch.save(advance(training(monkeypatch, **recipe), stop).state_dict(), tmp_path / "state.pt")
    torch.manual_seed(99)
    resumed = training(monkeypatch, **recipe)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert resumed.step == stop
    whole = training(monkeypatch, **recipe)
    if stop % STEPS == 0:
        assert resumed.report() == advance(whole, stop).report()
    advance(resumed, resumed.total_steps - stop)
    advance(whole, whole.total_steps - whole.step)
    assert_equal_states(resumed.state_dict(), whole.state_dict())
    assert resumed.result() == whole.result()
    assert_equal_states(resumed.task.model.state_dict(), whole.task.model.state_dict())


def test_the_seed_decides_the_weights_and_the_order(monkeypatch):
    one, two, other = (advance(training(monkeypatch, seed=seed), 2) for seed in (1, 1, 2))
    assert_equal_states(one.state_dict(), two.state_dict())
    with pytest.raises(AssertionError):
        assert_equal_states(one.state_dict(), other.state_dict())


def watched(job, monkeypatch, scores):
    """Has the validation score follow a list, and counts how often each split is read."""
    reads, real = [], job.task.evaluate

    def evaluate(model, split):
        reads.append(split)
        metrics = real(model, split)
        return metrics | {"accuracy": scores[reads.count(split) - 1]} if split == "validation" else metrics

    monkeypatch.setattr(job.task, "evaluate", evaluate)
    return reads


@pytest.mark.parametrize(
    ("select", "ema", "kept"), [("best", 0.0, 1), ("best", 0.6, 1), ("last", 0.0, 2), ("last", 0.6, 2)]
)
def test_weights_are_selected_on_validation_and_the_test_set_is_read_once_at_the_end(
    monkeypatch, select, ema, kept
):
    job = training(monkeypatch, select=select, ema=ema)
    reads = watched(job, monkeypatch, [0.3, 0.8, 0.8])  # of equals the first counts
    after = []
    for _ in range(3):
        advance(job, STEPS)
        after.append(copy.deepcopy(job.trained().state_dict()))
    assert reads == ["validation"] * 3
    metrics = job.result()
    assert reads == ["validation"] * 3 + ["test"]
    assert_equal_states(job.task.model.state_dict(), after[kept])
    if select == "best":
        assert (metrics["best_epoch"], metrics["validation_accuracy"]) == (1, 0.8)
    images = small_splits().test
    assert metrics["test_accuracy"] in [k / len(images) for k in range(len(images) + 1)]


def test_without_a_validation_part_the_last_epoch_counts(monkeypatch):
    job = training(monkeypatch, validation_fraction=0.0)
    reads = watched(job, monkeypatch, [])
    figures = advance(job, job.total_steps).report()
    assert not any(name.startswith("validation") for name in figures)
    assert "best_epoch" not in job.result()
    assert reads == ["test"]


def test_a_loss_that_is_not_finite_is_named_with_its_step(monkeypatch):
    job = advance(training(monkeypatch), STEPS + 1)
    real = job.task.loss
    monkeypatch.setattr(
        job.task, "loss", lambda model, batch: [real(model, batch)[0] * float("nan"), real(model, batch)[1]]
    )
    job.check()
    job.advance()
    with pytest.raises(
        NotFiniteError, match=rf"the loss is not finite at step {STEPS + 1} \(learning rate 0\.075"
    ):
        job.check()


def test_weights_broken_by_the_last_update_of_an_epoch_do_not_pass(monkeypatch):
    job = advance(training(monkeypatch), STEPS - 1)
    job.advance()
    with torch.no_grad():
        next(job.task.model.parameters()).view(-1)[0] = float("inf")
    with pytest.raises(NotFiniteError, match=f"weights are not finite after step {STEPS - 1}"):
        job.report()


def test_drop_path_grows_with_the_depth_and_only_acts_in_training():
    model = build_backbone("cifar_resnet14", width=4)
    drop_paths(model, 0.6)
    blocks = [module for module in model.modules() if hasattr(module, "drop_path")]
    assert [round(block.drop_path.p, 12) for block in blocks] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]  # type: ignore[union-attr]
    images = torch.randn(4, 3, 8, 8)
    model.eval()
    assert torch.equal(model(images), model(images))
    model.train()
    assert not torch.equal(model(images), model(images))


def test_drop_path_is_refused_where_there_is_no_place_for_it():
    with pytest.raises(
        InputError, match="drop_path is for the CIFAR ResNets; Sequential has no branches to drop"
    ):
        drop_paths(nn.Sequential(nn.Linear(2, 2)), 0.1)


def test_fewer_images_than_a_batch_are_refused(monkeypatch):
    with pytest.raises(InputError, match="do not fill a batch of 25"):
        setting(monkeypatch, batch_size=25).start(nn.Identity(), 0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 0}, "epochs=0 is not positive"),
        ({"batch_size": -1}, "batch_size=-1 is not positive"),
        ({"learning_rate": float("nan")}, "learning_rate=nan is not positive"),
        ({"momentum": 1.0}, r"momentum=1\.0 is not in 0"),
        ({"ema": -0.1}, "ema=-0.1 is not in 0"),
        ({"drop_path": 1.0}, "drop_path=1.0 is not in 0"),
        ({"label_smoothing": 1.0}, "label_smoothing=1.0 is not in 0"),
        ({"validation_fraction": 1.0}, "validation_fraction=1.0 is not in 0"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0 is negative"),
        ({"clip": -1.0}, "clip=-1.0 is negative"),
        ({"warmup_epochs": 5.0, "epochs": 5}, "a warm-up of 5.0 epochs does not end within 5"),
        ({"schedule": "step"}, "the step schedule needs milestones"),
        ({"nesterov": True, "momentum": 0.0}, "nesterov needs a momentum"),
    ],
)
def test_senseless_recipes_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        TrainConfig(**given)


def test_a_recipe_comes_back_from_json_and_knows_its_keys():
    recipe = TrainConfig(schedule="step", milestones=(3, 4), warmup_epochs=0.5)
    assert parse_json(TrainConfig, to_json(recipe), "recipe") == recipe
    with pytest.raises(InputError, match="recipe: epoch: unknown key"):
        parse_json(TrainConfig, '{"epoch": 3}', "recipe")


def test_states_hold_what_a_safe_loader_reads(monkeypatch):
    state = advance(training(monkeypatch, ema=0.5), STEPS).state_dict()
    assert {type(leaf) for leaf in flat(state).values()} <= {torch.Tensor, int, float, bool, type(None)}


@pytest.fixture
def float64():
    """Fabric hands on what a model returns in torch's default type."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_batch_in_parts_is_the_batch(monkeypatch, optimizer):
    """Norms are frozen, since they would see the parts alone; nothing is augmented, since parts draw anew."""
    recipe = {"norm": "frozen", "optimizer": optimizer, "learning_rate": 0.01, "batch_size": 6}
    whole, parts = (training(monkeypatch, augmented=False, accumulate=count, **recipe) for count in (1, 3))
    assert whole.steps_per_epoch == parts.steps_per_epoch
    before = copy.deepcopy(parts.task.model.state_dict())
    for job in (whole, parts):
        advance(job, STEPS + 1)
    together, apart = (job.task.model.state_dict() for job in (whole, parts))
    assert_equal(apart, together, through=whole.task.model)
    assert not torch.equal(apart["conv1.weight"], before["conv1.weight"])
    assert abs(whole.report()["train_loss"] - parts.report()["train_loss"]) < 1e-12


def test_frozen_norms_keep_their_statistics_and_learn_their_scales(monkeypatch):
    job = training(monkeypatch, norm="frozen")
    before = copy.deepcopy(job.task.model.state_dict())
    advance(job, 2)
    after = job.task.model.state_dict()
    norms = [name.removesuffix(".running_mean") for name in after if name.endswith("running_mean")]
    assert norms
    for norm in norms:
        assert torch.equal(after[f"{norm}.running_mean"], before[f"{norm}.running_mean"])
        assert not torch.equal(after[f"{norm}.weight"], before[f"{norm}.weight"])


def test_norms_of_several_gpus_need_gpus(monkeypatch):
    with pytest.raises(InputError, match="norm=sync needs GPUs, not cpu"):
        training(monkeypatch, norm="sync")


def test_biases_and_norms_may_be_spared_the_decay(monkeypatch):
    model = training(monkeypatch).task.model
    decayed, spared = TrainConfig(decay="weights").groups(model)
    assert (decayed["weight_decay"], spared["weight_decay"]) == (5e-4, 0.0)
    assert all(parameter.ndim > 1 for parameter in decayed["params"])
    count = sum(parameter.numel() for group in (decayed, spared) for parameter in group["params"])
    assert count == sum(parameter.numel() for parameter in model.parameters())
    assert sum(p.numel() for p in spared["params"]) == sum(
        p.numel() for name, p in model.named_parameters() if p.ndim == 1
    )


def test_rates_of_the_poly_schedule_and_of_a_warm_up_in_steps():
    recipe = TrainConfig(
        epochs=5, learning_rate=0.4, schedule="poly", power=0.5, warmup_steps=4, warmup_factor=0.25
    )
    rates = [recipe.rate(step, 3) for step in (0, 2, 4, 14)]
    expected = [0.1, 0.4 * 0.625, 0.4 * (11 / 15) ** 0.5, 0.4 * (1 / 15) ** 0.5]
    assert rates == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_size": 10, "accumulate": 3}, "does not split into 3 equal parts"),
        ({"warmup_steps": 3, "warmup_epochs": 1.0}, "in epochs or in steps, not both"),
        ({"optimizer": "adam", "nesterov": True}, "nesterov is SGD's; adam has none"),
        ({"power": 0.0}, "power=0.0 is not positive"),
        ({"warmup_factor": 1.0}, "warmup_factor=1.0 is not in 0 ... 1"),
    ],
)
def test_recipes_that_cannot_be_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        TrainConfig(**values)
