"""Fees: in the instrument's currency, in its base asset, in a third currency (design, section 6)."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms_es import OrderManagementSystem
from oms_es.decimals import ZERO, minus, plus, times
from oms_es.domain.commands import AddFill, BustFill, CorrectFill, DefineInstrument, SubmitOrder
from oms_es.log.memory import MemoryLog
from oms_es.vocabulary import CostMethod, OrderSide, OrderType
from tests.builders import METHODS, Desk, num
from tests.desk import FREE

Trade = tuple[OrderSide, Decimal, Decimal, Decimal, str]  # side, quantity, price, fee, its currency
_quantities = st.sampled_from(["1", "3", "0.7", "52.8", "7"]).map(num)
_prices = st.sampled_from(["0.28397", "3", "1", "0.3"]).map(num)
_fees = st.sampled_from(["0", "0.0528", "0.3", "-0.1", "0.001"]).map(num)
_currencies = st.sampled_from(["", "AAA", "AAA", "USD", "BNB"])
_fills = st.tuples(st.sampled_from(OrderSide), _quantities, _prices, _fees, _currencies)
_changes = st.lists(st.tuples(st.integers(0, 9), st.booleans(), _quantities), max_size=3)


@pytest.mark.parametrize("method", METHODS)
def test_realized_minus_cost_basis_is_the_cash_received_also_with_fees_in_the_base_asset(method: CostMethod) -> None:
    @settings(max_examples=25)
    @given(st.lists(_fills, min_size=1, max_size=10), _changes)
    def holds(
        fills: list[tuple[OrderSide, Decimal, Decimal, Decimal, str]], changes: list[tuple[int, bool, Decimal]]
    ) -> None:
        desk = Desk(method)
        desk.perform(DefineInstrument(symbol="AAA", multiplier=num("1"), currency="USD", base="AAA"))
        booked: dict[str, Trade] = {}
        for number, (side, quantity, price, fee, currency) in enumerate(fills):
            name = f"o-{number}"
            desk.perform(
                SubmitOrder(order_id=name, symbol="AAA", side=side, order_type=OrderType.MARKET, quantity=num("100"))
            )
            desk.perform(
                AddFill(
                    order_id=name, fill_quantity=quantity, fill_price=price, trade_id="t", fee=fee,
                    fee_currency=currency,
                )
            )  # fmt: skip
            booked[name] = (side, quantity, price, fee, currency)
        for number, is_bust, new_quantity in changes:
            name = f"o-{number % len(fills)}"
            if name in booked and is_bust:
                desk.perform(BustFill(order_id=name, trade_id="t"))
                del booked[name]
            elif name in booked:
                desk.perform(CorrectFill(order_id=name, trade_id="t", fill_quantity=new_quantity))
                side, _, price, fee, currency = booked[name]
                booked[name] = (side, new_quantity, price, fee, currency)
        cash = held = own = ZERO
        for side, quantity, price, fee, currency in booked.values():
            cash = minus(cash, times(side.sign * quantity, price))
            held = plus(held, side.sign * quantity)
            held = minus(held, fee) if currency == "AAA" and abs(fee) < quantity else held
            own = plus(own, fee) if currency in ("", "USD") else own
        (position,) = desk.state.positions.held.values()

        assert minus(position.gross, position.cost_basis) == cash
        assert (position.quantity, position.fees) == (held, own)

    holds()


async def test_a_fee_in_the_base_asset_of_a_buy_leaves_less_to_sell() -> None:
    async with OrderManagementSystem(FREE, log=MemoryLog()) as oms:
        await oms.define_instrument("DNTUSDT", base="DNT", quote="USDT")
        await oms.submit_order("DNTUSDT", "buy", "limit", "52.8", "0.28397", "o-1")
        order = await oms.add_fill("o-1", "52.8", "0.28397", "t1", "0.0528", fee_currency="DNT", liquidity="taker")
        position = oms.get_position("DNTUSDT")

        assert position is not None
        assert (str(position.quantity), str(position.cost_basis)) == ("52.7472", "14.993616")
        assert (position.currency, position.fees, position.other_fees) == ("USDT", ZERO, {"DNT": num("0.0528")})
        assert (order.fees, order.other_fees) == (ZERO, {"DNT": num("0.0528")})
        assert (order.fills[0]["fee_currency"], order.fills[0]["liquidity"]) == ("DNT", "taker")
        await oms.submit_order("DNTUSDT", "sell", "limit", "52.7", "0.27805", "o-2", reduce_only=True)
        await oms.add_fill("o-2", "52.7", "0.27805", "t2", "0.014653235", fee_currency="USDT")
        position = oms.get_position("DNTUSDT")
        assert position is not None
        assert (str(position.quantity), str(position.fees)) == ("0.0472", "0.014653235")


async def test_a_fee_that_is_reported_later_has_its_currency_and_the_bust_returns_it() -> None:
    async with OrderManagementSystem(FREE, log=MemoryLog()) as oms:
        await oms.define_instrument("X", base="XX", currency="EUR")
        await oms.submit_order("X", "buy", "limit", 10, 1, "o-1")
        await oms.add_fill("o-1", 10, 1, "t1")
        await oms.add_fill("o-1", 10, 1, "t1", "0.5", fee_currency="XX")
        held = oms.get_position("X")
        assert held is not None
        assert (str(held.quantity), held.other_fees) == ("9.5", {"XX": num("0.5")})

        await oms.bust_fill("o-1", "t1")
        held = oms.get_position("X")
        assert held is not None
        assert (held.quantity, held.other_fees) == (ZERO, {})
