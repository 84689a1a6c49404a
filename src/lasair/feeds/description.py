"""Feeds as people describe them: feeds.toml, with what is known of the great brokers filled in."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, NoReturn, get_args

from lasair.errors import BadDefinition
from lasair.feeds.folder import FolderFeed
from lasair.feeds.kafka import OURS, KafkaFeed
from lasair.feeds.source import Feed
from lasair.feeds.store import FeedStore
from lasair.schema.allow import nearest

#: Name of the file in the state folder.
FILE: Final = "feeds.toml"

Kind = Literal["events", "annotations"]
KINDS: tuple[Kind, ...] = get_args(Kind)

#: Brokers whose messages can be read as annotations (modules of `lasair.annotations.brokers`).
BROKERS: Final = ("alerce", "ampel", "antares", "fink")

Option = str | int | float | bool

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPTION_NAME = re.compile(r"[a-z0-9._]+")

#: Ends of the names of options whose values are not shown.
_SECRET: Final = ("password", "secret", ".pem", "oauthbearer.client.id", "oauthbearer.config", "oauthbearer.extensions")

_SCRAM: Final = MappingProxyType({"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512"})

#: What is known of feeds that many want, by the names they go by. What a file says is added, and takes precedence; who
#: names other servers and does not say `like` has all of Kafka's options to give.
KNOWN: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "gcn": {
            "kind": "events",
            "kafka": {
                "bootstrap.servers": "kafka.gcn.nasa.gov",
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "OAUTHBEARER",
                "sasl.oauthbearer.method": "oidc",
                "sasl.oauthbearer.token.endpoint.url": "https://auth.gcn.nasa.gov/oauth2/token",
                "sasl.oauthbearer.scope": "gcn.nasa.gov/kafka-public-consumer",
            },
            "topics": [
                "igwn.gwalert",
                # by family: which topics of a mission there are changes
                r"^gcn\.notices\.(chime|dsa110|einstein_probe|fermi|icecube|km3net|maxi|superk|svom|swift)\.",
                "gcn.classic.voevent.FERMI_GBM_FLT_POS",
                "gcn.classic.voevent.FERMI_GBM_GND_POS",
                "gcn.classic.voevent.FERMI_GBM_FIN_POS",
                "gcn.classic.voevent.ICECUBE_CASCADE",
                "gcn.classic.voevent.SWIFT_BAT_GRB_POS_ACK",
                "gcn.classic.voevent.SWIFT_UVOT_POS",
                "gcn.classic.voevent.SWIFT_XRT_POSITION",
            ],
        },
        "fink_lsst": {
            "kind": "annotations",
            "broker": "fink",
            "kafka": {"bootstrap.servers": "kafka-lsst.fink-broker.org:24499"},
            "topics": [
                "fink_extragalactic_lt20mag_candidate_lsst",
                "fink_extragalactic_new_candidate_lsst",
                "fink_hostless_candidate_lsst",
                "fink_in_tns_lsst",
                "fink_most_likely_sn_lsst",
                "fink_sn_near_galaxy_candidate_lsst",
            ],
        },
        "fink_ztf": {
            "kind": "annotations",
            "broker": "fink",
            "kafka": {"bootstrap.servers": "kafka-ztf.fink-broker.org:24499"},
            "topics": [
                "fink_early_kn_candidates_ztf",
                "fink_early_sn_candidates_ztf",
                "fink_kn_candidates_ztf",
                "fink_microlensing_candidates_ztf",
                "fink_new_hostless_ztf",
                "fink_sn_candidates_ztf",
                "fink_tns_match_ztf",
            ],
        },
        "alerce": {
            "kind": "annotations",
            "broker": "alerce",
            "kafka": {"bootstrap.servers": "kafka.alerce.science:9093", **_SCRAM},
            # a topic a day
            "topics": ["^lc_classifier_ztf_[0-9]+$", "^stamp_classifier_[0-9]+$"],
        },
        "ampel": {
            "kind": "annotations",
            "broker": "ampel",
            "kafka": {"bootstrap.servers": "kafka.scimma.org:9092", **_SCRAM},
            "topics": ["ampel.lsst.extragalactic-transients", "ampel.lsst.extragalactic-infants"],
        },
    }
)

_KEYS: Final = (
    "kind", "broker", "like", "folder", "kafka", "topics", "topic", "batch", "poll_s", "settle_s", "active",
)  # fmt: skip


@dataclass(frozen=True)
class Description:
    """One feed as it is described. Variables (``${NAME}``) are filled in when it is opened."""

    name: str
    kind: Kind
    #: '' for events
    broker: str
    #: where it stands, for messages
    source: str
    #: a folder of files, or None; then there are Kafka's options
    folder: Path | None
    #: not shown: passwords may stand here
    kafka: Mapping[str, Option] = field(repr=False)
    topics: tuple[str, ...]
    #: of files that lie in the folder itself, as a stream of the broker
    topic: str = ""
    batch: int = 200
    poll_s: float = 2.0
    settle_s: float = 2.0
    active: bool = True

    @property
    def where(self) -> str:
        """Where its messages come from, for people."""
        return str(self.folder) if self.folder else f"kafka {self.kafka.get('bootstrap.servers', '')}"

    def open(self, store: FeedStore) -> Feed:
        """Open it.

        Raises
        ------
        BadDefinition
            A variable is not set, an option is wrong, or what reads Kafka is not installed.
        """
        if self.folder is not None:
            return FolderFeed(
                self.name, self.folder, store, topic=self.topic, batch=self.batch, poll_s=self.poll_s,
                settle_s=self.settle_s,
            )  # fmt: skip
        options, secrets = self.options()
        if "group.id" not in options:
            # brokers with accounts want the user's name in front
            user = options.get("sasl.username")
            options["group.id"] = "-".join(
                str(part) for part in (user, "lasair", self.name, store.group_suffix(self.name)) if part
            )
        return KafkaFeed(self.name, self.topics, options, batch=self.batch, secrets=secrets)

    def options(self) -> tuple[dict[str, Option], list[str]]:
        """Kafka's options with the variables filled in, and the values that no message may show."""
        secrets: list[str] = []
        filled: dict[str, Option] = {}
        for key, value in self.kafka.items():
            if isinstance(value, str):
                parts = _VARIABLE.split(value)  # text, name, text, name, ...
                parts[1::2] = [self._variable(one, key) for one in parts[1::2]]
                whole = "".join(parts)
                filled[key] = whole
                if _is_secret(key):
                    secrets += [whole, *parts[1::2]]
            else:
                filled[key] = value
        return filled, secrets

    def _variable(self, name: str, key: str) -> str:
        if not _VARIABLE_NAME.fullmatch(name):
            raise BadDefinition(f"{self.source}: kafka: {key}: ${{{name}}} is not the name of a variable")
        value = os.environ.get(name)
        if not value:
            raise BadDefinition(
                f"{self.source}: kafka: {key}: the environment variable {name} is not set; set it to run this feed"
            )
        return value


