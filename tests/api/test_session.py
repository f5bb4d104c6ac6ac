"""Which settings file and which log an OrderManagementSystem opens."""

import asyncio
from pathlib import Path

import pytest

from oms_es import OrderManagementSystem, SettingsError
from tests.desk import BUY, LIMIT, Clock, refusal, submit


def test_an_oms_without_arguments_uses_oms_yaml_and_oms_db_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    oms = OrderManagementSystem()
    assert list(tmp_path.iterdir()) == []

    order = asyncio.run(oms.submit_order("X", BUY, LIMIT, 100, 10))

    assert oms.get_order(order.order_id) == order
    assert (tmp_path / "oms.db").is_file()
    asyncio.run(oms.close())


async def test_the_environment_names_settings_and_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.yaml").write_text("risk: {max_position_size: 50}\nlog: {path: not-this.db}\n")
    monkeypatch.setenv("OMS_CONFIG", str(tmp_path / "other.yaml"))
    monkeypatch.setenv("OMS_LOG", str(tmp_path / "named.db"))

    async with OrderManagementSystem() as oms:
        assert await refusal(submit(oms)) == ["POSITION_SIZE"]

    assert (tmp_path / "named.db").is_file()
    assert not (tmp_path / "not-this.db").exists()


async def test_the_settings_name_the_log_and_an_argument_goes_before_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "oms.yaml").write_text("log: {path: from-settings.db}\n")

    async with OrderManagementSystem() as oms:
        await submit(oms)
    monkeypatch.setenv("OMS_LOG", str(tmp_path / "from-environment.db"))
    async with OrderManagementSystem("oms.yaml", log="named.db", clock=Clock()) as oms:
        await submit(oms)

    made = {each.name for each in tmp_path.glob("*.db")}
    assert made == {"from-settings.db", "named.db"}


def test_a_settings_file_that_is_not_there_or_wrong_is_a_value_error_with_its_path(tmp_path: Path) -> None:
    wrong = tmp_path / "oms.yaml"
    wrong.write_text("risk: {max_positon_size: 5}\n")

    with pytest.raises(SettingsError, match=r"oms\.yaml.*risk\.max_positon_size"):
        OrderManagementSystem(wrong, log=tmp_path / "day.db")
    with pytest.raises(ValueError, match=r"missing\.yaml"):
        OrderManagementSystem(tmp_path / "missing.yaml", log=tmp_path / "day.db")
    assert not (tmp_path / "day.db").exists()
