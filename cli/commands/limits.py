"""Commands about what rules: marks, instruments, the emergency stop, limits."""

from typing import Annotated

import typer

from oms_es import OrderManagementSystem
from oms_es.cli.basis import say_basis, when
from oms_es.cli.columns import INSTRUMENTS, LIMITS
from oms_es.cli.context import asking, carry_out
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
from oms_es.cli.render import Row, say, show_json, show_rows_json, show_table
from oms_es.cli.rows import limit_rows
from oms_es.decimals import decimal, text
from oms_es.domain.policy import path_of
from oms_es.engine.admin_commands import awaits_limits
from oms_es.errors import InvalidInput
from oms_es.identifiers import account as checked_account
from oms_es.identifiers import identifier, shown
from oms_es.projections.policies import Policies
from oms_es.projections.positions import Positions
from oms_es.queries.queries import When
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

        oms mark ADAUSDM 0.455
    """

    async def run(oms: OrderManagementSystem) -> int:
        await oms.record_mark(symbol, price, occurred_at=occurred_at, command_id=command_id, actor=actor)
        return oms.sequencer.world.seq

    seq = carry_out(log, config, run)
    if as_json:
        show_json({"symbol": symbol, "price": decimal(price), "seq": seq})
    else:
        say(f"mark of {symbol} recorded (seq {seq})")


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
        was = oms.sequencer.world.positions
        await oms.define_instrument(
            name,
            multiplier=was.multiplier(name) if multiplier is None else multiplier,
            currency=was.currency(name) if currency is None else currency,
            command_id=command_id,
            actor=actor,
        )
        return _instrument_row(name, oms.sequencer.world.positions, oms.sequencer.world.seq)

    if multiplier is None and currency is None:
        with asking(log, config) as asked:
            row = _instrument_row(name, asked.questions.positions(basis := asked.questions.basis(When())), basis.seq)
            _show_instrument(row, as_json=as_json)
            check_filter(asked, symbol=name, allow_empty=True)  # it shows the assumptions for any symbol
    else:
        _show_instrument(carry_out(log, config, run), as_json=as_json)


def _show_instrument(row: Row, *, as_json: bool) -> None:
    if as_json:
        show_json(row)
    else:
        show_table(INSTRUMENTS, [row])
        money = f"{text(row['multiplier'])} {row['currency']}"
        say(f"one price unit of {row['symbol']} is worth {money} (seq {row['seq']})")


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
        say_if_new(oms.sequencer.world, account)
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
        say_if_new(oms.sequencer.world, account)
        await oms.resume(account=account, reason=reason, actor=actor, command_id=command_id)
        return _level_now(oms, account)

    _show_level(carry_out(log, config, run), as_json=as_json)


def _level_now(oms: OrderManagementSystem, account: str | None) -> Row:
    world = oms.sequencer.world
    return level_row(world.policies, oms.log, account or EVERY_ACCOUNT, world.seq)


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

        oms limits --account alpha --known-at 2012-06-21T13:45:00Z

        oms limits set max_position_size=500 max_daily_loss=null
    """
    if context.invoked_subcommand is not None:
        return
    moment = when(None, known_at, at_seq)
    scope = None if account in (None, EVERY_ACCOUNT) else checked_account(account, "--account")
    with asking(log, config) as asked:
        basis = asked.questions.basis(moment)
        policies = Policies().replay(asked.log.read(until=basis.seq, topics=Policies.topics()))
        rows = limit_rows(policies, scope if account != EVERY_ACCOUNT else EVERY_ACCOUNT)
        if as_json:
            show_rows_json({"basis": basis.rows()}, "limits", rows)
        else:
            show_table(LIMITS, [line for row in rows for line in _lines(row)])
        say_basis(asked, basis, "limits in force")
        for each in (level_row(policies, asked.log, row["account"], basis.seq) for row in rows):
            if each["because"] is not None:
                say_because(each)
        if not policies.is_set:
            say("nothing is limited: no command has brought any rules yet, the first one brings those of the settings")
        elif awaits_limits(policies):
            say("no order was judged yet: the first one brings the other limits of the settings")
        check_filter(asked, account=scope, allow_empty=allow_empty)


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

        oms limits set max_position_size=500 max_daily_loss=null --reason "half a day"
    """
    values = dict(_change(each) for each in changes)
    if len(values) < len(changes):
        raise InvalidInput("a limit is named twice")

    async def run(oms: OrderManagementSystem) -> tuple[int, Row]:
        say_if_new(oms.sequencer.world, account)
        await oms.set_limits(account=account, actor=actor, reason=reason, command_id=command_id, **values)
        world = oms.sequencer.world
        (row,) = limit_rows(world.policies, account or EVERY_ACCOUNT)
        return world.seq, row

    seq, row = carry_out(log, config, run)
    if as_json:
        show_json({**row, "seq": seq})
    else:
        show_table(LIMITS, [line for line in _lines(row) if line["key"] in values])
        say(f"these limits changed (seq {seq})")


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
