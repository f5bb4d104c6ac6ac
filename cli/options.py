"""Options that commands share, alone and in bundles; one before the command (`oms --log day.db orders`) counts too."""

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar, get_type_hints

import typer
from msgspec.structs import replace

from oms_es.cli.context import OpenLog, open_log, place, print_quarantine_hint
from oms_es.cli.log_options import ConfigPath, LogPath, or_group_option
from oms_es.errors import InvalidInput
from oms_es.identifiers import account as checked_account
from oms_es.identifiers import identifier, shown
from oms_es.queries.filters import RowFilter
from oms_es.queries.moments import When, written
from oms_es.queries.queries import Basis
from oms_es.vocabulary import CostMethod

if TYPE_CHECKING:  # most commands only read, and need not wait for it
    from oms_es import OrderManagementSystem

T = TypeVar("T")


def trading_day(text: str, name: str) -> str:
    """Check that a text is a trading day; the error begins with `name`."""
    with suppress(ValueError):
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            return date.fromisoformat(text).isoformat()
    raise InvalidInput(f"{name}: {shown(text)} is not a day; expected ISO text like 2012-06-21")


def checked(check: Callable[[str, str], str], name: str) -> Callable[[str | None], str | None]:
    """Return a callback that checks the value of an option or an argument, if there is one."""

    def callback(value: str | None) -> str | None:
        return None if value is None else check(value, name)

    return callback


def each_checked(check: Callable[[str, str], str], name: str) -> Callable[[list[str] | None], list[str] | None]:
    """Return a callback that checks each value of an option that may be repeated; None for no value."""

    def callback(values: list[str] | None) -> list[str] | None:
        return [check(value, name) for value in values] if values else None

    return callback


Json: TypeAlias = Annotated[bool, typer.Option("--json", callback=or_group_option, help="Print JSON.")]

NoCache: TypeAlias = Annotated[
    bool, typer.Option("--no-cache", help="Answer from the log alone, not from the caches beside it.")
]

AsOfTime: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="MOMENT", help="Event time, with everything known now: 14:05, 2024-03-15, -5m, order:ID."),
]
KnownAt: TypeAlias = Annotated[
    str | None, typer.Option(metavar="MOMENT", help="Recording time: what the log contained then; goes with --as-of.")
]
AtSeq: TypeAlias = Annotated[int | None, typer.Option(metavar="N", help="What the log contained after event N.")]
Zone: TypeAlias = Annotated[
    str | None, typer.Option("--tz", metavar="ZONE", help="The zone of times [default: that of the log's trading day].")
]
From: TypeAlias = Annotated[
    str | None, typer.Option("--from", metavar="MOMENT", help="Only from this event time on; a date: from its start.")
]
To: TypeAlias = Annotated[
    str | None, typer.Option("--to", metavar="MOMENT", help="Only up to this event time; a date: to its end.")
]
Limit: TypeAlias = Annotated[
    int | None, typer.Option("--limit", metavar="N", help="Only the first N rows; -N: only the last N.")
]
Exact: TypeAlias = Annotated[
    bool, typer.Option("--exact", help="Every digit of averages, which tables show to ten digits.")
]
OfAccount: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--account", metavar="NAME", callback=checked(checked_account, "--account"), help="Only this account."
    ),
]
OfSymbols: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--symbol",
        metavar="NAME",
        callback=each_checked(identifier, "--symbol"),
        help="Only this symbol; may be repeated.",
    ),
]
OfAccounts: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--account",
        metavar="NAME",
        callback=each_checked(checked_account, "--account"),
        help="Only this account; may be repeated.",
    ),
]
Checkpoints: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option("--checkpoint", metavar="FILE", help="Signed checkpoints, stored elsewhere; repeatable."),
]
Verifiers: TypeAlias = Annotated[
    list[Path] | None, typer.Option("--key", metavar="FILE.pub", help="A verifier key of the checkpoints; repeatable.")
]
OfDay: TypeAlias = Annotated[
    str | None,
    typer.Option("--day", metavar="YYYY-MM-DD", callback=checked(trading_day, "--day"), help="Only this trading day."),
]
OfTags: TypeAlias = Annotated[
    list[str] | None, typer.Option("--tag", metavar="NAME=VALUE", help="Only orders with this tag; repeatable.")
]
AllowEmpty: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--allow-empty",
        help="Exit code 0 also for a name or day that the log does not contain, or an empty check.",
    ),
]
Method: TypeAlias = Annotated[
    str | None,
    typer.Option("--method", metavar="NAME", help="fifo, lifo or average [default: the one in the log's policy]."),
]
AnyMethod: TypeAlias = Annotated[
    str | None,
    typer.Option("--method", metavar="NAME", help="fifo, lifo, average or all [default: the one in the log's policy]."),
]

