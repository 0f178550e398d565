"""Training from an AnnData: what takes part, what stays unseen, and how it ends."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

import cellflow_cli as cf
from cellflow_cli.catalog import Catalog
from cellflow_cli.config import from_dict
from cellflow_cli.data.populations import population_table
from cellflow_cli.data.tensors import PopulationReader
from cellflow_cli.errors import ConfigError, DataError
from cellflow_cli.flow.ode import SolverConfig
from cellflow_cli.methods._flow import FlowMatching
from cellflow_cli.methods.mfm import MfmConfig
from cellflow_cli.model import learn as learning
from cellflow_cli.model import plan, train
from cellflow_cli.model.plan import Plan
from cellflow_cli.training.config import TrainingConfig
from tests.model.conftest import TINY, make_cohort, make_counts, make_model, make_run, make_spec


def same_weights(first, second):
    a, b = first.method.state_dict(), second.method.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def planned(obs, **settings):
    return plan(obs, from_dict({"data": make_spec(**settings)}))


def test_the_split_is_into_train_validation_and_held_out(cohort):
    split = planned(cohort.obs).split
    assert split.test == ("P5",)
    assert len(split.val) == 2
    assert sorted(split.train + split.val) == ["P1", "P2", "P3", "P4"]


def test_patients_with_controls_alone_are_left_for_prediction(cohort):
    """They teach nothing and must neither validate nor count as seen."""
    obs = cohort.obs[(cohort.obs["patient"] != "P2") | (cohort.obs["treatment"] == "DMSO")]
    split = planned(obs).split
    assert split.test == ("P2", "P5")
    assert sorted(split.train + split.val) == ["P1", "P3", "P4"]


def test_a_split_column_has_the_last_word(cohort):
    parts = {"P1": "train", "P2": "train", "P3": "train", "P4": "val", "P5": "test"}
    obs = cohort.obs.assign(part=cohort.obs["patient"].map(parts))
    split = planned(obs, holdout=(), split_key="part").split
    assert (split.train, split.val, split.test) == (("P1", "P2", "P3"), ("P4",), ("P5",))


def test_nobody_left_to_learn_from(cohort):
    with pytest.raises(DataError, match="treated populations to train on"):
        planned(cohort.obs, holdout="patient=P1,P2,P3,P4,P5")


def test_what_a_model_says_of_itself(model):
    assert model.trained_groups == ("P1", "P2", "P3", "P4")
    assert [c.label for c in model.conditions] == ["drug 0.1", "drug 1", "other"]
    assert model.run["n_parameters"] == sum(p.numel() for p in model.method.parameters())
    assert model.run["best_step"] in (6, 12)
    assert model.run["refitted"] is True
    assert model.run["stopped"] == "done"
    assert model.run["n_cells"] == {"control": 4 * 24, "treated": 4 * 3 * 24}
    assert {row["stage"] for row in model.history.rows} == {"train", "refit"}
    # two of four patients learned in validation, so the refit takes twice as many steps, at most all
    refit = max(row["step"] for row in model.history.rows if row["stage"] == "refit")
    assert refit == min(TINY.steps, 2 * model.run["best_step"])
    assert not model.method.training
    assert model.summaries.training_groups == model.trained_groups


def test_steps_of_the_solver_are_calibrated(model):
    solver = model.config.method.config.solver
    assert solver.steps is not None
    assert solver == model.method.solver
    assert model.run["solver_error"] <= solver.tolerance
    assert model.run["solver_within_tolerance"] is True


def test_steps_that_were_given_are_kept(cohort):
    made = make_model(cohort, solver=SolverConfig(method="euler", steps=3))
    assert made.config.method.config.solver == SolverConfig(method="euler", steps=3)
    assert "solver_error" not in made.run


def test_same_seed_same_weights_other_seed_others(cohort, model):
    assert same_weights(make_model(cohort), model)
    assert not same_weights(make_model(cohort, seed=1), model)


def test_how_often_validation_looks_leaves_the_weights_alone(cohort, monkeypatch):
    """Scores that fall and fall make the last step the best, whenever it was looked at before."""
    scores = iter(torch.arange(1000.0, 0.0, -1.0))
    monkeypatch.setattr(learning, "energy_distance", lambda x, y: next(scores))
    often, seldom = (
        make_model(cohort, training=TrainingConfig(**{**vars(TINY), "refit": False, "validate_every": n}))
        for n in (1, 12)
    )
    assert often.run["best_step"] == seldom.run["best_step"] == 12
    assert same_weights(often, seldom)


def test_a_single_patient_trains_without_validation(cohort):
    made = make_model(cohort, make_spec(holdout="patient=P2,P3,P4,P5"))
    assert made.run["validation_energy"] is None
    assert made.split.val == ()
    assert made.run["refitted"] is False
    assert made.run["best_step"] == 12


@pytest.mark.parametrize("what", ["treated", "everything"])
@pytest.mark.parametrize("kind", ["markers", "counts"])
def test_held_out_cells_do_not_reach_the_model(what, kind, model, pca_model, cohort, counts):
    """Other values in P5, and weights, features and summaries stay the same bit for bit."""
    adata, trained = (cohort, model) if kind == "markers" else (counts, pca_model)
    changed = adata.copy()
    held = (changed.obs["patient"] == "P5").to_numpy()
    if what == "treated":
        held &= (changed.obs["treatment"] != "DMSO").to_numpy()
    dense = changed.X.toarray() if kind == "counts" else changed.X.copy()
    dense[held] = 7 + 3 * dense[held][::-1]
    changed.X = type(changed.X)(dense) if kind == "counts" else dense
    again = make_model(changed, trained.config.data)
    assert same_weights(again, trained)
    for first, second in ((trained.transform, again.transform), (trained.summaries, again.summaries)):
        assert first.to_json() == second.to_json()
        assert all(np.array_equal(a, second.arrays()[name]) for name, a in first.arrays().items())


def test_which_training_cells_do_is_seen(cohort, model):
    """The test above can fail: other values in a patient that trains, and the weights differ."""
    changed = cohort.copy()
    changed.X[(changed.obs["patient"] == "P1").to_numpy()] += 1
    assert not same_weights(make_model(changed), model)


def test_labels_of_held_out_cells_alone_do_not_reach_the_model(cohort, model):
    """A treatment, a dose and a cell type that only P5 has."""
    changed = cohort.copy()
    held = (changed.obs["patient"] == "P5").to_numpy() & (changed.obs["treatment"] == "other").to_numpy()
    changed.obs.loc[held, "treatment"] = "secret"
    assert same_weights(make_model(changed), model)


def test_data_are_left_as_they_were(cohort):
    adata = cohort.copy()
    make_model(adata)
    assert np.array_equal(adata.X, cohort.X)
    pd.testing.assert_frame_equal(adata.obs, cohort.obs)
    assert not adata.uns


def test_validated_weights_are_kept_without_refit(cohort):
    training = TrainingConfig(**{**vars(TINY), "refit": False})
    made = make_model(cohort, training=training)
    assert made.run["refitted"] is False
    assert {row["stage"] for row in made.history.rows} == {"train"}
    best = min((row for row in made.history.rows if "validation" in row), key=lambda row: row["validation"])
    assert best["step"] == made.run["best_step"]
    assert best["validation"] == made.run["validation_energy"]


def test_a_refit_cut_short_by_the_clock_is_not_used(cohort, monkeypatch):
    original, ends = learning.fit, {}

    def fit(*arguments, **settings):
        end = original(*arguments, **settings)
        ends[settings["stage"]] = end
        return end if settings["stage"] == "train" else end._replace(stopped="max-time")

    monkeypatch.setattr(learning, "fit", fit)
    made = make_model(cohort, max_time_s=1000.0)
    assert made.run["refitted"] is False
    kept = made.method.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in ends["train"].state.items())


def test_the_clock_stops_training(cohort):
    made = make_model(cohort, training=TrainingConfig(**{**vars(TINY), "steps": 100_000}), max_time_s=2.0)
    assert made.run["stopped"] == "max-time"
    assert made.run["wall_time_s"] < 30


def interrupt(stage, step):
    def report(at, progress):
        if (at, progress.step) == (stage, step):
            raise KeyboardInterrupt

    return report


def test_an_interrupt_leaves_a_model_that_predicts(cohort):
    partial = []
    with pytest.raises(KeyboardInterrupt):
        make_model(cohort, report=interrupt("train", 4), save_partial=partial.append)
    (made,) = partial
    assert made.run["stopped"] == "interrupted"
    assert made.run["best_step"] == 4
    assert not made.method.training
    assert made.predict(cohort).n_obs == 24 * 4


def test_an_interrupted_refit_leaves_the_validated_model(cohort, monkeypatch):
    partial = []
    with pytest.raises(KeyboardInterrupt):
        make_model(cohort, report=interrupt("refit", 1), save_partial=partial.append)
    (made,) = partial
    # trained without one, but with features of the groups that a refit learns from
    monkeypatch.setattr(Plan, "learned_groups", lambda plan, refit: plan.training_groups)
    whole = make_model(cohort, training=TrainingConfig(**{**vars(TINY), "refit": False}))
    assert same_weights(made, whole)
    assert made.run["best_step"] == whole.run["best_step"]
    assert made.run["refitted"] is False


@pytest.mark.parametrize("refit", [True, False])
def test_an_interrupt_after_learning_leaves_the_trained_model(cohort, monkeypatch, refit):
    training, partial = TrainingConfig(**{**vars(TINY), "refit": refit}), []
    whole = make_model(cohort, training=training)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(FlowMatching, "calibrate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_model(cohort, training=training, solver=SolverConfig(), save_partial=partial.append)
    (made,) = partial
    assert same_weights(made, whole)
    assert made.run["refitted"] is refit


def test_an_interrupted_model_can_be_kept(cohort, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        make_model(
            cohort, report=interrupt("train", 3), save_partial=lambda m: m.save(tmp_path / "m.partial")
        )
    assert (tmp_path / "m.partial" / "weights.safetensors").exists()


def test_cell_types_and_covariates_enter_the_model(cohort):
    made = make_model(cohort, make_spec(cell_type_key="cell_type", covariate_key="culture"))
    assert made.shape.n_node_features == 2
    assert made.shape.n_covariates == 2
    assert made.predict(cohort).n_obs == 24 * 4
    assert {"cell_type", "culture"} <= set(made.predict(cohort).obs)


def test_pairs_may_be_known_of_some_cells_only(cohort):
    """The others have no number, in control and treated cells alike."""
    adata = cohort.copy()
    number = adata.obs.groupby(["patient", "treatment", "dose"], dropna=False).cumcount().astype(float)
    adata.obs["pair"] = number.where(number % 3 != 1)
    reader = PopulationReader(
        adata=adata, spec=make_spec(pairs_key="pair"), transform=(model := make_model(adata)).transform,
        vocabulary=model.vocabulary, device=torch.device("cpu"),
    )  # fmt: skip
    table = population_table(adata.obs, reader.spec)
    treated = table.treated[0]
    source = table.source_of(treated)
    left, right = reader._known_pairs(source, treated)
    pair = adata.obs["pair"].to_numpy()
    assert (pair[source.rows[left]] == pair[treated.rows[right]]).all()
    assert len(left) == np.isfinite(np.intersect1d(pair[source.rows], pair[treated.rows])).sum() > 0


def test_known_pairs_are_used(cohort):
    adata = cohort.copy()
    order = adata.obs.groupby(["patient", "treatment", "dose"], dropna=False).cumcount()
    adata.obs["pair"] = order.to_numpy()
    free, paired = make_model(adata), make_model(adata, make_spec(pairs_key="pair"))
    assert not same_weights(free, paired)


@pytest.mark.parametrize(("name", "settings"), [("cellot", {}), ("fm", {"source": "noise"})])
def test_pairs_change_nothing_where_they_are_not_used(cohort, name, settings):
    adata = cohort.copy()
    order = adata.obs.groupby(["patient", "treatment", "dose"], dropna=False).cumcount()
    adata.obs["pair"] = order.where(order < 3)
    method = Catalog("methods").choose(name, **settings)
    free, paired = (make_model(adata, make_spec(pairs_key=key), method=method) for key in (None, "pair"))
    assert same_weights(free, paired)


def test_a_population_without_a_known_pair_takes_part(cohort):
    adata = cohort.copy()
    order = adata.obs.groupby(["patient", "treatment", "dose"], dropna=False).cumcount()
    adata.obs["pair"] = order.where(adata.obs["patient"] == planned(adata.obs).split.train[0])
    (note,) = planned(adata.obs, pairs_key="pair").findings
    assert "72 of 288 treated cells for training (25.0%)" in note.what
    make_model(adata, make_spec(pairs_key="pair"))


def test_no_known_pair_at_all_is_refused(cohort):
    adata = cohort.copy()
    adata.obs["pair"] = range(adata.n_obs)
    with pytest.raises(DataError, match=r'share values of `obs\["pair"\]`, found none.*--pairs-key'):
        make_model(adata, make_spec(pairs_key="pair"))


def test_validation_needs_two_cells(cohort):
    """With `min_cells` 1 patients of single cells cannot validate, and do not stop training."""
    first = ~cohort.obs.duplicated(["patient", "treatment", "dose"])
    validation = planned(cohort.obs).split.val
    thin = cohort[(~cohort.obs["patient"].isin(validation) | first).to_numpy()].copy()
    made = make_model(thin, make_spec(min_cells=1))
    assert made.run["validation_energy"] is None


def test_methods_by_name(cohort):
    assert make_model(cohort, method="fm").config.method.name == "fm"


def test_a_method_is_a_name_or_a_table(cohort):
    table = {"name": "mfm", "embedder": {"name": "mean", "width": 8, "embedding": 4}, "field": {"width": 8}}
    made = cf.train(cohort, make_spec(), method=table, training=TINY, device="cpu")
    assert made.config.method.config.embedder.name == "mean"
    assert made.config.method.config.field.width == 8
    for wrong in (3, MfmConfig()):
        with pytest.raises(ConfigError, match="Expected a name or a table of settings at `method`"):
            cf.train(cohort, make_spec(), method=wrong, training=TINY, device="cpu")


def test_settings_that_do_not_fit_are_refused(cohort):
    import cellflow_cli as cf

    with pytest.raises(ConfigError, match=r"found 'mfn'. Did you mean 'mfm'\?"):
        cf.train(cohort, make_spec(), method="mfn")


def test_counts_are_reduced_on_training_cells(pca_model, counts):
    """The axes are those of the covariance of log-normalised training counts."""
    train = (counts.obs["patient"] != "P5").to_numpy()
    x = counts.X[train].toarray().astype(np.float64)
    x = np.log1p(1e4 * x / x.sum(1, keepdims=True))
    values, vectors = np.linalg.eigh(np.cov(x.T))
    overlap = np.abs((vectors[:, ::-1][:, :3] * pca_model.transform.space.components).sum(0))
    # float32 expression against float64
    assert overlap.tolist() == pytest.approx([1, 1, 1], abs=1e-4)


def test_sparse_and_dense_counts_agree(counts):
    adata = counts.copy()
    adata.X = counts.X.toarray()
    spec = make_spec(features="pca:3", expression="counts")
    assert np.allclose(
        make_model(adata, spec).transform.space.components,
        make_model(counts, spec).transform.space.components,
    )


def test_make_cohort_is_itself_reproducible():
    assert np.array_equal(make_cohort().X, make_cohort().X)
    assert (make_counts().X != make_counts().X).nnz == 0


def test_units_are_those_of_the_groups_of_each_stage(cohort, monkeypatch):
    seen, original = [], FlowMatching.fit_units

    def fit_units(method, pairs, unit):
        seen.append({pair.source.group for pair in pairs})
        original(method, pairs, unit)

    monkeypatch.setattr(FlowMatching, "fit_units", fit_units)
    split = make_model(cohort).split
    assert split.val
    assert seen == [set(split.train), {*split.train, *split.val}]


def test_a_refit_shows_each_population_as_often(cohort, monkeypatch):
    """Scores that only get worse make the first validation the best, at step 6."""
    falling = iter(range(1000))
    monkeypatch.setattr(learning, "energy_distance", lambda *_: torch.tensor(float(next(falling))))
    made = make_model(cohort)
    assert made.run["best_step"] == 6
    split = made.split
    steps = round(6 * (len(split.train) + len(split.val)) / len(split.train))
    assert max(row["step"] for row in made.history.rows if row["stage"] == "refit") == steps > 6


def test_validation_is_in_units_of_the_training_spread(cohort):
    """Markers times ten: the same score."""
    ten = cohort.copy()
    ten.X = 10 * ten.X
    scores = [make_model(adata).run["validation_energy"] for adata in (cohort, ten)]
    assert scores[0] == pytest.approx(scores[1], rel=0.02)


@pytest.mark.parametrize(("embedder", "disjoint"), [("kernel", True), ("mean", False)])
def test_contexts_that_look_at_cells_are_trained_apart_from_those_that_flow(
    cohort, monkeypatch, embedder, disjoint
):
    seen, original = [], learning.PairSampler

    def sampler(pairs, shape, needs, **sizes):
        seen.append(needs.context.disjoint)
        return original(pairs, shape, needs, **sizes)

    monkeypatch.setattr(learning, "PairSampler", sampler)
    table = {"name": "mfm", "embedder": {"name": embedder}, "field": {"width": 8, "n_blocks": 1}}
    cf.train(cohort, make_spec(), method=table, training=TINY, device="cpu")
    assert set(seen) == {disjoint}


def test_samples_that_were_trained_on_have_their_label(cohort):
    made = make_model(cohort, method="cgfm")
    assert made.shape.label_of("P1") == made.shape.samples.index("P1")
    assert made.shape.label_of("P5") == -1


@pytest.mark.parametrize("features", ["X", "pca:2"])
def test_without_a_refit_groups_of_validation_only_validate(cohort, features):
    """Five times as large, they change no scaling, component or weight, and no summary is of them."""
    spec = make_spec(features=features, expression="as-is" if features != "X" else None)
    once = dataclasses.replace(TINY, refit=False, validate_every=12)  # one validation: it picks nothing
    first = make_model(cohort, spec, training=once)
    assert first.split.val
    large = cohort.copy()
    large.X[large.obs["patient"].isin(first.split.val).to_numpy()] *= 5
    second = make_model(large, spec, training=once)
    for name, fitted in first.transform.arrays().items():
        np.testing.assert_array_equal(fitted, second.transform.arrays()[name])
    assert same_weights(first, second)
    assert set(first.summaries.groups) == set(first.split.train)
    assert set(make_model(cohort, spec).summaries.groups) == {*first.split.train, *first.split.val}


def test_a_condition_of_validation_groups_alone_is_not_learned_without_a_refit(cohort):
    validation = make_model(cohort).split.val
    rare = cohort.copy()
    label = rare.obs["treatment"].astype(str)
    label[rare.obs["patient"].isin(validation) & (label == "other")] = "rare"
    rare.obs["treatment"] = label
    alone = make_model(rare, training=dataclasses.replace(TINY, refit=False))
    assert "rare" not in alone.shape.treatments
    assert "rare" in make_model(rare).shape.treatments


def test_a_plan_is_made_once(cohort, monkeypatch):
    """A plan that was made before is used as it is."""
    run = make_run()
    before = plan(cohort.obs, run)
    monkeypatch.setitem(train.__globals__, "plan_training", None)
    assert train(cohort, run, plan=before, device="cpu").split == before.split


def test_the_keyword_front_takes_all_settings_at_once_too(cohort, model):
    same = cf.train(cohort, make_run(solver=SolverConfig()), device="cpu")
    assert same_weights(same, model)
    assert same.id == model.id
