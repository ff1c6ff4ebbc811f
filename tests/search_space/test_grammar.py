"""The attention grammar: what it reads, and what it says about what it cannot read."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from foundation.errors import InputError
from search_space.attention import as_terms
from search_space.cell import Cell
from search_space.genotype import PUBLISHED, Genotype
from search_space.grammar import parse_attention
from search_space.operator import OPERATORS, Operator, Recipe, operator
from search_space.term import Term, label, slug
from tests.strategies import genotypes

NAMES = [name for name in OPERATORS if name != "none"]
SAMPLES: dict[Any, st.SearchStrategy[Any]] = {int: st.integers(1, 64), bool: st.booleans()}
FORMS = st.sampled_from(["full", "maxpool", "spatial"])
STAGES = st.sampled_from(["1", "34", "1234", "fpn"])


@st.composite
def terms(draw: st.DrawFn) -> tuple[str, Term]:
    """A term as text, and what it should be read as."""
    name = draw(st.sampled_from([*NAMES, "hoga"]))
    if name == "hoga":
        return name, Term(name="hoga", genotype=PUBLISHED)
    options = []
    for key, parameter in OPERATORS[name].known_options.items():
        kind = type(parameter.default)
        if kind in SAMPLES and draw(st.booleans()):
            options.append((key, draw(SAMPLES[kind])))
        elif key == "form" and draw(st.booleans()):
            options.append((key, draw(FORMS)))
    if draw(st.booleans()):
        options.append(("stages", draw(STAGES)))
    options = draw(st.permutations(options))
    inside = ",".join(
        value if key == "form" and draw(st.booleans()) else f"{key}={str(value).lower()}"
        for key, value in options
    )
    return f"{name}[{inside}]" if options else name, Term(name=name, options=tuple(options))


@settings(max_examples=40)  # each builds up to four operators
@given(st.lists(terms(), min_size=1, max_size=4))
def test_reads_what_is_written(drawn: list[tuple[str, Term]]) -> None:
    text = "+".join(written for written, _ in drawn)
    assert parse_attention(text) == tuple(term for _, term in drawn)
    assert parse_attention(f" {text}\n") == parse_attention(text)
    assert parse_attention(label(parse_attention(text))) == parse_attention(text)
    for term in parse_attention(text):
        try:
            module = term.build(8)
        except InputError:
            assert term.options  # a number was drawn that this operator refuses
        else:
            assert module(torch.ones(2, 8, 3, 3)).shape == (2, 8, 3, 3)


@given(genotypes())
def test_whatever_holds_a_genotype_is_attention(genotype: Genotype) -> None:
    (term,) = as_terms(genotype)
    assert term.genotype == genotype
    assert as_terms(term) == as_terms([genotype]) == (term,)
    assert as_terms(("se[reduction=8]", genotype)) == (*parse_attention("se[reduction=8]"), term)
    if genotype == PUBLISHED:
        assert label((term,)) == "hoga"
    else:
        assert re.fullmatch("hoga:[0-9a-f]{8}", label((term,)))
        assert slug((term,)) == label((term,)).replace(":", "-")


def test_a_path_is_attention(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    file.write_text(PUBLISHED.to_json())
    assert as_terms(file) == parse_attention(f"hoga:{file}")
    with pytest.raises(InputError, match=f"a run folder or genotype file is named hoga:{tmp_path}"):
        parse_attention(str(tmp_path))


@pytest.mark.parametrize("value", [None, 3, {"se"}, b"se"])
def test_what_is_no_attention_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match="an attention is a text such as"):
        inspect.unwrap(as_terms)(value)  # signatures are checked while testing, before the function looks


def test_a_genotype_of_operators_that_nobody_knows_is_refused() -> None:
    with pytest.raises(InputError, match="nobody"):
        as_terms(Genotype.of([[("nobody", 0)]]))


@given(st.text(alphabet="se+[]=:,hoga 1") | st.text())
def test_reads_anything_or_says_why_not(text: str) -> None:
    said = ""
    try:
        parse_attention(text)
    except InputError as error:
        said = str(error)
    assert len(said.splitlines()) <= 1


@pytest.mark.parametrize("name", NAMES)
def test_every_operator_is_an_attention(name: str) -> None:
    (term,) = parse_attention(name)
    assert (term.name, term.options, term.argument) == (name, (), None)
    assert isinstance(term.build(8), OPERATORS[name].module)
    assert term.place == OPERATORS[name].place


def test_none_is_no_term() -> None:
    assert parse_attention("none") == parse_attention(" none ") == ()


def test_options_reach_the_module() -> None:
    (term,) = parse_attention("se[reduction=2, bias=false]")
    module = term.build(8)
    assert [tuple(weight.shape) for weight in module.parameters()] == [(4, 8), (8, 4)]


def test_a_bare_word_is_the_form() -> None:
    (term,) = parse_attention("cbam[spatial]")
    assert (
        term == parse_attention("cbam[form=spatial]")[0] == Term(name="cbam", options=(("form", "spatial"),))
    )
    assert label((term,)) == "cbam[spatial]"
    assert [t.options for t in parse_attention("aw+cbam[reduction=8, maxpool]")] == [
        (),
        (("reduction", 8), ("form", "maxpool")),
    ]


def test_stages_are_the_terms_and_not_the_modules() -> None:
    first, second = parse_attention("se[stages=34,reduction=8]+aa")
    assert (first.stages, first.last_stages) == ("34", None)
    assert (second.stages, second.last_stages) == (None, 3)
    assert next(first.build(16).parameters()).shape == (2, 16)


def test_a_size_is_the_maps_only_where_an_operator_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OPERATORS, "_entries", dict(OPERATORS.items()))

    @operator("kernel")
    class Kernel(Operator):
        """Has a size of its own, and stages it may not have."""

        def __init__(self, channels: int, *, size: int = 3) -> None:
            super().__init__()
            assert size == 3

    (term,) = parse_attention("kernel")
    assert not term.wants_size
    term.build(8, (5, 7))
    assert parse_attention("aa")[0].wants_size
    assert not parse_attention("aa[size=7]")[0].wants_size

    class Staged(Operator):
        """Takes the grammar's word."""

        def __init__(self, channels: int, *, stages: int = 3) -> None:
            super().__init__()

    with pytest.raises(ValueError, match="'staged' has an option stages, which the grammar gives to all"):
        operator("staged")(Staged)


