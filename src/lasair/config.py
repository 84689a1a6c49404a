"""Every setting, typed, with its unit and meaning. Read once, in a main.

Sources, strongest first: environment (``LASAIR_<NAME>``), ``lasair.toml`` in the state folder, the defaults here.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from lasair.errors import BadDefinition
from lasair.packets.schemas import DEFAULT_REGISTRY


class Settings(BaseSettings):
    """Settings of one machine's pipeline."""

    model_config = SettingsConfigDict(env_prefix="LASAIR_", extra="forbid", frozen=True)

    batch_alerts: int = Field(default=1000, ge=1, le=100_000, description="Most alerts in one batch.")
    batch_bytes: int = Field(default=64_000_000, ge=1_000_000, description="Most bytes of packets in one batch.")
    allow_programids: tuple[int, ...] = Field(
        default=(1,), description="ZTF programmes that may be read; 2 and 3 are not public."
    )
    filter_movers: bool = Field(default=False, description="Pass known Solar System objects on to objects and filters.")
    filter_time_limit_s: float = Field(default=10.0, gt=0, description="Longest run of one filter on one batch [s].")
    filter_row_limit: int = Field(default=1000, ge=1, description="Most alerts one filter may deliver from one batch.")
    filter_byte_quota: int = Field(
        default=100_000_000, ge=-1, description="Most bytes a filter may deliver a UTC day; -1 is no limit."
    )
    query_time_limit_s: float = Field(default=60.0, gt=0, description="Longest run of a query on stored data [s].")
    schema_registry: str = Field(default=DEFAULT_REGISTRY, description="LSST schema registry (URL).")
    registry_timeout_s: float = Field(default=5.0, gt=0, description="Longest wait for the schema registry [s].")
    dust_map_dir: Path | None = Field(
        default=None, description="Folder with the SFD98 dust maps; without it E(B-V) is NULL."
    )
    catalogue_dir: Path | None = Field(
        default=None, description="Folder of catalogues of the sky; without it `catalogues` in the state folder."
    )
    sherlock_singletons: bool = Field(
        default=True, description="Classify objects with a single detection too, not only those seen twice."
    )
    event_contour: float = Field(
        default=90.0, gt=0, le=100, description="Objects farther out in the map of an event do not hit it [percent]."
    )
    tns_url: str = Field(
        default="https://www.wis-tns.org/system/files/tns_public_objects/",
        description="Folder of the lists of the Transient Name Server (URL).",
    )
    tns_api_key: SecretStr = Field(
        default=SecretStr(""), description="Key of the bot that asks the Transient Name Server."
    )
    tns_bot_id: int = Field(default=0, ge=0, description="Number of that bot, as the server has registered it.")
    tns_radius_arcsec: float = Field(
        default=3.0, gt=0, le=60, description="An object so near a transient of the TNS has its name [arcsec]."
    )
    tns_bot_name: str = Field(default="", description="Name of that bot.")
    lightcurve_shards: int = Field(
        default=4, ge=1, le=256, description="Files the light curves are spread over (fixed at creation)."
    )
    durable: bool = Field(
        default=True, description="Wait for the disk at each commit, so that a power cut loses nothing."
    )
    keep_cutout_nights: int = Field(default=365, ge=1, description="Nights that cutouts are kept.")
    keep_stream_days: float = Field(default=30.0, gt=0, description="Days that delivered messages can be read.")
    keep_dead_letter_days: float = Field(default=90.0, gt=0, description="Days that dead letters are kept.")
    keep_seen_days: float = Field(default=400.0, gt=0, description="Days that the ids of alerts seen are remembered.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe level that is logged."
    )

    def catalogues(self, state: Path) -> Path:
        """The folder of catalogues of an installation with this state folder."""
        return self.catalogue_dir or state / "catalogues"


def load(state: Path, **overrides: Any) -> Settings:
    """Settings of the state folder; BadDefinition names each wrong one and what would do.

    Unknown keys are refused, in the file and in `overrides`.
    """
    file = state / "lasair.toml"
    stored: dict[str, Any] = {}
    if file.is_file():
        try:
            stored = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
            raise BadDefinition(f"{file} is not TOML: {err}") from err
    environment = {name for name in Settings.model_fields if f"LASAIR_{name.upper()}" in os.environ}
    try:
        return Settings(**{key: value for key, value in stored.items() if key not in environment} | overrides)
    except ValidationError as err:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in err.errors())
        raise BadDefinition(f"settings ({file} or LASAIR_* variables): {problems}") from err
