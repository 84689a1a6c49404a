"""Sites with hand-made catalogues, and their answers: so that anyone can compare this engine with another Sherlock."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lasair.catalogues.describe import load_description
from lasair.catalogues.release import Release
from lasair.catalogues.standard import build_rows
from lasair.errors import BadDefinition
from lasair.sherlock.engine import Sherlock
from lasair.sherlock.rules import RuleSet, load_rules
from lasair.sherlock.text import descriptions

#: Short names of tables in such files -> catalogues.
TABLES = {
    "gaia": "gaia",
    "vhpm": "gaia_hpm",
    "psc": "twomass_psc",
    "xsc": "twomass_xsc",
    "desi": "legacy",
    "ps1": "ps1",
    "sdssp": "sdss_photo",
    "sdsss": "sdss_spec",
    "ned": "ned",
    "nedd": "ned_d",
    "lasr": "lasr",
    "milli": "milliquas",
    "downes": "downes",
    "ritter": "ritter",
}


def answer(given: Mapping[str, Any], rule_set: RuleSet, *, lite: bool) -> dict[str, Any]:
    """Classify sites in catalogues of their own.

    Parameters
    ----------
    given : `ra`, `dec` [deg], one entry a site, and `tables`: short name -> rows in the production schema's columns

    Returns
    -------
    {'cl': {site: [class, sentence]}, 'cr': [record, ...]}; site i is called ``s{i:05d}``

    Raises BadDefinition when the layout is another one.
    """
    try:
        ra, decl = np.asarray(given["ra"], np.float64), np.asarray(given["dec"], np.float64)
        tables: Mapping[str, Any] = given["tables"]
        unknown = sorted(set(tables) - set(TABLES))
    except (KeyError, TypeError, ValueError) as err:
        raise BadDefinition(
            f"not a file of sites: it needs 'ra', 'dec' (numbers, one a site) and 'tables' ({err!r})"
        ) from err
    if unknown:
        raise BadDefinition(f"no table {unknown[0]!r}; the tables are {', '.join(TABLES)}")
    with tempfile.TemporaryDirectory(prefix="lasair-vectors-") as folder:
        releases = {}
        for key, rows in tables.items():
            if rows:
                name = TABLES[key]
                target = Path(folder) / name
                build_rows(load_description(name), rows, target, compat=rule_set == "compat", exact=True)
                releases[name] = Release.open(target)
        answers = Sherlock(releases, load_rules(rule_set)).classify(ra, decl, lite=lite)
        sites = [f"s{i:05d}" for i in range(len(ra))]
        texts = descriptions(answers)
        found = {
            "cl": {
                site: [klass, text] for site, klass, text in zip(sites, answers.classes.tolist(), texts, strict=True)
            },
            "cr": answers.lite_rows(sites) if lite else answers.full_rows(sites),
        }
        for release in releases.values():
            release.close()
    return found
