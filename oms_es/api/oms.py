"""`OrderManagementSystem`: what a trading bot embeds."""

from oms_es.api.fills import FillMethods
from oms_es.api.limits import LimitMethods
from oms_es.api.orders import OrderMethods
from oms_es.api.queries import QueryMethods


class OrderManagementSystem(OrderMethods, FillMethods, LimitMethods, QueryMethods):
    """
    Orders, fills, positions and limits over one log; usable at once, and without a close.

    Args:
        settings: a path, or `Settings`; default: $OMS_CONFIG, or ./oms.yaml where there is one.
        log: a path, or a log; default: $OMS_LOG, or the settings' `log.path` (oms.db).
        clock: returns the time now in ns UTC; default: the system's.

    Every command is durable (fsync) when its await returns. Quantities and prices are Decimal, int or decimal text,
    never float. Errors are those of `oms_es.errors`; a refused order raises `OrderRejected`, a `ValueError`.
    """
