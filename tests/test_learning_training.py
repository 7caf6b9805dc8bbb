"""Training on models whose optimum is known, and what a training promises: order, best epoch, exact resumption."""

import math
from types import SimpleNamespace

import h5py
import matplotlib.pyplot as plt
import numpy as np
import pytest

from dvs.errors import FormatError, InputError, OutputError, ParameterError
from learning.history import History
from learning.losses import every_step, mean_squared_error, sparsity
from learning.optimisers import SGD, AdaGrad, Adam, AdamW, Momentum, Nesterov, RMSProp, StepDecay
from learning.training import fit


class LinearModel:
    """What `fit` needs of a model, for output = input w: least squares, or softmax regression under a cross-entropy.

    A sample is an array (steps, inputs); where it is positive the population "hidden" spikes.
    """

    def __init__(self, inputs, units, steps=1, stop_at=None, damping=1.0):
        self.parameters = {"w": np.zeros((inputs, units))}
        self.steps, self.units, self.damping = steps, units, damping
        self.written = None
        self.encoded, self.seen, self.stop_at = 0, [], stop_at
        self.changed()

    def encode(self, samples):
        batch = np.array(samples, dtype=float)
        self.encoded += len(batch)
        return batch

    def changed(self):
        self.effective = self.parameters["w"].copy()

    def write(self):
        self.written = self.parameters["w"].copy()

    def settings(self):
        return {"damping": str(self.damping)}

    def output(self, batch):
        with np.errstate(all="ignore"):
            return batch @ self.effective

    def evaluate(self, batch, targets, loss, size):
        assert size
        value, _, predictions = loss.evaluate(self.output(batch), targets)
        return value, math.nan if predictions is None else np.mean(predictions == targets)

    def gradient(self, batch, target, loss, regularisers):
        if len(self.seen) == self.stop_at:
            raise KeyboardInterrupt
        self.seen.append(batch)
        counts = {"hidden": (batch > 0).sum(axis=1)}
        value, by_output, predictions = loss.evaluate(self.output(batch), target)
        value += sum(regulariser.evaluate(counts[name])[0] for name, regulariser in regularisers.items())
        gradients = {"w": np.einsum("bti,btu->iu", batch, by_output)}
        norm = float(np.linalg.norm(gradients["w"]))
        return SimpleNamespace(value=value, gradients=gradients, predictions=predictions, counts=counts, norm=norm)


def orthonormal(weight=1.0, samples=8):
    """Samples of one input, 1 or -1, and traces that a weight makes of them.

    The mean squared error is (w - weight)^2, and a step of SGD on all samples takes w to w - 2 rate (w - weight).
    """
    x = np.resize([1.0, -1.0], (samples, 1, 1))
    return x, weight * x


def numbered(samples=10):
    """Sample k is the number k; its label is whether k is odd."""
    return np.arange(samples, dtype=float).reshape(-1, 1, 1), np.arange(samples) % 2


def trained(samples, targets, *, inputs=1, units=1, **options):
    model = LinearModel(inputs, units)
    options = {"loss": mean_squared_error(), "optimiser": SGD(0.1), "batch": 1000, "progress": False} | options
    return model, fit(model, samples, targets, **options)


def orders(model, samples=10):
    """The numbers of the samples of each epoch, as they were seen."""
    return np.concatenate(model.seen).reshape(-1, samples).astype(int).tolist()


def same(history, expected):
    for name, column in expected.columns().items():
        if name != "seconds":
            np.testing.assert_array_equal(getattr(history, name), column, name)
    assert history.spikes.keys() == expected.spikes.keys()
    for name, column in expected.spikes.items():
        np.testing.assert_array_equal(history.spikes[name], column)


# What is learnt


def test_one_step_of_rate_one_half_is_at_the_bottom_of_the_bowl():
    """w - 2 rate (w - 3) = 3 for rate = 1/2, whatever w was; and the weight is written into the model."""
    model, history = trained(*orthonormal(3.0), optimiser=SGD(0.5))
    np.testing.assert_allclose(model.written, 3.0)
    assert history.loss.tolist() == [9.0]  # (0 - 3)^2, before the step


