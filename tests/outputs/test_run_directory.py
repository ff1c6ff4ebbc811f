"""Run folders: complete or absent, one writer, a log that goes back with the checkpoint."""

import json
import multiprocessing
import pickle
from unittest.mock import ANY

import pytest
import torch

from foundation.errors import InputError
from outputs import new_folder, records, tensorboard
from outputs.new_folder import TakenError
from outputs.records import WEIGHTS
from outputs.run_directory import RunDirectory
from outputs.settings_record import check_settings, move_data
from outputs.tensorboard import TensorBoardLog
from outputs.weights import load_weights, save_weights
from search_space.genotype import PUBLISHED


@pytest.fixture
def run(tmp_path):
    run = RunDirectory.create(tmp_path / "runs" / "one", "{}\n", {"seed": 3}, {"classes": ["a", "b"]})
    yield run
    run.unlock()


def test_a_new_run_has_its_config_environment_and_data(run):
    assert run.text("config.json") == "{}\n"
    assert run.json("environment.json") == {"seed": 3, "settings": ANY}
    assert run.json("data.json") == {"classes": ["a", "b"]}
    assert [path.name for path in run.path.parent.iterdir()] == ["one"]


def test_a_folder_that_exists_is_refused_and_untouched(run):
    before = {path: path.read_bytes() for path in run.path.rglob("*.json")}
    with pytest.raises(InputError, match="exists already; choose another --out, or go on with --resume"):
        RunDirectory.create(run.path, "[]", {}, {})
    assert {path: path.read_bytes() for path in run.path.rglob("*.json")} == before


def test_nothing_is_left_where_a_run_cannot_be_made(tmp_path, monkeypatch):
    def full(path, text):
        raise InputError("no space left")

    monkeypatch.setattr(records, "write_text", full)
    with pytest.raises(InputError, match="no space left"):
        RunDirectory.create(tmp_path / "one", "{}", {}, {})
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot make the run folder .*file/one"):
        RunDirectory.create(tmp_path / "file" / "one", "{}", {}, {})


def test_a_folder_without_a_config_is_no_run(tmp_path):
    with pytest.raises(InputError, match=r"is not a run folder: it has no config\.json"):
        RunDirectory.open(tmp_path)


def _lock(path, answers):
    try:
        RunDirectory.open(path).lock()
        answers.put("locked")
    except InputError as error:
        answers.put(str(error))


def test_a_second_writer_is_refused_until_the_first_ends(run):
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    for expected in ("another process is writing to", "locked"):
        process = context.Process(target=_lock, args=(run.path, answers))
        process.start()
        assert expected in answers.get(timeout=120)
        process.join()
        run.unlock()


def test_the_log_goes_back_to_the_moment_of_the_checkpoint(run):
    run.metrics.append({"epoch": 1, "epoch_seconds": 1.5})
    run.save_checkpoint({"step": 1}, 1)
    run.metrics.append({"epoch": 2, "epoch_seconds": 1.5})
    assert run.metrics.seconds() == 3.0
    assert run.load_checkpoint() == {"step": 1}
    assert run.metrics.records() == [{"epoch": 1, "epoch_seconds": 1.5}]


def test_the_log_is_emptied_where_there_is_no_checkpoint(run):
    run.metrics.append({"epoch": 1})
    assert run.load_checkpoint() is None
    assert run.metrics.records() == []


def test_a_line_that_was_being_written_is_not_read(run):
    run.metrics.append({"epoch": 1})
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": ')
    assert run.metrics.records() == [{"epoch": 1}]


def test_genotype_and_shares_come_back(run):
    shares = {(1, 0): {"none": 0.25, "skip_connect": 0.75}}
    run.write_genotype(PUBLISHED, shares)
    assert run.shares() == shares
    assert json.loads(run.text("genotype.json"))["space"] == "hoga"


def test_weights_come_back_whatever_their_layout(run):
    layout = torch.randn(2, 3, 4, 5, dtype=torch.float64).to(memory_format=torch.channels_last)
    weights = {"a": layout, "b": layout, "n": torch.tensor(7)}
    save_weights(run.path / WEIGHTS, weights)
    loaded = load_weights(run.path / WEIGHTS)
    assert set(loaded) == set(weights)
    assert all(torch.equal(loaded[name], value) for name, value in weights.items())


@pytest.mark.parametrize("content", [b"", b"\x00" * 20, pickle.dumps({"a": 1})])
def test_weights_of_another_kind_are_refused(tmp_path, content):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match="cut short or not a safetensors file"):
        load_weights(path)


def test_weights_cut_short_are_refused(run):
    save_weights(run.path / WEIGHTS, {"a": torch.zeros(100)})
    path = run.path / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="cut short"):
        load_weights(run.path / WEIGHTS)


def test_missing_weights_are_one_line(tmp_path):
    with pytest.raises(InputError, match="no weights at"):
        load_weights(tmp_path / "weights.safetensors")


