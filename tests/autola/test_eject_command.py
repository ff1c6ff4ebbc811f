"""What the command `eject` says, and what its files say of the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autola.cli import main
from search_space.genotype import PUBLISHED
from search_space.placement import Placement, Standing


def test_the_command_that_checks_a_file_can_be_typed(own_folder: Path, capsys: Any) -> None:
    assert main(["eject", "se", "--channels", "8", "-o", "sp ace.py"]) == 0
    assert capsys.readouterr().out.endswith("`python 'sp ace.py'` checks it\n")


def test_a_file_names_no_path_and_a_command_that_works_elsewhere(call: Any, own_folder: Path) -> None:
    run = own_folder / "runs" / "search-seed0"
    run.mkdir(parents=True)
    (run / "genotype.json").write_text(PUBLISHED.to_json())
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


def test_a_file_of_a_placement_names_no_path_either(call: Any, own_folder: Path) -> None:
    se = Standing(site="layer1.0", channels=16, stage="1", attention="se")
    cifar = Placement(network="cifar_resnet8", family="supernet.networks.cifar_resnet", standings=(se,))
    (own_folder / "placement.json").write_text(cifar.to_json())
    said = " ".join(call(f"eject places:{own_folder}/placement.json --backbone cifar_resnet8").out.split())
    assert str(own_folder) not in said
    assert "from places:placement.json: autola eject places:PLACEMENT --backbone cifar_resnet8, where" in said
