import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.robustness.sound import Sound
from tests.robustness.warm import Warm


@pytest.fixture(scope="session")
def sound() -> Iterator[Sound]:
    """Sound files and outputs, and a warm process."""
    warm = Warm()
    with tempfile.TemporaryDirectory(prefix="cellflow-sound-") as folder:
        yield Sound(Path(folder), warm)
    warm.close()
