"""What all tests share: how hard hypothesis tries, and where the material from outside is."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

settings.register_profile("ci", max_examples=60, derandomize=True, deadline=None)
settings.register_profile("torture", max_examples=3_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", max_examples=25, deadline=None, phases=[Phase.generate])  # a look, nothing shrunk
settings.load_profile("ci")  # `--hypothesis-profile=…` comes later and wins


@pytest.fixture(scope="session")
def shared_path() -> Path:
    """Return the folder of data and expected results that stands beside the repository."""
    path = Path(__file__).resolve().parents[2] / "shared"
    if not path.is_dir():
        pytest.skip("the folder ../shared with outside data is not there")
    return path


@pytest.fixture(scope="session", autouse=True)
def _settings_of_nobody() -> Iterator[None]:
    """Keep the settings and the log of whoever runs the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OMS_CONFIG", raising=False)
        patch.delenv("OMS_LOG", raising=False)
        yield
