"""Names that do not occur in the log: answers say so and certify nothing; more in `sessions/assurance.txt`."""

from pathlib import Path

import pytest

from tests.builders import table
from tests.cli.command_line import Oms, on


@pytest.fixture
def named(oms: Oms, logs: dict[str, Path]) -> Oms:
    """Return a log in which alpha bought ADA (seq 2 to 5), and then zeta ordered BTC (seq 6 and 7)."""
    return on("names", oms, logs)


@pytest.mark.parametrize(("claim", "said"), [
    ('position("ADDA") <= 1000', "no symbol 'ADDA' up to seq 7 (did you mean 'ADA'?)"),
    ('position("ada") <= 1000', "no symbol 'ada' up to seq 7 (did you mean 'ADA'?)"),
    ('position("ADA", "alhpa") <= 1000', "no account 'alhpa' up to seq 7 (did you mean 'alpha'?)"),
    ('not mark("XRP") > 1', "no symbol 'XRP' up to seq 7 (did you mean 'ADA', 'BTC'?)"),
    ('not state("a-2") == "filled"', "no order 'a-2' up to seq 7 (did you mean 'a-1'?)"),
    ('not filled("a-1", "zeta") > 1', "no order 'a-1' of account 'zeta' up to seq 7 (did you mean 'b-1'?)"),
    ('open_orders("beta") <= 1', "no account 'beta' up to seq 7 (did you mean 'zeta'?)"),
    ('daily_pnl("beta") >= 0', "no account 'beta'"),
    ('daily_pnl("alpha", "EUR") >= 0', "no currency 'EUR' up to seq 7 (did you mean 'USD'?)"),
    ('realized_pnl("ADA") >= 0 or unrealized_pnl("NOPE") >= 0', "no symbol 'NOPE'"),
])  # fmt: skip
def test_a_bisect_claim_about_an_unknown_name_certifies_nothing(named: Oms, claim: str, said: str) -> None:
    refused = named(["bisect", claim], code=1)

    assert said in refused.stderr
    assert "nothing is certified" in refused.stderr
    assert "is true after every event" not in refused.stderr
    answer = named.json(f"bisect '{claim}'", code=1)
    assert (answer["holds"], answer["turn"]) == (None, None)
    assert [f"no {each['kind']} '{each['name']}'" for each in answer["unknown"]] == [" ".join(said.split()[:3])]


FILTERED = """
positions: positions symbol account; positions --method all: methods symbol account; orders: orders symbol account
fills: fills symbol account; pnl: days symbol account day; pnl --method all: methods symbol account day
pnl --by symbol: days symbol account day; daily: days account day; history ADA: changes account
why position ADA: positions account; diff seq:2 now: positions symbol account
diff seq:2 now --by order: orders symbol account
"""
SHOWN = {
    "symbol": ("ADAA", "no symbol 'ADAA' in this log (did you mean 'ADA'?)"),
    "account": ("alhpa", "no account 'alhpa' in this log (did you mean 'alpha'?)"),
    "day": ("1999-12-31", "no event is booked on '1999-12-31' ("),
}
CASES = [
    (words, key, kind)
    for case in FILTERED.strip().replace("\n", "; ").split("; ")
    for words, (key, *kinds) in [(case.rpartition(": ")[0], case.rpartition(": ")[2].split())]
    for kind in kinds
]


@pytest.mark.parametrize(("words", "key", "kind"), CASES)
def test_a_mistyped_name_in_a_filter_ends_with_exit_code_1(named: Oms, words: str, key: str, kind: str) -> None:
    typed, shown = SHOWN[kind]
    mistyped = f"{words} --{kind} {typed}"

    refused = named(mistyped, code=1)

    assert refused.stdout == ""
    assert shown in refused.stderr
    rows = named.json(mistyped, code=1)[key]
    assert not any(rows.values()) if isinstance(rows, dict) else rows == []
    assert shown in named(f"{mistyped} --allow-empty").stderr


@pytest.mark.parametrize("row", [row for row in table("cli_errors") if row.values[0]["log"] == "names"])
def test_allow_empty_reports_an_unknown_name_and_ends_with_exit_code_0(named: Oms, row: dict[str, str]) -> None:
    if "order a" not in row["words"] and "order b" not in row["words"]:  # an order that does not exist has no rows
        assert row["shown"] in named(f"{row['words']} --allow-empty").stderr
