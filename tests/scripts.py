"""Scripts in processes of their own, which begin where Brian2 is imported already: that takes seconds each time."""

import multiprocessing
import os
import runpy
import sys
from pathlib import Path
from subprocess import CompletedProcess

# Nothing of this project: what a script needs of it, it must import itself.
LIBRARIES = ["brian2", "matplotlib.backends.backend_agg", "numba", "h5py", "av", "cv2", "scipy.optimize"]


def run_script(script: Path, *arguments: object, folder: Path) -> CompletedProcess[str]:
    """What `python script arguments` does in a folder."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(LIBRARIES)
    command = [str(script), *map(str, arguments)]
    said = folder / "stdout", folder / "stderr"
    process = processes.Process(target=_as_script, args=(command, folder, *said))
    process.start()
    process.join()
    return CompletedProcess(command, process.exitcode, *(path.read_text() for path in said))


def _as_script(command: list[str], folder: Path, *said: Path) -> None:
    for number, path in enumerate(said, start=1):
        with path.open("w") as file:
            os.dup2(file.fileno(), number)
    os.chdir(folder)
    sys.argv = command
    sys.path.insert(0, str(Path(command[0]).parent))
    runpy.run_path(command[0], run_name="__main__")
