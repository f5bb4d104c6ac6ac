"""What the tests of the importers share."""

from pathlib import Path

from oms_es import OMSOrder, OrderManagementSystem
from oms_es.importers.importer import Imported
from tests.desk import fact, facts_file, filled, submitted, take_in

Oms = OrderManagementSystem


async def imported(oms: Oms, file: Path, *facts: str, **defaults: str) -> Imported:
    return await take_in(oms, facts_file(file, *facts), **defaults)


def order(oms: Oms, order_id: str, account: str | None = None) -> OMSOrder:
    found = oms.get_order(order_id, account=account)
    assert found is not None
    return found


DAY = (
    submitted(1), filled(2, qty="40"), filled(3, qty="40", trade_id=None), fact(4, "reduce", order_id="a", qty="10"),
    fact(5, "replace", order_id="a", price="11"), fact(6, "cancel", order_id="a"),
    fact(7, "mark", symbol="X", price="9"), filled(8, qty="500", trade_id="too much"), filled(9, "nobody's"),
    filled(10, "theirs", symbol="X", side="sell"),
)  # fmt: skip
