"""A search as an NNI experiment: a process for every trial, whatever becomes of it."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import psutil
import pytest

import autola
from autola.plans import experiment as plan
from foundation.errors import InputError
from search_space.grammar import genotype_at
from searchers.nni import experiment, manager
from searchers.nni.proposer import name_of
from tests.autola.runs import SMALL

SEARCH = f"search digits --engine nni {SMALL} --num-nodes 2 --searcher.batch-size 10 --searcher.epochs 1"

ROOT = Path(__file__).parents[2]

MOODY = """
import os, time
number = os.environ.get("NNI_TRIAL_SEQ_ID")
if number == "0":
    raise ValueError("a bad day")
if number == "1":
    time.sleep(1000)
"""
"""Trial 0 crashes, trial 1 hangs."""


def free_port():
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(manager, "PAUSES", (0.01, 0.01))


def test_a_port_in_use_is_refused(refused, quick):
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = refused(f"{SEARCH} --searcher random --portal-port {port}")
    assert f"portal port {port} is in use; choose another one: --portal-port {port + 1}" in told


def test_a_port_that_the_last_experiment_still_holds_is_waited_for(quick, monkeypatch):
    answers = iter([True, True, False])
    monkeypatch.setattr(manager, "_in_use", lambda port: next(answers))
    manager.wait_for_port(8080)
    assert next(answers, None) is None


class Manager:
    """Stands for NNI's: it fails to start a number of times."""

    failures: int
    log: list[Any]

    def __init__(self, config):
        self.log.append("made")

    def start(self, port):
        self.log.append({name: os.environ[name] for name in ("NODE_OPTIONS", "AUTOLA_PORTAL_HOST")})
        if self.log.count("made") <= self.failures:
            raise RuntimeError("Cannot connect\nto localhost")

    def stop(self):
        self.log.append("stopped")


@pytest.fixture
def started(quick, monkeypatch):
    """Starts an experiment whose manager fails at first; returns what was done."""
    monkeypatch.setattr(manager, "_in_use", lambda port: False)
    module = ModuleType("nni.experiment")
    module.Experiment = type("Failing", (Manager,), {})  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "nni", ModuleType("nni"))
    monkeypatch.setitem(sys.modules, "nni.experiment", module)

    def start(failures, host=manager.HOST):
        stand_in = module.Experiment  # pyright: ignore[reportAttributeAccessIssue]
        stand_in.failures, stand_in.log = failures, []
        run = object.__new__(experiment.Experiment)
        config = SimpleNamespace(experiment_working_directory="run/nni")
        run.manager = experiment.Manager(config, 8080, host)
        with run:
            return stand_in.log

    return start


def test_a_manager_that_does_not_start_is_started_again(started, monkeypatch):
    monkeypatch.delenv("NODE_OPTIONS", raising=False)
    assert started(2).count("made") == 3
    assert "NODE_OPTIONS" not in os.environ


def test_a_manager_that_never_starts_is_one_line(started):
    with pytest.raises(InputError) as error:
        started(9)
    assert str(error.value) == (
        "NNI's manager does not start, tried 3 times: 'Cannot connect to localhost'; "
        "see run/nni, then --resume"
    )


LISTEN = """
const { get, createServer } = require("http");
const server = createServer((_, answer) => answer.end("here"));
server.listen(%s function () {
    const { address, port } = this.address();
    get({ host: "127.0.0.1", port, agent: false }, (told) => {
        told.on("data", (text) => console.log(address, String(text), process.env.AUTOLA_PORTAL_HOST));
        told.on("end", () => server.close());  // the process ends when nothing listens any more
    });
});
"""


