"""The trading level in force for an account: the stricter of its own level and the level of every account."""

from oms_es.cli.render import Row, print_message
from oms_es.domain.events import TradingLevelChanged
from oms_es.identifiers import shown
from oms_es.log.contract import Log
from oms_es.projections.policies import Policies
from oms_es.projections.state import State
from oms_es.queries.known_names import nearest
from oms_es.vocabulary import EVERY_ACCOUNT, TradingLevel


def level_row(policies: Policies, log: Log, scope: str, seq: int) -> Row:
    """
    Return the level in force for a scope after the event `seq`, and its source.

    `own_level` is the level of the scope itself, `because` the stricter level of every account if that is in force;
    `others` are the accounts whose own level is stricter than that of every account.
    """
    own, level = policies.own_level(scope), policies.level(scope)
    return {
        "account": scope,
        "level": level.value,
        "seq": seq,
        "own_level": own.value,
        "because": None if level is own else _set_level(log, EVERY_ACCOUNT, level, seq),
        "others": _stricter(policies, log, seq) if scope == EVERY_ACCOUNT else [],
    }


def _stricter(policies: Policies, log: Log, seq: int) -> list[Row]:
    every, accounts = policies.level(EVERY_ACCOUNT), sorted(set(policies.levels) - {EVERY_ACCOUNT})
    stricter = [each for each in accounts if policies.level(each) is not every]
    return [_set_level(log, each, policies.level(each), seq) for each in stricter]


def _set_level(log: Log, scope: str, level: TradingLevel, seq: int) -> Row:
    """Return a level with the seq of the event that set it."""
    changes = (each for each in log.stream(f"policy/{scope}") if isinstance(each.event, TradingLevelChanged))
    return {"account": scope, "level": level.value, "seq": max(each.seq for each in changes if each.seq <= seq)}


def print_level(row: Row) -> None:
    """Print the level in force for a scope, and its source."""
    because = row["because"]
    if because is None:
        print_message(f"{_whose(row['account'])}: {row['level']} (seq {row['seq']})")
    else:
        print_message(f"{_whose(row['account'])}: set to {row['own_level']} (seq {row['seq']})")
        print_because(row)
    for other in row["others"]:
        print_message(f"account {other['account']}: {other['level']} in force, by its own level (seq {other['seq']})")
    if row["level"] != TradingLevel.NORMAL.value:
        scope = EVERY_ACCOUNT if because is not None else row["account"]
        print_message(
            f"cancels and fills pass; oms resume{'' if scope == EVERY_ACCOUNT else f' --account {scope}'} releases it"
        )


def print_because(row: Row) -> None:
    """Print that the level of every account is in force instead of the account's own."""
    because = row["because"]
    every = f"every account is {because['level']} (seq {because['seq']})"
    print_message(
        f"account {row['account']}: {row['level']} in force, because {every}; its own level is {row['own_level']}"
    )


def _whose(scope: str) -> str:
    return "every account" if scope == EVERY_ACCOUNT else f"account {scope}"


def print_if_new(state: State, account: str | None) -> None:
    """Print that an account is not in the log yet; its command is carried out."""
    if account in (None, EVERY_ACCOUNT):
        return
    by_account = (state.positions.symbols, state.orders.open_count, state.policies.values, state.policies.levels)
    known = {name for each in by_account for name in each} - {EVERY_ACCOUNT}
    if account not in known:
        near = nearest(str(account), known)
        hint = f" (did you mean {', '.join(map(shown, near))}?)" if near else ""
        print_message(f"account {shown(account)} is new to this log{hint}")
