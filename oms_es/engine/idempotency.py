"""Repeated commands: the same command id with the same content has the first outcome and appends nothing."""

from collections.abc import Collection

from msgspec.structs import replace

from oms_es.domain.command_of import command_of, same_content
from oms_es.domain.commands import Command, OrderCommand, Request, ResolveQuarantined
from oms_es.domain.events import Event
from oms_es.engine.command_result import CommandResult
from oms_es.errors import CommandConflict, HeadMoved
from oms_es.identifiers import shown
from oms_es.log.contract import Log
from oms_es.projections.state import State


def earlier_result(
    log: Log, state: State, request: Request, pending: dict[str, list[Event]], known: Collection[str]
) -> CommandResult | None:
    """
    Return the first outcome of a command that was carried out before; None when it is new.

    Args:
        log: the event store.
        state: the state of the decision.
        request: the command, with its id.
        pending: events by command id, of the commands decided before in the same batch.
        known: the ids of earlier commands in the log, of those in the batch.

    Raises:
        HeadMoved: another process carried it out, after the events that were applied here.
    """
    if not request.command_id:
        return None
    events = pending.get(request.command_id)
    if events is None and request.command_id not in known:
        return None
    if events is None:
        found = log.command(request.command_id)
        if found and found[-1].seq > state.committed_seq:  # another process has just carried it out
            raise HeadMoved(f"command {shown(request.command_id)} is in the log after seq {state.committed_seq}")
        events = [recorded.event for recorded in found]
    if not events:
        return None
    before = command_of(events)
    if not same_content(_with_first_name(state, request, before), before):
        raise CommandConflict(
            f"command {shown(request.command_id)} was carried out before with other content: "
            f"{type(before).__name__}, not this {type(request.command).__name__}"
        )
    return CommandResult(before, events, None, repeated=True)


def _with_first_name(state: State, request: Request, before: Command) -> Command:
    """Return the command with the order id of the first one, if the id used now may mean that order."""
    asked = request.command
    if not isinstance(asked, OrderCommand) or not isinstance(before, OrderCommand):
        return asked
    order = state.orders.order((before.account, before.order_id))
    names = {before.order_id, *(() if order is None else order.external_order_ids)}
    by_own_id = isinstance(asked, ResolveQuarantined) or request.drawn_id  # the order id is not part of the command
    if by_own_id or (asked.order_id in names and (request.any_account or asked.account == before.account)):
        account = before.account if isinstance(asked, ResolveQuarantined) or request.any_account else asked.account
        return replace(asked, account=account, order_id=before.order_id)
    return asked
