"""The answers of the server: for each query its JSON, the same text that the command line prints with `--json`."""

from collections.abc import Callable, Mapping

from oms_es.audit.why_order import verdict_row, why_order
from oms_es.errors import InvalidInput
from oms_es.identifiers import account as checked_account
from oms_es.identifiers import identifier, shown
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.policies import first_method
from oms_es.queries.answers import position_rows
from oms_es.queries.explain import diff_by_order, diff_by_symbol, history, why_positions, why_row
from oms_es.queries.json_text import lists_json
from oms_es.queries.queries import AsOf, Basis, Queries, as_of_from, cost_method, find_order, narrowed

Parameters = Mapping[str, str]
Answer = Callable[[SqliteLog, Parameters], str]
_MOMENT = ("as_of", "known_at", "at_seq", "method")


def positions(log: SqliteLog, given: Parameters) -> str:
    """Return `oms positions --json`."""
    _allow(given, *_MOMENT, "symbol", "account")
    queries = Queries(log)
    basis = _basis(queries, given)
    found = queries.positions(basis)
    rows = narrowed(position_rows(found, queries.latest(basis, found)), *_names(given))
    return lists_json(_head(queries, basis), {"positions": rows})


def changes(log: SqliteLog, given: Parameters) -> str:
    """Return `oms history SYMBOL --json`."""
    _allow(given, *_MOMENT, "symbol", "account")
    queries = Queries(log)
    basis, (symbol, account) = _basis(queries, given), _names(given)
    if symbol is None:
        raise InvalidInput("symbol: name one, as in /api/history?symbol=BOLT")
    return lists_json(_head(queries, basis), {"changes": history(queries, basis, symbol, account)})


def why(log: SqliteLog, given: Parameters) -> str:
    """Return `oms why position SYMBOL --json` or `oms why order ORDER --json`."""
    _allow(given, *_MOMENT, "position", "order", "account")
    queries = Queries(log)
    basis, account = _basis(queries, given), _names(given)[1]
    if ("position" in given) == ("order" in given):
        raise InvalidInput("name a position or an order, as in /api/why?position=BOLT")
    if "position" in given:
        found = why_positions(queries, basis, identifier(given["position"], "position"), account)
        return lists_json({"basis": basis.rows()}, {"positions": map(why_row, found)})
    named = identifier(given["order"], "order")
    this = find_order(queries.orders_named(named, account, basis), named, account)
    verdicts = why_order(log, this, first_method(log, basis.method))
    head = {"basis": basis.rows(), "order_id": this.order_id, "account": this.account}
    return lists_json(head, {"verdicts": [verdict_row(each) for each in verdicts if each.seq <= basis.seq]})


def diff(log: SqliteLog, given: Parameters) -> str:
    """Return `oms diff seq:A seq:B --json`."""
    _allow(given, "from", "to", "by", "method", "symbol", "account")
    queries, method = Queries(log), cost_method(given.get("method"))
    other = queries.basis(_at(given, "to"), method)
    one = queries.basis(_at(given, "from"), other.method)
    by = given.get("by", "symbol")
    if by not in ("symbol", "order"):
        raise InvalidInput(f"by: {shown(by)} is unknown; expected symbol or order")
    differences = (diff_by_order if by == "order" else diff_by_symbol)(queries, one, other)
    found = {name: narrowed(rows, *_names(given)) for name, rows in differences.items()}
    return lists_json({"from": one.rows(), "to": other.rows()}, found)


ANSWERS: dict[str, Answer] = {"positions": positions, "history": changes, "why": why, "diff": diff}

# --- parameters ---


def _allow(given: Parameters, *names: str) -> None:
    for name in given:
        if name not in names:
            raise InvalidInput(f"{shown(name)} is no parameter here; expected {', '.join(names)}")


def _names(given: Parameters) -> tuple[str | None, str | None]:
    symbol, account = given.get("symbol"), given.get("account")
    return (
        None if symbol is None else identifier(symbol, "symbol"),
        None if account is None else checked_account(account, "account"),
    )


def _basis(queries: Queries, given: Parameters) -> Basis:
    seq = None if "at_seq" not in given else number(given["at_seq"], "at_seq")
    moment = as_of_from(given.get("as_of"), given.get("known_at"), seq)
    return queries.basis(moment, cost_method(given.get("method")))


def _at(given: Parameters, name: str) -> AsOf:
    value = given.get(name, "now")
    return AsOf() if value == "now" else AsOf(at_seq=number(value.removeprefix("seq:"), name))


def number(value: str, name: str) -> int:
    """Return a seq from a query string."""
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise InvalidInput(f"{name}: {shown(value)} is not the number of an event")
    return int(value)


def _head(queries: Queries, basis: Basis) -> dict[str, object]:
    return {"basis": {**basis.rows(), "quarantined": len(queries.waiting(basis))}}