def test_minibatches_find_the_least_squares_of_a_consistent_system():
    rng = np.random.default_rng(2)
    x, w = rng.normal(size=(60, 4, 3)), rng.normal(size=(3, 2))
    model = LinearModel(3, 2, steps=4)
    fit(model, x, x @ w, loss=mean_squared_error(), optimiser=Adam(0.05), epochs=100, batch=16, progress=False)
    np.testing.assert_allclose(model.parameters["w"], w, atol=1e-6)


def test_softmax_regression_learns_the_frequencies_of_the_labels():
    """Label 1 in three of four samples: log odds ln 3, loss the entropy of (1/4, 3/4), accuracy 3/4."""
    labels = np.resize([0, 1, 1, 1], 12)
    model, history = trained(np.ones((12, 1, 1)), labels, units=2, loss=every_step(), optimiser=SGD(1.0), epochs=200)
    entropy = math.log(4) - 0.75 * math.log(3)
    np.testing.assert_allclose(np.diff(model.written), math.log(3))
    assert history.loss[-1] == pytest.approx(entropy)
    assert history.accuracy[-1] == 0.75


def test_a_clipped_step_is_as_long_as_the_rate_times_the_limit():
    """The gradient at 0 is -2 * 3; the history has its norm before clipping."""
    model, history = trained(*orthonormal(3.0), optimiser=SGD(1.0), clip=0.25)
    np.testing.assert_allclose(model.written, 0.25)
    assert history.gradient_norm.tolist() == history.gradient_norm_max.tolist() == [6.0]


# Minibatches


def test_every_epoch_shows_every_sample_once_in_an_order_of_its_own():
    model, _ = trained(*numbered(), units=2, loss=every_step(), epochs=3, batch=4)
    assert [len(batch) for batch in model.seen] == [4, 4, 2] * 3
    first, second, third = orders(model)
    assert sorted(first) == sorted(second) == sorted(third) == list(range(10))
    assert first != second != third != first


def test_the_seed_alone_decides_the_order():
    once, again, other = (
        orders(trained(*numbered(), units=2, loss=every_step(), batch=4, seed=seed)[0]) for seed in (1, 1, 2)
    )
    assert once == again != other


@pytest.mark.parametrize("batch", [1, 3, 10])
def test_what_the_history_says_of_an_epoch_is_the_mean_over_its_samples(batch):
    """Without learning (1 - 1e-300 is 1) minibatches of any size, the last one smaller, make the same means.

    Both scores are equal: the loss is ln 2, every label is predicted to be 0, which half of them are; 9 of 10 samples
    are positive and spike once.
    """
    model = LinearModel(1, 2)
    model.parameters["w"][...] = 1.0
    model.changed()
    history = fit(model, *numbered(), loss=every_step(), optimiser=SGD(1e-300), batch=batch, progress=False)
    assert history.loss == pytest.approx([math.log(2)])
    assert history.accuracy == pytest.approx([0.5])
    assert history.spikes["hidden"] == pytest.approx([0.9])


def test_traces_have_no_accuracy():
    _, history = trained(*orthonormal(), validation=orthonormal())
    assert math.isnan(history.accuracy.item())
    assert math.isnan(history.validation_accuracy.item())


# Validation


def test_a_share_kept_for_validation_is_never_trained_on():
    samples, labels = numbered()
    model, history = trained(samples, labels, units=2, loss=every_step(), epochs=3, validation=0.3)
    seen = {tuple(sorted(batch.ravel())) for batch in model.seen}
    assert [len(each) for each in seen] == [7]
    held = [k for k in range(10) if k not in min(seen)]
    expected = model.evaluate(samples[held], labels[held], every_step(), 1000)
    assert (history.validation_loss[-1], history.validation_accuracy[-1]) == pytest.approx(expected)


