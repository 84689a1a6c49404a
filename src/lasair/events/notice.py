"""What readers of notices share: typed values out of JSON, maps inside of it, circles of error."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from typing import Any, Final

from lasair.errors import BadDefinition
from lasair.events.content import Content
from lasair.events.moments import Moment, read_moment
from lasair.events.skymap_file import read_skymap
from lasair.sky.skymap import Circle, SkyMap

#: Deepest nesting of a JSON notice, most bytes of it beside maps, and longest texts of names and ids.
MAX_DEPTH, MAX_META_BYTES, MAX_TEXT = 64, 1_000_000, 200

#: Probability that a circle of error holds when the notice does not say: GCN's JSON notices, Swift, AMON and others;
#: Fermi's GBM states one sigma.
CONTAINMENT: Final = 0.9
CONTAINMENT_GBM: Final = 0.68


class Fields:
    """Values of a JSON object by name; null is as absent. Every method names file and field when the type is wrong."""

    def __init__(self, values: Any, label: str, where: str = "") -> None:
        self.label, self._where = label, where
        if not isinstance(values, dict):
            raise BadDefinition(f"{label}: {where.rstrip('.') or 'the notice'} is {shown(values)}, not an object")
        self._values: dict[str, Any] = values

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def text(self, name: str) -> str:
        """A text; '' when absent."""
        value = self._values.get(name)
        if value is None:
            return ""
        if not isinstance(value, str) or "\0" in value:
            raise self.wrong(name, "a text")
        return value.strip()

    def name(self, name: str) -> str:
        """A name or id: a text, a whole number, or the first of a list of such; '' when absent."""
        value = self._values.get(name)
        if isinstance(value, list):
            value = value[0] if value else None
        if value is None:
            return ""
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str) or len(value) > MAX_TEXT or "\0" in value:
            raise self.wrong(name, f"a name of at most {MAX_TEXT} characters")
        return value.strip()

    def number(self, name: str) -> float | None:
        """A finite number; None when absent."""
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.wrong(name, "a number")
        return float(value)

    def numbers(self, name: str) -> list[float]:
        """Finite numbers; a single one is a list of one; [] when absent."""
        value = self._values.get(name)
        if not isinstance(value, list):
            one = self.number(name)
            return [] if one is None else [one]
        return [
            one for i in range(len(value)) if (one := Fields({name: value[i]}, self.label).number(name)) is not None
        ]

    def moment(self, name: str) -> Moment | None:
        """A time; None when absent."""
        text = self.text(name)
        if not text:
            return None
        try:
            return read_moment(text)
        except ValueError as err:
            raise self.wrong(name, "a date and time (ISO 8601)") from err

    def object(self, name: str) -> Fields | None:
        """An object inside; None when absent."""
        value = self._values.get(name)
        return None if value is None else Fields(value, self.label, f"{self._where}{name}.")

    def objects(self, name: str) -> list[Fields]:
        """A list of objects; [] when absent."""
        value = self._values.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.wrong(name, "a list")
        return [Fields(one, self.label, f"{self._where}{name}[{i}].") for i, one in enumerate(value)]

    def probabilities(self, name: str) -> dict[str, float]:
        """An object of numbers; those that are null are left out; {} when absent."""
        value = self.object(name)
        if value is None:
            return {}
        found = {key: value.number(key) for key in value._values}
        return {key[:MAX_TEXT]: number for key, number in found.items() if number is not None}

    def skymap(self, name: str) -> SkyMap | None:
        """A FITS map in base64; None when absent."""
        text = self.text(name)
        if not text:
            return None
        label = f"{self.label}: {self._where}{name}"
        try:
            content = base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError) as err:
            raise BadDefinition(f"{label}: is not base64: {err}") from err
        if not content.startswith((b"SIMPLE", b"\x1f\x8b")):
            raise BadDefinition(f"{label}: is no FITS file in base64")
        return read_skymap(Content.of(content, label))[0]

    def without(self, *names: str) -> dict[str, Any]:
        """The object as it came, without some fields."""
        return {key: value for key, value in self._values.items() if key not in names}

    def wrong(self, name: str, wanted: str) -> BadDefinition:
        """The error that a field is not what it should be."""
        return BadDefinition(
            f"{self.label}: {self._where}{name} is {shown(self._values.get(name))}, but must be {wanted}"
        )


def shown(value: Any) -> str:
    """A value in a few letters."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def circle(
    label: str, ra: float | None, decl: float | None, radii: list[float], containment: float
) -> tuple[Circle | None, str]:
    """The circle of a position with an error, or None and why there is none.

    Parameters
    ----------
    radii : of the error [deg]: one, or two half axes of an ellipse (a position angle may follow), which becomes the
        circle of the same area: radius = sqrt(a b)

    Raises
    ------
    BadDefinition
        The position is not on the sky, or the radius or the containment cannot be.
    """
    if ra is None or decl is None:
        return None, "the notice gives no position"
    radius = (
        math.sqrt(radii[0] * radii[1]) if len(radii) >= 2 and min(radii[:2]) >= 0.0 else min(radii[:2], default=0.0)
    )
    if not radii or radius == 0.0:
        return None, "the notice gives a position without its error"
    if radius < 0.0:
        return None, f"the notice gives a negative error ({radius:g} deg)"
    try:
        return Circle(ra, decl, radius, containment), ""
    except BadDefinition as err:
        raise BadDefinition(f"{label}: {err}") from err


def without_position(map_url: str, why: str) -> str:
    """Why there is no localisation, with what would help."""
    where = f"; its sky map is at {map_url[:MAX_TEXT]}, which is not fetched" if map_url else ""
    return f"{why}{where}; give a sky map with --skymap FILE"


def check_size(params: Mapping[str, Any], label: str) -> None:
    """Refuse a notice that is too large beside its map.

    Raises
    ------
    BadDefinition
        It is.
    """
    import orjson

    size = len(orjson.dumps(params))
    if size > MAX_META_BYTES:
        raise BadDefinition(f"{label}: the notice has {size} bytes beside its map; at most {MAX_META_BYTES} are taken")


def check_depth(values: Any, label: str) -> None:
    """Refuse JSON that is nested too deeply for what handles it later.

    Raises
    ------
    BadDefinition
        It is.
    """
    level: list[Any] = [values]
    for _ in range(MAX_DEPTH):
        level = [inner for one in level if isinstance(one, dict | list)
                 for inner in (one.values() if isinstance(one, dict) else one)]  # fmt: skip
        if not level:
            return
    raise BadDefinition(f"{label}: is nested more than {MAX_DEPTH} deep, which no notice is")
