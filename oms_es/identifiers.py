"""Validate ids, symbols, accounts and reasons, and escape them for messages."""

import re
import unicodedata
from typing import Final

from oms_es.errors import InvalidInput

MAX_NAME: Final = 128
MAX_REASON: Final = 1000
_ACCOUNT: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
# Printable ASCII is safe as it is: nearly every id and symbol.
_PLAIN: Final = re.compile(r"[ -~]*", re.ASCII)
# Cc control, Cf format (with bidirectional marks), Cs surrogates, Zl/Zp line separators.
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def identifier(value: object, name: str) -> str:
    """Return a valid id or symbol: 1 to 128 characters, no surrogates, no control characters."""
    return _checked(value, name, 1, MAX_NAME)


def is_identifier(value: str) -> bool:
    """Return whether `value` is a valid id or symbol."""
    try:
        identifier(value, "")
    except InvalidInput:
        return False
    return True


def reason(value: object, name: str = "reason") -> str:
    """Return free text for the log: control characters escaped, at most 1,000 characters."""
    if not isinstance(value, str):
        raise InvalidInput(f"{name}: expected text, got {type(value).__name__} {shown(value)}")
    if _PLAIN.fullmatch(value) is None:
        value = "".join(_escape(c) if unicodedata.category(c) in ("Cc", "Cs") else c for c in value[: MAX_REASON + 1])
    return value if len(value) <= MAX_REASON else f"{value[: MAX_REASON - 1]}…"


def actor(value: object) -> str:
    """Return a valid actor, the name of the sender: at most 1,000 characters, no control characters."""
    return _checked(value, "actor", 0, MAX_REASON)


def account(value: object, name: str = "account") -> str:
    """Return a valid account: 1 to 64 of A-Z, a-z, 0-9, '.', '_', '-'."""
    if not isinstance(value, str) or _ACCOUNT.fullmatch(value) is None:
        raise InvalidInput(f"{name}: {shown(value)} is not an account (1 to 64 of A-Z a-z 0-9 . _ -)")
    return value


def _checked(value: object, name: str, least: int, most: int) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"{name}: expected text, got {type(value).__name__} {shown(value)}")
    if not least <= len(value) <= most:
        raise InvalidInput(f"{name}: {shown(value)} has {len(value)} characters; {least} to {most} are allowed")
    if _PLAIN.fullmatch(value) is None:
        for position, character in enumerate(value):
            if unicodedata.category(character) in ("Cc", "Cs"):
                code = f"U+{ord(character):04X}"
                raise InvalidInput(
                    f"{name}: {shown(value)} contains {code} at position {position}; "
                    "control characters and surrogates are not allowed"
                )
    return value


def shown(value: object) -> str:
    """Return `value` quoted for a message: at most 128 characters, control characters escaped."""
    if isinstance(value, int) and value.bit_length() > MAX_NAME:
        return f"a number of {value.bit_length()} bits"
    shortened = value if isinstance(value, str) else str(value)
    cut = len(shortened) > MAX_NAME
    return f"'{escaped(shortened[:MAX_NAME])}{'…' if cut else ''}'"


def escaped(value: str) -> str:
    """Return `value` with control and format characters escaped as in JSON."""
    if _PLAIN.fullmatch(value) is not None:
        return value
    return "".join(_escape(c) if unicodedata.category(c) in _UNSAFE else c for c in value)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