def test_hoga_is_the_published_genotype() -> None:
    (term,) = parse_attention("hoga")
    assert term.genotype == PUBLISHED
    assert isinstance(term.build(8), Cell)


@pytest.mark.parametrize("name", ["genotype.json", "a+b[1].json", "se+hoga:x", "a b=c,d"])
def test_hoga_takes_the_rest_as_a_path(name: str, tmp_path: Path) -> None:
    genotype = Genotype.of([[("SE", 0)], [("CBAM", 1)]], fuse="none")
    run = tmp_path / "run+1[x]"
    run.mkdir()
    (run / name).write_text(genotype.to_json())
    first, second = parse_attention(f"se[reduction=8]+hoga:{run / name}")
    assert first == Term(name="se", options=(("reduction", 8),))
    assert second == Term(name="hoga", argument=str(run / name), genotype=genotype)


def test_hoga_takes_a_run_folder(tmp_path: Path) -> None:
    (tmp_path / "genotype.json").write_text(PUBLISHED.to_json())
    (term,) = parse_attention(f"hoga:{tmp_path}")
    assert term.genotype == PUBLISHED


def test_an_argument_reaches_the_module_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OPERATORS, "_entries", dict(OPERATORS.items()))

    @operator("bits")
    class Bits(Operator):
        """Keeps its argument."""

        def __init__(
            self, channels: int, argument: str = "1111", *, code: str = "", scale: float = 1.0, plain=3
        ) -> None:
            super().__init__()
            self.given = (argument, code, scale, plain)

    def given(text: str) -> tuple:
        module = parse_attention(text)[0].build(4)
        assert isinstance(module, Bits)
        return module.given

    assert given("bits") == ("1111", "", 1.0, 3)
    assert given("bits:0010") == ("0010", "", 1.0, 3)
    assert given("bits:0010[code=0110,scale=2]") == ("0010", "0110", 2.0, 3)
    assert given("bits[plain=x]") == ("1111", "", 1.0, "x")
    with pytest.raises(InputError, match="`bits` has no option 'argument'; it has: code, scale, plain"):
        parse_attention("bits[argument=0010]")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "cannot read attention '' at ''"),
        ("+", "cannot read attention '+' at '+'"),
        ("se+", "cannot read attention 'se+' at ''"),
        ("+se", "cannot read attention '+se' at '+se'"),
        ("se++se", "cannot read attention 'se++se' at '+se'"),
        ("se se", "cannot read attention 'se se' at 'se se'"),
        ("se[reduction=8", "cannot read attention 'se[reduction=8' at 'se[reduction=8'"),
        ("se]", "cannot read attention 'se]' at 'se]'"),
        ("se[reduction=8]x", "cannot read attention"),
        ("se\n\n+x", r"cannot read attention 'se\n\n+x'"),
        ("cbma", "unknown attention 'cbma'; did you mean cbam"),
        ("HOGA", "unknown attention 'HOGA'; did you mean hoga?"),
        ("none+se", "`none` stands alone, it does not join 'none+se'"),
        ("se+none", "`none` stands alone"),
        ("se:8", "`se` takes no argument, but 'se:8' gives it '8'"),
        ("se:", "`se` takes no argument"),
        ("se[ratio=8]", "`se` has no option 'ratio'; it has: reduction, bias"),
        ("skip_connect[ratio=8]", "`skip_connect` has no option 'ratio'; it has: stages"),
        ("se[reduction]", "option 'reduction' in 'se[reduction]' is not of the form key=value"),
        ("se[reduction=]", "option 'reduction=' in"),
        ("se[=8]", "option '=8' in"),
        ("se[]", "option '' in 'se[]' is not of the form key=value"),
        ("se[reduction=8,]", "option '' in 'se[reduction=8,]'"),
        ("se[reduction=8,reduction=4]", "'se[reduction=8,reduction=4]' gives reduction twice"),
        ("se[reduction=half]", "se[reduction=half]: Input should be a valid integer"),
        ("se[reduction=2.5]", "se[reduction=2.5]: Input should be a valid integer"),
        ("cbam[spatial,maxpool]", "gives form twice"),
        (
            "cbam[spacial]",
            "cbam[form=spacial]: Input should be 'full', 'maxpool' or 'spatial', not 'spacial'",
        ),
        ("se[stages=43]", "se[stages=43]: name stages by their digits, as 234 for layer2 to layer4, or fpn"),
        ("se[stages=٣]", "name stages by their digits"),
        ("se[bias=3]", "se[bias=3]: Input should be a valid boolean"),
        ("hoga[num_nodes=2]", "`hoga` has no options, its genotype says all: 'hoga[num_nodes=2]'"),
        ("hoga:", "no run folder or genotype file at ''"),
        ("hoga:missing", "no run folder or genotype file at 'missing'"),
        ("hoga:missing+se", "hoga:PATH takes all that follows it, so it comes last"),
        ("hoga:" + "x" * 300, "no run folder or genotype file at 'xxx"),
        ("hoga:\0", r"no run folder or genotype file at '\x00'"),
    ],
)
def test_errors_say_what_is_wrong(text: str, expected: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_attention(text)
    assert expected in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("genotype", "expected"),
    [
        (Genotype.of([[("sep_conv_9x9", 0)]]), "edge x1 -> h1: unknown operator 'sep_conv_9x9'"),
        (Genotype.of([[("none", 0)]]), "edge x1 -> h1: unknown operator 'none'"),
        (Genotype.of([[("SE", 0)]], space="hogo"), "unknown search space 'hogo'; did you mean hoga?"),
    ],
)
def test_genotypes_that_cannot_be_built_name_the_file(
    genotype: Genotype, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.json"
    path.write_text(genotype.to_json())
    with pytest.raises(InputError) as raised:
        parse_attention(f"hoga:{path}")
    assert str(raised.value).startswith(f"{path}: {expected}")


def test_values_out_of_range_are_refused_when_built() -> None:
    (term,) = parse_attention("se[reduction=0]")
    with pytest.raises(InputError, match="reduction=0 is not positive"):
        term.build(8)


def test_a_built_attention_is_a_plain_module() -> None:
    assert all(isinstance(term.build(8), nn.Module) for term in parse_attention("+".join(NAMES)))


@pytest.mark.parametrize(
    "text",
    [
        "eca[gamma=1e-300]",
        "eca[beta=nan]",
        "eca[beta=inf]",
        "eca[beta=1e30]",
        "ceca[beta=-1e30]",
        "gc[rd_ratio=0]",
        "gc[rd_ratio=nan]",
        "gca[rd_ratio=inf]",
        "ge[rd_ratio=nan]",
        "ge[rd_ratio=-1]",
        "ge[rd_ratio=1e12]",
        "bat[drop_rate=nan]",
        "sk[rd_ratio=1e30]",
        "nl[rd_ratio=1e12]",
        "aa[size=99999999999]",
        "dynamic[kernel_size=99999999999]",
        "simam[regularization=inf]",
        "simam[regularization=nan]",
        "ga[position_magnitude=nan]",
    ],
)
def test_numbers_that_make_no_operator_are_one_line(text: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_attention(text)[0].build(16)
    assert len(str(raised.value).splitlines()) == 1
    assert text.partition("[")[0] in str(raised.value) or "regularization" in str(raised.value)


def test_an_operator_that_is_broken_shows_its_own_error() -> None:
    class Broken(Operator):
        def __init__(self, channels: int, *, size: int = 1) -> None:
            raise TypeError("of the author's")

    recipe = Recipe(name="broken", module=Broken)
    with pytest.raises(TypeError, match="of the author's"):
        recipe.build(8)
    with pytest.raises(InputError, match=r"broken\[size=3\] cannot be built: .*of the author's"):
        recipe.build(8, size=3)