@pytest.mark.parametrize(
    ("host", "given", "address"),
    [
        ("127.0.0.1", "0,", "127.0.0.1"),
        ("127.0.0.1", "'0', undefined,", "127.0.0.1"),
        ("127.0.0.1", "{port: 0},", "127.0.0.1"),
        ("127.0.0.1", "0, '0.0.0.0',", "0.0.0.0"),
        ("127.0.0.2", "0,", "127.0.0.2"),  # answers on the loopback as well
        ("127.0.0.2", "{port: 0},", "127.0.0.2"),
        ("0.0.0.0", "0,", "0.0.0.0"),
    ],
)
def test_the_portal_listens_on_the_loopback_and_where_it_was_asked_to(started, host, given, address):
    (environment,) = (entry for entry in started(0, host) if isinstance(entry, dict))
    spec = find_spec("nni_node")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    node = Path(spec.submodule_search_locations[0]) / "node"
    told = subprocess.run(
        [str(node), "-e", LISTEN % given],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert told.stdout == f"{address} here undefined\n"


OWN = """
import autola
from torch import nn

@autola.operator("{name}")
class Own(nn.Identity):
    def __init__(self, channels):
        super().__init__()
"""


@pytest.fixture
def own_operator(monkeypatch):
    """Registers an operator for this test alone, from a file or from the program itself."""

    def register(module):
        for entries in ("_entries", "_homes"):
            monkeypatch.setattr(autola.OPERATORS, entries, dict(getattr(autola.OPERATORS, entries)))
        code = OWN.format(name="own_one")
        if module == "__main__":
            exec(code, {"__name__": "__main__"})
        else:
            Path(f"{module}.py").write_text(code)
            monkeypatch.syspath_prepend(os.getcwd())
            monkeypatch.delitem(sys.modules, module, raising=False)
            __import__(module)

    return register


def searched(**changes):
    return autola.search(
        "digits",
        engine="nni",
        searcher={"name": "random", "batch_size": 10},
        data={"limit": 60},
        width=8,
        primitives=("none", "skip_connect", "own_one"),
        experiment={"portal_port": free_port()},
        **changes,
    )


def test_what_the_program_itself_registered_is_refused_from_python(own_operator, own_folder, monkeypatch):
    own_operator("__main__")
    monkeypatch.setattr(plan, "Experiment", None)
    with pytest.raises(InputError, match=r"operator 'own_one' was registered in __main__, .*--import MODULE"):
        searched(out="run")
    assert not (own_folder / "run").exists()


def test_what_a_module_registered_is_imported_by_every_trial(own_operator, monkeypatch):
    own_operator("mine")
    seen = []

    class SeenError(Exception):
        pass

    def see(**given):
        seen.append(given)
        raise SeenError

    monkeypatch.setattr(plan, "Experiment", see)
    with pytest.raises(SeenError):
        searched(out="run")
    (given,) = seen
    assert given["imports"] == ["mine"]
    assert given["command"].endswith(" -m autola.trial mine")
    assert str(Path.cwd()) in given["command"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "darts is no black-box searcher, so --engine nni cannot run it; choose for example random"),
        ("--searcher evolution --searcher.shared", "add --searcher.no-shared"),
        ("--searcher random --portal-port 80", "portal port 80 is not in 1024 ... 65534"),
        ("--searcher random --portal-host no.invalid", "portal host 'no.invalid' is no address"),
        ("--searcher random --portal-host 192.0.2.1", "portal host '192.0.2.1' is no address"),
        ("--searcher random --jobs 0", "jobs=0 is not positive"),
        ("--searcher random --trial-minutes 0", "trial_minutes=0.0 is not positive"),
        ("--searcher random --target macs<=2x macs<=3x", "takes one --target"),
        ("--searcher nni:tpee", "unknown searcher 'nni:tpee'; did you mean nni:tpe?"),
        ("--searcher nobody", "unknown searcher 'nobody'; known: darts"),
        ("--searcher random --trials 0", "trials=0 is not positive; a search judges at least one candidate"),
    ],
)
def test_bad_input(options, message, refused):
    assert message.split("known: ")[0] in refused(f"{SEARCH} --portal-port {free_port()} {options}")


def test_trials_are_for_searchers_that_have_some(refused):
    assert "darts has no trials" in refused("search digits --trials 3")


def test_a_training_service_is_read_from_json(refused, own_folder):
    (own_folder / "service.json").write_text("[1, 2")
    assert "service.json: cut short or not JSON" in refused(
        f"{SEARCH} --searcher random --portal-port {free_port()} --training-service service.json"
    )


def test_trials_elsewhere_are_told_that_the_portal_is_not_reached_from_there(refused, own_folder):
    (own_folder / "service.json").write_text('{"platform": "remote", "machine_list": []}')
    assert "give --portal-host ADDRESS" in refused(
        f"{SEARCH} --searcher random --portal-port {free_port()} --training-service service.json"
    )


