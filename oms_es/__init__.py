"""
An order management system for trading on top of an append-only event log.

    oms = OrderManagementSystem()
    order = await oms.submit_order("ADAUSDM", OrderSide.BUY, OrderType.LIMIT, Decimal("100"), Decimal("0.45"))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oms_es.api.oms import OrderManagementSystem
    from oms_es.api.risk_manager import RiskManager
    from oms_es.domain.reports import FillReport, OrderReport
    from oms_es.engine.settings import Settings
    from oms_es.errors import (
        AmbiguousOrder,
        CommandConflict,
        FillQuarantinedError,
        InvalidInput,
        InvalidTransition,
        LogError,
        OmsError,
        OrderRejected,
        SettingsError,
        UnknownFill,
        UnknownOrder,
        UnknownQuarantine,
    )
    from oms_es.projections.views import OMSOrder, Position
    from oms_es.vocabulary import CostMethod, OrderSide, OrderState, OrderType, TimeInForce, TradingLevel

__version__ = "0.1.0"
__all__ = [
    "AmbiguousOrder",
    "CommandConflict",
    "CostMethod",
    "FillQuarantinedError",
    "FillReport",
    "InvalidInput",
    "InvalidTransition",
    "LogError",
    "OMSOrder",
    "OmsError",
    "OrderManagementSystem",
    "OrderRejected",
    "OrderReport",
    "OrderSide",
    "OrderState",
    "OrderType",
    "Position",
    "RiskManager",
    "Settings",
    "SettingsError",
    "TimeInForce",
    "TradingLevel",
    "UnknownFill",
    "UnknownOrder",
    "UnknownQuarantine",
]

# A name is imported when it is used; the modules that import the least come first. `oms --help` needs none of them.
_MODULES = (
    "errors",
    "vocabulary",
    "domain.reports",
    "engine.settings",
    "projections.views",
    "api.risk_manager",
    "api.oms",
)


def __getattr__(name: str) -> Any:
    for module in _MODULES if name in __all__ else ():
        found = getattr(import_module(f"oms_es.{module}"), name, None)
        if found is not None:
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
