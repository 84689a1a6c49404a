"""The answer in words: a sentence for people, and a few words for a table. Plain text, never HTML."""

from __future__ import annotations

from typing import Any

import numpy as np

from lasair.sherlock.answers import Answers
from lasair.sherlock.merge import F
from lasair.sherlock.rules import ANNOTATION, SYNONYM

#: What a kind of source is called.
_KINDS = {
    "star": "star",
    "galaxy": "galaxy",
    "agn": "AGN",
    "cv": "cataclysmic variable",
    "unclear": "source of unclear nature",
}
_CLASSES = {
    "VS": "a variable star",
    "CV": "a cataclysmic variable",
    "BS": "an artefact of a bright star",
    "AGN": "an active galactic nucleus",
    "NT": "a transient in the nucleus of a galaxy",
    "SN": "a supernova",
    "HPMS": "a star of high proper motion",
    "UNCLEAR": "of unclear nature",
}
#: The catalogues' own types that say more than the kind (NED).
_TELLING = {
    "uvs": "UV source", "uves": "UV excess source", "radios": "radio source", "xrays": "X-ray source", "qso": "QSO",
    "irs": "infrared source", "viss": "visual source", "hii": "HII region", "gclstr": "cluster of galaxies",
    "ggroup": "group of galaxies", "gpair": "pair of galaxies", "gtrpl": "triplet of galaxies",
}  # fmt: skip


def descriptions(answers: Answers) -> list[str]:
    """One sentence or two for every position, n of them."""
    found = [""] * len(answers)
    at = np.flatnonzero(answers.best >= 0)
    best = answers.best[at]
    columns = {name: values.tolist() for name, values in answers.columns().items()}
    sources, facts = answers.sources, answers.matches.facts
    subtypes = answers.subtypes(sources.decider[best]).tolist()
    classes = answers.classes[at].tolist()
    members = np.stack((sources.dd_from[best], sources.z_from[best], sources.pz_from[best]), axis=1)
    which = np.array([F["dd_modulus"], F["z_modulus"], F["pz_modulus"]])
    moduli = np.where(members >= 0, facts[members, which], np.nan).tolist() if len(at) else []
    rows = zip(*columns.values(), strict=True)
    for position, klass, row, subtype, modulus in zip(at.tolist(), classes, rows, subtypes, moduli, strict=True):
        found[position] = _sentence(klass, dict(zip(columns, row, strict=True)), subtype, modulus)
    for position in np.flatnonzero(answers.best < 0).tolist():
        found[position] = _orphan(answers.looked_by(position), len(answers.engine.names))
    return found


def _sentence(klass: str, row: dict[str, Any], subtype: str | None, modulus: list[float]) -> str:
    kind = _TELLING.get((subtype or "").lower(), _KINDS[row["catalogue_object_type"]])
    catalogues = row["catalogue_table_name"].split("/")
    where = "catalogue " + catalogues[0] if len(catalogues) == 1 else "catalogues " + ", ".join(catalogues)
    bright = "" if row["Mag"] != row["Mag"] else f" of {_band(row['MagFilter'])}{row['Mag']:.2f} mag"
    source = f"{row['catalogue_object_id']}, {_article(kind)} {kind}{bright} in the {where}"
    kpc = row["physical_separation_kpc"]
    apart = f" ({kpc:.1f} kpc)" if kpc == kpc else ""
    north, east = row["northSeparationArcsec"], row["eastSeparationArcsec"]
    # the alert lies south of a source that is north of it
    offset = f'{abs(north):.2f}" {"S" if north > 0 else "N"}, {abs(east):.2f}" {"W" if east > 0 else "E"}{apart}'
    if row["classificationReliability"] == SYNONYM:
        text = (
            f'Probably {_CLASSES[klass]}: the same source as {source}, {row["separationArcsec"]:.1f}"{apart} from it.'
        )
    elif row["classificationReliability"] == ANNOTATION:
        text = f"Perhaps {_CLASSES[klass]}: {offset} of {source}."
    else:
        text = f"Possibly {_CLASSES[klass]}: {offset} of {source}."
    return text + _distance(row, modulus)


def _distance(row: dict[str, Any], modulus: list[float]) -> str:
    direct, redshift, photometric = modulus
    if direct == direct:
        z = f", z = {row['z']:.3f}" if row["z"] == row["z"] else ""
        return f" It is {row['direct_distance']:.1f} Mpc away{z}: m - M = {direct:.2f}."
    if redshift == redshift:
        return f" Its redshift {row['z']:.3f} means {row['best_distance']:.1f} Mpc: m - M = {redshift:.2f}."
    if photometric == photometric:
        error = f" ± {row['photoZErr']:.3f}" if row["photoZErr"] == row["photoZErr"] else ""
        distance = f"{row['best_distance']:.1f} Mpc: m - M = {photometric:.2f}"
        return f" Its photometric redshift {row['photoZ']:.3f}{error} means {distance}."
    return ""


def _orphan(looked: list[str], of: int) -> str:
    if not of:
        return "Nothing is known of this place: no catalogue is installed."
    if not looked:
        return f"Nothing is known of this place: none of {of} catalogues covers it."
    return (
        f"No catalogued source is near enough; {len(looked)} of {of} catalogues cover this place: {', '.join(looked)}."
    )


def _band(name: str) -> str:
    return "" if name in ("", "unk") else f"{name} = "


def _article(word: str) -> str:
    return "an" if word[0] in "aeiouAEIOX" else "a"


def summaries(answers: Answers) -> list[str]:
    """A few words for every position, at most 50 characters."""
    found = ["no catalogued source"] * len(answers)
    columns = answers.columns()
    rows = zip(
        columns["separationArcsec"].tolist(),
        columns["catalogue_object_type"].tolist(),
        columns["catalogue_table_name"].tolist(),
        strict=True,
    )
    for position, (separation, kind, name) in zip(np.flatnonzero(answers.best >= 0).tolist(), rows, strict=True):
        found[position] = f'{separation:.1f}" from {kind} in {name}'[:50]
    return found
