"""What the tests of the importers share."""

from pathlib import Path
from typing import Any

from oms_es import OrderManagementSystem
from oms_es.importers.importer import Imported
from tests.desk import fact, facts_file, take_in

Oms = OrderManagementSystem


def facts(words: str) -> list[str]:
    """
    Return facts in words, numbered from 1 unless a number is before them.

    `submit a 100@10; fill a 40@10; 7: reduce a 20; replace b 120@10.9; cancel c; mark X 10.5`: symbol X, side buy and
    trade id `t<seq>` unless others are named, such as `side=sell`; `trade_id=-` is none.
    """
    found = []
    for number, each in enumerate(words.split(";"), 1):
        prefix, colon, rest = each.strip().partition(": ")
        kind, name, *more = (rest if colon else each).split()
        seq = int(prefix) if colon else number
        named = dict(word.split("=", 1) for word in more if "=" in word)
        quantity, _, price = next((word for word in more if "=" not in word), "").partition("@")
        figures = {"qty": quantity, "price": price} if kind != "mark" else {"price": quantity}
        fields = {key: value for key, value in figures.items() if value}
        if kind == "mark":
            fields["symbol"] = name
        else:
            fields["order_id"] = name
        if kind == "submit":
            fields = {"symbol": "X", "side": "buy", "order_type": "limit" if price else "market", **fields}
        if kind == "fill":
            fields["trade_id"] = f"t{seq}"
        fields |= named
        known: dict[str, Any] = {key: None if value == "-" else value for key, value in fields.items()}
        found.append(fact(seq, kind, **known))
    return found


async def imported(oms: Oms, file: Path, *lines: str, **defaults: str) -> Imported:
    return await take_in(oms, facts_file(file, *lines), **defaults)


DAY = facts("""
    submit a 100@10; fill a 40@10; fill a 40@10 trade_id=-; reduce a 10; replace a @11; cancel a; mark X 9;
    fill a 500@10 trade_id=too-much; fill nobody's 100@10; fill theirs 100@10 symbol=X side=sell
""")