def test_a_full_disk_while_logging_is_one_line(run, monkeypatch):
    (run.path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(InputError, match="no space left on the disk"):
        run.metrics.append({"epoch": 1})


def test_tensorboard_events_hold_metrics_and_shares(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = TensorBoardLog(run.path)
    board.log(8, {"loss": 0.5}, {(2, 1): {"SE": 0.75}})
    board.close()
    events = EventAccumulator(str(run.path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(8, 0.5)]
    assert [event.value for event in events.Scalars("shares/h1_h2/SE")] == [0.75]


def logged(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return [event.step for event in EventAccumulator(str(folder / "tensorboard")).Reload().Scalars("loss")]


@pytest.mark.parametrize(
    "stops", [[(0, 6), (6, 9)], [(0, 6), (0, 9)], [(0, 6), (3, 6), (3, 9)], [(0, 6), (4, 9)]]
)
def test_tensorboard_hides_what_a_resumed_run_does_again_and_nothing_else(tmp_path, monkeypatch, stops):
    """Each start goes on after a step and ends at another; an epoch has three."""
    seconds = iter(range(100, 200))
    monkeypatch.setattr(tensorboard.time, "time", lambda: float(next(seconds)))
    for begin, end in stops:
        board = TensorBoardLog(tmp_path, begin)
        for step in range(3, end + 1, 3):
            if step > begin:
                board.log(step, {"loss": 0.5})
        board.close()
    assert logged(tmp_path) == [3, 6, 9]


def test_a_full_disk_while_events_are_written_is_one_line(tmp_path):
    board = TensorBoardLog(tmp_path)
    board.close()
    board._file = open("/dev/full", "ab")  # noqa: SIM115, closed by the log
    with pytest.raises(InputError, match="no space left"):
        board.log(1, {"loss": 0.5})
    board.close()


def test_a_log_with_other_line_ends_and_a_mark_goes_on_with_all_its_lines(run):
    for epoch in (1, 2):
        run.metrics.append({"epoch": epoch, "epoch_seconds": 1.5})
    run.save_checkpoint({"step": 2}, 2)
    log = run.path / "metrics.jsonl"
    log.write_bytes(b"\xef\xbb\xbf" + log.read_bytes().replace(b"\n", b"\r\n"))
    run.metrics.append({"epoch": 3, "epoch_seconds": 1.5})
    assert run.load_checkpoint() == {"step": 2}
    assert [record["epoch"] for record in run.metrics.records()] == [1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"epoch_seconds": 1}\n', "lacks lines: the newest checkpoint was written after 2"),
        ("", "lacks lines"),
        ('{"epo\n{"epoch_seconds": 1}\n', "metrics.jsonl is damaged in line 1"),
        ('{"epoch_seconds": 1}\n{"epoch": 2}\n', "line 2 has no number as epoch_seconds"),
        ("[1]\n[2]\n", "line 1 holds no JSON object"),
        ("[" * 100_000 + "\n\n", "metrics.jsonl is damaged in line 1"),
    ],
)
def test_a_damaged_log_is_refused_before_any_work(run, content, message):
    for epoch in (1, 2):
        run.metrics.append({"epoch": epoch, "epoch_seconds": 1.5})
    run.save_checkpoint({"step": 2}, 2)
    (run.path / "metrics.jsonl").write_text(content)
    with pytest.raises(InputError, match=message):
        run.load_checkpoint()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"sco', "cut short or not JSON .*; delete it, and --resume goes on .* or begins anew"),
        ("[1]", "holds no JSON object"),
        ("[" * 100_000, "nested too deeply"),
        (b"\xff\xfe", "no readable result.json"),
    ],
)
def test_a_damaged_result_does_not_make_a_run_complete(run, content, message):
    assert not run.complete()
    content = content if isinstance(content, bytes) else content.encode()
    (run.path / "result.json").write_bytes(content)
    with pytest.raises(InputError, match=message):
        run.complete()
    with pytest.raises(InputError, match=message):
        run.result()
    (run.path / "result.json").write_bytes(b"\xef\xbb\xbf{}")
    assert run.complete()


def test_what_a_killed_process_was_making_is_removed_and_what_a_live_one_makes_is_not(tmp_path):
    host = new_folder._machine()
    for owner in (f"{host}-{2**22 + 1}", f"{host}-1", "00000000-7"):
        (tmp_path / f".one.{owner}.abcdefgh").mkdir()
    (tmp_path / ".my.notes").mkdir()
    RunDirectory.create(tmp_path / "two", "{}", {}, {}).unlock()
    assert {path.name for path in tmp_path.iterdir()} == {
        f".one.{host}-1.abcdefgh",
        ".one.00000000-7.abcdefgh",
        ".my.notes",
        "two",
    }


def test_of_two_that_make_one_folder_at_once_the_second_is_told(tmp_path, monkeypatch):
    path = tmp_path / "one"
    real = records.write_text

    def first(target, text):
        monkeypatch.setattr(records, "write_text", real)
        RunDirectory.create(path, "[1]", {}, {}).unlock()
        real(target, text)

    monkeypatch.setattr(records, "write_text", first)
    with pytest.raises(TakenError, match="exists already"):
        RunDirectory.create(path, "[2]", {}, {})
    assert [entry.name for entry in tmp_path.iterdir()] == ["one"]
    assert RunDirectory(path).text("config.json") == "[1]"


def test_settings_that_were_edited_are_noticed_and_another_place_of_the_data_is_none(tmp_path):
    config = '{"seed": 0, "data": {"root": "here", "limit": null}, "old": {"root": null}}'
    run = RunDirectory.create(tmp_path / "run", config, {}, {})
    move_data(run, "there")
    check_settings(run)
    assert run.json("config.json") == {
        "seed": 0,
        "data": {"root": "there", "limit": None},
        "old": {"root": None},
    }
    run.write_text("config.json", config.replace("0", "1"))
    with pytest.raises(InputError, match=r"config\.json was edited since the run began"):
        check_settings(run)
    run.write_json("environment.json", {"seed": 0})  # version 0.1 did not record it
    check_settings(run)
    run.unlock()


def test_a_key_that_is_there_twice_is_refused(run):
    run.write_text("data.json", '{"classes": ["a"], "mean": [0.5], "classes": ["b"]}')
    with pytest.raises(InputError, match=r"data\.json: the key 'classes' is there twice; keep one"):
        run.keys("data.json")