Every: TypeAlias = Annotated[
    str | None, typer.Option("--every", metavar="SPAN", help="A row at each point of a series, like 5m or 1h.")
]

SymbolArgument: TypeAlias = Annotated[str, typer.Argument(metavar="SYMBOL")]
OrderId: TypeAlias = Annotated[str, typer.Argument(metavar="ORDER", help="The order id, or the venue's order id.")]
Account: TypeAlias = Annotated[
    str | None, typer.Option("--account", metavar="NAME", help="The order's account, if several have this order id.")
]
Scope: TypeAlias = Annotated[
    str | None,
    typer.Option("--account", metavar="NAME", callback=or_group_option, help="The account [default: every account]."),
]
OccurredAt: TypeAlias = Annotated[
    str | None, typer.Option(metavar="INSTANT", help="When it happened, like 2012-06-21T13:45:00Z [default: now].")
]
CommandId: TypeAlias = Annotated[
    str | None, typer.Option(metavar="ID", help="Idempotency key: a repeated command is carried out once.")
]
Actor: TypeAlias = Annotated[
    str, typer.Option(metavar="NAME", help="Who gives the command; recorded in the log.", show_default=False)
]
Reason: TypeAlias = Annotated[
    str, typer.Option(metavar="TEXT", help="The reason; recorded in the log.", show_default=False)
]

# --- bundles ---


@dataclass(frozen=True, kw_only=True)
class LogOptions:
    """The paths of the log and of the settings."""

    log: LogPath = None
    config: ConfigPath = None

    def open(self) -> AbstractContextManager[OpenLog]:
        """Open the log for queries."""
        return open_log(self.log, self.config)

    def carry_out(
        self, act: "Callable[[OrderManagementSystem], Awaitable[T]]", report: Callable[[T], None] = lambda _: None
    ) -> T:
        """Run `act` on the log, close the log, report the result, and return it."""
        import asyncio  # noqa: PLC0415 - queries need neither

        from oms_es import OrderManagementSystem  # noqa: PLC0415

        settings, path = place(self.log, self.config)

        async def run() -> tuple[T, int]:
            async with OrderManagementSystem(settings, log=path) as oms:
                return await act(oms), len(oms.sequencer.state.orders.all_waiting())

        outcome, count = asyncio.run(run())
        report(outcome)
        print_quarantine_hint(count)
        return outcome


@dataclass(frozen=True, kw_only=True)
class CommonOptions(LogOptions):
    """The log, and the form of the answer."""

    as_json: Json = False


@dataclass(frozen=True, kw_only=True)
class QueryOptions(CommonOptions):
    """The log, the form of the answer, and whether caches beside the log are used."""

    no_cache: NoCache = False

    def open(self, timezone: str | None = None, *, archives: bool = False) -> AbstractContextManager[OpenLog]:
        """Open the log, or a day archive, for queries; times are in a zone, or in that of the log's trading day."""
        return open_log(self.log, self.config, timezone, cached=not self.no_cache, archives=archives)


@dataclass(frozen=True, kw_only=True)
class CommandOptions(CommonOptions):
    """The options that every command records beside its content."""

    command_id: CommandId = None
    actor: Actor = ""

    def recorded(self) -> dict[str, Any]:
        """Return the arguments of the API that these options are."""
        return {"command_id": self.command_id, "actor": self.actor}


@dataclass(frozen=True, kw_only=True)
class TimedCommandOptions(CommandOptions):
    """The same, for what has its own time at the venue."""

    occurred_at: OccurredAt = None

    def recorded(self) -> dict[str, Any]:
        """Return the arguments of the API that these options are."""
        return {**super().recorded(), "occurred_at": self.occurred_at}


@dataclass(frozen=True, kw_only=True)
class OrderCommandOptions(TimedCommandOptions):
    """The same, for a command on an order that exists."""

    account: Account = None

    def recorded(self) -> dict[str, Any]:
        """Return the arguments of the API that these options are."""
        return {**super().recorded(), "account": self.account}


@dataclass(frozen=True, kw_only=True)
class KnownAtQuery(QueryOptions):
    """A query by recording time, or by seq."""

    known_at: KnownAt = None
    at_seq: AtSeq = None
    tz: Zone = None

    def moment(self) -> When:
        """Return the moment that the options name."""
        if self.at_seq is not None and self.known_at is not None:
            raise InvalidInput("--at-seq and --known-at name the same moment in two ways; give one of them")
        if self.at_seq is not None and self.at_seq < 0:
            raise InvalidInput(f"--at-seq: {self.at_seq} is negative; the first event has seq 1")
        return When(known_at=written(self.known_at, "--known-at"), at_seq=self.at_seq)

    @contextmanager
    def open_at(self, method: CostMethod | None = None) -> Iterator[tuple[OpenLog, Basis]]:
        """Open the log; yield it, and the basis of an answer at the moment of the query."""
        moment = self.moment()
        with self.open(self.tz, archives=True) as opened:
            yield opened, opened.queries.basis(opened.moments.find(moment), method)