def test_the_price_of_spikes_is_part_of_the_training_loss_only():
    """Both at w = 0; half of the samples spike once, at a price of 2."""
    _, history = trained(
        *orthonormal(3.0), validation=orthonormal(3.0), optimiser=SGD(1e-300), regularisers={"hidden": sparsity(2.0)}
    )
    assert history.loss.tolist() == [9.0 + 2.0 * 0.5]
    assert history.validation_loss.tolist() == [9.0]


def early_stopped(**options):
    """The optimum of the training samples is 1, of the others 0.3; w after k epochs is 1 - 0.9^k.

    0.1, 0.19, 0.271, 0.344, 0.410, ...: the third is closest to 0.3.
    """
    return trained(*orthonormal(), validation=orthonormal(0.3), optimiser=SGD(0.05), epochs=20, **options)


def test_patience_stops_when_the_validation_loss_rises_and_the_best_epoch_is_restored():
    model, history = early_stopped(patience=2)
    assert (len(history), history.best) == (5, 3)
    np.testing.assert_allclose(model.written, 1 - 0.9**3)
    np.testing.assert_array_equal(model.parameters["w"], model.effective)


def test_without_patience_the_last_epoch_counts():
    model, history = early_stopped()
    assert (len(history), history.best) == (20, 3)
    np.testing.assert_allclose(model.written, 1 - 0.9**20)


# Augmentation


def plus_chance(sample, rng):
    return sample + rng.random()


def test_samples_are_encoded_once_and_augmented_ones_in_every_epoch():
    plain, _ = trained(*numbered(), units=2, loss=every_step(), epochs=3)
    assert plain.encoded == 10
    augmented, _ = trained(*numbered(), units=2, loss=every_step(), epochs=3, augment=plus_chance, validation=0.2)
    assert augmented.encoded == 2 + 3 * 8


def test_chance_in_augmentation_depends_on_seed_epoch_and_sample_only():
    def seen(seed, batch):
        options = {"units": 2, "loss": every_step(), "epochs": 2, "augment": plus_chance}
        model, _ = trained(*numbered(), batch=batch, seed=seed, **options)
        return np.sort(np.concatenate(model.seen).reshape(2, 10))  # whole numbers are the samples

    first, second = seen(seed=0, batch=3)
    np.testing.assert_array_equal(seen(seed=0, batch=10), [first, second])
    assert np.unique(np.concatenate([first, second, *seen(seed=1, batch=3)]) % 1).size == 40


# Stopping and going on

ALL = (
    SGD(0.1),
    Momentum(0.1),
    Nesterov(0.1),
    AdaGrad(0.1),
    RMSProp(0.1),
    Adam(StepDecay(0.1, every=7, factor=0.5)),
    AdamW(0.1),
)
every_optimiser = pytest.mark.parametrize("optimiser", ALL, ids=lambda optimiser: type(optimiser).__name__)


def noisy(epochs, model=None, **options):
    """A training with everything that could be forgotten by a checkpoint; the model is a new one."""
    rng = np.random.default_rng(4)
    x, labels = rng.normal(size=(30, 2, 3)), rng.integers(0, 4, 30)
    model = model or LinearModel(3, 4, steps=2)
    options = {"loss": every_step(), "batch": 8, "validation": 0.2, "augment": plus_chance, "seed": 5} | options
    history = fit(model, x, labels, epochs=epochs, progress=False, clip=1.0, patience=50, **options)
    return model, history


@every_optimiser
def test_a_training_that_is_stopped_and_resumed_is_the_same_to_the_last_bit(optimiser, tmp_path):
    whole, expected = noisy(7, optimiser=optimiser)
    for epochs in (2, 3, 7):
        model, history = noisy(epochs, optimiser=optimiser, checkpoint=tmp_path / "training.h5", resume=True)
    np.testing.assert_array_equal(model.written, whole.written)
    same(history, expected)


