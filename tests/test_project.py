"""The shape of the project: what imports what, what importing costs, and that the manual runs."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dvs

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
MAY_IMPORT = {"dvs": {"dvs"}, "snn": {"dvs", "snn"}, "learning": {"dvs", "snn", "learning"}}


def imported(path: Path) -> set[str]:
    """Top-level names of all modules that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_run_one_way(package):
    for path in (ROOT / package).rglob("*.py"):
        assert imported(path) & set(MAY_IMPORT) <= MAY_IMPORT[package], path


def test_the_camera_knows_no_brian2():
    assert not [path for path in (ROOT / "dvs").rglob("*.py") if "brian2" in imported(path)]


def test_importing_dvs_is_light():
    heavy = {"brian2", "numba", "h5py", "av", "cv2", "matplotlib", "scipy", "tonic"}
    code = f"import sys, dvs; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_name_of_the_table_is_there_and_documented():
    for name in dvs.__all__:
        value = getattr(dvs, name)
        assert name == "DARK_OFFSET" or value.__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'emulator_of_everything'"):
        _ = dvs.emulator_of_everything


def test_the_table_of_names_and_the_names_for_type_checkers_agree():
    tree = ast.parse((ROOT / "dvs" / "__init__.py").read_text())
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {alias.name for node in guarded.body for alias in node.names}
    assert typed == set(dvs.__all__)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_run(example, tmp_path):
    small = {"02_video_to_events.py": ["--output", str(tmp_path), "--seconds", "0.2"]}
    command = [sys.executable, str(example), *small.get(example.name, [])]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_readme_s_first_python_runs(tmp_path):
    code = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[0]
    code = code.replace('"examples/', f'"{ROOT}/examples/').replace('cup.mp4")', 'cup.mp4", stop_s=0.2)')
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "cup.h5").stat().st_size > 0
