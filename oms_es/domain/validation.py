"""Validate arguments; an error message names the argument, its value and the accepted values."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar

from oms_es.decimals import decimal, text
from oms_es.domain.policy import SCOPES, Value, checked, path_of
from oms_es.errors import InvalidInput, SettingsError
from oms_es.identifiers import account, actor, escaped, identifier, shown
from oms_es.vocabulary import DEFAULT_ACCOUNT, EVERY_ACCOUNT, OrderType

Number = Decimal | int | str
E = TypeVar("E", bound=Enum)
_MOST_TAGS = 16


def choice(kind: type[E], value: object, name: str) -> E:
    """Return an enum member from the member or from its value ("buy", "limit", …)."""
    if isinstance(value, kind):
        return value
    if isinstance(value, str) and (found := kind._value2member_map_.get(value.lower())) is not None:
        return found  # type: ignore[return-value]
    words = ", ".join(member.value for member in kind)
    raise InvalidInput(f"{name}: {shown(value)} is not one of {words}")


def one_of(value: str, words: Sequence[str], name: str) -> str:
    """Return `value` if it is one of `words`."""
    if value not in words:
        raise InvalidInput(f"{name}: {shown(value)} is not one of {', '.join(words)}")
    return value


def positive(value: object, name: str) -> Decimal:
    """Return a quantity above 0."""
    number = decimal(value, name)
    if number <= 0:
        raise InvalidInput(f"{name}: {text(number)} is not above 0")
    return number


def not_negative(value: object, name: str) -> Decimal:
    """Return a quantity of 0 or more."""
    number = decimal(value, name)
    if number < 0:
        raise InvalidInput(f"{name}: {text(number)} is below 0")
    return number


def limit_price(order_type: OrderType, value: object) -> Decimal | None:
    """Return the limit price of an order: required for limit and stop-limit orders, None for the others."""
    return _price_for(order_type, value, "price", (OrderType.LIMIT, OrderType.STOP_LIMIT))


def stop_price(order_type: OrderType, value: object) -> Decimal | None:
    """Return the stop price of an order: required for stop and stop-limit orders, None for the others."""
    return _price_for(order_type, value, "stop_price", (OrderType.STOP, OrderType.STOP_LIMIT))


def _price_for(order_type: OrderType, value: object, name: str, types: tuple[OrderType, ...]) -> Decimal | None:
    if order_type in types:
        if value is None:
            raise InvalidInput(f"{name}: a {order_type.value} order needs one")
        return decimal(value, name)
    if value is not None:
        raise InvalidInput(f"{name}: a {order_type.value} order has none, got {shown(value)}")
    return None


def tags_of(value: object) -> dict[str, str]:
    """Return tags: at most 16 pairs of names and values."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or len(value) > _MOST_TAGS:
        raise InvalidInput(f"tags: expected at most {_MOST_TAGS} names with values, got {shown(value)}")
    return {identifier(name, "tags"): identifier(tag, f"tags: {name}") for name, tag in sorted(value.items())}


def limits(changes: Mapping[str, Any]) -> dict[str, Value]:
    """Return changed limits as the log stores them; a key is its full path or the last part of it."""
    if not changes:
        raise InvalidInput("no limit was named; name at least one, like max_position_size=500")
    values: dict[str, Value] = {}
    for name, value in _flat(changes):
        path = path_of(name)
        many = isinstance(value, list | tuple | set | frozenset)
        stored: Value = tuple(identifier(each, path) for each in value) if many else limit_text(value, path)
        values[path] = checked(path, stored)
    if "risk.emergency_stop" in values:
        raise InvalidInput("risk.emergency_stop: use halt and resume to change it")
    return values


def _flat(changes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield limits by key; `symbols={"BTCUSDT": {"max_skew": 5}}` is one limit of one symbol."""
    for name, value in changes.items():
        scope = f"risk.{name.removeprefix('risk.')}"
        if f"{scope}." not in SCOPES:
            yield name, value
            continue
        for subject, own in _mapping(value, scope).items():
            for limit, figure in _mapping(own, f"{scope}.{subject}").items():
                yield f"{scope}.{identifier(subject, scope)}.{limit}", figure


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{name}: expected a mapping, got {shown(value)}")
    return value


def flag(value: object, name: str) -> bool:
    """Return a bool."""
    if not isinstance(value, bool):
        raise InvalidInput(f"{name}: {shown(value)} is neither True nor False")
    return value


def named(value: object, name: str) -> str | None:
    """Return an optional id or symbol."""
    return None if value is None else identifier(value, name)


def currency_of(value: object, name: str = "fee_currency") -> str:
    """Return a currency; "" is that of the instrument."""
    return "" if value in (None, "") else identifier(value, name)


def named_account(value: object) -> str:
    """Return an account; the default account for None."""
    return DEFAULT_ACCOUNT if value is None else account(value)


def named_scope(value: object) -> str:
    """Return the account that a rule applies to; every account ("*") for None."""
    return EVERY_ACCOUNT if value in (None, EVERY_ACCOUNT) else account(value)


def named_actor(value: object) -> str:
    """Return an actor; may be empty."""
    return actor(value)


def limit_text(value: Any, path: str) -> str | None:
    """Return a single value as settings store it: text, or None; floats are refused."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal | int):
        try:
            return text(decimal(value, path))
        except InvalidInput as error:
            raise settings_error(str(error)) from None
    raise settings_error(f"{path}: {shown(value)} ({type(value).__name__}) is not exact; use text, an int or a Decimal")


def settings_error(message: str) -> SettingsError:
    """Return the error of a settings file or value."""
    return SettingsError(escaped(message))