def test_ctrl_c_keeps_the_last_finished_epoch_from_which_it_goes_on(tmp_path):
    """24 samples are three minibatches: the ninth call is in the third epoch."""
    file = tmp_path / "training.h5"
    stopped, history = noisy(5, LinearModel(3, 4, steps=2, stop_at=8), optimiser=Adam(0.1), checkpoint=file)
    after_two, expected = noisy(2, optimiser=Adam(0.1))
    assert history.interrupted
    same(history, expected)
    np.testing.assert_array_equal(stopped.written, after_two.written)
    resumed, history = noisy(5, optimiser=Adam(0.1), checkpoint=file, resume=True)
    whole, expected = noisy(5, optimiser=Adam(0.1))
    assert not history.interrupted
    same(history, expected)
    np.testing.assert_array_equal(resumed.written, whole.written)


def test_a_training_that_ran_out_of_patience_stays_so(tmp_path):
    file = tmp_path / "training.h5"
    model, history = early_stopped(patience=2, checkpoint=file)
    again, resumed = early_stopped(patience=2, checkpoint=file, resume=True)
    assert again.seen == []
    same(resumed, history)
    np.testing.assert_array_equal(again.written, model.written)


def test_a_checkpoint_is_plain_hdf5(tmp_path):
    model, history = trained(*orthonormal(), optimiser=Adam(0.1), epochs=2, checkpoint=tmp_path / "training.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["training.h5"]
    with h5py.File(tmp_path / "training.h5") as file:
        np.testing.assert_array_equal(file["parameters/w"], model.written)
        np.testing.assert_array_equal(file["history/loss"], history.loss)
        assert file["optimiser/w/mean"].shape == (1, 1)
        assert file.attrs["steps"] == 2
        assert file["settings"].attrs["optimiser"].startswith("Adam(learning_rate=0.1")


def test_a_checkpoint_that_is_there_is_not_overwritten(tmp_path):
    file = tmp_path / "training.h5"
    file.write_text("of somebody else")
    with pytest.raises(OutputError, match=r"exists; give resume=True to go on from it"):
        trained(*orthonormal(), checkpoint=file)
    with pytest.raises(FormatError, match=r"training.h5"):
        trained(*orthonormal(), checkpoint=file, resume=True)
    with h5py.File(tmp_path / "other.h5", "w"):
        pass
    with pytest.raises(FormatError, match=r"has the format None, expected 'microsaccade training'"):
        trained(*orthonormal(), checkpoint=tmp_path / "other.h5", resume=True)
    assert file.read_text() == "of somebody else"


def test_going_on_with_another_model_is_refused_by_name(tmp_path):
    file = tmp_path / "training.h5"
    trained(*orthonormal(), checkpoint=file)
    options = {"loss": mean_squared_error(), "optimiser": SGD(0.1), "batch": 1000, "checkpoint": file, "resume": True}
    with pytest.raises(InputError, match=r"damping is 1.0 in the file, 0.5 here; go on with the same settings"):
        fit(LinearModel(1, 1, damping=0.5), *orthonormal(), **options)
    with pytest.raises(InputError, match=r"parameters is w float64 \(1, 1\) in the file, w float64 \(2, 1\) here"):
        fit(LinearModel(2, 1), np.ones((8, 1, 2)), orthonormal()[1], **options)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"optimiser": SGD(0.2)}, r"optimiser is SGD\(learning_rate=0.1\) in the file, SGD\(learning_rate=0.2\) here"),
        ({"batch": 4, "seed": 1}, r"batch is 1000 in the file, 4 here; seed is 0 in the file, 1 here"),
        ({"clip": 1.0}, "clip is None in the file, 1.0 here"),
        ({"regularisers": {"hidden": sparsity()}}, r"regularisers is {} in the file, {'hidden': Regulariser"),
        ({"augment": plus_chance}, "augment is None in the file, <function plus_chance> here"),
        ({"validation": 0.5}, r"validation is None in the file, float64 \(4, 1, 1\)"),
        ({"targets": orthonormal(2.0)[1]}, r"targets is float64 \(8, 1, 1\) sha256"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_going_on_with_other_settings_is_refused_by_name(tmp_path, changed, problem):
    samples, targets = orthonormal()
    file = tmp_path / "training.h5"
    trained(samples, targets, checkpoint=file)
    before = file.read_bytes()
    with pytest.raises(InputError, match=problem):
        trained(samples, changed.pop("targets", targets), checkpoint=file, resume=True, epochs=2, **changed)
    assert file.read_bytes() == before


# What goes wrong


@pytest.mark.parametrize("stop", [5, 7])
def test_a_training_that_diverges_says_where_and_leaves_the_last_good_epoch(stop):
    """Two minibatches an epoch; a step with a rate of 1e300 makes the next output inf.

    Step 5 is the second of epoch 3, so that its validation fails; after step 6, the first of epoch 4, it is batch 2.
    """
    model = LinearModel(1, 1)
    huge_at = {5: 5, 7: 6}[stop]
    where = {5: "epoch 3, validation", 7: "epoch 4, batch 2 of 2"}[stop]
    options = {"loss": mean_squared_error(), "batch": 4, "progress": False, "epochs": 9}
    samples, targets = orthonormal(1e30)
    expected, history = LinearModel(1, 1), None
    fit(expected, samples, targets, optimiser=SGD(0.1), **(options | {"epochs": int(where[6]) - 1}))
    seen = []
    with pytest.raises(
        InputError, match=rf"{where}: output holds NaN or inf; .*keeps what it learnt before this epoch"
    ):
        fit(
            model, samples, targets, optimiser=SGD(lambda step: 1e300 if step == huge_at else 0.1),
            validation=(samples, targets), on_epoch=seen.append, **options,
        )  # fmt: skip
    (*_, history) = seen
    assert len(history) == int(where[6]) - 1
    np.testing.assert_array_equal(model.written, expected.written)
    np.testing.assert_array_equal(model.effective, model.written)


@pytest.mark.parametrize(
    ("value", "gradient", "problem"),
    [
        (math.nan, 0.0, "batch 1 of 1: the loss is nan; lower the learning rate"),
        (1.0, math.nan, "batch 1 of 1: gradient of 'w' holds NaN or inf"),
    ],
)
def test_a_loss_or_gradient_that_is_no_number_ends_the_training(monkeypatch, value, gradient, problem):
    def gradients(self, batch, target, loss, regularisers):
        return SimpleNamespace(value=value, gradients={"w": np.full((1, 1), gradient)}, counts={}, norm=gradient)

    monkeypatch.setattr(LinearModel, "gradient", gradients)
    with pytest.raises(InputError, match=f"epoch 1, {problem}"):
        trained(*orthonormal())


@pytest.mark.parametrize(
    ("targets", "loss", "problem"),
    [
        (np.zeros(9, int), every_step(), r"10 samples have targets of shape \(9,\), expected a label each, \(10,\)"),
        (np.zeros(10, int), mean_squared_error(), r"expected traces \(samples, steps, units\), \(10, 1, 2\)"),
        (np.zeros((10, 5, 2)), mean_squared_error(), r"shape \(10, 5, 2\), expected traces .* 'mean squared error'"),
        (np.arange(10), every_step(), r"epoch 1, batch 1 of 1: labels go from 0 to 9, expected 0 to 1"),
    ],
)
def test_targets_that_do_not_fit_are_refused(targets, loss, problem):
    with pytest.raises(InputError, match=problem):
        trained(numbered()[0], targets, units=2, loss=loss)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"epochs": 0}, "epochs is 0, expected a whole number, 1 or more"),
        ({"batch": 2.5}, "batch is 2.5"),
        ({"patience": 0, "validation": 0.5}, "patience is 0"),
        ({"seed": -1}, "seed is -1, expected a whole number, 0 or more"),
        ({"patience": 3}, "patience waits for a lower validation loss; give validation"),
        ({"validation": 1.0}, "validation is 1.0 of 8 samples, expected a share"),
        ({"validation": 0.01}, "validation is 0.01 of 8 samples"),
        ({"validation": np.ones((8, 1, 1))}, r"validation is a ndarray, expected \(samples, targets\) or a share"),
        ({"clip": -1.0}, "max_norm is -1.0"),
        ({"resume": True}, "resume goes on from a checkpoint; give checkpoint="),
    ],
)
def test_numbers_that_make_no_sense_are_refused(options, problem):
    with pytest.raises(ParameterError, match=problem):
        trained(*orthonormal(), **options)


