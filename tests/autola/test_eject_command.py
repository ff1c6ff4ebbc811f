"""`autola eject`: what it writes and prints, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import autola
from autola.cli import main


def test_writes_or_prints(call: Any, own_folder: Path) -> None:
    printed = call("eject se --channels 8")
    assert printed.code == 0, printed.err
    told = call("eject se --channels 8 -o se.py")
    assert told == (0, f"se.py  {len(printed.out.splitlines())} lines; `python se.py` checks it\n", "")
    assert (own_folder / "se.py").read_text() == printed.out == autola.eject("se", channels=8)
    assert call("eject se --model cifar_resnet8 --width 8 --num-classes 3 --out net.py").code == 0
    written = (own_folder / "net.py").read_text()
    assert "PLACES" in written
    ((_, command),) = re.findall(r"Made by autola (\S+): autola (.*)", written)
    assert call(command).out == written, "the command that a file names writes another one"


def test_the_command_that_checks_a_file_can_be_typed(own_folder: Path, capsys: Any) -> None:
    assert main(["eject", "se", "--channels", "8", "-o", "sp ace.py"]) == 0
    assert capsys.readouterr().out.endswith("`python 'sp ace.py'` checks it\n")


def test_a_file_names_no_path_and_a_command_that_works_elsewhere(call: Any, own_folder: Path) -> None:
    run = own_folder / "runs" / "search-seed0"
    run.mkdir(parents=True)
    (run / "genotype.json").write_text(autola.PUBLISHED.to_json())
    written = call(f"eject hoga:{run} --channels 8").out
    assert str(own_folder) not in written
    said = " ".join(written.split())
    command = "eject hoga:GENOTYPE --channels 8"
    line = (
        f"from hoga:search-seed0: autola {command}, where GENOTYPE is a file or run with the genotype above"
    )
    assert line in said
    again = call(command.replace("GENOTYPE", str(run))).out
    assert again == written
    assert ": autola eject hoga --channels 8\n" in call("eject hoga --channels 8").out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("eject se", "for how many channels? give --channels, or --backbone"),
        ("eject none --channels 8", "none is the plain network: there is nothing to eject"),
        ("eject see --channels 8", "unknown attention 'see'; did you mean"),
        ("eject hoga --channels 6", "6 channels do not split into 4 equal groups"),
        ("eject se --channels 0", "channels=0 is not in 1 ..."),
        ("eject se --channels 8 --backbone cifar_resnet8", "leave --channels out"),
        ("eject se --channels 8 --width 8", "give --backbone as well"),
        ("eject se[stages=34] --channels 8", "se[stages=34]: stages choose among the sites of a network"),
        ("eject aw+se --channels 8", "aw stands instead of a convolution, unlike the rest of aw+se"),
        ("eject se --backbone cifar_resnet9", "unknown backbone 'cifar_resnet9'; did you mean"),
        ("eject se --channels 8 -o nowhere/se.py", "no folder nowhere to write se.py to"),
        ("eject se --channels 8 -o .", "exists already; choose another file"),
        ("eject --channels 8", "ATTENTION"),
    ],
)
def test_bad_input(refused: Any, words: str, line: str) -> None:
    assert line in refused(words)


def test_overwrites_nothing(refused: Any, own_folder: Path) -> None:
    (own_folder / "se.py").write_text("keep me")
    assert "se.py exists already; choose another file" in refused("eject se --channels 8 -o se.py")


def test_a_file_is_whole_or_not_there(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        autola.eject("se", channels=8, out="se.py")
    assert list(own_folder.iterdir()) == []
