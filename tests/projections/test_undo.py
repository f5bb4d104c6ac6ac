"""The undo list: changes in place, seen by the next decision, undone after a failure, hidden from readers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_es.projections.undo import Table, UndoDict, UndoLists, UndoLog

KEYS = st.sampled_from("abc")
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("set"), KEYS, st.none() | st.integers(0, 9)),
        st.tuples(st.just("drop"), KEYS, st.none()),
        st.tuples(st.just("append"), KEYS, st.integers(0, 9)),
        st.tuples(st.just("replace"), KEYS, st.lists(st.integers(0, 9), min_size=1, max_size=3)),
    ),
    max_size=12,
)


class Desk:
    """A table and lists under one undo list."""

    def __init__(self) -> None:
        self.undo = UndoLog()
        self.table: UndoDict[str, int | None] = UndoDict(self.undo)
        self.lists: UndoLists[str, int] = UndoLists(self.undo)

    def change(self, changes: list[tuple[str, str, Any]]) -> None:
        for kind, key, value in changes:
            match kind:
                case "set":
                    self.table[key] = value
                case "drop":
                    self.table.drop(key)
                case "append":
                    self.lists.append(key, value)
                case _:
                    self.lists.replace(key, list(value))

    def seen(self) -> Any:
        return dict(self.table), {key: list(values) for key, values in self.lists.items()}


@given(CHANGES, CHANGES, CHANGES)
def test_a_rollback_restores_what_was_committed(committed: list[Any], failed: list[Any], later: list[Any]) -> None:
    desk, twin = Desk(), Desk()
    desk.change(committed)
    desk.undo.commit()
    before = desk.seen()

    desk.change(failed)
    desk.undo.rollback()

    assert desk.seen() == before
    twin.change(committed)
    desk.change(later)
    twin.change(later)
    assert desk.seen() == twin.seen()


@given(CHANGES, CHANGES, CHANGES)
def test_a_reader_sees_the_committed_state_and_the_batch_goes_on_after_it(
    committed: list[Any], batch: list[Any], inside: list[Any]
) -> None:
    desk = Desk()
    desk.change(committed)
    desk.undo.commit()
    before = desk.seen()
    desk.change(batch)
    decided = desk.seen()

    with desk.undo.undone():
        assert desk.seen() == before
        desk.change(inside)  # such as the policy that the next command would record

    assert desk.seen() == decided
    desk.undo.rollback()
    assert desk.seen() == before


@given(CHANGES, CHANGES)
def test_a_tentative_change_is_undone_at_the_end_of_its_block(batch: list[Any], tentative: list[Any]) -> None:
    desk = Desk()
    desk.change(batch)
    decided = desk.seen()

    with desk.undo.tentative():
        desk.change(tentative)

    assert desk.seen() == decided
    desk.undo.rollback()
    assert desk.seen() == ({}, {})


@given(CHANGES)
def test_a_replay_records_no_change_and_what_follows_is_recorded_again(changes: list[Any]) -> None:
    desk = Desk()

    with desk.undo.off():
        assert type(desk.table) is Table
        desk.change(changes)
    replayed = desk.seen()

    assert (type(desk.table), desk.undo.steps) == (UndoDict, [])
    desk.change([("set", "a", 1), ("append", "b", 2)])
    desk.undo.rollback()
    assert desk.seen() == replayed


def test_a_replay_that_fails_records_changes_again() -> None:
    desk = Desk()

    with pytest.raises(ValueError, match="damaged"), desk.undo.off():
        raise ValueError("damaged")

    assert type(desk.table) is UndoDict


def test_the_changed_keys_are_those_since_the_last_commit() -> None:
    desk = Desk()
    desk.change([("set", "a", 1)])
    desk.undo.commit()
    desk.change([("set", "b", 1), ("set", "c", 1), ("set", "b", 2)])

    assert desk.table.changed() == ["b", "c"]
