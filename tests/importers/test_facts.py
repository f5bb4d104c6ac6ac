"""Facts: each kind has its effect, a repeated import adds nothing, and a fact that breaks a rule is quarantined."""

import json
from pathlib import Path

import pytest

from oms_es import OrderState
from oms_es.timestamps import instant
from oms_es.vocabulary import Origin
from tests.desk import D, desk, digest_of, order_of, position_of, ruled, submit, these
from tests.importers.importing import DAY, Oms, facts, imported


async def test_every_kind_of_fact_has_its_effect(oms: Oms, file: Path) -> None:
    told = await imported(oms, file, *facts("""
        mark X 10.5; submit a 100@10; submit b 100@11 side=sell; submit c 100; fill a 40@10 fee=0.1; reduce a 20;
        replace b 120@10.9; cancel c
    """))  # fmt: skip

    assert (told.facts, told.orders, told.fills, told.marks) == (8, 3, 1, 1)
    assert (told.skipped, told.quarantined, told.refused, told.problems) == (0, 0, 0, [])
    assert (told.first_seq, told.last_seq) == (1, oms.log.head().seq)
    assert told.events == oms.log.head().seq
    a, b, c = (order_of(oms, name) for name in "abc")
    assert these(a.state, a.quantity, a.filled_quantity, a.open_quantity) == (OrderState.WORKING, 80, 40, 40)
    assert these(b.state, b.quantity, b.price) == (OrderState.WORKING, 120, D("10.9"))
    assert these(c.state, c.price, c.open_quantity) == (OrderState.CANCELLED, None, 0)
    position = position_of(oms, "X")
    assert these(position.quantity, position.mark_price, position.fees) == (40, D("10.5"), D("0.1"))


async def test_the_times_of_an_import_are_the_files(path: Path, file: Path) -> None:
    async with desk(path, settings=ruled(day={"timezone": "America/New_York", "roll": "17:00"})) as oms:
        await oms.record_mark("Y", 1)
        await imported(oms, file, *facts("""
            submit a 100@10 ts=2012-06-21T13:30:00.154178213Z; fill a 100@10 ts=2012-06-21T12:00:00+05:30;
            cancel b ts=2012-06-22T22:00:00Z; submit z 100@10 ts=2012-06-21T21:30:00Z
        """))  # fmt: skip
        found = list(oms.log.read(after=2))
        first = instant("2012-06-21T13:30:00.154178213Z")
        assert {r.origin for r in found} == {Origin.IMPORT}
        assert found[0].occurred_at == first
        fill = next(r for r in found if type(r.event).__name__ == "FillAdded")
        assert fill.occurred_at == instant("2012-06-21T06:30:00Z")
        assert fill.effective_at == first, "no fill is effective before its order was submitted"
        assert [found[0].trading_day, found[-1].trading_day] == ["2012-06-20", "2012-06-21"]
        assert found[-1].recorded_at > instant("2025-01-01T00:00:00Z")


async def test_facts_with_one_timestamp_keep_the_order_of_the_file(oms: Oms, file: Path) -> None:
    await imported(oms, file, *facts("""
        9: submit b 10@10; 5: submit a 10@10 side=sell; 7: fill b 10@1; 3: fill a 10@3; 1: mark X 1; 1: mark X 2
    """))  # fmt: skip

    assert [r.event.order_id for r in oms.log.read(topics=["FillAdded"])] == ["b", "a"]  # type: ignore[attr-defined]
    for position in (oms.get_position("X"), *oms.positions(as_of="2012-06-21T13:30:00Z")):
        assert position is not None
        assert these(position.realized_pnl, position.mark_price) == (20, 2)


@pytest.mark.parametrize(("changes", "state", "quantity", "open_quantity"), [
    ("reduce a 30", "working", 70, 30),
    ("reduce a 60", "filled", 40, 0),
    ("replace a 70", "working", 70, 30),
    ("replace a 500", "working", 500, 460),
    ("replace a 40", "filled", 40, 0),
    ("replace a 10", "filled", 40, 0),
    ("replace a @99", "working", 100, 60),
    ("reduce a 30; 4: reduce a 30", "filled", 40, 0),
])  # fmt: skip
async def test_reduce_takes_off_what_is_open_and_replace_sets_the_new_total(
    oms: Oms, file: Path, changes: str, state: str, quantity: int, open_quantity: int
) -> None:
    told = await imported(oms, file, *facts(f"submit a 100@10; fill a 40@10; 3: {changes}"))

    assert told.problems == []
    found = order_of(oms, "a")
    assert these(found.state.value, found.quantity, found.open_quantity) == (state, quantity, open_quantity)


async def test_an_order_that_is_reduced_to_nothing_is_cancelled(oms: Oms, file: Path) -> None:
    await imported(oms, file, *facts("submit a 100@10; reduce a 100"))

    assert order_of(oms, "a").state is OrderState.CANCELLED


async def test_history_is_judged_neither_by_limits_nor_by_the_price_band(oms: Oms, file: Path) -> None:
    await submit(oms, "o-1")
    await oms.halt()

    told = await imported(oms, file, *facts("submit a 99999@10; fill a 99999@0.01; submit b 1@10; replace b 99999"))

    assert (told.orders, told.fills, told.quarantined, told.problems) == (2, 1, 0, [])


