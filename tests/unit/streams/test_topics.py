from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasair.streams.topics import KAFKA_LONGEST, topic_name


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def test_plain_names_stay() -> None:
    assert topic_name(2, "Bright_SN-1.5") == "lasair_2_Bright_SN-1.5"


def test_other_letters_go_and_a_digest_tells_names_apart() -> None:
    assert topic_name(2, "Has absmag") == f"lasair_2_Hasabsmag_{digest('Has absmag')}"
    assert topic_name(2, "Hasabsmag") == "lasair_2_Hasabsmag"
    assert topic_name(2, "超新星") == f"lasair_2__{digest('超新星')}"


def test_long_names_keep_both_ends() -> None:
    name = "a" * 100 + "b" * 100
    assert topic_name(7, name) == f"lasair_7_{'a' * 64}{'b' * 64}_{digest(name)}"
    assert topic_name(7, "c" * 128) == "lasair_7_" + "c" * 128


def test_a_name_made_to_look_like_another_one_does_not_take_its_topic() -> None:
    victim = "Has absmag"
    forged = f"Hasabsmag_{digest(victim)}"
    assert topic_name(2, forged) != topic_name(2, victim)
    # nor does the name of that topic's own last part
    again = topic_name(2, forged).removeprefix("lasair_2_")
    assert topic_name(2, again) != topic_name(2, forged)


def test_user_and_name_do_not_run_together() -> None:
    assert topic_name(1, "1_x") != topic_name(11, "x")
    assert topic_name(1, "1_x") != topic_name(11, "_x")


def test_negative_user() -> None:
    with pytest.raises(ValueError, match="not negative"):
        topic_name(-1, "x")


# names near each other: letters that vanish, cuts, and endings like a digest
NAMES = st.one_of(
    st.text(alphabet="ab _-é", max_size=6),
    st.text(max_size=20),
    st.text(alphabet="ab ", min_size=126, max_size=132),
    st.builds(lambda stem, other: f"{stem}_{digest(other)}", st.text("ab ", max_size=4), st.text("ab ", max_size=4)),
)
USERS = st.integers(0, 10**19)


@given(USERS, NAMES, USERS, NAMES)
def test_injective(user: int, name: str, other_user: int, other: str) -> None:
    if (user, name) != (other_user, other):
        assert topic_name(user, name) != topic_name(other_user, other)


@given(NAMES, NAMES)
def test_injective_for_one_user(name: str, other: str) -> None:
    if name != other:
        assert topic_name(3, name) != topic_name(3, other)


@given(USERS, st.text())
def test_kafka_takes_it(user: int, name: str) -> None:
    topic = topic_name(user, name)
    assert len(topic) <= KAFKA_LONGEST
    assert re.fullmatch(r"[A-Za-z0-9._-]+", topic)
