"""The one grammar that names attention: `none`, `se[reduction=8]`, `aw+se`, `hoga:PATH`.

    attention = "none" | term {"+" term}
    term      = [site "="] name [":" argument] ["[" option {"," option} "]"]
    site      = "self" | "encoder.self" | "decoder.self" | "decoder.cross"
    option    = key "=" value | form

A bare word in brackets is the operator's `form`: `cbam[spatial]` is `cbam[form=spatial]`. Every operator has
the option `stages`, the stages of the backbone that get it: `aa[stages=34]` for layer3 and layer4.

A site is one of a Transformer's attentions, `self` both of its self-attentions, and the operator there is the
form on sequences: `decoder.self=dynamic[kernel_size=7]`. The stages are the layers then, from 1.

`hoga:PATH` takes the rest of the text as the path of a run folder or genotype file, so it comes last; so does
`places:PATH`, a placement, which says what stands at each site of a network, and
`hoga:hf://user/name[@revision]`, a repository of the hub that `autola share` wrote.
Quote brackets in a shell.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from foundation.errors import InputError, unknown
from foundation.hub import SCHEME, Address, fetch, named
from foundation.words import typed
from search_space.genotype import PUBLISHED, Genotype
from search_space.placement import Placement, Standing, is_placement
from search_space.space import OWN, SPACES, Space
from search_space.term import FORM, FPN, SITES, STAGES, Term, Value, attention_of, label, operators

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from foundation.registry import Registry
    from search_space.operator import SequenceRecipe

FILE = "genotype.json"
"""The file of a run folder or repository that holds its genotype."""

_TERM = re.compile(
    r"(?:(?P<site>[A-Za-z_.]+)=)?(?P<name>\w+)(?::(?P<argument>[^+\[\]]*))?(?:\[(?P<options>[^\]]*)\])?"
)


def parse_attention(text: str, site: str | None = None) -> tuple[Term, ...]:
    """Reads an attention from text; `none` is no term at all. Files of `hoga:` and `places:` are read now.

    Args:
        text: In the grammar.
        site: Attention of a Transformer at which all of it stands, so that no term names one.

    Raises:
        InputError: If the text does not fit the grammar, or names an unknown operator or file.
    """
    if text.strip() == "none":
        return ()
    terms = list[Term]()
    rest = text.strip()
    while True:
        if rest.startswith(("hoga:", "places:")) and site is None:
            name, _, path = rest.partition(":")
            terms.append(genotype_term(path) if name == "hoga" else placement_term(path))
            break
        match = _TERM.match(rest)
        if match is None or match.end() not in (len(rest), rest.find("+", match.end())):
            hint = "the form is name[:argument][[option=value,...]], joined by +"
            if os.path.exists(text):
                hint = f"a run folder or genotype file is named hoga:{text}"
                if is_placement(text):
                    hint = f"a placement is named places:{text}"
            raise InputError(f"cannot read attention {text!r} at {rest!r}; {hint}")
        terms.append(_term(match, text, site))
        if match.end() == len(rest):
            break
        rest = rest[match.end() + 1 :]
    return tuple(terms)


def _term(match: re.Match[str], text: str, site: str | None) -> Term:
    name, argument = match["name"], match["argument"]
    if site is not None and match["site"] is not None:
        raise InputError(f"{text!r} stands at {site} already; leave out {match['site']}=")
    site = match["site"] if site is None else site
    items = [] if match["options"] is None else match["options"].split(",")
    if site is not None and name == "places":
        raise InputError(f"a placement says itself where it stands; leave out {site}=, as in places:PATH")
    recipes = operators() if site is None else _on_sequences(site, name)
    has_form = name in recipes and FORM in recipes[name].known_options
    options = [_option(item, text, has_form) for item in items]
    if name == "none":
        raise InputError(f"`none` stands alone, it does not join {text!r}")
    if name == "hoga":
        if options:
            raise InputError(f"`hoga` has no options, its genotype says all: {text!r}")
        return Term(name=name, genotype=PUBLISHED)
    if name == "places":
        raise InputError(f"`places` needs the path of a placement, places:PATH: {text!r}")
    if name not in recipes:
        raise unknown("attention", name, ["hoga", "places", *recipes])
    recipe = recipes[name]
    known = recipe.known_options.keys() | {STAGES}
    if argument is not None and "argument" not in known:
        raise InputError(f"`{name}` takes no argument, but {text!r} gives it {argument!r}")
    values = dict[str, Value]()
    for key, value in options:
        if key not in known or key == "argument":
            allowed = ", ".join(key for key in (*recipe.known_options, STAGES) if key != "argument")
            raise InputError(f"`{name}` has no option {key!r}; it has: {allowed}")
        if key in values:
            raise InputError(f"{text!r} gives {key} twice")
        values[key] = _stages(value, name, site) if key == STAGES else recipe.read_option(key, value)
    return Term(name=name, argument=argument, options=tuple(values.items()), site=site)


def _on_sequences(site: str, name: str) -> Registry[SequenceRecipe]:
    """The operators in their forms on sequences.

    Raises:
        InputError: If there is no such site, or the operator has no such form.
    """
    if site not in SITES:
        raise unknown("attention of a Transformer", site, SITES)
    sequences = operators().sequences
    if name == "none":
        raise InputError(f"{site} is plain where nothing is named; leave out {site}=none")
    if name not in sequences and (name == "hoga" or name in operators()):
        raise InputError(f"`{name}` has no form on sequences; those that have: {', '.join(sequences)}")
    return sequences


def _option(item: str, text: str, has_form: bool) -> tuple[str, str]:
    key, equals, value = (part.strip() for part in item.partition("="))
    if has_form and key and not equals:
        return FORM, key
    if not equals or not key or not value:
        raise InputError(f"option {item!r} in {text!r} is not of the form key=value")
    return key, value


def _stages(text: str, name: str, site: str | None) -> str:
    if site is not None and (text == FPN or "0" in text):
        raise InputError(f"{name}[stages={text}]: name layers by their digits, as 123 for the first three")
    if text != FPN and (not text.isdecimal() or not text.isascii() or sorted(set(text)) != list(text)):
        raise InputError(
            f"{name}[stages={text}]: name stages by their digits, as 234 for layer2 to layer4, or {FPN}"
        )
    return text


def genotype_term(path: str) -> Term:
    """The term of a run folder, genotype file or repository on the hub.

    Raises:
        InputError: If there is none at that path; see `genotype_at`.
    """
    if not path.startswith(SCHEME) and not os.path.exists(
        path
    ):  # unlike Path.exists, false for any text that is no path
        hint = "; hoga:PATH takes all that follows it, so it comes last" if "+" in path else ""
        raise InputError(f"no run folder or genotype file at {path!r}{hint}")
    if is_placement(path):
        raise InputError(f"{path} holds a placement, not a genotype; name it places:{path}")
    return Term(name="hoga", argument=path, genotype=genotype_at(path))


def placement_term(path: str) -> Term:
    """The term of a placement file, or of the run folder of a search over placements.

    Raises:
        InputError: If there is none at that path, or it names what is not known.
    """
    if not os.path.exists(path):
        hint = "; places:PATH takes all that follows it, so it comes last" if "+" in path else ""
        raise InputError(f"no run folder or placement file at {path!r}{hint}")
    if not is_placement(path):
        raise InputError(f"{path} holds no placement; a genotype is named hoga:{path}")
    return Term(name="places", argument=path, placement=placement_at(path))


def placement_at(path: str | Path) -> Placement:
    """Reads the placement of a run folder or file, and looks up what stands in it.

    Raises:
        InputError: If there is none, it is damaged, or it names an attention that is not known.
    """
    placement = Placement.load(path)
    _say_if_it_goes_on(path)
    try:
        return check_placement(placement)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _say_if_it_goes_on(path: str | Path) -> None:
    """Says of the folder of a run that has not ended that its answer may change."""
    folder = Path(path)
    if (folder / "config.json").is_file() and not (folder / "result.json").is_file():
        log.warning("%s has not ended: this is what it found so far; --resume %s goes on", path, typed(path))


def found_at(path: str | Path) -> Genotype | Placement:
    """What a search found, from its run folder, or the genotype or placement of a file.

    Raises:
        InputError: If there is none, or it is damaged.
    """
    return placement_at(path) if is_placement(path) else genotype_at(path)


def check_placement(placement: Placement) -> Placement:
    """Returns the placement if all that stands in it is known and can stand after a module.

    Raises:
        InputError: If an attention is unknown, or stands for a convolution.
    """
    for standing in placement.taken():
        check_standing(standing_terms(standing), f"site {standing.site!r}")
    return placement


def check_standing(terms: tuple[Term, ...], where: str) -> None:
    """Refuses what cannot stand after a module of the placement's choice.

    Raises:
        InputError: If a term stands for a convolution, chooses stages, or is made for one size of map.
    """
    for term in terms:
        if term.site is None and (term.placement or term.place == "conv"):
            raise InputError(f"{where}: {label((term,))} does not stand after a module; leave it out")
        if term.stages is not None:
            raise InputError(f"{where}: {label((term,))} chooses stages, and a placement says itself where")
        if term.site is None and term.wants_size:
            raise InputError(f"{where}: {term.name} is made for one size of map; give {term.name}[size=...]")


def standing_terms(standing: Standing) -> tuple[Term, ...]:
    """The terms of what stands at a site of a placement; none at all for nothing."""
    if standing.genotype is None:
        return parse_attention(standing.attention, attention_of(standing.site))
    before, path = standing.before_genotype, standing.genotype_path
    terms = parse_attention(before) if before else ()
    genotype = space_of(standing.genotype).check(standing.genotype)
    return (*terms, Term(name="hoga", argument=path, genotype=genotype))


def flat(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """The terms with what stands in their placements instead of the placements, each of it once."""
    found = list[Term]()
    for term in terms:
        found += [term] if term.placement is None else []
        for standing in () if term.placement is None else term.placement.standings:
            found += [other for other in standing_terms(standing) if other not in found]
    return tuple(found)


def genotype_at(path: str | Path) -> Genotype:
    """Reads the genotype of a run folder, file or repository on the hub, and holds it against its space.

    Raises:
        InputError: If there is none, it is damaged, or it has an operator that its space does not know (one
            that nobody knows, if the space was a user's own list).
    """
    if isinstance(path, str) and path.startswith(SCHEME):
        address = Address.parse(path)
        folder = fetch(address, [FILE])
        with named(folder, address):
            genotype = Genotype.load(folder / FILE)
    else:
        genotype = Genotype.load(path)
        _say_if_it_goes_on(path)
    try:
        return space_of(genotype).check(genotype)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def space_of(genotype: Genotype) -> Space:
    """The space that a genotype says it comes from; of a user's own list, one of all operators there are."""
    if genotype.space != OWN:
        return SPACES[genotype.space]
    known, used = operators(), {edge.operator for _, edge in genotype.edges()}
    return Space(name=OWN, primitives=tuple({*known, *(name for name in used if name in known)}))
