"""A search that goes along with somebody's trainer: Lightning's, transformers', one that builds the model."""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import autola
from foundation.errors import InputError
from supernet.attach import attached
from tests.searchers.test_own_loop import batches, begun, cross_entropy, net, run
from tests.test_documentation import blocks

ROOT = Path(__file__).parents[2]
TRAINERS = ROOT / "docs" / "trainers.md"
STEPS = 8
TRAIN, HELD = batches(STEPS // 2), batches(STEPS // 2, seed=1)


def state_of(search: autola.Searching) -> dict[str, Any]:
    return search.state_dict()["search"]["supernet"]


def assert_same_search(found: autola.Searching, wanted: autola.Searching) -> None:
    assert found.is_over
    assert found.shares() == wanted.shares()
    theirs = state_of(wanted)
    assert all(torch.equal(value, theirs[name]) for name, value in state_of(found).items())


def choose_along(search: autola.Searching, number: int) -> None:
    search.choose(cross_entropy, HELD[number % len(HELD)])


def plain_loop(searcher: str = "darts", *, make_before: bool = False) -> autola.Searching:
    model = net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01) if make_before else None
    search = begun(model, steps=STEPS, searcher=searcher)
    optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=0.01)
    for number in range(STEPS):
        choose_along(search, number)
        optimizer.zero_grad()
        cross_entropy(model, TRAIN[number % len(TRAIN)]).backward()
        optimizer.step()
    return search


