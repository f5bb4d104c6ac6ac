"""
The policy in force: limits and rules as set by the `PolicyChanged` events.

A value is text in the log; one table types it, for YAML, the command line and the log.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from oms_es.decimals import decimal, text
from oms_es.errors import InvalidInput
from oms_es.identifiers import identifier, shown
from oms_es.timestamps import clock_time
from oms_es.vocabulary import CostMethod

DECISION_RULES_VERSION = 4  # recorded with every change of policy, so that a replay uses the same rules
Value: TypeAlias = str | tuple[str, ...] | None


class Policy(Struct, frozen=True, kw_only=True):
    """The policy of one account; None means no limit. A log without `PolicyChanged` has no limits."""

    max_position_size: Decimal | None = None
    max_daily_loss: Decimal | None = None
    emergency_stop: bool = False
    max_open_orders: int | None = None
    max_order_quantity: Decimal | None = None
    max_order_notional: Decimal | None = None
    price_collar: Decimal | None = None
    max_orders_per_second: int | None = None
    restricted: tuple[str, ...] = ()
    min_quote_size: Decimal | None = None
    max_skew: Decimal | None = None
    method: CostMethod = CostMethod.FIFO
    basis: str = "realized"
    price_band: Decimal | None = None
    price_band_floor: Decimal = Decimal(1)  # quote units
    on_exception: str = "quarantine"
    infer: bool = True
    timezone: str = "UTC"
    roll: str = "00:00"
    label: str = "start"
    max_clock_step: int = 5  # seconds
    symbols: dict[str, dict[str, Decimal | None]] = {}  # limits of single symbols, by name
    currencies: dict[str, dict[str, Decimal | None]] = {}
    overridden: tuple[tuple[str, str], ...] = ()  # keys with the one that is in force in their place

    def of(self, symbol: str, currency: str) -> "Policy":
        """Return the policy of one symbol: its own limits over those of its currency and of all symbols."""
        if not self.symbols and not self.currencies:
            return self
        scopes = (
            (f"risk.currencies.{currency}", self.currencies.get(currency, {})),
            (f"risk.symbols.{symbol}", self.symbols.get(symbol, {})),
        )
        values, paths = dict[str, Any](), dict[str, str]()
        for scope, own in scopes:
            values |= own
            paths |= {_PATHS[name]: f"{scope}.{name}" for name in own}
        return replace(self, **values, overridden=tuple(sorted(paths.items())))


def non_negative(value: str, name: str) -> Decimal:
    """Return a limit: a number of 0 or more."""
    number = decimal(value, name)
    if number < 0:
        raise InvalidInput(f"{name}: {text(number)} is negative; a limit is 0 or more, null for none")
    return number


def count(value: str, name: str) -> int:
    """Return a whole number of 0 or more."""
    number = non_negative(value, name)
    if number != int(number):
        raise InvalidInput(f"{name}: {text(number)} is not a whole number")
    return int(number)


def yes_or_no(value: str, name: str) -> bool:
    """Return a bool from the text true or false."""
    if value.lower() not in ("true", "false"):
        raise InvalidInput(f"{name}: {shown(value)} is neither true nor false")
    return value.lower() == "true"


def one_of(*words: str) -> Callable[[str, str], str]:
    """Return a function that accepts one of these words."""

    def read(value: str, name: str) -> str:
        if value not in words:
            raise InvalidInput(f"{name}: {shown(value)} is not one of {', '.join(words)}")
        return value

    return read


def zone(value: str, name: str) -> str:
    """Return a valid IANA time zone name."""
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise InvalidInput(f"{name}: {shown(value)} is not a time zone like America/New_York or UTC") from None
    return value


def roll_time(value: str, name: str) -> str:
    """Return a valid time of day at which the next trading day begins."""
    clock_time(value, name)
    return value


def method(value: str, name: str) -> CostMethod:
    """Return a cost method from its name."""
    return CostMethod(one_of("fifo", "lifo", "average")(value, name))


class Key(Struct, frozen=True):
    """How to read one key of the policy, and its default."""

    read: Callable[[str, str], Any]
    default: Value
    optional: bool = False  # whether null is allowed; it means no limit


# Path in the settings; the last part is the name of the field in `Policy` and in `set_limits`.
KEYS: dict[str, Key] = {
    "risk.max_position_size": Key(non_negative, "10000", optional=True),
    "risk.max_daily_loss": Key(non_negative, "1000", optional=True),
    "risk.emergency_stop": Key(yes_or_no, "false"),
    "risk.max_open_orders": Key(count, "10", optional=True),
    "risk.max_order_quantity": Key(non_negative, None, optional=True),
    "risk.max_order_notional": Key(non_negative, None, optional=True),
    "risk.price_collar": Key(non_negative, None, optional=True),
    "risk.max_orders_per_second": Key(count, None, optional=True),
    "risk.restricted": Key(identifier, ()),
    "trading.min_quote_size": Key(non_negative, "10", optional=True),
    "trading.max_skew": Key(non_negative, "5000", optional=True),
    "accounting.method": Key(method, "fifo"),
    "daily_loss.basis": Key(one_of("realized", "total"), "realized"),
    "fills.price_band": Key(non_negative, "0.5", optional=True),
    "fills.price_band_floor": Key(non_negative, "1"),
    "fills.on_exception": Key(one_of("quarantine", "accept"), "quarantine"),
    "fills.infer": Key(yes_or_no, "true"),
    "day.timezone": Key(zone, "UTC"),
    "day.roll": Key(roll_time, "00:00"),
    "day.label": Key(one_of("start", "end"), "start"),
    "day.max_clock_step": Key(count, "5"),
}
DEFAULTS: dict[str, Value] = {path: key.default for path, key in KEYS.items()}
_PATHS = {path.rpartition(".")[2]: path for path in KEYS}


# The limits that a symbol or a currency can have of its own: `risk.symbols.BTCUSDT.max_position_size`.
SCOPES: dict[str, tuple[str, ...]] = {
    "risk.symbols.": (
        "max_position_size", "max_order_quantity", "max_order_notional", "price_collar", "min_quote_size", "max_skew",
    ),
    "risk.currencies.": ("max_daily_loss", "max_order_notional"),
}  # fmt: skip


def scope_of(path: str) -> tuple[str, str, str] | None:
    """Return the scope, the symbol or currency, and the limit of a key of one symbol or currency; else None."""
    for prefix, names in SCOPES.items():
        subject, _, name = path.removeprefix(prefix).rpartition(".")
        if path.startswith(prefix) and subject and name in names:
            return prefix, subject, name
    return None


def key_of(path: str) -> Key | None:
    """Return how to read a key; None if it is unknown."""
    if path in KEYS:
        return KEYS[path]
    scope = scope_of(path) if path.startswith("risk.") else None
    return None if scope is None else KEYS[_PATHS[scope[2]]]


def path_of(name: str) -> str:
    """Return the full path of a key: `risk.max_daily_loss` for itself and for `max_daily_loss`."""
    path = name if key_of(name) is not None else _PATHS.get(name)
    if path is None:
        raise InvalidInput(f"{shown(name)} is not a limit; the limits are: {', '.join(sorted(_PATHS))}")
    return path


def checked(path: str, value: Value) -> Value:
    """Return a valid value in canonical text, as the log stores it."""
    key = key_of(path)
    assert key is not None, "the path was checked"
    if path == "risk.restricted":
        if value is None or isinstance(value, str):
            raise InvalidInput(f"{path}: {shown(value)} is not a list of symbols")
        return tuple(sorted({identifier(each, path) for each in value}))
    if value is None:
        if not key.optional:
            raise InvalidInput(f"{path}: null is not allowed here")
        return None
    if not isinstance(value, str):
        raise InvalidInput(f"{path}: a list is not allowed here")
    read = key.read(value, path)
    if isinstance(read, Decimal):
        return text(read)
    return str(read).lower() if isinstance(read, bool | int) else value


def typed(values: Mapping[str, Value]) -> Policy:
    """Return the policy of these values; unknown keys of later versions are ignored."""
    fields: dict[str, Any] = {}
    own: dict[str, dict[str, dict[str, Any]]] = {prefix: {} for prefix in SCOPES}
    for path, value in values.items():
        key = key_of(path)
        if key is None:
            continue
        read = value if value is None or isinstance(value, tuple) else key.read(value, path)
        scope = None if path in KEYS else scope_of(path)
        if scope is None:
            fields[path.rpartition(".")[2]] = read
        else:
            prefix, subject, name = scope
            own[prefix].setdefault(subject, {})[name] = read
    return Policy(**fields, symbols=own["risk.symbols."], currencies=own["risk.currencies."])


def differing(values: Mapping[str, Value], last: Mapping[str, Value], keys: Iterable[str]) -> dict[str, Value]:
    """Return the values of `keys` that are new or differ from the last ones."""
    return {key: values[key] for key in keys if key not in last or last[key] != values[key]}