def _is_secret(key: str) -> bool:
    return key.endswith(_SECRET)


def read_feeds(path: Path) -> list[Description]:
    """The feeds of a file, in its order.

    Raises
    ------
    BadDefinition
        The file cannot be read, or a feed in it cannot be; names file, feed and key.
    """
    try:
        entry = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as err:
        raise BadDefinition(
            f"there is no {path}: describe feeds there (docs/feeds.md), or name a file with --config"
        ) from err
    except OSError as err:
        raise BadDefinition(f"{path}: cannot be read: {err.strerror}") from err
    except UnicodeDecodeError as err:
        raise BadDefinition(f"{path}: not UTF-8 text (byte {err.start})") from err
    except (tomllib.TOMLDecodeError, RecursionError) as err:
        raise BadDefinition(f"{path}: not TOML: {err}") from err
    return parse_feeds(entry, source=str(path), base=path.parent)


def parse_feeds(entry: Mapping[str, Any], *, source: str, base: Path) -> list[Description]:
    """The feeds of what a file holds; folders that are relative begin at `base`. BadDefinition as `read_feeds`."""
    for key in entry:
        if key != "feeds":
            raise BadDefinition(f"{source}: unknown key {key!r}; feeds are tables [feeds.NAME]")
    feeds = entry.get("feeds", {})
    if not isinstance(feeds, Mapping):
        raise BadDefinition(f"{source}: feeds are tables [feeds.NAME], not {type(feeds).__name__}")
    return [_parse(name, one, f"{source}: feed {name}", base) for name, one in feeds.items()]


