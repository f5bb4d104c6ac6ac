"""Commands about what rules: marks, instruments, the emergency stop, limits."""

from typing import Annotated

import typer

from oms_es import OrderManagementSystem
from oms_es.cli.basis import print_basis, when
from oms_es.cli.columns import INSTRUMENTS, LIMITS
from oms_es.cli.context import carry_out, open_log
from oms_es.cli.filters import check_filter
from oms_es.cli.levels import level_row, say_because, say_if_new, say_level
from oms_es.cli.options import (
    Actor,
    AllowEmpty,
    AtSeq,
    CommandId,
    ConfigPath,
    Json,
    KnownAt,
    LogPath,
    OccurredAt,
    Reason,
    Scope,
)
from oms_es.cli.render import Row, print_message, show_json, show_rows_json, show_table
from oms_es.cli.rows import limit_rows
from oms_es.decimals import decimal, text
from oms_es.domain.policy import path_of
from oms_es.engine.admin_commands import lacks_limits
from oms_es.errors import InvalidInput
from oms_es.identifiers import account as checked_account
from oms_es.identifiers import identifier, shown
from oms_es.projections.policies import Policies
from oms_es.projections.positions import Positions
from oms_es.queries.queries import AsOf
from oms_es.vocabulary import EVERY_ACCOUNT

Value = str | list[str] | None
Multiplier = Annotated[
    str | None, typer.Option(metavar="NUMBER", help="Quote units per price unit and base unit [at first: 1].")
]
Currency = Annotated[str | None, typer.Option(metavar="NAME", help="What its money is counted in [at first: USD].")]
Level = Annotated[str, typer.Option(metavar="NAME", help="halted, or reduce_only: what reduces a position passes.")]
Changes = Annotated[list[str], typer.Argument(metavar="KEY=VALUE...", help="null is no limit; restricted takes A,B,C.")]


