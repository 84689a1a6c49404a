"""Sherlock 3.1 again, slowly: plain loops over one site at a time, written from the rules alone.

It shares nothing with the engine (no column store, no cones, no kernels), so that what the two agree on is
unlikely to be a common mistake. Layouts are those of ``lasair sherlock vectors``. With `fixed` it has those
corrections of the rule set of that name that bear on class, rank and distance; offsets and names stay the original's.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from typing import Any

Row = Mapping[str, Any]

SYNONYM_RADIUS, MERGE_RADIUS, KPC_LIMIT, DIRECT_RADIUS, BRIGHT_NED = 1.3, 1.0, 50.0, 300.0, 20.0
STRETCH = 2.5
KPC_PER_MPC_ARCSEC = 206.264806
DENIED = {
    "WISEAJ193037.70-521726.0",
    "2MASXJ19303773-5217259",
    "SagittariusDwarfSpheroidal",
    "SDSSJ093558.42+055602.5",
    "CFN1064",
    "1237663531875827788",
}
CLASS_ORDER = ("AGN", "CV", "NT", "SN", "VS", "BS")
FIRST_NAMES = ("NED", "SDSS", "MILLIQUAS")
ONLY_IN_FULL = ("pz_distance_cat", "z_distance_cat", "direct_distance_cat")
MAG_ORDER = ("R", "_r", "G", "V", "_g", "B", "I", "_i", "_z", "J", "H", "K", "U", "_u", "_y", "W1", "unkMag")
LITE = (
    "transient_object_id",
    "association_type",
    "catalogue_table_name",
    "catalogue_object_id",
    "catalogue_object_type",
    "raDeg",
    "decDeg",
    "separationArcsec",
    "northSeparationArcsec",
    "eastSeparationArcsec",
    "physical_separation_kpc",
    "best_distance",
    "best_distance_flag",
    "best_distance_source",
    "direct_distance",
    "z",
    "photoZ",
    "photoZErr",
    "Mag",
    "MagFilter",
    "MagErr",
    "classificationReliability",
    "sm_axis_arcsec",
)

# table -> (weight, description, ra, dec, id, subtype, redshift, direct distance, photo-z, its error, {output: column})
TABLES: dict[str, tuple[int, str, str, str, str, str, str, str, str, str, dict[str, str]]] = {
    "gaia": (7, "Gaia DR3", "ra", "dec", "source_id", "", "", "", "", "", {"G": "phot_g_mean_mag"}),
    "vhpm": (7, "Gaia DR3", "ra", "dec", "source_id", "", "", "", "", "", {"G": "phot_g_mean_mag"}),
    "psc": (5, "2MASS PSC", "ra", "decl", "designation", "", "", "", "", "", {"J": "j_m", "JErr": "j_msigcom"}),
    "xsc": (7, "2MASS XSC", "ra", "decl", "designation", "", "", "", "", "", {"J": "j_m_ext", "JErr": "j_msig_ext"}),
    "desi": (
        *(8, "DESI Legacy Survey DR10", "RA", "DECL", "OBJID", "TYPE", "", "", "", ""),
        {"_r": "MAG_R", "_rErr": "MAG_R_ERR", "_gErr": "MAG_G_ERR", "_iErr": "MAG_I_ERR", "_zErr": "MAG_Z_ERR"},
    ),
    "ps1": (
        *(7, "PanSTARRS DR1", "raAve", "decAve", "objID", "", "", "", "", ""),
        {"_r": "rKronMag", "_rErr": "rKronMagErr"},
    ),
    "sdssp": (
        *(7, "SDSS DR12 PhotoObjAll Table", "ra", "dec_", "objID", "type", "", "", "z_", "zErr"),
        {"_r": "petroMag_r", "_rErr": "petroMagErr_r", "_gErr": "petroMagErr_g", "_iErr": "petroMagErr_i"},
    ),
    "sdsss": (
        *(8, "SDSS DR12 SpecObjAll Table", "ra", "dec_", "objID", "type", "z_", "", "", ""),
        {"_r": "petroMag_r", "_rErr": "petroMagErr_r"},
    ),
    # the error of the photo-z is taken from the column of the redshift's
    "ned": (
        *(9, "NED", "raDeg", "decDeg", "ned_name", "object_type", "redshift", "", "photoz", "redshift_err"),
        {"unkMag": "magnitude"},
    ),
    "nedd": (
        *(9, "NED-D Galaxy Catalogue v17.1.2", "raDeg", "decDeg", "primary_ned_id", "object_type", "redshift"),
        *("dist_mpc_median", "", ""),
        {"unkMag": "magnitude"},
    ),
    "lasr": (
        *(9, "LASr 100 Mpc Galaxy Catalogue v1.0", "raDeg", "decDeg", "name", "AGN", "redshift", "", "", ""),
        {"W1": "W1_mag", "W1Err": "W1_err_mag"},
    ),
    "milli": (
        *(9, "Million Quasars (MILLIQUAS) Catalog v8.0", "raDeg", "decDeg", "name", "type", "z", "", "", ""),
        {},
    ),
    "downes": (
        *(10, "Downes Catalog of CVs", "raDeg", "decDeg", "catalogue_id", "variability_type", "", "", "", ""),
        {},
    ),
    "ritter": (
        *(10, "Ritter Cataclysmic Binaries Catalog v7.21", "raDeg", "decDeg", "name", "type", "", "", "", ""),
        {},
    ),
}
#: Columns that the database keeps in 4 bytes and prints with 6 digits.
SINGLE = {("sdssp", "z_"), ("sdssp", "zErr"), ("sdsss", "z_"), ("milli", "z"), ("desi", "SHAPE_R")}

# name, table, view, radius, synonym radius, kpc, size, synonym, association, annotation
_SEARCHES = """
PS1 unclear|ps1|unclear_ps1_dr1|1.5||||-|UNCLEAR|-
DESI LS DR10 unclear|desi|unclear_desi_legacy_dr10|1.5||||-|UNCLEAR|-
SDSS DR12 unclear|sdssp|unclear_sdss_photo_stars_galaxies_dr12|1.5||||-|UNCLEAR|-
NED unclear|ned|unclear_ned_stream|1.5||||-|UNCLEAR|-
2MASS unclear|psc|unclear_2mass_psc_final|1.5||||-|UNCLEAR|-
gaia bright stars|gaia|bright_star_gaia_dr3|7|3|||VS|BS|-
2MASS stars|psc|star_2mass_psc_final|1.5||||VS|VS|-
DESI LS stars|desi|star_desi_legacy_dr10|1.5||||VS|VS|-
gaia stars|gaia|star_gaia_dr3|3||||VS|VS|-
PS1 stars|ps1|star_ps1_dr1|1.5||||VS|VS|-
SDSS dr12 stars|sdssp|star_sdss_photo_stars_galaxies_dr12|1.5||||VS|VS|-
gaia high pm stars|vhpm|hpm_stars_gaia_dr3|3|3|||HPMS|HPMS|-
NED-D spec super big galaxies|nedd|super_big_galaxy_ned_d_v17_1_2|14000||kpc|size|NT|SN|-
NED spec super big galaxies|ned|super_big_galaxy_ned_stream|1800||kpc|size|NT|SN|-
NED-D spec big galaxies|nedd|big_galaxy_ned_d_v17_1_2|120||kpc|size|NT|SN|-
NED spec big galaxies|ned|big_galaxy_ned_stream|120||kpc|size|NT|SN|-
NED-D spec galaxies|nedd|galaxy_ned_d_v17_1_2|30||kpc||NT|SN|-
NED spec galaxies|ned|galaxy_ned_stream|30||kpc||NT|SN|-
SDSS spec galaxies|sdsss|galaxy_sdss_spect_galaxies_qsos_dr12|60||kpc||NT|SN|-
LASr galaxy (mag W1)|lasr|galaxy_lasr_v1|240||kpc||NT|SN|-
DESI LS big galaxies|desi|big_galaxy_desi_legacy_dr10|25|||size|NT|SN|-
NED-D phot galaxies|nedd|galaxy_ned_d_v17_1_2|10|||size|NT|SN|-
NED phot galaxies|ned|galaxy_ned_stream|10|||size|-|SN|-
NED phot galaxy-like|ned|galaxy_like_ned_stream|10||||-|-|SN
PS1 galaxies|ps1|galaxy_ps1_dr1|10|||size|-|SN|-
2mass galaxies|xsc|galaxy_2mass_xsc_final|10||||-|SN|-
SDSS phot galaxies|sdssp|galaxy_sdss_photo_stars_galaxies_dr12|10||||-|SN|-
DESI LS galaxies|desi|galaxy_desi_legacy_dr10|20|||size|-|SN|-
SDSS spec agn|sdsss|qso_sdss_spect_galaxies_qsos_dr12|60||kpc||AGN|SN|-
NED spec agn|ned|agn_ned_stream|60||kpc||AGN|SN|-
NED agn|ned|agn_ned_stream|3||||AGN|SN|-
MILLIQUAS agn|milli|agn_milliquas_v8_0|3||||AGN|SN|-
GAIA AGN (mag G)|gaia|qso_gaia_dr3|3||||AGN|SN|-
LASr agn (mag W1)|lasr|agn_lasr_v1|240||kpc||AGN|SN|-
downes cv|downes|cv_downes_cataclysmic_variables_final|2.5||||CV|CV|-
ritter binaries|ritter|cb_ritter_cataclysmic_binaries_v7_21|2.5||||CV|CV|-
"""
SEARCHES = [line.split("|") for line in _SEARCHES.strip().splitlines()]
OBJECT_TYPES = {"unclear": "unclear", "star": "star", "bright": "star", "hpm": "star", "agn": "agn", "qso": "agn"}
GALAXY_LIKE = {"UvS", "UvES", "IrS", "VisS", "HII", "GClstr", "GGroup", "GPair", "GTrpl", "G_Lens", "PofG"}


# ------------------------------------------------------------------ views, with nulls as in SQL: a comparison fails


def _more(value: Any, limit: float) -> bool:
    return value is not None and value > limit


def _less(value: Any, limit: float) -> bool:
    return value is not None and value < limit


def _gaia_star(row: Row) -> bool:
    return not row.get("in_qso_candidates") and not row.get("in_galaxy_candidates")


def _kron(row: Row) -> bool:
    return row.get("rKronRad") is not None or row.get("iKronRad") is not None


_DESI_ERRORS = ("MAG_G_ERR", "MAG_R_ERR", "MAG_I_ERR", "MAG_Z_ERR")
_DESI_MODELS = ("DCHISQ_REX", "DCHISQ_SER", "DCHISQ_EXP", "DCHISQ_DEV")
_SDSS_ERRORS = ("petroMagErr_g", "petroMagErr_r", "petroMagErr_i")


def _psf(row: Row) -> bool:
    return row.get("TYPE") == "PSF"


def _extended(row: Row) -> bool:
    return row.get("TYPE") not in (None, "PSF")


def _desi_unclear(row: Row) -> bool:
    if _psf(row):
        no_error = not any(_less(row.get(name), 0.2) for name in _DESI_ERRORS)
        return no_error or _more(row.get("DCHISQ_PSF"), 100000)
    return _extended(row) and (_less(row.get("SHAPE_R_IVAR"), 30) or row.get("SHAPE_R") is None)


def _desi_star(row: Row) -> bool:
    return (
        _psf(row)
        and _less(row.get("DCHISQ_PSF"), 100000)
        and any(row.get(name) is not None for name in _DESI_MODELS)
        and any(_less(row.get(name), 0.2) for name in _DESI_ERRORS)
    )


def _desi_galaxy(row: Row, big: bool) -> bool:
    size = row.get("SHAPE_R")
    if not _extended(row) or size is None or (size >= 10) != big or not _more(row.get("SHAPE_R_IVAR"), 30):
        return False
    if big:
        models = any(row.get(name) is not None for name in _DESI_MODELS)
    else:
        models = any(_more(row.get(name), 0) for name in _DESI_MODELS)
    return models or _more(row.get("SHAPE_R_IVAR"), 10000)


def _sdss(row: Row, kind: int) -> bool:
    if kind == 3 and not _more(row.get("z_"), -1):
        return False
    return row.get("type") == kind and all(_less(row.get(name), 0.1) for name in _SDSS_ERRORS)


def _spec(row: Row, kind: str) -> bool:
    return row.get("qubMasterFlag") == 1 and row.get("objType") == kind and _more(row.get("z_"), 0.001)


def _psc(row: Row, star: bool) -> bool:
    quality = row.get("ph_qual")
    return row.get("ext_key") is None and quality is not None and (quality.count("A") >= 2) == star


def _ned_g(row: Row) -> bool:
    z = row.get("redshift")
    return row.get("object_type") == "G" and (z is None or z > 0.001)


def _named(row: Row) -> bool:
    name = row.get("ned_name")
    return name is not None and not name.startswith("SSTSL2")


def _ned_unclear(row: Row) -> bool:
    kind = row.get("object_type")
    if kind is None or kind in GALAXY_LIKE or kind in ("G", "QSO", "SN"):
        return False
    return "*" not in kind and "nova" not in kind.lower()


def _wide(row: Row, arcmin: float) -> bool:
    size = row.get("major_diameter_arcmin")
    return size is not None and size >= arcmin


VIEWS: dict[str, Callable[[Row], bool]] = {
    "unclear_ps1_dr1": lambda r: r.get("ps_score") is None or not _kron(r),
    "star_ps1_dr1": lambda r: r.get("ps_score") is not None and r["ps_score"] >= 0.83 and _kron(r),
    "galaxy_ps1_dr1": lambda r: _less(r.get("ps_score"), 0.83) and _kron(r),
    "unclear_desi_legacy_dr10": _desi_unclear,
    "star_desi_legacy_dr10": _desi_star,
    "galaxy_desi_legacy_dr10": lambda r: _desi_galaxy(r, False),
    "big_galaxy_desi_legacy_dr10": lambda r: _desi_galaxy(r, True),
    "unclear_sdss_photo_stars_galaxies_dr12": lambda r: (
        r.get("type") in (3, 6) and any(_more(r.get(name), 0.1) for name in _SDSS_ERRORS)
    ),
    "star_sdss_photo_stars_galaxies_dr12": lambda r: _sdss(r, 6),
    "galaxy_sdss_photo_stars_galaxies_dr12": lambda r: _sdss(r, 3),
    "galaxy_sdss_spect_galaxies_qsos_dr12": lambda r: _spec(r, "G"),
    "qso_sdss_spect_galaxies_qsos_dr12": lambda r: _spec(r, "Q"),
    "unclear_2mass_psc_final": lambda r: _psc(r, False),
    "star_2mass_psc_final": lambda r: _psc(r, True),
    "galaxy_2mass_xsc_final": lambda r: True,
    "bright_star_gaia_dr3": lambda r: _gaia_star(r) and _less(r.get("phot_g_mean_mag"), 17.0),
    "star_gaia_dr3": lambda r: _gaia_star(r) and _more(r.get("phot_g_mean_flux_over_error"), 40),
    "qso_gaia_dr3": lambda r: r.get("in_qso_candidates") == 1,
    "hpm_stars_gaia_dr3": lambda r: True,
    "unclear_ned_stream": _ned_unclear,
    "galaxy_ned_stream": lambda r: _ned_g(r) and _named(r),
    "big_galaxy_ned_stream": lambda r: _ned_g(r) and _wide(r, 1 / 3),
    "super_big_galaxy_ned_stream": lambda r: _ned_g(r) and _wide(r, 2),
    "galaxy_like_ned_stream": lambda r: r.get("object_type") in GALAXY_LIKE and _named(r),
    "agn_ned_stream": lambda r: r.get("object_type") == "QSO",
    "galaxy_ned_d_v17_1_2": lambda r: r.get("master_row") == 1 and r.get("object_type") == "G",
    "big_galaxy_ned_d_v17_1_2": lambda r: _wide(r, 1 / 3),
    "super_big_galaxy_ned_d_v17_1_2": lambda r: _wide(r, 2),
    "galaxy_lasr_v1": lambda r: r.get("AGN") == 0,
    "agn_lasr_v1": lambda r: r.get("AGN") == 1,
    "agn_milliquas_v8_0": lambda r: True,
    "cv_downes_cataclysmic_variables_final": lambda r: True,
    "cb_ritter_cataclysmic_binaries_v7_21": lambda r: True,
}


# ------------------------------------------------------------------ sky and distances


def separation(ra1: float, dec1: float, ra2: float, dec2: float) -> float:
    """Angle between two positions [arcsec]; haversine."""
    d1, d2 = math.radians(dec1), math.radians(dec2)
    half_ra, half_dec = math.radians(ra2 - ra1) / 2, math.radians(dec2 - dec1) / 2
    h = math.sin(half_dec) ** 2 + math.cos(d1) * math.cos(d2) * math.sin(half_ra) ** 2
    return math.degrees(2 * math.asin(min(1.0, math.sqrt(h)))) * 3600


def _simpson_distance(z: float) -> float:
    """Angular-diameter distance [Mpc]."""
    matter, dark, radiation = 0.3, 0.7, 4.165e-5 / 0.49
    curvature = 1 - matter - dark - radiation
    steps = 2000
    width, total = z / steps, 0.0
    for i in range(steps + 1):
        x = 1 + i * width
        value = 1 / math.sqrt(matter * x**3 + radiation * x**4 + curvature * x**2 + dark)
        total += value * (1 if i in (0, steps) else 4 if i % 2 else 2)
    comoving = total * width / 3
    k = math.sqrt(abs(curvature)) * comoving
    # the curvature is negative, hence a closed universe
    return 299792.458 / 70 * comoving * math.sin(k) / k / (1 + z)


def _decimals(z: float) -> int:
    """Decimals in the text of a number, as Python writes it."""
    text = repr(z)
    return len(text.split(".")[1]) if "." in text and "e" not in text else len(f"{z:.17f}".rstrip("0").split(".")[1])


_KNOWN: dict[float, float] = {}


def distances(z: float, fixed: bool = False) -> tuple[float, float, float]:
    """Luminosity distance [Mpc], scale [kpc/arcsec] and modulus at z > 0, rounded as Sherlock does unless `fixed`."""
    if z not in _KNOWN:
        _KNOWN[z] = _simpson_distance(z)
    across = _KNOWN[z]
    luminous = across * (1 + z) ** 2
    found = luminous, across / KPC_PER_MPC_ARCSEC, 5 * math.log10(luminous * 1e6) - 5
    if fixed:
        return found
    n = _decimals(z)
    return round(found[0], n), round(found[1], n), round(found[2], n)


# ------------------------------------------------------------------ one row as one search sees it


def _single(value: Any) -> Any:
    return None if value is None else struct.unpack("f", struct.pack("f", value))[0]


def _stored(table: str, row: Row) -> dict[str, Any]:
    """A row as the database holds it."""
    return {name: _single(value) if (table, name) in SINGLE else value for name, value in row.items()}


def _printed(table: str, name: str, row: Row) -> Any:
    """A column as it comes out."""
    value = row.get(name) if name else None
    return float(f"{value:.6g}") if value is not None and (table, name) in SINGLE else value


def _size(table: str, row: Row) -> float | None:
    """Full diameter [arcsec]."""
    if table in ("ned", "nedd"):
        size = row.get("major_diameter_arcmin")
        return None if size is None else size * 60
    if table == "desi":
        size = _printed(table, "SHAPE_R", row)
        return None if size is None else size * 2
    if table == "ps1":
        sizes = [row[name] for name in ("rKronRad", "iKronRad") if row.get(name) is not None]
        return min(sizes) * 2 if sizes else None
    return None


def _match(search: list[str], row: Row, ra: float, dec: float, s: float, fixed: bool) -> dict[str, Any]:
    name, table, view = search[:3]
    weight, title, ra_name, dec_name, id_name, subtype, z_name, direct_name, pz_name, pz_err, mags = TABLES[table]
    z, direct = _printed(table, z_name, row), _printed(table, direct_name, row)
    photo_z = _printed(table, pz_name, row)
    there_ra, there_dec = row[ra_name], row[dec_name]
    of_z = distances(z, fixed) if z is not None and z > 0 else (None, None, None)
    of_pz = distances(photo_z, fixed) if photo_z is not None and photo_z > 0 else (None, None, None)
    direct_scale = None if direct is None else direct / KPC_PER_MPC_ARCSEC
    scale = direct_scale if direct_scale is not None else of_z[1]
    turn = (there_ra - ra + 180) % 360 - 180
    found = {
        "search": name,
        "table": table,
        "key": (table, id(row)),
        "weight": weight,
        "title": title,
        "catalogue_object_id": row.get(id_name),
        "catalogue_object_subtype": row.get(subtype) if subtype else None,
        "catalogue_object_type": OBJECT_TYPES.get(view.split("_")[0], "galaxy"),
        "catalogue_view_name": "tcs_view_" + view,
        "raDeg": there_ra,
        "decDeg": there_dec,
        "separationArcsec": s,
        "northSeparationArcsec": str(round((there_dec - dec) * 3600, 1)),
        "eastSeparationArcsec": str(round(turn * math.cos(math.radians((dec + there_dec) / 2)) * 3600, 1)),
        "original_search_radius_arcsec": float(search[3]),
        "sm_axis_arcsec": _size(table, row),
        "z": z,
        "z_distance": of_z[0],
        "z_distance_scale": of_z[1],
        "z_distance_modulus": of_z[2],
        "photoZ": photo_z,
        "photoZErr": _printed(table, pz_err, row),
        "pz_distance": of_pz[0],
        "pz_distance_scale": of_pz[1],
        "pz_distance_modulus": of_pz[2],
        "direct_distance": direct,
        "distance": direct,
        "direct_distance_scale": direct_scale,
        "direct_distance_modulus": None if direct is None else 5 * math.log10(direct * 1e6) - 5,
        "physical_separation_kpc": None if scale is None else scale * s,
    }
    if view.startswith(("cv", "cb")):
        found["catalogue_object_type"] = "cv"
    found.update({out: row.get(column) for out, column in mags.items()})
    return found


def _inside(match: Mapping[str, Any]) -> float | None:
    """The factor on the semi-major axis within which the transient lies, if it does."""
    size = match["sm_axis_arcsec"]
    if size is None:
        return None
    factor = STRETCH if size < 600 else 1.75 if size < 6000 else 1.25
    return factor if match["separationArcsec"] < factor * size / 2 else None


def _accept(search: list[str], match: dict[str, Any], fixed: bool) -> bool:
    """Whether a search takes a row; says how it matched."""
    name, physical, sized = search[0], bool(search[5]), bool(search[6])
    factor = _inside(match)
    # what is printed is the setting, not the factor that was used
    within = "" if factor is None else f" (within {STRETCH:.2f} * semi-major axis)"
    if physical and match["z"] is None and match["direct_distance"] is None:
        return False
    if sized:
        if match["sm_axis_arcsec"] is not None and factor is None:
            return False
        if "ned" in name.lower():
            bright = match.get("unkMag") is not None and match["unkMag"] < BRIGHT_NED
            if not (bright or match["z_distance"] is not None) or not str(match["catalogue_object_id"] or "").strip():
                return False
    if not physical:
        match["search_name"] = f"{name.lower()} angular{within if sized else ''}"
        return True
    kpc, s = match["physical_separation_kpc"], match["separationArcsec"]
    if fixed and s > DIRECT_RADIUS and match["direct_distance"] is not None:  # the redshift may still speak for it
        kpc = None if match["z_distance_scale"] is None else match["z_distance_scale"] * s
    if factor is not None:
        match["search_name"] = f"{name} physical{within}"
        match["original_search_radius_arcsec"] = STRETCH * match["sm_axis_arcsec"]
        return True
    if kpc is None or kpc >= KPC_LIMIT:
        return False
    if match["direct_distance"] is not None and s > DIRECT_RADIUS and not fixed:
        return False
    match["search_name"] = f"{name} physical"
    match["original_search_radius_arcsec"] = KPC_LIMIT / (
        match["z_distance_scale"] if match["direct_distance"] is None else match["direct_distance_scale"]
    )
    return True


def _run(
    search: list[str], radius: float, near: Mapping[str, Any], ra: float, dec: float, fixed: bool
) -> list[dict[str, Any]]:
    found = []
    for row, s in near[search[1]]:
        if s <= radius and VIEWS[search[2]](row):
            match = _match(search, row, ra, dec, s, fixed)
            if str(match["catalogue_object_id"]).replace(" ", "") not in DENIED and _accept(search, match, fixed):
                found.append(match)
    if search[5]:
        unknown = float("inf")

        def listed(m: Mapping[str, Any]) -> tuple[float, float]:
            kpc = m["physical_separation_kpc"]
            return (unknown if kpc is None else kpc), m["separationArcsec"]

        found.sort(key=listed)
    else:
        found.sort(key=lambda m: m["separationArcsec"])
    return found


# ------------------------------------------------------------------ merging and ranking


def _apart(one: Row, other: Row) -> float:
    return separation(one["raDeg"], one["decDeg"], other["raDeg"], other["decDeg"])


def _components(matches: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Friends of friends: any two within the merge radius are of one source."""
    label = list(range(len(matches)))
    for i, one in enumerate(matches):
        for j in range(i):
            if label[i] != label[j] and _apart(one, matches[j]) <= MERGE_RADIUS:
                low, high = sorted((label[i], label[j]))
                label = [low if this == high else this for this in label]
    return [[m for m, this in zip(matches, label, strict=True) if this == one] for one in dict.fromkeys(label)]


