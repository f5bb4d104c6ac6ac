"""The context of a decision, and the event of a state change."""

from decimal import Decimal

from msgspec import Struct

from oms_es.decimals import ONE
from oms_es.domain.commands import OrderCommand
from oms_es.domain.contents import Content
from oms_es.domain.events import StateChanged
from oms_es.domain.order import Order
from oms_es.domain.order_fills import QuarantinedFill
from oms_es.domain.policy import DECISION_RULES_VERSION
from oms_es.vocabulary import OrderState, Origin


class DecisionContext(Struct, frozen=True, kw_only=True):
    """Everything that a decision depends on, besides the command and the order."""

    origin: Origin = Origin.COMMAND
    rules: int = DECISION_RULES_VERSION  # the version of the decision rules
    violations: tuple[str, ...] = ()  # the limits that the command would break
    price_band: Decimal | None = None  # fraction of the reference price; None: no check
    price_band_floor: Decimal = ONE  # the band is at least this wide; quote units
    accept_exceptions: bool = False  # fills.on_exception: accept
    mark: Decimal | None = None  # the last mark of the symbol
    multiplier: Decimal = ONE  # of the instrument
    currency: str = "USD"
    base: str = ""  # its base asset
    unknown_contents: frozenset[Content] = frozenset()  # of the fills reported under this order id without an order
    unknown_waiting: tuple[QuarantinedFill, ...] = ()  # those of them in quarantine
    unknown_count: int = 0  # number of fills of unknown orders that the account ever had
    is_ambiguous: bool = False  # several orders have this id, and not exactly one fits the fill
    external_order: Order | None = None  # the external order opened earlier under the venue's id in the command


def state_changed(
    command: OrderCommand,
    old: OrderState,
    new: OrderState,
    *,
    reason: str = "",
    reported: bool = False,
    violations: tuple[str, ...] = (),
    external_order_id: str | None = None,
    error_message: str | None = None,
    revived: bool = False,
) -> StateChanged:
    """Return the event of a state change."""
    return StateChanged(
        account=command.account,
        order_id=command.order_id,
        old=old,
        new=new,
        reason=reason,
        reported=reported,
        violations=violations,
        external_order_id=external_order_id,
        error_message=error_message,
        revived=revived,
        actor=command.actor,
    )
