"""Answers as JSON text, the same for the command line, the report and the server."""

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from oms_es.decimals import text


def json_text(value: object) -> str:
    """Return one JSON value on one line; decimals are strings in canonical text."""
    # Everything but ASCII is written as \uXXXX, so no control or bidirectional character is ever raw.
    return json.dumps(value, ensure_ascii=True, allow_nan=False, default=_plain).replace("\x7f", "\\u007f")


def lists_json(head: Mapping[str, Any], lists: Mapping[str, Iterable[object]], under: str | None = None) -> str:
    """Return a JSON object: the keys of `head`, and the lists (in an object under `under`, if any), a line a row."""
    keys = [f'"{key}": {json_text(value)}' for key, value in head.items()]
    listed = [f'"{name}": {_list(rows)}' for name, rows in lists.items()]
    found = listed if under is None else [f'"{under}": {{' + ",\n".join(listed) + "}"]
    return "{" + ",\n".join([*keys, *found]) + "}"


def _list(rows: Iterable[object]) -> str:
    lines = ",\n ".join(map(json_text, rows))
    return f"[\n {lines}\n]" if lines else "[]"


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return text(value)
    raise TypeError(f"no JSON for {type(value).__name__}")
