"""Settings: every key of the design, typed by us and not by YAML; a mistake names its place (design, section 8)."""

import os
import tracemalloc
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms_es.decimals import text
from oms_es.domain.policy import Policy, Value, differing
from oms_es.engine.settings import Settings
from oms_es.errors import OmsError, SettingsError
from oms_es.vocabulary import CostMethod
from tests.builders import num, table

DESIGN = """
risk: {max_position_size: 10000, max_daily_loss: 1000, emergency_stop: false, max_open_orders: 10, max_order_quantity: null, max_order_notional: null, price_collar: null, max_orders_per_second: null, restricted: []}
trading: {min_quote_size: 10, max_skew: 5000}
system: {order_history_retention: 86400, position_snapshot_interval: 300, risk_check_timeout: 1000}   # seconds, seconds, milliseconds
accounting: {method: fifo}
daily_loss: {basis: realized}           # or total
fills: {price_band: 0.5, price_band_floor: 1, on_exception: quarantine}
day: {timezone: UTC, roll: "00:00", label: start, max_clock_step: 5}   # seconds
log: {path: oms.db, durability: full}
"""  # noqa: E501

SPEC = """
risk:
  max_position_size: 10000 # Maximum position per symbol
  max_daily_loss: 1000 # Daily loss limit in USD
  emergency_stop: false # Global trading halt

trading:
  min_quote_size: 10 # Minimum order quantity
  max_skew: 5000 # Maximum directional exposure

system:
  order_history_retention: 86400 # Seconds to retain completed orders
  position_snapshot_interval: 300 # Position backup interval
  risk_check_timeout: 1000 # Risk check timeout in milliseconds
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "oms.yaml"


def read(file: Path, content: str) -> Settings:
    file.write_text(content, encoding="utf-8")
    return Settings.from_file(file)


def one(file: Path, key: str, given: str) -> Settings:
    section, _, name = key.partition(".")
    return read(file, f"{section}:\n  {name}: {given}\n")


RUNNING = {
    "system.order_history_retention": "order_history_retention",
    "system.position_snapshot_interval": "position_snapshot_interval",
    "system.risk_check_timeout": "risk_check_timeout",
    "system.quarantine_reminder": "quarantine_reminder", "callbacks.backlog": "callback_backlog",
    "callbacks.when_full": "callbacks_when_full", "log.path": "log_path", "log.durability": "durability",
}  # fmt: skip


def kept(settings: Settings, key: str) -> str:
    """Return what the settings hold under a key, as text."""
    value: Any = getattr(settings, RUNNING[key]) if key in RUNNING else settings.values[key]
    if isinstance(value, tuple):
        return f"[{', '.join(value)}]"
    return "null" if value is None else str(value)


# --- every key ---


@pytest.mark.parametrize("row", table("settings"))
def test_a_key_has_the_default_of_the_design(row: dict[str, str], file: Path) -> None:
    assert kept(Settings.default(), row["key"]) == row["default"]
    assert kept(read(file, ""), row["key"]) == row["default"]
    assert kept(read(file, "# nothing\n"), row["key"]) == row["default"]


@pytest.mark.parametrize("row", table("settings"))
def test_a_key_can_be_set_and_nothing_else_changes(row: dict[str, str], file: Path) -> None:
    settings = one(file, row["key"], row["given"])

    others = [other.values[0]["key"] for other in table("settings") if other.values[0]["key"] != row["key"]]
    assert kept(settings, row["key"]) == row["kept"]
    assert [kept(settings, other) for other in others] == [kept(Settings.default(), other) for other in others]


@pytest.mark.parametrize("row", table("settings"))
def test_settings_name_only_the_policy_keys_for_the_log(row: dict[str, str], file: Path) -> None:
    settings = one(file, row["key"], row["given"])

    assert settings.named == (() if row["key"] in RUNNING else (row["key"],))


def test_the_table_names_every_key_there_is() -> None:
    listed = {row.values[0]["key"] for row in table("settings")}

    assert listed == {*Settings.default().values, *RUNNING}


def test_the_settings_file_of_the_design_has_the_defaults(file: Path) -> None:
    settings = read(file, DESIGN)

    assert settings.values == Settings.default().values
    assert settings.policy == Settings.default().policy
    assert [kept(settings, key) for key in RUNNING] == [kept(Settings.default(), key) for key in RUNNING]


def test_the_file_of_the_spec_is_taken(file: Path) -> None:
    settings = read(file, SPEC)

    assert settings.policy.max_position_size == 10000
    assert settings.policy.max_daily_loss == 1000
    assert settings.policy.min_quote_size == 10
    assert settings.risk_check_timeout == 1000


def test_the_policy_of_the_settings_is_typed(file: Path) -> None:
    settings = read(
        file,
        "risk: {max_position_size: 1.50, max_open_orders: 3, emergency_stop: true, restricted: [B, A]}\n"
        "accounting: {method: lifo}\nfills: {price_band: null}\nday: {max_clock_step: 7}\n",
    )

    policy = settings.policy

    assert isinstance(policy, Policy)
    assert isinstance(policy.max_position_size, Decimal)
    assert text(policy.max_position_size) == "1.5"
    assert (policy.max_open_orders, policy.emergency_stop, policy.restricted) == (3, True, ("A", "B"))
    assert (policy.method, policy.price_band, policy.max_clock_step) == (CostMethod.LIFO, None, 7)


# --- what YAML would have made of it ---


@pytest.mark.parametrize("row", table("settings_taken"))
def test_settings_take_a_value_as_written_or_refuse_it_with_its_key(row: dict[str, str], file: Path) -> None:
    if row["kept"] != "refused":
        assert kept(one(file, row["key"], row["given"]), row["key"]) == row["kept"]
        return
    with pytest.raises(SettingsError) as refusal:
        one(file, row["key"], row["given"])

    assert row["key"] in str(refusal.value)
    assert str(file) in str(refusal.value)


REFUSED: dict[str, tuple[str | bytes, str]] = {  # what a file says, and what the error names
    "a mistyped key": ("risk: {max_positon_size: 5}", "risk.max_positon_size"),
    "a key in capitals": ("risk: {Max_daily_loss: 5}", "risk.Max_daily_loss"),
    "a key of another section": ("risk: {max_skew: 5}", "risk.max_skew"),
    "what is known beside it": ("trading: {skew: 5}", "trading.max_skew"),
    "an unknown section": ("limits: {max_daily_loss: 5}", "limits.max_daily_loss"),
    "a number as a key": ("risk: {1: 5}", "risk.1"),
    "a yes as a key": ("risk: {yes: 5}", "risk.yes"),
    "a section as a value": ("risk: {max_daily_loss: {usd: 5}}", "risk.max_daily_loss"),
    "an anchor as a section": ("base: &base {max_skew: 5}\ntrading: {<<: *base}", "base"),
    "a merge key": ("trading: {<<: {max_skew: 5}}", "trading.<<"),
    "a list": ("- risk", ""), "a word": ("risk", ""), "a number": ("5", ""), "a section of 5": ("risk: 5", ""),
    "a section that is a list": ("risk: [max_daily_loss]", ""), "a key without a section": ("max_daily_loss: 5", ""),
    "a list as a section": ("? [a]\n: 1", ""), "a mapping as a key": ("risk: {? {a: 1} : 1}", ""),
    "python": ("!!python/object/apply:os.getcwd []", ""), "a set": ("!!set {risk}", ""),
    "a key twice": ("trading:\n  max_skew: 5\n  max_skew: 6\n", "max_skew is there twice, line 3"),
    "a key twice with quotes": ("risk: {max_daily_loss: 5, 'max_daily_loss': 5}", "max_daily_loss"),
    "a section twice": ("risk: {max_daily_loss: 5}\ntrading: {max_skew: 5}\nrisk: {max_open_orders: 5}", "risk"),
    "no end": ("risk: {max_daily_loss: 5", ""), "a wrong end": ("risk: [}", ""),
    "an unknown alias": ("risk: *nobody", ""), "no end of text": ("risk: {max_daily_loss: 'x}", ""),
    "two documents": ("a: 1\n---\nb: 2", ""), "a tab": ("\tx: 1", ""),
    "another YAML": ("%YAML 9.9\n---\nrisk: {}", ""),
    "no text": (b"\xff\xfe", ""), "a NUL": (b"risk: {max_daily_loss: \x00}", ""), "latin-1": (b"log: {path: \xe9}", ""),
    "an escape": (b"\x1b[31m: 1", ""), "more than any settings": (b"#" * 2_000_000, ""),
    "a section in itself": ("risk: &risk {restricted: *risk}", ""),
    "a list in itself": ("risk: {restricted: &all [*all]}", ""),
    "a file in itself": ("&all [*all]", ""), "a mapping in itself": ("&all {risk: *all}", ""),
    "too deep": ("risk: {restricted: [[[[[[[[GME]]]]]]]]}", ""),
}  # fmt: skip


@pytest.mark.parametrize(("content", "named"), REFUSED.values(), ids=REFUSED)
def test_a_settings_file_that_cannot_be_is_refused_with_its_name_and_the_key(
    content: str | bytes, named: str, file: Path
) -> None:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(SettingsError) as refusal:
        Settings.from_file(file)

    message = str(refusal.value)
    assert str(file) in message
    assert "\n" not in message
    assert all(part in message for part in named.split(", "))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.yaml"):
        Settings.from_file(tmp_path / "nowhere.yaml")


def test_a_folder_is_no_settings_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        Settings.from_file(tmp_path)


def test_every_mistake_in_settings_is_a_value_error_of_ours() -> None:
    assert issubclass(SettingsError, ValueError)
    assert issubclass(SettingsError, OmsError)


# --- anchors and bombs ---


def test_an_anchor_saves_writing_a_value_twice(file: Path) -> None:
    settings = read(file, "risk: {max_order_quantity: &most 500}\ntrading: {max_skew: *most}")

    assert settings.policy.max_skew == settings.policy.max_order_quantity == 500


BOMBS = {
    "deep": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    ),
    "wide": f"a: &a [{','.join('x' * 1500)}]\nb: [{','.join(['*a'] * 1500)}]\n",
    "wide, in a list of symbols": f"risk:\n  restricted: [&a [{','.join('x' * 1500)}],{','.join(['*a'] * 1500)}]\n",
}


@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_before_it_grows(content: str, file: Path) -> None:
    file.write_text(content)
    assert file.stat().st_size < 10_000

    tracemalloc.start()
    try:
        with pytest.raises(SettingsError) as refusal:
            Settings.from_file(file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 10_000_000
    assert len(str(refusal.value)) < 1000


# --- what a settings file changes in a log ---


@pytest.mark.parametrize(("last", "keys", "changed"), [
    ({}, ["trading.max_skew"], {"trading.max_skew": "5"}),  # never taken from a file before
    ({"trading.max_skew": "5"}, ["trading.max_skew"], {}),  # taken before, and the same
    ({"trading.max_skew": "6"}, ["trading.max_skew"], {"trading.max_skew": "5"}),  # the file has changed
    ({"trading.max_skew": None}, ["trading.max_skew"], {"trading.max_skew": "5"}),
    ({"trading.max_skew": "6"}, [], {}),  # the file does not hold it
])  # fmt: skip
def test_differing_returns_the_keys_of_the_file_that_changed_since_the_last_session(
    last: dict[str, Value], keys: list[str], changed: dict[str, Value]
) -> None:
    values: dict[str, Value] = {"trading.max_skew": "5", "trading.min_quote_size": "10"}

    assert differing(values, last, keys) == changed


# --- a mapping instead of a file ---


def test_a_mapping_shaped_like_the_file_gives_the_same_settings(file: Path) -> None:
    settings = Settings.from_mapping(
        {
            "risk": {
                "max_position_size": num("2.50"), "max_open_orders": 3, "emergency_stop": True, "restricted": ["A"],
            },
            "fills": {"price_band": None},
        }
    )  # fmt: skip

    same = read(
        file,
        "risk: {max_position_size: 2.5, max_open_orders: 3, emergency_stop: true, restricted: [A]}\n"
        "fills: {price_band: null}",
    )
    assert settings.values == same.values
    assert settings.named == same.named


@pytest.mark.parametrize(("mapping", "path"), [
    ({"risk": {"max_position_size": float("nan")}}, "risk.max_position_size"),
    ({"risk": {"symbols": 5}}, "risk.symbols"),
    ({"risk": {"symbols": {"BTC": {"max_open_orders": "5"}}}}, "risk.symbols.BTC.max_open_orders"),
    ({"risk": {"currencies": {"JPY": "5"}}}, "risk.currencies.JPY"),
    ({"risk": {"max_position_size": Decimal("NaN")}}, "risk.max_position_size"),
    ({"risk": {"max_position_size": True}}, "risk.max_position_size"),
    ({"risk": {"max_position_size": b"5"}}, "risk.max_position_size"),
    ({"risk": {"max_position_size": object()}}, "risk.max_position_size"),
    ({"risk": {"restricted": [1.5]}}, "risk.restricted"),
    ({"risk": {"restricted": "GME"}}, "risk.restricted"),
    ({"risk": {"max_size": "5"}}, "risk.max_size"),
    ({"risk": 5}, "risk"),
    ({"risk": None}, "risk"),
])  # fmt: skip
def test_a_mapping_is_judged_like_a_file(mapping: dict[str, Any], path: str) -> None:
    with pytest.raises(SettingsError, match=path.replace(".", r"\.")):
        Settings.from_mapping(mapping)


# --- where they are looked for ---


def test_settings_come_from_oms_config_then_from_the_folder_then_from_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings.find().values == Settings.default().values

    Path("oms.yaml").write_text("trading: {max_skew: 1}")
    assert Settings.find().policy.max_skew == 1

    Path("other.yaml").write_text("trading: {max_skew: 2}")
    monkeypatch.setenv("OMS_CONFIG", os.fspath(tmp_path / "other.yaml"))
    assert Settings.find().policy.max_skew == 2


def test_an_oms_config_that_is_not_there_is_an_error_and_not_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMS_CONFIG", str(tmp_path / "missing.yaml"))

    with pytest.raises(SettingsError, match=r"missing\.yaml"):
        Settings.find()
