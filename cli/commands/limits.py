"""Commands on limits, trading levels, marks and instruments."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer
from msgspec.structs import asdict

from oms_es import OrderManagementSystem
from oms_es.cli.basis import print_basis
from oms_es.cli.columns import INSTRUMENTS, LIMITS
from oms_es.cli.filters import check_filter
from oms_es.cli.levels import level_row, print_because, print_if_new, print_level
from oms_es.cli.options import (
    AllowEmpty,
    CommandOptions,
    CommonOptions,
    KnownAtQuery,
    Reason,
    Scope,
    SymbolArgument,
    TimedCommandOptions,
)
from oms_es.cli.render import Row, plainly, print_message, show_json, show_rows_json, show_table
from oms_es.decimals import decimal, text
from oms_es.domain.policy import path_of
from oms_es.engine.admin_commands import lacks_limits
from oms_es.errors import InvalidInput
from oms_es.identifiers import account as checked_account
from oms_es.identifiers import identifier, shown
from oms_es.projections.policies import Policies
from oms_es.projections.positions import Positions
from oms_es.queries.answers import limit_rows
from oms_es.queries.queries import AsOf
from oms_es.vocabulary import EVERY_ACCOUNT

Value = str | list[str] | None
MarkPrice = Annotated[
    str, typer.Argument(metavar="PRICE", help="Quote units per base unit; write a price below 0 after --.")
]
Multiplier = Annotated[
    str | None, typer.Option(metavar="NUMBER", help="Quote units per price unit and base unit [at first: 1].")
]
Currency = Annotated[str | None, typer.Option(metavar="NAME", help="The currency of its P&L [at first: USD].")]
Base = Annotated[str | None, typer.Option(metavar="NAME", help="The asset that is bought and sold.")]
Quote = Annotated[str | None, typer.Option(metavar="NAME", help="The asset that is paid.")]
Step = Annotated[str | None, typer.Option(metavar="NUMBER", help="Orders are multiples of it.")]
Least = Annotated[str | None, typer.Option(metavar="NUMBER", help="The least quantity of an order.")]
Level = Annotated[str, typer.Option(metavar="NAME", help="halted, or reduce_only: only orders that reduce a position.")]
Changes = Annotated[
    list[str], typer.Argument(metavar="KEY=VALUE...", help="null means no limit; restricted takes A,B,C.")
]


def mark(symbol: SymbolArgument, price: MarkPrice, *, options: TimedCommandOptions) -> None:
    """
    Record the mark price of a symbol.

    For example:

        oms mark ACME 50.12
    """

    async def run(oms: OrderManagementSystem) -> int:
        await oms.record_mark(symbol, price, **options.recorded())
        return oms.sequencer.state.seq

    seq = options.carry_out(run)
    if options.as_json:
        show_json({"symbol": symbol, "price": decimal(price), "seq": seq})
    else:
        print_message(f"mark of {symbol} recorded (seq {seq})")


def instrument(
    symbol: SymbolArgument,
    multiplier: Multiplier = None,
    currency: Currency = None,
    base: Base = None,
    quote: Quote = None,
    quantity_step: Step = None,
    price_step: Step = None,
    min_quantity: Least = None,
    *,
    options: CommandOptions,
) -> None:
    """
    Show or set the terms of a symbol's instrument.

    The terms are its multiplier, currency, base asset, steps and minimum quantity.

    Values that the command does not name stay as they are.

    For example:

        oms instrument CLZ4 --multiplier 1000 --currency USD
    """
    name = identifier(symbol, "symbol")
    named = {
        "multiplier": multiplier,
        "currency": currency,
        "base": base,
        "quote": quote,
        "quantity_step": quantity_step,
        "price_step": price_step,
        "min_quantity": min_quantity,
    }
    changes = {key: value for key, value in named.items() if value is not None}

    async def run(oms: OrderManagementSystem) -> Row:
        before = oms.sequencer.state.positions.instrument(name)
        await oms.define_instrument(name, **{**asdict(before), **changes}, **options.recorded())
        return _instrument_row(name, oms.sequencer.state.positions, oms.sequencer.state.seq)

    if not changes:
        with options.open() as opened:
            basis = opened.queries.basis(AsOf())
            _show_instrument(_instrument_row(name, opened.queries.positions(basis), basis.seq), options)
            check_filter(opened, {"symbol": name}, allow_empty=True)  # it shows the assumptions for any symbol
    else:
        _show_instrument(options.carry_out(run), options)


def _show_instrument(row: Row, options: CommonOptions) -> None:
    if options.as_json:
        show_json(row)
    else:
        show_table(INSTRUMENTS, [row])
        money = f"{text(row['multiplier'])} {row['currency']}"
        print_message(f"one price unit of {row['symbol']} is worth {money} (seq {row['seq']})")


def _instrument_row(symbol: str, positions: Positions, seq: int) -> Row:
    return {"symbol": symbol, **asdict(positions.instrument(symbol)), "seq": seq}


def halt(level: Level = "halted", account: Scope = None, reason: Reason = "", *, options: CommandOptions) -> None:
    """
    Halt trading: new orders are rejected.

    Cancels and fills are always accepted. In force is the stricter of the account's own level and the level of every
    account.

    For example:

        oms halt --reason "feed is stale"

        oms halt --level reduce_only --account alpha
    """
    _change_level(options, account, lambda oms: oms.halt(level, account=account, reason=reason, **options.recorded()))


def resume(account: Scope = None, reason: Reason = "", *, options: CommandOptions) -> None:
    """
    Resume trading after a halt.

    An account remains halted while every account is halted, or by its own level after every account is resumed.

    For example:

        oms resume --reason "feed is back"
    """
    _change_level(options, account, lambda oms: oms.resume(account=account, reason=reason, **options.recorded()))


def _change_level(
    options: CommandOptions, account: str | None, change: Callable[[OrderManagementSystem], Awaitable[None]]
) -> None:
    """Change the trading level of an account, or of every account, and print the level in force."""

    async def run(oms: OrderManagementSystem) -> Row:
        print_if_new(oms.sequencer.state, account)
        await change(oms)
        state = oms.sequencer.state
        return level_row(state.policies, oms.log, account or EVERY_ACCOUNT, state.seq)

    (show_json if options.as_json else print_level)(options.carry_out(run))


# --- limits ---


def limits(
    context: typer.Context, account: Scope = None, allow_empty: AllowEmpty = False, *, query: KnownAtQuery
) -> None:
    """
    Show the limits in force, now or at any moment.

    `oms limits set` changes them.

    For example:

        oms limits --account alpha --known-at 2024-03-15T14:30:00Z

        oms limits set max_position_size=500 max_daily_loss=null
    """
    if context.invoked_subcommand is not None:
        return
    scope = None if account in (None, EVERY_ACCOUNT) else checked_account(account, "--account")
    with query.open_at() as (opened, basis):
        policies = opened.queries.policies(0).replay(opened.log.read(until=basis.seq, topics=Policies.topics()))
        rows = limit_rows(policies, scope if account != EVERY_ACCOUNT else EVERY_ACCOUNT)
        if query.as_json:
            show_rows_json({"basis": basis.rows()}, "limits", rows)
        else:
            show_table(LIMITS, [line for row in rows for line in _lines(row)])
        print_basis(opened, basis, "limits in force")
        for each in (level_row(policies, opened.log, row["account"], basis.seq) for row in rows):
            if each["because"] is not None:
                print_because(each)
        if not policies.is_set:
            print_message(
                "nothing is limited: no command has recorded a policy; the first command records that of the settings"
            )
        elif lacks_limits(policies):
            print_message("no order was judged yet: the first one records the other limits of the settings")
        check_filter(opened, {"account": scope}, allow_empty=allow_empty)


def _lines(row: Row) -> list[Row]:
    values = {"level": row["level"], **row["values"]}
    return [{"account": row["account"], "key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: object) -> str:
    return ", ".join(value) or "-" if isinstance(value, list | tuple) else plainly(value)


def set_limits(changes: Changes, account: Scope = None, reason: Reason = "", *, options: CommandOptions) -> None:
    """
    Change risk limits.

    They are in force until the next change.

    For example:

        oms limits set max_position_size=250 --reason "half a day"
    """
    values: dict[str, Any] = dict(map(_change, changes))
    if len(values) < len(changes):
        raise InvalidInput("a limit is named twice")

    async def run(oms: OrderManagementSystem) -> tuple[int, Row]:
        print_if_new(oms.sequencer.state, account)
        await oms.set_limits(account=account, reason=reason, **options.recorded(), **values)
        state = oms.sequencer.state
        (row,) = limit_rows(state.policies, account or EVERY_ACCOUNT)
        return state.seq, row

    seq, row = options.carry_out(run)
    if options.as_json:
        show_json({**row, "seq": seq})
    else:
        show_table(LIMITS, [line for line in _lines(row) if line["key"] in values])
        print_message(f"these limits changed (seq {seq})")


def _change(change: str) -> tuple[str, Value]:
    name, equals, value = change.partition("=")
    if not equals:
        raise InvalidInput(f"{shown(change)} is not a change of a limit; expected KEY=VALUE like max_position_size=500")
    path = path_of(name)
    if not value:
        raise InvalidInput(f"{shown(change)} has no value; null means no limit")
    is_null = value in ("null", "none")
    if path == "risk.restricted":
        return path, [] if is_null else [symbol for symbol in value.split(",") if symbol]
    return path, None if is_null else value