@dataclass(frozen=True, kw_only=True)
class AsOfQuery(KnownAtQuery):
    """A query by event time, by recording time, or by seq."""

    as_of: AsOfTime = None
    exact: Exact = False

    def moment(self) -> When:
        """Return the moment that the options name."""
        return replace(super().moment(), as_of=written(self.as_of, "--as-of"))


@dataclass(frozen=True, kw_only=True)
class AccountFilter:
    """Only the rows of an account."""

    account: OfAccount = None
    allow_empty: AllowEmpty = False


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Only the rows of some accounts."""

    account: OfAccounts = None
    allow_empty: AllowEmpty = False

    @property
    def names(self) -> dict[str, list[str] | None]:
        """Return what the filter names, by kind."""
        return {"account": self.account}

    def rows_at(self, opened: OpenLog) -> RowFilter:  # noqa: ARG002 - filters by time need the log
        """Return the filter without its limit, which is about the rows of the answer."""
        return RowFilter.of(symbol=self.names.get("symbol"), account=self.account)


@dataclass(frozen=True, kw_only=True)
class SymbolFilter(Filter):
    """Only the rows of some symbols and accounts."""

    symbol: OfSymbols = None

    @property
    def names(self) -> dict[str, list[str] | None]:
        """Return what the filter names, by kind."""
        return {"symbol": self.symbol, "account": self.account}


@dataclass(frozen=True, kw_only=True)
class SpanFilter(Filter):
    """Only the rows of a span of time, and only so many."""

    from_: From = None
    to: To = None
    limit: Limit = None

    def rows_at(self, opened: OpenLog) -> RowFilter:
        """Return the filter without its limit, which is about the rows of the answer."""
        start, end = written(self.from_, "--from", begins=True), written(self.to, "--to")
        return opened.moments.between(super().rows_at(opened), start, end)


@dataclass(frozen=True, kw_only=True)
class TaggedQuery(AsOfQuery):
    """A query about the orders with some tags, and their fills, alone."""

    tag: OfTags = None

    @contextmanager
    def open_at(self, method: CostMethod | None = None) -> Iterator[tuple[OpenLog, Basis]]:
        """Open the log, reduced to orders with the tags; yield it, and the basis of an answer."""
        tags = tags_from(self.tag)
        with super().open_at(method) as (opened, basis):
            yield opened._replace(queries=opened.queries.tagged(tags)), basis


def tags_from(texts: list[str] | None) -> dict[str, str]:
    """Return the tags of --tag options."""
    tags = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise InvalidInput(f"--tag: {shown(text)} is not NAME=VALUE")
        tags[name] = value
    return tags


@dataclass(frozen=True, kw_only=True)
class AccountQuery(TaggedQuery, Filter):
    """A query about some accounts."""


@dataclass(frozen=True, kw_only=True)
class SymbolQuery(TaggedQuery, SymbolFilter):
    """A query about some symbols and accounts."""


@dataclass(frozen=True, kw_only=True)
class AccountRowsQuery(AccountQuery, SpanFilter):
    """A query for rows with a time, of some accounts."""


@dataclass(frozen=True, kw_only=True)
class RowsQuery(SymbolQuery, SpanFilter):
    """A query for rows with a time, of some symbols and accounts."""


def expand_bundles(function: Callable[..., None]) -> Callable[..., None]:
    """Return `function` for typer: a parameter that is a bundle of options becomes one parameter per option."""
    hints = get_type_hints(function, include_extras=True)
    bundles = {name: hint for name, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint)}
    parameters = []
    for name, parameter in inspect.signature(function).parameters.items():
        found = _options_of(bundles[name]) if name in bundles else [parameter.replace(annotation=hints[name])]
        parameters += [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in found]

    @functools.wraps(function)
    def call(**values: Any) -> None:
        for name, bundle in bundles.items():
            values[name] = bundle(**{each.name: values.pop(each.name) for each in fields(bundle)})
        function(**values)

    call.__annotations__ = {each.name: each.annotation for each in parameters}
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return call


def _options_of(bundle: type[Any]) -> list[inspect.Parameter]:
    """Return the options of a bundle, its own before those that it inherits."""
    hints = get_type_hints(bundle, include_extras=True)
    own = {name: None for each in bundle.__mro__ for name in vars(each).get("__annotations__", ())}
    defaults = {each.name: each.default for each in fields(bundle)}
    kind = inspect.Parameter.KEYWORD_ONLY
    return [inspect.Parameter(name, kind, default=defaults[name], annotation=hints[name]) for name in own]
