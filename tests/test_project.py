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
from scripts import run_script

import dvs.pictures
import dvs.transforms
import learning
import learning.landscape
import snn
import snn.energy

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
NUMPY = ["--codegen", "numpy"]  # for so short runs, compiling takes longer
SMALL = {
    "02_video_to_events.py": ["--seconds", "0.1"],
    "03_moving_bar_tuning.py": ["--directions", "4"],
    "04_stdp_digits.py": ["--digits", "4", "--epochs", "1", "--neurons", "12", *NUMPY],
    "05_recording_to_network.py": ["--seconds", "0.3"],
    "06_many_cheap_parts.py": ["--parts", "256", "--duration", "20", "--spread", "0.2", "0.4"],
    "08_digits_under_microsaccades.py": ["--digits", "2", "--epochs", "1", "--hidden", "20", *NUMPY],
    "10_paper_model_trained.py": ["--neurons", "60", "--samples", "16", "--epochs", "1", *NUMPY],
    "11_time_constants_learnt.py": ["--samples", "24", "--epochs", "1", "--alike", "20", *NUMPY],
    "12_memory.py": ["--trials", "8", "--delay", "50", "--epochs", "1", *NUMPY],
    "13_convolution.py": ["--bars", "8", "--epochs", "1", *NUMPY],
    "15_eprop.py": ["--trials", "2", *NUMPY],
    "16_cartpole.py": ["--steps", "80", "--runtime"],
    "17_maze.py": ["--seconds", "1.3", "--limit", "0.2", *NUMPY],
    "18_dreams.py": ["--days", "5", "--dreams", "1", "--hidden", "10", *NUMPY],
    "19_sleep.py": ["--epochs", "2", "--steps", "50", *NUMPY],
    "20_gym_agent.py": ["--steps", "30", "--watched", "100", *NUMPY],
    "21_alignment.py": ["--trials", "1", "--every", "1", "--dampings", "0.3", "--draws", "5", "--fresh", "2", *NUMPY],
    "23_energy_of_seeing.py": ["--digits", "2", "--epochs", "1", *NUMPY],
    "25_bill_of_a_video.py": ["--seconds", "0.2"],
    "29_ridge_rider.py": ["--rides", "2", "--depth", "1", *NUMPY],
    "30_landscape.py": ["--bars", "8", "--epochs", "4", "--grid", "5", "--depth", "10"],
    "31_descents.py": [
        *("--steps", "3", "--seeds", "1", "--tries", "1", "--runs", "2", "--most", "40", "--batches", "14"),
    ],
    "32_initialisation_gain.py": ["--gains", "5", "--steps", "3"],
    "33_how_wide.py": [
        *("--digits", "2", "--samples", "10", "--features", "30", "--repeats", "1", "--size", "3", "--starts", "1"),
        *("--hidden", "1"),
    ],
    "34_is_it_a_gradient.py": [
        *("--hidden", "3", "--rules", "spikes", "--lengths", "2", "--pieces", "2", "--sweeps", "50"),
        *NUMPY,
    ],
    "35_small_pushes.py": [
        *("--digits", "6", "--epochs", "2", "--hidden", "16", "--pushed", "2", "--counts", "2"),
        *NUMPY,
    ],
}
# What is written in a notebook, and what in its place makes it short: fewer samples and steps, for the same code.
SMALLER = {
    "07_seeing.ipynb": {
        "stop_s=0.5": "stop_s=0.2",
        "(160, 190, 220, 250)": "(160, 250)",
        "(0, 4, 0.01)": "(0, 1, 0.01)",
    },
    "14_training.ipynb": {"600": "12", "(10, 30, 100,": "(3, 6, 9,"},
    "22_learning_online.ipynb": {
        "steps, trials = 300, 25": "steps, trials = 300, 2",
        "cartpole_loop(), 150": "cartpole_loop(), 50",
        "biases, 1000": "biases, 50",
        "days=250": "days=10",
        "epochs=25": "epochs=1",
        "steps=800": "steps=50",
    },
    "24_energy.ipynb": {
        "[:50]": "[:4]",
        "order[:100], order[100:]": "order[:10], order[10:]",
        "epochs=20": "epochs=1",
        "epochs=40": "epochs=2",
    },
}
PACKAGES = [dvs, dvs.pictures, dvs.transforms, learning, learning.landscape, snn, snn.energy]
MAY_IMPORT = {"dvs": {"dvs"}, "snn": {"dvs", "snn"}, "learning": {"dvs", "snn", "learning"}}


@pytest.fixture(autouse=True)
def one_thread_for_matrices(monkeypatch):
    """Processes that share the cores multiply their small matrices faster without threads, which would wait."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")


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
    done = run_script(example, *SMALL.get(example.name, []), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not done.stderr


def test_the_example_of_nmnist_reads_real_samples(shared_data, tmp_path):
    data = shared_data / "labelled" / "nmnist_train1000.npz"
    small = ["--samples", "50", "--epochs", "1", "--hidden", "20", *NUMPY]
    done = run_script(ROOT / "examples" / "09_nmnist.py", "--data", data, *small, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "of 10 new digits" in done.stdout
    assert not done.stderr


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_the_notebooks_run_and_nothing_in_them_warns(path):
    notebook = nbformat.read(path, as_version=4)
    stored = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    for written, smaller in SMALLER.get(path.name, {}).items():
        assert any(written in cell.source for cell in notebook.cells), written
        for cell in notebook.cells:
            cell.source = cell.source.replace(written, smaller)
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
    code += "assert history.loss[1] < history.loss[0]\n"
    looked = readme_python("landscape.line").replace("tolerance=1e-3", "tolerance=0.1")
    assert looked.count("[:100]") == 2
    code += looked.replace("[:100]", "[:2]").replace("line(f)", "line(f, points=3)")
    run_python(code, tmp_path)


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
    (folder / "readme.py").write_text(code)
    done = run_script(folder / "readme.py", folder=folder)
    assert done.returncode == 0, done.stderr
