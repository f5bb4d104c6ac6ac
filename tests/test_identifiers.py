"""Names from outside: what they may be, and that none of them can deceive whoever reads them (design, section 3)."""

import sys
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_es.errors import InvalidInput
from oms_es.identifiers import account, actor, escaped, identifier, reason, shown

CONTROLS = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) == "Cc"]
BIDIRECTIONAL = list("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
harmless = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=128)


@given(harmless)
def test_any_text_without_surrogates_and_control_characters_is_an_identifier_as_it_stands(value: str) -> None:
    assert identifier(value, "order_id") == value


ACCEPTED: list[tuple[Callable[[Any], str], list[str]]] = [
    (lambda value: identifier(value, "name"),
     ["A", "A" * 128, "BTC/USD", "a b", "日経225", "é", "e\u0301", "💹" * 128, "-", "'", "\\"]),
    (account, ["default", "a", "A.b_c-9", "-", ".", "..", "9" * 64]),
]  # fmt: skip
REFUSED: list[tuple[Callable[[Any], str], str, list[Any]]] = [  # and what the message names
    (lambda value: identifier(value, "order_id"), "order_id",
     ["", "A" * 129, "💹" * 129, None, 7, b"A", True, ["A"], 10**5000]),
    (account, "account", ["", "x" * 65, "a b", "a/b", "*", "é", "ａ", "٣", "a\n", "\na", "a\0", "a,b", None, 7, True]),
    (reason, "reason", [None, 5, b"text"]),
    (actor, "actor", ["x" * 1001, "line\nbreak", "\ud800", None]),
]  # fmt: skip


@pytest.mark.parametrize(("check", "values"), ACCEPTED, ids=["identifier", "account"])
def test_a_name_that_may_be_is_accepted_as_it_is(check: Callable[[Any], str], values: list[str]) -> None:
    assert [check(value) for value in values] == values


@pytest.mark.parametrize(("check", "named", "values"), REFUSED, ids=["identifier", "account", "reason", "actor"])
def test_a_name_that_cannot_be_is_refused(check: Callable[[Any], str], named: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(InvalidInput, match=named):
            check(value)


def test_identifier_refuses_every_control_character() -> None:
    assert len(CONTROLS) == 65
    for control in CONTROLS:
        for value in (control, f"o-1{control}", f"{control}o-1", f"o{control}1"):
            with pytest.raises(InvalidInput, match=f"U\\+{ord(control):04X}"):
                identifier(value, "order_id")


@given(st.integers(0xD800, 0xDFFF), harmless)
def test_no_surrogate_is_let_in(code: int, before: str) -> None:
    with pytest.raises(InvalidInput):
        identifier(before[:127] + chr(code), "order_id")


@pytest.mark.parametrize(("given", "kept"), [
    ("", ""), ("x" * 1000, "x" * 1000), ("x" * 1001, "x" * 999 + "…"), ("x" * 100_000, "x" * 999 + "…"),
    ("line\nbreak", "line\\u000abreak"), ("bell\a", "bell\\u0007"), ("\ud800", "\\ud800"),
    ("\n" * 1000, "\\u000a" * 166 + "\\u0…"), ("zażółć 正常", "zażółć 正常"),
])  # fmt: skip
def test_a_reason_of_any_length_and_content_is_taken_truncated_and_escaped(given: str, kept: str) -> None:
    assert reason(given) == kept
    assert len(kept) <= 1000
    assert reason(kept) == kept


@pytest.mark.parametrize("character", [*CONTROLS, *BIDIRECTIONAL, "\u2028", "\u2029", "\ud800", "\U000e0001"])
def test_what_could_deceive_a_reader_is_written_as_its_code(character: str) -> None:
    written = escaped(f"a{character}b")

    assert character not in written
    assert f"{ord(character):04x}" in written
    assert written.isascii()


@pytest.mark.parametrize(("value", "message"), [
    ("o-1", "'o-1'"), (7, "'7'"), ("a\u202eb", "'a\\u202eb'"), ("bell\a", "'bell\\u0007'"),
    ("\U000e0001", "'\\U000e0001'"), ("日本", "'日本'"), ("x" * 128, f"'{'x' * 128}'"),
    ("x" * 129, f"'{'x' * 128}…'"),
])  # fmt: skip
def test_a_message_shows_a_value_in_quotes_escaped_and_cut(value: Any, message: str) -> None:
    assert shown(value) == message


@given(st.text())
def test_escaped_text_holds_no_control_bidirectional_or_surrogate_character(value: str) -> None:
    assert not [c for c in escaped(value) if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_text_that_deceives_nobody_is_written_as_it_is(value: str) -> None:
    assert escaped(value) == value


@given(st.one_of(st.text(max_size=400), st.integers(), st.binary(max_size=400), st.none()))
def test_what_a_message_shows_is_short_and_safe(value: Any) -> None:
    message = shown(value)

    assert len(message) <= 128 * len("\\U0010ffff") + 3
    assert escaped(message) == message
