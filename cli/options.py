"""Options that commands share, alone and in bundles; one before the command (`oms --log day.db orders`) counts too."""

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar, get_type_hints

import typer
from msgspec.structs import replace

from oms_es.cli.context import OpenLog, carry_out, open_log
from oms_es.cli.log_options import ConfigPath, LogPath, or_group_option
from oms_es.errors import InvalidInput
from oms_es.identifiers import account as checked_account
from oms_es.identifiers import identifier, shown
from oms_es.queries.queries import AsOf, Basis
from oms_es.timestamps import instant
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


Json: TypeAlias = Annotated[bool, typer.Option("--json", callback=or_group_option, help="Print JSON.")]

AsOfTime: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="INSTANT", help="Event time, with everything known now: 2012-06-21T13:45:00Z."),
]
KnownAt: TypeAlias = Annotated[
    str | None, typer.Option(metavar="INSTANT", help="Recording time: what the log contained then; goes with --as-of.")
]
AtSeq: TypeAlias = Annotated[int | None, typer.Option(metavar="N", help="What the log contained after event N.")]
OfSymbol: TypeAlias = Annotated[
    str | None,
    typer.Option("--symbol", metavar="NAME", callback=checked(identifier, "--symbol"), help="Only this symbol."),
]
OfAccount: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--account", metavar="NAME", callback=checked(checked_account, "--account"), help="Only this account."
    ),
]
OfDay: TypeAlias = Annotated[
    str | None,
    typer.Option("--day", metavar="YYYY-MM-DD", callback=checked(trading_day, "--day"), help="Only this trading day."),
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
        """Run `act` on the log, report its result, and return it."""
        return carry_out(self.log, self.config, act, report)


@dataclass(frozen=True, kw_only=True)
class CommonOptions(LogOptions):
    """The log, and the form of the answer."""

    as_json: Json = False


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
class KnownAtQuery(CommonOptions):
    """A query by recording time, or by seq."""

    known_at: KnownAt = None
    at_seq: AtSeq = None

    def moment(self) -> AsOf:
        """Return the moment that the options name."""
        if self.at_seq is not None and self.known_at is not None:
            raise InvalidInput("--at-seq and --known-at name the same moment in two ways; give one of them")
        if self.at_seq is not None and self.at_seq < 0:
            raise InvalidInput(f"--at-seq: {self.at_seq} is negative; the first event has seq 1")
        known_at = None if self.known_at is None else instant(self.known_at, "--known-at")
        return AsOf(known_at=known_at, at_seq=self.at_seq)

    @contextmanager
    def open_at(self, method: CostMethod | None = None) -> Iterator[tuple[OpenLog, Basis]]:
        """Open the log; yield it, and the basis of an answer at the moment of the query."""
        moment = self.moment()
        with self.open() as opened:
            yield opened, opened.queries.basis(moment, method)


@dataclass(frozen=True, kw_only=True)
class AsOfQuery(KnownAtQuery):
    """A query by event time, by recording time, or by seq."""

    as_of: AsOfTime = None

    def moment(self) -> AsOf:
        """Return the moment that the options name."""
        known = super().moment()
        return known if self.as_of is None else replace(known, as_of=instant(self.as_of, "--as-of"))


@dataclass(frozen=True, kw_only=True)
class AccountFilter:
    """Only the rows of an account."""

    account: OfAccount = None
    allow_empty: AllowEmpty = False

    @property
    def names(self) -> dict[str, str | None]:
        """Return what the filter names, by kind."""
        return {"account": self.account}


@dataclass(frozen=True, kw_only=True)
class Filter(AccountFilter):
    """Only the rows of a symbol and an account."""

    symbol: OfSymbol = None

    @property
    def names(self) -> dict[str, str | None]:
        """Return what the filter names, by kind."""
        return {"symbol": self.symbol, "account": self.account}


@dataclass(frozen=True, kw_only=True)
class AccountQuery(AsOfQuery, AccountFilter, CommonOptions):
    """A query for the rows of an account."""


@dataclass(frozen=True, kw_only=True)
class SymbolQuery(AccountQuery, Filter):
    """A query for the rows of a symbol and an account."""


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
