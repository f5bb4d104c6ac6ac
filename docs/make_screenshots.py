"""Take the README's screenshots of the report: the demo day in Chromium, light and dark."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import ViewportSize, sync_playwright

FOLDER = Path(__file__).parent
SIZE: ViewportSize = {"width": 1440, "height": 900}
SCHEMES: tuple[tuple[Literal["light", "dark"], str], ...] = (("light", "report.png"), ("dark", "report-dark.png"))
FINDING = "#seq=50&clock=event&symbol=BOLT&account=default"  # a fill that the log did not contain yet
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def take() -> None:
    """Write one picture per color scheme."""
    oms = [sys.executable, "-m", "oms_es"]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        log, page = Path(folder, "day.db"), Path(folder, "day.html")
        subprocess.run([*oms, "demo", "--log", str(log)], check=True, capture_output=True)
        subprocess.run([*oms, "report", "--log", str(log), "-o", str(page)], check=True, capture_output=True)
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for scheme, name in SCHEMES:
            shown = browser.new_context(viewport=SIZE, color_scheme=scheme, reduced_motion="reduce").new_page()
            shown.goto(f"{page.as_uri()}{FINDING}")
            shown.wait_for_timeout(500)
            shown.screenshot(path=FOLDER / name)
        browser.close()


if __name__ == "__main__":
    take()