def _parse(name: str, given: Any, source: str, base: Path) -> Description:
    if not _NAME.fullmatch(name):
        raise BadDefinition(f"{source}: a name has up to 64 letters, digits, '-' and '_'")
    if not isinstance(given, Mapping):
        raise BadDefinition(f"{source}: is a table [feeds.{name}], not {type(given).__name__}")
    for key in given:
        if key not in _KEYS:
            hint = nearest(key, _KEYS)
            _refuse(
                source,
                f"unknown key {key!r}; " + (f"did you mean {hint}?" if hint else f"known are {', '.join(_KEYS)}"),
            )
    like = _text(given, "like", source, name if name in KNOWN else "")
    if like and like not in KNOWN:
        hint = nearest(like, KNOWN)
        _refuse(
            source,
            f"like: {like!r} is not known; " + (f"did you mean {hint}?" if hint else f"known are {', '.join(KNOWN)}"),
        )
    known = KNOWN.get(like, {})
    if "folder" in given and ("kafka" in given or "topics" in given):
        _refuse(source, "has a folder and Kafka's kafka or topics: it is one or the other")
    kind = _text(given, "kind", source, known.get("kind", ""))
    if kind not in KINDS:
        _refuse(source, f"kind is one of {', '.join(KINDS)}, not {kind!r}" if kind else _lacks("kind"))
    broker = _text(given, "broker", source, known.get("broker", ""))
    if kind == "events" and broker:
        _refuse(source, "a feed of events has no broker: the format of a notice is known by its content")
    if kind == "annotations" and broker not in BROKERS:
        _refuse(source, f"broker is one of {', '.join(BROKERS)}, not {broker!r}" if broker else _lacks("broker"))
    folder = _text(given, "folder", source, "")
    if "folder" in given and not folder:
        _refuse(source, "folder is empty")
    if "\0" in folder:
        _refuse(source, "folder holds a NUL character")
    options, topics = _kafka(given, {} if folder else known, source, needed=not folder)
    return Description(
        name=name,
        kind="events" if kind == "events" else "annotations",
        broker=broker,
        source=source,
        folder=base / Path(folder).expanduser() if folder else None,
        kafka=MappingProxyType(options),
        topics=topics,
        topic=_text(given, "topic", source, ""),
        batch=int(_number(given, "batch", source, 200, 1, 10_000, whole=True)),
        poll_s=_number(given, "poll_s", source, 2.0, 0.05, 86_400.0),
        settle_s=_number(given, "settle_s", source, 2.0, 0.0, 3600.0),
        active=_flag(given, source),
    )


def _kafka(
    given: Mapping[str, Any], known: Mapping[str, Any], source: str, *, needed: bool
) -> tuple[dict[str, Option], tuple[str, ...]]:
    if not needed:
        return {}, ()
    mine = given.get("kafka", {})
    if not isinstance(mine, Mapping):
        _refuse(source, 'kafka is a table of librdkafka\'s options, such as {"bootstrap.servers" = "HOST:PORT"}')
    for key, value in mine.items():
        if isinstance(value, Mapping):
            _refuse(source, f'kafka: names of options with dots stand in quotes: "{key}.{next(iter(value), "")}" = ...')
        if key in OURS or not _OPTION_NAME.fullmatch(key):
            _refuse(source, f"kafka: {key!r} cannot be set here")
        if not isinstance(value, str | int | float):
            _refuse(source, f"kafka: {key} is text, a number, true or false, not {type(value).__name__}")
    # another broker than the one that is known has other accounts
    theirs = {} if "bootstrap.servers" in mine and "like" not in given else known.get("kafka", {})
    options = {**theirs, **mine}
    if not options.get("bootstrap.servers"):
        hint = nearest(source.rpartition(" ")[2], KNOWN)
        meant = f"; did you mean [feeds.{hint}]?" if hint else ""
        _refuse(source, f"needs a folder, or kafka with bootstrap.servers{meant}")
    topics = given.get("topics", known.get("topics", ()))
    if not isinstance(topics, Sequence) or isinstance(topics, str) or not all(isinstance(one, str) for one in topics):
        _refuse(source, 'topics is a list of names, such as ["igwn.gwalert"]; one that begins with ^ is an expression')
    if not topics or not all(topics):
        _refuse(source, "topics is empty: name at least one")
    for one in topics:
        if one.startswith("^"):
            try:
                re.compile(one)
            except (re.error, RecursionError, OverflowError) as err:
                _refuse(source, f"topics: {one!r} is not a regular expression: {err}")
    return options, tuple(dict.fromkeys(topics))


def _refuse(source: str, why: str) -> NoReturn:
    raise BadDefinition(f"{source}: {why}")


def _lacks(key: str) -> str:
    return f"the key {key!r} is missing; feeds named {', '.join(KNOWN)} (or 'like' one of them) have it"


def _text(given: Mapping[str, Any], key: str, source: str, default: str) -> str:
    value = given.get(key, default)
    if not isinstance(value, str):
        _refuse(source, f"{key} is text in quotes, not {type(value).__name__}")
    return value.strip()


def _number(
    given: Mapping[str, Any], key: str, source: str, default: float, least: float, most: float, *, whole: bool = False
) -> float:
    value = given.get(key, default)
    wrong = isinstance(value, bool) or not isinstance(value, int if whole else int | float)
    if wrong or not least <= value <= most:
        _refuse(source, f"{key} is a number from {least:g} to {most:g}, not {value!r:.40}")
    return float(value)


def _flag(given: Mapping[str, Any], source: str) -> bool:
    value = given.get("active", True)
    if not isinstance(value, bool):
        _refuse(source, f"active is true or false, not {value!r:.40}")
    return value