def mark(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL")],
    price: Annotated[str, typer.Argument(metavar="PRICE", help="Quote units per base unit; below 0 after --.")],
    log: LogPath = None,
    config: ConfigPath = None,
    command_id: CommandId = None,
    occurred_at: OccurredAt = None,
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """
    Record what one unit is worth.

    For example:

        oms mark ACME 50.12
    """

    async def run(oms: OrderManagementSystem) -> int:
        await oms.record_mark(symbol, price, occurred_at=occurred_at, command_id=command_id, actor=actor)
        return oms.sequencer.state.seq

    seq = carry_out(log, config, run)
    if as_json:
        show_json({"symbol": symbol, "price": decimal(price), "seq": seq})
    else:
        print_message(f"mark of {symbol} recorded (seq {seq})")


def instrument(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL")],
    multiplier: Multiplier = None,
    currency: Currency = None,
    log: LogPath = None,
    config: ConfigPath = None,
    command_id: CommandId = None,
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """
    Say what one unit of a symbol stands for. What is not given stays; with neither, show what holds.

    For example:

        oms instrument CLZ4 --multiplier 1000 --currency USD
    """
    name = identifier(symbol, "symbol")

    async def run(oms: OrderManagementSystem) -> Row:
        was = oms.sequencer.state.positions
        await oms.define_instrument(
            name,
            multiplier=was.multiplier(name) if multiplier is None else multiplier,
            currency=was.currency(name) if currency is None else currency,
            command_id=command_id,
            actor=actor,
        )
        return _instrument_row(name, oms.sequencer.state.positions, oms.sequencer.state.seq)

    if multiplier is None and currency is None:
        with open_log(log, config) as opened:
            row = _instrument_row(name, opened.queries.positions(basis := opened.queries.basis(AsOf())), basis.seq)
            _show_instrument(row, as_json=as_json)
            check_filter(opened, symbol=name, allow_empty=True)  # it shows the assumptions for any symbol
    else:
        _show_instrument(carry_out(log, config, run), as_json=as_json)


def _show_instrument(row: Row, *, as_json: bool) -> None:
    if as_json:
        show_json(row)
    else:
        show_table(INSTRUMENTS, [row])
        money = f"{text(row['multiplier'])} {row['currency']}"
        print_message(f"one price unit of {row['symbol']} is worth {money} (seq {row['seq']})")


def _instrument_row(symbol: str, positions: Positions, seq: int) -> Row:
    return {
        "symbol": symbol,
        "multiplier": positions.multiplier(symbol),
        "currency": positions.currency(symbol),
        "seq": seq,
    }


def halt(
    level: Level = "halted",
    account: Scope = None,
    reason: Reason = "",
    log: LogPath = None,
    config: ConfigPath = None,
    command_id: CommandId = None,
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """
    Pull the emergency stop: no new order passes. Cancels and fills always do.

    In force is the stricter of the account's own level and the level of every account.

    For example:

        oms halt --reason "feed is stale"

        oms halt --level reduce_only --account alpha
    """

    async def run(oms: OrderManagementSystem) -> Row:
        say_if_new(oms.sequencer.state, account)
        await oms.halt(level, account=account, reason=reason, actor=actor, command_id=command_id)
        return _level_now(oms, account)

    _show_level(carry_out(log, config, run), as_json=as_json)


def resume(
    account: Scope = None,
    reason: Reason = "",
    log: LogPath = None,
    config: ConfigPath = None,
    command_id: CommandId = None,
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """
    Release the emergency stop. Of every account, or of the one that is named.

    An account stays halted while every account is; and by its own level when every account is released.

    For example:

        oms resume --reason "feed is back"
    """

    async def run(oms: OrderManagementSystem) -> Row:
        say_if_new(oms.sequencer.state, account)
        await oms.resume(account=account, reason=reason, actor=actor, command_id=command_id)
        return _level_now(oms, account)

    _show_level(carry_out(log, config, run), as_json=as_json)


def _level_now(oms: OrderManagementSystem, account: str | None) -> Row:
    state = oms.sequencer.state
    return level_row(state.policies, oms.log, account or EVERY_ACCOUNT, state.seq)


def _show_level(row: Row, *, as_json: bool) -> None:
    if as_json:
        show_json(row)
    else:
        say_level(row)


# --- limits ---


def limits(
    context: typer.Context,
    account: Scope = None,
    log: LogPath = None,
    config: ConfigPath = None,
    known_at: KnownAt = None,
    at_seq: AtSeq = None,
    allow_empty: AllowEmpty = False,
    as_json: Json = False,
) -> None:
    """
    Show the limits in force, now or at any moment; `oms limits set` changes them.

    For example:

        oms limits --account alpha --known-at 2024-03-15T14:30:00Z

        oms limits set max_position_size=500 max_daily_loss=null
    """
    if context.invoked_subcommand is not None:
        return
    moment = when(None, known_at, at_seq)
    scope = None if account in (None, EVERY_ACCOUNT) else checked_account(account, "--account")
    with open_log(log, config) as opened:
        basis = opened.queries.basis(moment)
        policies = Policies().replay(opened.log.read(until=basis.seq, topics=Policies.topics()))
        rows = limit_rows(policies, scope if account != EVERY_ACCOUNT else EVERY_ACCOUNT)
        if as_json:
            show_rows_json({"basis": basis.rows()}, "limits", rows)
        else:
            show_table(LIMITS, [line for row in rows for line in _lines(row)])
        print_basis(opened, basis, "limits in force")
        for each in (level_row(policies, opened.log, row["account"], basis.seq) for row in rows):
            if each["because"] is not None:
                say_because(each)
        if not policies.is_set:
            print_message(
                "nothing is limited: no command has brought any rules yet, the first one brings those of the settings"
            )
        elif lacks_limits(policies):
            print_message("no order was judged yet: the first one brings the other limits of the settings")
        check_filter(opened, account=scope, allow_empty=allow_empty)


def _lines(row: Row) -> list[Row]:
    values = {"level": row["level"], **row["values"]}
    return [{"account": row["account"], "key": key, "value": _shown(value)} for key, value in values.items()]


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    return "-" if value is None else str(value)


def set_limits(
    changes: Changes,
    account: Scope = None,
    reason: Reason = "",
    log: LogPath = None,
    config: ConfigPath = None,
    command_id: CommandId = None,
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """
    Change limits; they stand until somebody changes them again.

    For example:

        oms limits set max_position_size=250 --reason "half a day"
    """
    values = dict(_change(each) for each in changes)
    if len(values) < len(changes):
        raise InvalidInput("a limit is named twice")

    async def run(oms: OrderManagementSystem) -> tuple[int, Row]:
        say_if_new(oms.sequencer.state, account)
        await oms.set_limits(account=account, actor=actor, reason=reason, command_id=command_id, **values)
        state = oms.sequencer.state
        (row,) = limit_rows(state.policies, account or EVERY_ACCOUNT)
        return state.seq, row

    seq, row = carry_out(log, config, run)
    if as_json:
        show_json({**row, "seq": seq})
    else:
        show_table(LIMITS, [line for line in _lines(row) if line["key"] in values])
        print_message(f"these limits changed (seq {seq})")


def _change(given: str) -> tuple[str, Value]:
    name, equals, value = given.partition("=")
    if not equals:
        raise InvalidInput(f"{shown(given)} is no change of a limit; expected KEY=VALUE like max_position_size=500")
    path = path_of(name)
    if not value:
        raise InvalidInput(f"{shown(given)} gives no value; null is no limit")
    nothing = value in ("null", "none")
    if path == "risk.restricted":
        return path, [] if nothing else [symbol for symbol in value.split(",") if symbol]
    return path, None if nothing else value
