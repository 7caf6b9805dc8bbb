"""Fixtures shared by the tests."""

import os
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real recordings and videos that are not part of the repository; skips where it is absent."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("MICROSACCADE_SHARED", default))
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder}; set MICROSACCADE_SHARED to the folder that holds them")
    return folder
