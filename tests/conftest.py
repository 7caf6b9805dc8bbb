"""Fixtures shared by the tests."""

import gc
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
collect_ignore_glob = ["data/*"]  # the programs there need other simulators

COMPILE_ARGUMENTS = ["-w", "-O0"]  # where C++ is compiled, that takes longer than running it
STANDARD_HEADERS = """
algorithm cassert chrono climits cmath cstdint cstdio cstdlib ctime fstream iostream iterator limits map random set
stdexcept string tuple utility vector"""


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


@pytest.fixture(autouse=True, scope="module")
def brian_of_landscapes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Brian2 without compiling, for networks that several tests of a file look at."""
    if not request.path.name.startswith("test_landscape"):
        yield
        return
    import brian2

    kept, brian2.prefs.codegen.target = brian2.prefs.codegen.target, "numpy"
    brian2.defaultclock.dt = 1 * brian2.ms
    yield
    brian2.prefs.codegen.target, brian2.defaultclock.dt = kept, 0.1 * brian2.ms


@pytest.fixture(autouse=True)
def fresh_brian(request: pytest.FixtureRequest) -> Iterator[None]:
    """Brian2 as a new script finds it, but without compiling: each test of `snn` and `learning` begins here."""
    if not request.path.name.startswith(("test_snn", "test_energy", "test_learning")):
        yield
        return
    request.getfixturevalue("frozen_brian")
    import brian2
    from brian2.devices.device import all_devices, reset_device

    kept = brian2.prefs.codegen.target, brian2.prefs.core.default_float_dtype
    brian2.prefs.codegen.target = "numpy"
    brian2.prefs.codegen.cpp.extra_compile_args_gcc = COMPILE_ARGUMENTS
    brian2.prefs.devices.cpp_standalone.extra_make_args_unix = ["-j2"]
    brian2.start_scope()
    brian2.defaultclock.dt = 0.1 * brian2.ms
    yield
    for device in all_devices.values():
        device.reinit()
    reset_device("runtime")
    brian2.prefs.codegen.target, brian2.prefs.core.default_float_dtype = kept


@pytest.fixture(scope="session")
def parsed_headers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Brian2's C++ includes of the standard library, precompiled; to parse it is most of compiling a file."""
    header = tmp_path_factory.mktemp("headers") / "standard.h"
    header.write_text("".join(f"#include <{name}>\n" for name in STANDARD_HEADERS.split()))
    compiler = os.environ.get("CXX", "g++")
    subprocess.run([compiler, *COMPILE_ARGUMENTS, "-x", "c++-header", header, "-o", f"{header}.gch"], check=True)
    return header


@pytest.fixture
def quick_build(fresh_brian: None, parsed_headers: Path) -> None:
    """C++ standalone is built in a third of the time."""
    import brian2

    # Without DEPS, the list of what includes what, which only a second build would need.
    compiler = f"CXX='{os.environ.get('CXX', 'g++')} -include {parsed_headers}'"
    brian2.prefs.devices.cpp_standalone.extra_make_args_unix = ["-j2", "DEPS=", compiler]
