"""What tests of all rooms share."""

from pathlib import Path

import pytest

from tests.real_images import real_images


@pytest.fixture(scope="session")
def cifar10_mini() -> Path:
    """A zip of 500 training and 100 test images of each CIFAR-10 class, as JPEG."""
    return real_images("cifar10-mini.zip")
