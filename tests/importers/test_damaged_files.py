"""A bad line or a damaged file is named, and nothing is written."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from oms_es.errors import ImportFailed
from tests.desk import desk, fact, filled, submit, submitted, take_in
from tests.importers.importing import Oms, imported

GOOD = submitted(1).encode()


# What could harm a terminal, a parser or memory is in tests/system/test_hostile.py.
BAD_LINES: dict[str, bytes] = {
    "cut off": GOOD[:-20],
    "no JSON": b"hello",
    "two objects": GOOD + GOOD,
    "a number": b"7",
    "no UTF-8": GOOD.replace(b'"X"', b'"\xff\xfe"'),
    "a byte order mark in the middle": b"\xef\xbb\xbf" + GOOD,
    "a NUL": b"\x00" * 40,
    "a huge line": GOOD[:-1] + b', "note": "' + b"x" * 100_000 + b'"}',
    "a quantity that is a JSON number": GOOD.replace(b'"100"', b"100"),
    "a price that is a JSON number": GOOD.replace(b'"10"', b"10.5"),
    "a quantity with an exponent": GOOD.replace(b'"100"', b'"1e2"'),
    "a quantity of nothing": GOOD.replace(b'"100"', b'"0"'),
    "a negative quantity": GOOD.replace(b'"100"', b'"-5"'),
    "a quantity that is no number": GOOD.replace(b'"100"', b'"many"'),
    "a fullwidth quantity": GOOD.replace(b'"100"', '"１００"'.encode()),
    "no quantity": GOOD.replace(b'"qty"', b'"size"'),
    "no price": GOOD.replace(b'"price"', b'"cost"'),
    "no kind": GOOD.replace(b'"kind"', b'"sort"'),
    "no seq": GOOD.replace(b'"seq"', b'"number"'),
    "a seq that is text": GOOD.replace(b'"seq": 1', b'"seq": "1"'),
    "a seq that is no whole number": GOOD.replace(b'"seq": 1', b'"seq": 1.5'),
    "a seq below 0": GOOD.replace(b'"seq": 1', b'"seq": -1'),
    "no time": GOOD.replace(b'"ts"', b'"time"'),
    "a time that never was": GOOD.replace(b"06-21", b"02-30"),
    "a time that is a number": GOOD.replace(b'"2012-06-21T13:30:00Z"', b"1340285400"),
    "an unknown side": GOOD.replace(b'"buy"', b'"long"'),
    "an unknown type": GOOD.replace(b'"limit"', b'"stop"'),
    "an id that is a number": GOOD.replace(b'"a"', b"17"),
    "an id without an end": GOOD.replace(b'"a"', b'"' + b"a" * 129 + b'"'),
    "an impossible account": GOOD[:-1] + b', "account": "a/b"}',
    "a trade id that is a number": filled(1).encode().replace(b'"t1"', b"1"),
    "a fee that is a JSON number": filled(1, fee="x").encode().replace(b'"x"', b"0.5"),
    "a replace without anything": fact(1, "replace", order_id="a").encode(),
    "a mark without a price": fact(1, "mark", symbol="X").encode(),
}


@pytest.mark.parametrize("bad", BAD_LINES.values(), ids=BAD_LINES)
async def test_a_bad_line_is_named_with_its_file_and_nothing_is_written(path: Path, file: Path, bad: bytes) -> None:
    lines = [submitted(number, f"o-{number}").encode() for number in range(1, 2001)]
    lines[1499] = bad
    file.write_bytes(b"\n".join(lines) + b"\n")

    async with desk(path) as oms:
        with pytest.raises(ImportFailed, match=r"facts\.jsonl:1500: ") as error:
            await take_in(oms, file)
        assert isinstance(error.value, ValueError)
        assert len(str(error.value)) < 1000

    assert not path.exists()


async def test_a_bad_line_leaves_a_log_that_was_there_as_it_was(oms: Oms, file: Path) -> None:
    await submit(oms, "o-1")
    head = oms.log.head()
    with pytest.raises(ImportFailed, match=r"facts\.jsonl:2: "):
        await imported(oms, file, submitted(1), "{")
    assert oms.log.head() == head


async def test_a_file_whose_last_line_lacks_its_end_is_read_when_the_line_is_whole(oms: Oms, file: Path) -> None:
    file.write_text(f"{submitted(1)}\r\n\n{filled(2)}")

    told = await take_in(oms, file)
    assert (told.orders, told.fills) == (1, 1)


async def test_an_empty_file_brings_nothing(path: Path, file: Path) -> None:
    async with desk(path) as oms:
        assert (await imported(oms, file)).facts == 0

    assert not path.exists()


@pytest.mark.parametrize("make", [lambda _: None, lambda path: path.mkdir()], ids=["missing", "a folder"])
async def test_a_file_that_is_not_there_is_named(path: Path, file: Path, make: Callable[[Path], None]) -> None:
    make(file)

    async with desk(path) as oms:
        with pytest.raises(ImportFailed, match=r"facts\.jsonl"):
            await take_in(oms, file)

    assert not path.exists()


def packed(*facts: str) -> bytes:
    return gzip.compress("".join(f"{each}\n" for each in facts).encode(), mtime=0)


async def test_a_gzip_file_is_unpacked(oms: Oms, tmp_path: Path) -> None:
    file = tmp_path / "facts.jsonl.gz"
    file.write_bytes(packed(submitted(1), filled(2)))

    told = await take_in(oms, file)
    assert (told.orders, told.fills) == (1, 1)


WHOLE = packed(*(submitted(number, f"o-{number}", price=str(number**3 % 977)) for number in range(3000)))


BROKEN_PACKS: dict[str, bytes] = {
    "cut off in the middle": WHOLE[: len(WHOLE) // 2],
    "cut off before its checksum": WHOLE[:-8],
    "cut off in its checksum": WHOLE[:-2],
    "no gzip at all": b"hello",
    "a byte changed": WHOLE[: len(WHOLE) // 2] + bytes([WHOLE[len(WHOLE) // 2] ^ 0xFF]) + WHOLE[len(WHOLE) // 2 + 1 :],
    "nonsense inside": WHOLE[:10] + b"\xff" * 100,
    "a wrong checksum": WHOLE[:-8] + b"\0\0\0\0" + WHOLE[-4:],
    "something behind it": WHOLE + b"more",
}


@pytest.mark.parametrize("raw", BROKEN_PACKS.values(), ids=BROKEN_PACKS)
async def test_a_gzip_file_that_cannot_be_read_to_its_end_is_named_and_nothing_is_written(
    path: Path, tmp_path: Path, raw: bytes
) -> None:
    file = tmp_path / "facts.jsonl.gz"
    file.write_bytes(raw)

    async with desk(path) as oms:
        with pytest.raises(ImportFailed, match=r"facts\.jsonl\.gz"):
            await take_in(oms, file)

    assert not path.exists()


async def test_a_small_gzip_file_of_very_many_empty_lines_is_refused_early(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "facts.jsonl.gz"
    file.write_bytes(packed(submitted(1)) + gzip.compress(b"\n" * 3_000_000, mtime=0))

    async with desk(path) as oms:
        with pytest.raises(ImportFailed, match=r"facts.jsonl.gz:100002: 100,001 lines are empty"):
            await take_in(oms, file)

    assert not path.exists()
