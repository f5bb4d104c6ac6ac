"""
An order management system for trading on top of an append-only event log.

    oms = OrderManagementSystem()
    order = await oms.submit_order("ADAUSDM", OrderSide.BUY, OrderType.LIMIT, Decimal("100"), Decimal("0.45"))
"""

from oms_es.api.oms import OrderManagementSystem
from oms_es.api.risk_manager import RiskManager
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
    "InvalidInput",
    "InvalidTransition",
    "LogError",
    "OMSOrder",
    "OmsError",
    "OrderManagementSystem",
    "OrderRejected",
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
