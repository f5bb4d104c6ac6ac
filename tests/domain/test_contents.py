"""Contents of reported trades: a set that grows in versions, each of them immutable."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from oms_es.domain.contents import Content, Contents

contents = st.builds(
    Content, trade_id=st.sampled_from("abc"), quantity=st.integers(1, 3).map(Decimal), price=st.just(Decimal(1)),
    fee=st.just(Decimal(0)),
)  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 20), contents), max_size=20))
def test_every_version_of_contents_is_the_set_that_was_added(steps: list[tuple[int, Content]]) -> None:
    versions, sets = [Contents()], [frozenset[Content]()]

    for pick, content in steps:  # any version may be continued, as after a rollback
        place = pick % len(versions)
        versions.append(versions[place].added(content))
        sets.append(sets[place] | {content})

    for version, expected in zip(versions, sets, strict=True):
        assert set(version) == expected
        assert len(version) == len(expected)
        assert version == Contents(expected)
        for trade_id in "abcd":
            assert set(version.of(trade_id)) == {each for each in expected if each.trade_id == trade_id}


def test_a_content_that_is_known_changes_nothing() -> None:
    one = Content("a", Decimal(1), Decimal(1), Decimal(0))
    known = Contents([one])

    assert known.added(one) is known
    assert known.added(None) is known
    assert known.of(None) == []