def test_samples_of_several_inputs_are_not_augmented():
    with pytest.raises(ParameterError, match="augment takes the samples of one input"):
        trained({"left": [], "right": []}, [], augment=plus_chance)


# What is shown


def test_progress_is_shown_on_a_terminal_and_nowhere_else(monkeypatch, capsys):
    trained(*numbered(), units=2, loss=every_step(), progress=True)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")
    trained(*numbered(), units=2, loss=every_step(), epochs=2, progress=True)
    shown = capsys.readouterr().err
    for words in ("epoch 2/2", "loss 0.", "accuracy 60.0 %", "gradient "):
        assert words in shown
    trained(*numbered(), units=2, loss=every_step(), progress=False)
    assert capsys.readouterr() == ("", "")


def test_progress_is_shown_in_a_notebook_and_taken_away(monkeypatch):
    shown = []

    def display(drawn, display_id):
        assert display_id
        return SimpleNamespace(update=lambda drawn: shown.append(drawn.data))

    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr("IPython.display.display", display)
    trained(*numbered(), units=2, loss=every_step(), epochs=2, progress=True)
    first, *_, last = shown
    assert first.startswith('epoch 1/2 <progress max="2" value="1"></progress> loss 0.6931')
    assert not last


def test_the_history_so_far_is_told_after_every_epoch():
    told = []
    _, history = trained(*orthonormal(), epochs=3, on_epoch=told.append)
    assert [len(each) for each in told] == [1, 2, 3]
    assert told[-1] is history