def _groups(matches: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    groups: list[list[dict[str, Any]]] = []
    used = [False] * len(matches)
    for i, one in enumerate(matches):
        if not used[i]:
            groups.append([one])
            used[i] = True
        near = []
        for j, other in enumerate(matches):
            if not used[j]:
                apart = _apart(one, other)
                if apart <= MERGE_RADIUS:
                    near.append((apart, j))
        for _, j in sorted(near):
            groups[-1].append(matches[j])
            used[j] = True
    return groups


def _short(search: str) -> str:
    return search.split()[0].upper()


def _place(klass: str, fixed: bool) -> int:
    order = ("HPMS", *CLASS_ORDER) if fixed else CLASS_ORDER
    return order.index(klass) if klass in order else len(order)


def _merge(group: list[dict[str, Any]], fixed: bool) -> dict[str, Any]:
    first = group[0]
    merged = dict(first)
    best = first["weight"]
    for r in group[1:]:
        takes = merged["classificationReliability"] == 3 and r["classificationReliability"] < 3
        if r["classificationReliability"] != 3 and r["weight"] > best:
            best, takes = r["weight"], True
        elif r["weight"] == best and _place(r["association_type"], fixed) < _place(merged["association_type"], fixed):
            takes = True
        if takes:
            for name in ("association_type", "catalogue_object_type", "classificationReliability"):
                merged[name] = r[name]
        for name in [n for n in r if n in MAG_ORDER and r[n] is not None]:
            error = "unkMagErr" if name == "unkMag" else name + "Err"
            mine, theirs = merged.get(error), r.get(error)
            better = theirs is not None and (mine is None or theirs < mine)
            if merged.get(name) is None or better:
                merged[name], merged[error] = r[name], theirs
    for key in ONLY_IN_FULL:
        merged[key] = first["title"]
    for prefix, fields in (
        ("pz", ("photoZ", "photoZErr", "pz_distance", "pz_distance_scale", "pz_distance_modulus")),
        ("z", ("z", "z_distance", "z_distance_scale", "z_distance_modulus")),
        ("direct", ("direct_distance", "direct_distance_scale", "direct_distance_modulus")),
    ):
        having = [r for r in group if r[fields[0]]]  # a redshift of 0 is none, but stays in a copy of its row
        if having:
            source = max(having, key=lambda r: r["weight"])  # the first of equals
            if source is not first:
                for name in fields:
                    merged[name] = source[name]
                merged[prefix + "_distance_cat"] = source["title"]
                if not fixed:
                    merged["catalogue_object_type"] = source["catalogue_object_type"]
    closest = min(group, key=lambda r: r["separationArcsec"])
    for name in ("separationArcsec", "raDeg", "decDeg"):
        merged[name] = closest[name]
    scale = merged["direct_distance_scale"]
    scale = merged["z_distance_scale"] if scale is None else scale
    merged["physical_separation_kpc"] = None if scale is None else scale * closest["separationArcsec"]
    names = list(dict.fromkeys(_short(r["search"]) for r in group))
    names = [n for n in FIRST_NAMES if n in names] + [n for n in names if n not in FIRST_NAMES]
    merged["catalogue_table_name"] = "/".join(names)
    named = next(r for r in group if _short(r["search"]) == names[0])
    merged["catalogue_object_id"] = str(named["catalogue_object_id"]).replace(" ", "") or None
    merged["search_name"] = names[0] if len(names) == 1 else "multiple"
    if len(group) > 1:
        for name in ("catalogue_view_name", "catalogue_object_subtype", "original_search_radius_arcsec"):
            merged[name] = "multiple"
    for flag, prefix, name in (
        ("dd", "direct", "direct_distance"),
        ("sz", "z", "z_distance"),
        ("pz", "pz", "pz_distance"),
    ):
        if merged[name] is not None:
            merged["best_distance"], merged["best_distance_flag"] = merged[name], flag
            merged["best_distance_source"] = merged[prefix + "_distance_cat"]
            break
    return merged


def _score(merged: Mapping[str, Any]) -> float:
    base, s = 1000.0 * merged["classificationReliability"], merged["separationArcsec"]
    penalty = min(s / 60, 100)
    kpc, klass = merged["physical_separation_kpc"], merged["association_type"]
    if kpc is not None and (merged["z"] or not merged["photoZ"] or merged["photoZ"] < 0):
        return float(base + 2 - (KPC_LIMIT - kpc) + penalty)
    if klass in ("SN", "NT", "AGN"):
        return float(base + 2 + penalty)
    if klass in ("CV", "VS"):
        return float(base + s + 2)
    if klass == "BS":
        return float(base + s)
    return float(base + 10 + penalty)


# ------------------------------------------------------------------ sites


#: More that the corrected rules look for: fast stars are bright stars too.
_FAST = [["gaia bright stars", "vhpm", "bright_star_gaia_dr3", *SEARCHES[5][3:]]]


def _searches(fixed: bool) -> list[list[str]]:
    return [SEARCHES[11], *SEARCHES[:6], *_FAST, *SEARCHES[6:11], *SEARCHES[12:]] if fixed else SEARCHES


def _matches(near: Mapping[str, Any], ra: float, dec: float, fixed: bool) -> list[dict[str, Any]]:
    for reliability, column in ((1, 7), (2, 8), (3, 9)):
        found = []
        for search in _searches(fixed):
            if search[column] == "-":
                continue
            radius = float(search[3])
            if reliability == 1:
                radius = float(search[4]) if search[4] else min(SYNONYM_RADIUS, radius)
            if search[0] == "SDSS spec agn" and radius < 30 and not fixed:
                continue  # as deployed its narrow cones find nothing
            for match in _run(search, radius, near, ra, dec, fixed):
                match.update(association_type=search[column], classificationReliability=reliability)
                found.append(match)
        if found:
            return found
    return []


_INTERNAL = ("search", "table", "key", "weight", "title")


def _site_rows(
    site: str, groups: list[list[dict[str, Any]]], lite: bool, fixed: bool
) -> tuple[str, list[dict[str, Any]]]:
    ranked = []
    for group in groups:
        merged = _merge(group, fixed)
        merged["rankScore"] = _score(merged)
        ranked.append((merged, group))
    # equal scores: as met, or the nearer
    ranked.sort(key=lambda pair: (pair[0]["rankScore"], pair[0]["separationArcsec"] if fixed else 0))
    klass = ranked[0][0]["association_type"]
    if lite:
        return klass, [_lite(site, ranked[0][0])]
    rows = []
    for rank, (merged, group) in enumerate(ranked, 1):
        rows.append({**merged, "rank": rank, "merged_rank": None})
        seen = set()
        for member in group if len(group) > 1 else ():
            if member["key"] not in seen:
                seen.add(member["key"])
                told = {**member, "catalogue_table_name": member["title"], "merged_rank": rank}
                rows.append({**told, "rank": None, "rankScore": merged["rankScore"]})
    return klass, [
        {"transient_object_id": site, **{k: v for k, v in row.items() if k not in _INTERNAL}} for row in rows
    ]


def _lite(site: str, merged: Mapping[str, Any]) -> dict[str, Any]:
    told = {**merged, "transient_object_id": site}
    for name in MAG_ORDER:
        if merged.get(name) is not None:
            told["Mag"], told["MagFilter"] = merged[name], name.strip("_").replace("Mag", "")
            told["MagErr"] = merged.get(name + "Err")
            break
    found = {}
    for name in LITE:
        value = told.get(name)
        found[name] = round(value, 3) if isinstance(value, float) and name not in ("raDeg", "decDeg") else value
    return found


def answer(given: Mapping[str, Any], lite: bool, fixed: bool = False) -> dict[str, Any]:
    """Classify sites in catalogues of their own, as Sherlock 3.1 would with its searches in their order.

    Takes `ra`, `dec` [deg] and `tables` (short name -> rows in native columns), and gives
    {'cl': {site: [class, '']}, 'cr': [record, ...]}; site i is called ``s{i:05d}``. No sentences are written.
    """
    reach = {table: max(float(s[3]) for s in _searches(fixed) if s[1] == table) for table in TABLES}
    tables = {
        table: [row for row in (_stored(table, raw) for raw in given["tables"].get(table, ())) if _placed(table, row)]
        for table in TABLES
    }
    classes: dict[str, list[str]] = {}
    records: list[dict[str, Any]] = []
    for i, (ra, dec) in enumerate(zip(given["ra"], given["dec"], strict=True)):
        near: dict[str, list[tuple[Row, float]]] = {}
        for table, rows in tables.items():
            ra_name, dec_name = TABLES[table][2:4]
            near[table] = []
            for row in rows:
                if abs(row[dec_name] - dec) * 3600 <= reach[table] + 1:
                    s = separation(ra, dec, row[ra_name], row[dec_name])
                    if s <= reach[table]:
                        near[table].append((row, s))
        site, found = f"s{i:05d}", _matches(near, ra, dec, fixed)
        if not found:
            classes[site] = ["ORPHAN", ""]
            continue
        klass, rows_here = _site_rows(site, (_components if fixed else _groups)(found), lite, fixed)
        classes[site] = [klass, ""]
        records.extend(rows_here)
    return {"cl": classes, "cr": records}


def _placed(table: str, row: Row) -> bool:
    return row.get(TABLES[table][2]) is not None and row.get(TABLES[table][3]) is not None
