"""The shape of the project: what imports what, what importing costs, and that the manual runs."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbclient import NotebookClient

import dvs
import learning
import snn
import snn.energy

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
SMALL = {
    "02_video_to_events.py": ["--seconds", "0.2"],
    "03_moving_bar_tuning.py": ["--directions", "8"],
    "04_stdp_digits.py": ["--digits", "8", "--epochs", "1", "--neurons", "20", "--codegen", "numpy"],
    "05_recording_to_network.py": ["--seconds", "1"],
    "06_many_cheap_parts.py": ["--parts", "512", "--duration", "50"],
    "08_digits_under_microsaccades.py": ["--digits", "5", "--epochs", "1", "--hidden", "20", "--codegen", "numpy"],
    "10_paper_model_trained.py": ["--neurons", "100", "--samples", "40", "--epochs", "1", "--codegen", "numpy"],
    "11_time_constants_learnt.py": ["--samples", "60", "--epochs", "1", "--alike", "20", "--codegen", "numpy"],
    "12_memory.py": ["--trials", "40", "--delay", "100", "--epochs", "1", "--codegen", "numpy"],
    "13_convolution.py": ["--bars", "40", "--epochs", "1", "--codegen", "numpy"],
    "15_eprop.py": ["--trials", "3", "--codegen", "numpy"],
    "16_cartpole.py": ["--steps", "300", "--runtime"],
    "17_maze.py": ["--seconds", "3", "--limit", "1", "--codegen", "numpy"],
    "18_dreams.py": ["--days", "10", "--dreams", "1", "--hidden", "10", "--codegen", "numpy"],
    "19_sleep.py": ["--epochs", "4", "--steps", "100", "--codegen", "numpy"],
    "20_gym_agent.py": ["--steps", "60", "--codegen", "numpy"],
    "25_bill_of_a_video.py": ["--seconds", "0.4"],
    "21_alignment.py": [
        "--trials",
        "2",
        "--every",
        "2",
        "--dampings",
        "0.3",
        "--draws",
        "5",
        "--fresh",
        "2",
        "--codegen",
        "numpy",
    ],
    "23_energy_of_seeing.py": ["--digits", "5", "--epochs", "1", "--codegen", "numpy"],
}
PACKAGES = [dvs, learning, snn, snn.energy]
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


def test_importing_snn_loads_no_brian2_until_it_is_used():
    code = "import sys, snn; print('brian2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_name_of_the_table_is_there_and_documented(package):
    for name in package.__all__:
        value = getattr(package, name)
        assert name.isupper() or value.__doc__, name
        # A module of that name would take its place as soon as it is imported.
        assert isinstance(value, ModuleType) or not (Path(package.__file__).parent / f"{name}.py").exists(), name
    with pytest.raises(AttributeError, match="no attribute 'simulator_of_everything'"):
        _ = package.simulator_of_everything


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_the_table_of_names_and_the_names_for_type_checkers_agree(package):
    tree = ast.parse(Path(package.__file__).read_text())
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {alias.name for node in guarded.body for alias in node.names}
    assert typed == set(package.__all__)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_run(example, tmp_path):
    command = [sys.executable, str(example), *SMALL.get(example.name, [])]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not done.stderr


def test_the_example_of_nmnist_reads_real_samples(shared_data, tmp_path):
    data = shared_data / "labelled" / "nmnist_train1000.npz"
    command = [sys.executable, str(ROOT / "examples" / "09_nmnist.py"), "--data", str(data)]
    command += ["--samples", "50", "--epochs", "1", "--hidden", "20", "--codegen", "numpy"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert "of 10 new digits" in done.stdout
    assert not done.stderr


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_the_notebooks_run_and_nothing_in_them_warns(path):
    notebook = nbformat.read(path, as_version=4)
    stored = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    NotebookClient(
        notebook, timeout=300, coalesce_streams=True, resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    found = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [output.output_type for output in found] == [output.output_type for output in stored]
    assert not [output.text for output in found + stored if output.get("name") == "stderr"]


def test_the_readme_s_first_python_runs(tmp_path):
    code = readme_python("open_video").replace('cup.mp4")', 'cup.mp4", stop_s=0.2)')
    run_python(code, tmp_path)
    assert (tmp_path / "cup.h5").stat().st_size > 0


def test_the_readme_s_network_runs(tmp_path):
    code = readme_python("feedforward")
    assert "network.run(300 * ms)" in code
    # Without compiling, and long enough for the layer to fire.
    code = "import brian2\nbrian2.prefs.codegen.target = 'numpy'\n" + code.replace("300 * ms", "50 * ms")
    run_python(code + "assert abs(network['layer2'].v[:]).max() > 0\n", tmp_path)


def test_the_readme_s_network_learns(tmp_path):
    code = readme_python("model.fit")
    assert 'digits["images"]' in code
    # Without compiling, and few samples.
    for what in ('digits["images"]', 'digits["labels"]'):
        code = code.replace(what, f"{what}[:40]")
    code = "import brian2\nbrian2.prefs.codegen.target = 'numpy'\n" + code.replace("epochs=10", "epochs=2")
    run_python(code + "assert history.loss[1] < history.loss[0]\n", tmp_path)


def test_the_readme_s_rules_run(tmp_path):
    code = readme_python("learning.eprop").replace("network.run(3 * second)", "network.run(20 * ms)")
    more = readme_python("rules.r_stdp")
    code = "import brian2\nbrian2.prefs.codegen.target = 'numpy'\n" + code + more
    code += "network.add(attach(loop, mine, {'D': dopamine.level}))\nnetwork.run(5 * ms)\n"
    run_python(code, tmp_path)


def test_the_readme_s_bill_is_written(tmp_path):
    code = readme_python("snn.energy").replace("500 * ms", "50 * ms")
    run_python("import brian2\nbrian2.prefs.codegen.target = 'numpy'\n" + code, tmp_path)
    snn_energy = Path(sys.executable).with_name("snn-energy")
    command = [snn_energy, "counts.json", "--prices", "generic-45nm-int8", "--html", "account.html"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "account.html").read_text().startswith("<!DOCTYPE html>")


def readme_python(word: str) -> str:
    """The first piece of Python in the README that has the word, its paths made absolute."""
    pieces = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    code = next(piece for piece in pieces if word in piece)
    return code.replace('"examples/', f'"{ROOT}/examples/')


def run_python(code: str, folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