def curved(epochs=30, **columns):
    """A history whose loss falls to a third in every epoch."""
    history = History()
    for k in range(epochs):
        numbers = {"loss": 3.0**-k, **{name: column[k] for name, column in columns.items()}}
        history = history.with_epoch(numbers, spikes={"hidden": 2.0})
    return history


def test_the_table_has_the_columns_that_say_something_and_the_best_epoch():
    accuracy = np.linspace(0.5, 1, 30)
    rising = np.abs(np.arange(30) - 6.0)
    head, *rows = str(curved(accuracy=accuracy, validation_loss=rising)).splitlines()
    assert head.split() == ["epoch", "loss", "accuracy", "validation", "loss", "hidden", "spikes"]
    assert len(rows) == 13
    (best,) = (row for row in rows if row.startswith("*") or "* " in row)
    assert best.split() == ["*", "7", "0.001372", "60.3", "%", "0", "2"]
    assert [rows[0].split()[0], rows[-1].split()[0]] == ["1", "30"]


def test_a_history_before_any_epoch_can_be_looked_at():
    assert (len(History()), History().best, str(History())) == (0, 0, "epoch")
    assert History()._repr_png_().startswith(b"\x89PNG")


def test_curves_show_the_columns():
    history = curved(epochs=4, accuracy=[0.1, 0.5, 0.7, 0.6], validation_loss=[4, 2, 3, 5])
    figure = history.plot()
    loss, accuracy = figure.axes
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), history.loss)
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["training 0.333", "validation 2"]
    assert [text.get_text() for text in accuracy.get_legend().get_texts()] == ["training 50.0 %"]
    plt.close(figure)


def test_curves_go_where_they_are_wanted():
    figure, axes = plt.subplots()
    assert curved(accuracy=np.ones(30)).plot(axes) is figure
    assert axes.get_title(loc="left") == "loss"
    assert axes.get_yscale() == "log"  # it fell by 3^29
    plt.close(figure)


def test_a_notebook_shows_picture_and_table_and_keeps_no_figure_open():
    history = curved(epochs=2)
    html = history._repr_html_()
    assert '<img width="422" alt="Curves of loss and accuracy" src="data:image/png;base64,' in html
    assert "<th>loss</th>" in html
    assert "<td>0.3333</td>" in html
    assert plt.get_fignums() == []
