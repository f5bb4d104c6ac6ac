"""Questions that explain: what days brought, how a position came about, what differs, and why."""

from decimal import Decimal

import pytest

from tests.cli.test_cli import Oms


@pytest.mark.parametrize("method", ["fifo", "lifo", "average"])
def test_pnl_of_all_days_adds_up_to_the_positions(golden: Oms, method: str) -> None:
    days = golden.json(f"pnl --method {method}")["days"]
    held = golden.json(f"positions --method {method}")["positions"]

    for key in ("realized_pnl", "gross_realized_pnl", "fees"):
        assert sum(Decimal(row[key]) for row in days) == sum(Decimal(row[key]) for row in held)


def test_history_shows_busts_and_corrections_as_changes_of_their_own_unless_as_of_a_moment(golden: Oms) -> None:
    recorded = golden.json("history ALFA")["changes"]
    true = golden.json("history ALFA --as-of 2024-03-05T23:00:00Z")["changes"]

    assert {row["event"] for row in recorded} == {"FillAdded", "FillBusted", "FillCorrected"}
    assert {row["event"] for row in true} == {"FillAdded"}
    assert true == sorted(true, key=lambda row: row["occurred_at"])
    assert true[-1]["quantity"] == recorded[-1]["quantity"] == golden.held()["ALFA"]


@pytest.mark.parametrize("method", ["fifo", "lifo", "average"])
@pytest.mark.parametrize("moment", ["", "--as-of 2024-03-05T09:30:00Z", "--at-seq 30"])
def test_why_position_shows_lots_and_matches_that_add_up_to_the_position(golden: Oms, method: str, moment: str) -> None:
    (why,) = golden.json(f"why position ALFA --method {method} {moment}")["positions"]
    (held,) = golden.json(f"positions --symbol ALFA --method {method} {moment}")["positions"]

    def total(rows: str, key: str) -> Decimal:
        return sum((Decimal(row[key]) for row in why[rows]), Decimal(0))

    assert why["adds_up"] is True
    assert total("lots", "quantity") == Decimal(held["quantity"]) == Decimal(why["quantity"])
    assert total("lots", "cost") == Decimal(held["cost_basis"])
    assert total("matches", "realized_pnl") - total("fees_paid", "fee") == Decimal(held["realized_pnl"])


def test_why_ends_with_1_where_parts_do_not_add_up_or_checks_give_another_result(
    day: Oms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oms_es.queries.explain._lot_row", lambda *_: {"quantity": Decimal(1), "cost": Decimal(1)})
    assert day.json("why position ADA", code=1)["positions"][0]["adds_up"] is False

    day("submit ADA buy limit 20000 10 --order-id o-2", code=1)
    monkeypatch.setattr("oms_es.domain.risk_checks.violations", lambda *_: ())
    assert day.json("why order o-2", code=1)["verdicts"][0]["agrees"] is False
    told = day("why order o-2", code=1).stderr
    assert "THE CHECKS GIVE ANOTHER RESULT NOW" in told
    assert "now:      accepted" in told
