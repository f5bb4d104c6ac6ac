"""Draw docs/terminal.svg, the picture of the README, from what `oms` prints about the demo day."""

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).with_name("terminal.svg")
COMMANDS = (
    "oms order b-3",
    "oms positions --symbol BOLT --as-of 2024-03-15T14:05:00Z",
    "oms positions --symbol BOLT --known-at 2024-03-15T14:05:00Z",
    "oms quarantine",
)


def draw() -> str:
    """Return the picture; the same bytes each time."""
    console = Console(width=104, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    with tempfile.TemporaryDirectory() as folder:
        _run("oms demo --log day.db", folder)
        for command in COMMANDS:
            done = _run(command, folder)
            console.print(Text.assemble(("$ ", "green"), (command, "bold")))
            console.print(Text(done.stdout.rstrip()))
            console.print(Text(done.stderr), style="dim")
    picture = console.export_svg(title="a fill that was reported late", unique_id="oms")
    # The browser's own fixed-width font: the picture loads nothing from another site.
    return re.sub(r"\s*@font-face \{.*?\}", "", picture, flags=re.DOTALL).replace("Fira Code, ", "")


def _run(command: str, folder: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "OMS_LOG": "day.db", "OMS_CONFIG": ""}
    return subprocess.run(
        command.split(), cwd=folder, env=environment, capture_output=True, text=True, check=True, encoding="utf-8"
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
