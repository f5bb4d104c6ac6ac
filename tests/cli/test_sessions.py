"""What each command shows, to a person and to a program, and its exit code: the sessions in `sessions/`."""

from pathlib import Path

import pytest

from tests.cli.command_line import Oms, on
from tests.cli.sessions import Step, play, sessions


@pytest.mark.parametrize(("log", "steps"), sessions(Path(__file__).parent / "sessions"))
def test_a_session_shows_what_is_written_below_its_commands(
    log: str, steps: list[Step], oms: Oms, logs: dict[str, Path]
) -> None:
    play(on(log, oms, logs), steps)