@pytest.mark.parametrize("state", experiment.ENDED)
def test_a_trial_that_was_ended_for_its_time_is_too_slow_whatever_nni_calls_it(state):
    assert experiment.why_no_score(state, 60.5, 60) == "too slow"
    ended_by_somebody = state in ("USER_CANCELED", "SYS_CANCELED")
    assert experiment.why_no_score(state, 59.5, 60) == ("cancelled" if ended_by_somebody else "crashed")


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


# NNI leaves files and sockets open.
leaks = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@leaks
@pytest.mark.slow
def test_a_trial_that_crashes_or_hangs_is_recorded_and_the_experiment_goes_on(call, own_folder):
    (own_folder / "moody.py").write_text(MOODY)
    told = call(
        f"{SEARCH} --import moody --searcher evolution --trials 4 --jobs 4 --trial-minutes 3",
        f"--portal-port {free_port()} --out run",
    )
    assert told.code == 0, told
    ended = {line["trial"]: line for line in lines(own_folder / "run")}
    assert {trial: line["status"] for trial, line in ended.items()} == {
        0: "crashed",
        1: "too slow",
        2: "succeeded",
        3: "succeeded",
    }
    assert "a bad day" in (own_folder / "run" / ended[0]["log"] / "trial.stderr").read_text()
    best = max((2, 3), key=lambda trial: ended[trial]["trial_accuracy"])
    assert json.loads(genotype_at(own_folder / "run").to_json()) == ended[best]["genotype"]


@leaks
@pytest.mark.slow
def test_an_experiment_that_is_stopped_goes_on_and_its_trials_are_those_of_a_search_here(
    call, own_folder, monkeypatch
):
    port = free_port()
    search, elsewhere = f"{SEARCH} --searcher nni:tpe --trials 3", f"--portal-port {port}"
    real = plan._record

    def stop(*given):
        real(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(plan, "_record", stop)
        assert call(search, elsewhere, "--out run").code == 130
    assert len(lines(own_folder / "run")) == 1
    assert call("search --resume run").code == 0
    assert [line["trial"] for line in lines(own_folder / "run")] == [0, 1, 2]
    assert call("search --resume run").code == 0, "it is complete"
    # One trial at a time sees what a search in this process sees.
    assert call(search.replace("--engine nni", ""), "--threads 1 --out here").code == 0
    here = [line["trial_accuracy"] for line in lines(own_folder / "here")]
    assert here == [line["trial_accuracy"] for line in lines(own_folder / "run")]
    assert genotype_at(own_folder / "here") == genotype_at(own_folder / "run")


def family(process):
    with suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)]
    return []


def listening(process):
    """Addresses on which a process and those that it started listen."""
    found = set()
    for each in family(process):
        with suppress(psutil.NoSuchProcess):
            found |= {one.laddr.ip for one in each.net_connections() if one.status == psutil.CONN_LISTEN}
    return found


def addresses_of(command, until, folder):
    """Where a command and what it starts listen, looked at until a file appears or it has ended."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = psutil.Popen([sys.executable, "-m", *command], cwd=folder, env=environment)
    found, deadline = set(), time.monotonic() + 300
    try:
        while process.poll() is None and time.monotonic() < deadline and not until(found):
            found |= listening(process)
            time.sleep(0.2)
        assert process.poll() in (None, 0)
    finally:
        for each in family(process):
            with suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait()
    return found


@leaks
@pytest.mark.slow
def test_with_the_defaults_nothing_is_reached_from_other_machines(own_folder):
    search = f"{SEARCH} --searcher random --trials 2 --portal-port {free_port()} --out run".split()
    assert addresses_of(["autola", *search], lambda found: False, own_folder) == {"127.0.0.1"}
    assert len(lines(own_folder / "run")) == 2
    board = ["tensorboard.main", "--logdir", "run", "--port", str(free_port())]
    shown = addresses_of(board, bool, own_folder)
    assert shown
    assert shown <= {"127.0.0.1", "::1"}


def test_edges_have_names_that_a_portal_shows():
    assert name_of((2, 0)) == "h2_0"


@leaks
@pytest.mark.slow
def test_a_tuner_that_breaks_down_ends_the_experiment(call, own_folder):
    (own_folder / "broken.py").write_text("import sys\nassert 'dispatch' not in sys.modules\n")
    told = call(
        f"{SEARCH} --import broken --searcher random --trials 2 --portal-port {free_port()} --out run"
    )
    assert told.code == 2, told
    assert "autola: the tuner broke down; see " in told.err
    assert (own_folder / "run" / "config.json").is_file()
