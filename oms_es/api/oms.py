"""`OrderManagementSystem`, for embedding in a trading bot."""

from oms_es.api.fills import FillMethods
from oms_es.api.limits import LimitMethods
from oms_es.api.orders import OrderMethods
from oms_es.api.queries import QueryMethods
from oms_es.api.reports import ReportMethods


class OrderManagementSystem(OrderMethods, FillMethods, ReportMethods, LimitMethods, QueryMethods):
    """
    Orders, fills, positions and limits over one log; usable at once, closing is optional.

    Args:
        settings: a path, or `Settings`; default: $OMS_CONFIG, or ./oms.yaml if it exists.
        log: a path, or a log; default: $OMS_LOG, or the settings' `log.path` (oms.db).
        clock: returns the current time in ns UTC; default: the system clock.

    Every command is durable (fsync) when its await returns. Quantities and prices are Decimal, int or decimal text,
    never float. Errors are those of `oms_es.errors`; a rejected order raises `OrderRejected`, a `ValueError`.
    """