async def test_an_account_is_in_the_fact_or_comes_from_the_caller(oms: Oms, file: Path) -> None:
    lines = facts("submit a 100@10; submit a 100@10 account=b; fill a 100@10 account=b")

    await imported(oms, file, *lines, account="house")

    assert [order_of(oms, "a", account).filled_quantity for account in ("house", "b")] == [0, 100]


async def test_a_prefix_keeps_ids_apart_that_repeat_every_day(oms: Oms, file: Path) -> None:
    day = facts("submit a 100@10; fill a 10@10")
    await imported(oms, file, *day, id_prefix="mon-")
    again = await imported(oms, file, *day, id_prefix="tue-")
    clash = await imported(oms, file, *facts("submit a 100@12"), id_prefix="tue-")

    assert (again.orders, again.fills, again.skipped) == (1, 1, 0)
    assert (clash.refused, clash.events) == (1, 0)
    assert "id-prefix" in clash.problems[0].why
    assert sorted(each.order_id for each in oms.get_all_orders()) == ["mon-a", "tue-a"]


async def test_importing_again_adds_nothing(path: Path, file: Path) -> None:
    async with desk(path) as oms:
        first = await imported(oms, file, *DAY)
        head = oms.log.head()
        assert (first.facts, first.skipped, first.quarantined) == (10, 0, 2)
        again = await imported(oms, file, *DAY)
        assert (again.facts, again.skipped, again.events) == (10, 10, 0)
        assert (again.first_seq, again.last_seq) == (None, None)
    async with desk(path) as oms:
        assert (await imported(oms, file, *DAY)).skipped == 10
        assert oms.log.head() == head


async def test_a_fact_is_known_by_its_content_and_not_by_its_file_or_its_spelling(
    oms: Oms, file: Path, tmp_path: Path
) -> None:
    await imported(oms, file, *DAY)
    head = oms.log.head()
    respelled = [json.dumps(dict(reversed(json.loads(line).items())), separators=(", ", " :")) for line in DAY]

    told = await imported(oms, tmp_path / "other.jsonl", *respelled, "", "   ")

    assert told.skipped == 10
    assert oms.log.head() == head


async def test_a_fact_twice_in_one_file_counts_once_and_one_with_another_seq_twice(oms: Oms, file: Path) -> None:
    told = await imported(oms, file, *facts("""
        1: submit a 100@10; 1: submit a 100@10; 2: fill a 30@10; 2: fill a 30@10; 3: fill a 10@10 trade_id=-;
        4: fill a 10@10 trade_id=-
    """))  # fmt: skip

    assert (told.facts, told.orders, told.fills, told.skipped) == (6, 1, 3, 2)
    assert order_of(oms, "a").filled_quantity == 50


async def test_a_file_that_has_grown_is_imported_from_where_it_grew(path: Path, file: Path) -> None:
    async with desk(path) as oms:
        await imported(oms, file, *DAY[:4])
        told = await imported(oms, file, *DAY)
        assert (told.skipped, told.facts) == (4, 10)
    async with desk(path.with_name("whole.db")) as whole:
        await imported(whole, file, *DAY)
        assert whole.sequencer.state.digest() == digest_of(path)


async def test_a_fill_that_breaks_a_rule_is_quarantined_counted_and_listed_with_its_line(oms: Oms, file: Path) -> None:
    first, *others = facts("""
        submit a 100@10; fill a 101@10; fill a 60@10 trade_id=t; fill a 61@10 trade_id=t; fill nobody's 100@10;
        fill nobody's 100@10 symbol=X
    """)
    told = await imported(oms, file, first, "", *others)

    assert (told.fills, told.quarantined, told.refused) == (1, 4, 0)
    assert [(p.line, p.seq, p.kind, p.why) for p in told.problems] == [
        (3, 2, "fill", "overfill"), (5, 4, "fill", "conflict"), (6, 5, "fill", "unknown_order"),
        (7, 6, "fill", "unknown_order"),
    ]  # fmt: skip
    waiting = {each.fill.quarantine_id for each in oms.sequencer.state.orders.all_waiting()}
    assert {p.quarantine_id for p in told.problems} == waiting
    assert order_of(oms, "a").filled_quantity == 60
    assert oms.get_portfolio_summary()["quarantined"] == 4


async def test_a_fill_with_symbol_and_side_opens_an_external_order(oms: Oms, file: Path) -> None:
    told = await imported(oms, file, *facts("fill theirs 5@10 symbol=X side=sell; fill theirs 7@10 symbol=X side=sell"))

    assert (told.orders, told.fills, told.quarantined) == (1, 2, 0)
    found = order_of(oms, "theirs")
    assert these(found.external, found.quantity, found.filled_quantity, found.open_quantity) == (True, 12, 12, 0)
    assert oms.get_open_orders() == []


async def test_any_other_fact_that_cannot_be_is_listed_and_the_rest_goes_on(oms: Oms, file: Path) -> None:
    told = await imported(oms, file, *facts("""
        cancel nobody's; submit a 100@10; submit a 100@11; reduce a 101; cancel a; cancel a; mark X 1;
        fill a 10@10 trade_id=late
    """))  # fmt: skip

    assert [(p.line, p.kind) for p in told.problems] == [(1, "cancel"), (3, "submit"), (4, "reduce")]
    assert all(p.quarantine_id is None and p.why for p in told.problems)
    assert (told.refused, told.skipped, told.orders, told.marks, told.fills) == (3, 1, 1, 1, 1)
    assert (order_of(oms, "a").state, order_of(oms, "a").fills[0]["late"]) == (OrderState.CANCELLED, True)
