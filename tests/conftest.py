"""Fixtures shared by the tests."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
collect_ignore_glob = ["data/*"]  # the programs there need other simulators


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real recordings and videos that are not part of the repository; skips where it is absent."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("MICROSACCADE_SHARED", default))
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder}; set MICROSACCADE_SHARED to the folder that holds them")
    return folder


@pytest.fixture(scope="session")
def frozen_brian() -> None:
    """Brian2 collects garbage at every run; what importing it leaves is no garbage, and need not be searched."""
    import brian2

    gc.freeze()
    # Many tests look at objects that never run, and pytest keeps some until it ends.
    brian2.BrianLogger.suppress_name("unused_brian_object")


@pytest.fixture(autouse=True)
def fresh_brian(request: pytest.FixtureRequest) -> Iterator[None]:
    """Brian2 as a new script finds it, but without compiling: each test of `snn` and `learning` begins here."""
    if not request.path.name.startswith(("test_snn", "test_energy", "test_learning")):
        yield
        return
    request.getfixturevalue("frozen_brian")
    import brian2
    from brian2.devices.device import reset_device

    kept = brian2.prefs.codegen.target, brian2.prefs.core.default_float_dtype
    brian2.prefs.codegen.target = "numpy"
    # Where C++ is compiled, that takes longer than running it.
    brian2.prefs.codegen.cpp.extra_compile_args_gcc = ["-w", "-O0"]
    brian2.prefs.devices.cpp_standalone.extra_make_args_unix = ["-j2"]
    brian2.start_scope()
    brian2.defaultclock.dt = 0.1 * brian2.ms
    yield
    brian2.get_device().reinit()
    reset_device()
    brian2.prefs.codegen.target, brian2.prefs.core.default_float_dtype = kept