def lightning_run(folder: Path, epochs: int, *, goes_on: bool = False) -> autola.Searching:
    L = pytest.importorskip("lightning")  # noqa: N806  as its users write it

    class Classifier(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = net()

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            return cross_entropy(self.net, batch)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=0.01)

    class Search(L.Callback):
        def __init__(self, search: autola.Searching) -> None:
            self.search = search

        def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, index: int) -> None:
            choose_along(self.search, index)

        def state_dict(self) -> dict[str, Any]:
            return self.search.state_dict()

        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.search.load_state_dict(state)

    module = Classifier()
    search = begun(module.net, steps=STEPS)
    trainer = L.Trainer(
        max_epochs=epochs,
        callbacks=[Search(search)],
        accelerator="cpu",
        logger=False,
        default_root_dir=folder,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader(TRAIN, batch_size=None)  # pyright: ignore[reportArgumentType]
    last = next(folder.glob("checkpoints/*.ckpt")) if goes_on else None
    trainer.fit(module, loader, ckpt_path=last)
    return search


@pytest.mark.filterwarnings("default")
def test_lightnings_trainer_searches_and_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    whole = lightning_run(tmp_path / "whole", 2)
    assert_same_search(whole, plain_loop())
    lightning_run(tmp_path / "stopped", 1)
    assert_same_search(lightning_run(tmp_path / "stopped", 2, goes_on=True), whole)
    assert not any("resting" in name for name in whole.derive().state_dict())


def transformers_run(folder: Path, epochs: int, checkpoint: Path | None = None) -> autola.Searching:
    library = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = library.ResNetConfig(
        embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic", num_labels=3
    )
    model = library.ResNetForImageClassification(config)

    def own_loss(network: nn.Module, batch: Any) -> torch.Tensor:
        return network(**batch).loss

    def rows(given: Any) -> list[dict[str, Any]]:
        return [
            {"pixel_values": image, "labels": label}
            for images, labels in given
            for image, label in zip(images, labels)
        ]

    class Search(library.TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            images, labels = HELD[search.step_number % len(HELD)]
            search.choose(own_loss, {"pixel_values": images, "labels": labels})

        def on_save(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            torch.save(search.state_dict(), folder / f"checkpoint-{state.global_step}" / "search.pt")

    search = begun(model, steps=STEPS)
    if checkpoint is not None:
        search.load_state_dict(torch.load(checkpoint / "search.pt", weights_only=True))
    arguments = library.TrainingArguments(
        str(folder),
        num_train_epochs=2,
        max_steps=epochs * STEPS // 2,
        lr_scheduler_type="constant",
        per_device_train_batch_size=4,
        save_strategy="epoch",
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
    )
    trainer = library.Trainer(model, arguments, train_dataset=rows(TRAIN), callbacks=[Search()])
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return search


@pytest.mark.filterwarnings("default")
def test_the_trainer_of_transformers_searches_and_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    whole = transformers_run(tmp_path / "whole", 2)
    transformers_run(tmp_path / "stopped", 1)
    checkpoint = tmp_path / "stopped" / f"checkpoint-{STEPS // 2}"
    assert_same_search(transformers_run(tmp_path / "again", 2, checkpoint), whole)
    derived = whole.derive()
    assert type(derived) is type(whole.model)
    assert [place.place for place in attached(derived)] == [each.site for each in whole.found().taken()]


def test_a_copy_and_an_average_mix_as_the_model_does() -> None:
    search = run(begun(), 6)
    (images, _), *_ = batches()
    twin = copy.deepcopy(search.model).eval()
    average = torch.optim.swa_utils.AveragedModel(search.model, use_buffers=False)
    run(search, 8)
    average.update_parameters(search.model)
    wanted = search.model.eval()(images)
    assert not torch.equal(twin(images), wanted)
    twin.load_state_dict(search.model.state_dict())
    assert torch.equal(twin(images), wanted)
    resting = {name: value for name, value in search.model.state_dict().items() if "resting" in name}
    assert len(resting) == 3
    kept = average.module.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in resting.items())


LOADING = """
import sys, torch
found = torch.load(sys.argv[1], weights_only=False)
for name in ("searched", "derived"):
    assert torch.equal(found[name].eval()(found["images"]), found[f"{name}_output"]), name
"""


@torch.no_grad()
def test_another_process_goes_on_with_what_was_searched_and_found(tmp_path: Path) -> None:
    search, ((images, _), *_) = run(begun(), 8), batches()
    searched, derived = search.model.eval(), search.derive().eval()
    file = tmp_path / "found.pt"
    known = {"searched": searched, "derived": derived, "images": images}
    torch.save({**known, "searched_output": searched(images), "derived_output": derived(images)}, file)
    subprocess.run([sys.executable, "-c", LOADING, str(file)], check=True, cwd=ROOT)
    exported = torch.export.export(derived, (images,)).module()
    assert torch.allclose(exported(images), derived(images), atol=1e-6)


@pytest.mark.parametrize("steps", [1, 8, 24, 41, 997])
def test_a_search_has_as_many_steps_as_it_was_given(steps: int) -> None:
    search = begun(steps=steps)
    assert search._search.total_steps - steps < search._search.steps_per_epoch
    search._search.step = steps - 1
    assert not search.is_over
    run_one = batches(1)[0]
    search.step(cross_entropy, run_one, run_one)
    assert search.is_over
    assert search.step_number == steps
    with pytest.raises(InputError, match=f"the search of {steps} steps is over"):
        search.step(cross_entropy, run_one, run_one)
    search.derive()


def test_an_optimizer_that_leaves_the_candidates_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("searchers.searches.own_loop.FIRST_LOOK", 4)
    plain_loop()
    with pytest.raises(InputError, match="make the optimizer after"):
        plain_loop(make_before=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a second device")
def test_what_is_not_the_networks_own_follows_it_to_another_device() -> None:
    search = run(begun(), 6)
    search.model.cuda()
    batch = [(images.cuda(), labels.cuda()) for images, labels in batches(8)]
    for number in (6, 7):
        search.step(cross_entropy, batch[number], batch[number])
    assert search._search.mixture.alive.is_cuda
    search.derive()


def test_a_plain_loop_needs_ten_lines_more_at_most() -> None:
    loop, *_ = (block.text for block in blocks(TRAINERS) if "search.choose(loss, held_batch)" in block.text)
    more = [line for line in loop.splitlines() if "search" in line or "held" in line]
    assert 0 < len(more) <= 10
    assert "optimizer.step()" in loop
