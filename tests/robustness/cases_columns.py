"""Columns of obs: missing, of another type, with gaps, and designs that cannot be trained on."""

from collections.abc import Callable, Iterator

import anndata
import numpy as np
import pandas as pd

from tests.robustness.case import RUNS, SAME, Case, Right, refused, warned
from tests.robustness.cases_matrices import changed, on

KIND = "columns"
TRAINING = ("check", "train")
KEYS = ("treatment", "sample", "dose", "batch", "cell-type", "covariate", "group", "split", "pairs", "match")


def column(name: str, values: Callable[[anndata.AnnData], object], index: bool = True) -> Callable:
    """A maker: obs with a column of these values."""

    def edit(adata: anndata.AnnData) -> None:
        made = values(adata)
        adata.obs[name] = (
            pd.Series(list(made), index=adata.obs.index)
            if index and not isinstance(made, pd.Series)
            else made
        )

    return changed(edit)


def _gaps(adata: anndata.AnnData, name: str, rows: object) -> pd.Series:
    values = adata.obs[name].astype("category").copy()
    values.iloc[rows] = None
    return values


def _keep(mask: Callable[[pd.DataFrame], pd.Series]) -> Callable:
    return changed(lambda a: a[mask(a.obs).to_numpy()].copy())


def _treated(obs: pd.DataFrame) -> pd.Series:
    return obs["treatment"] != "control"


def _few(obs: pd.DataFrame) -> pd.Series:
    chosen = (obs["patient"] == "P2") & (obs["treatment"] == "drug")
    return ~chosen | (chosen.cumsum() <= 3)


DESIGNS = {
    "no controls": (_keep(_treated), refused("control")),
    "only controls": (_keep(lambda o: ~_treated(o)), refused("treat")),
    "one patient": (_keep(lambda o: o["patient"] == "P5"), refused("P5|patient|group")),
    "only the held-out patient is missing": (_keep(lambda o: o["patient"] != "P5"), None),
    "two patients": (_keep(lambda o: o["patient"].isin(["P1", "P5"])), None),
    "a treated population without control": (
        _keep(lambda o: ~((o["patient"] == "P2") & ~_treated(o))), refused("P2", "--drop-unpaired")),
    "three cells": (_keep(_few), refused("P2", "drug", "--drop-small|--min-cells")),
    "one cell a population": (changed(lambda a: a[::25].copy()), refused("cell")),
    "one patient without one treatment": (
        _keep(lambda o: ~((o["patient"] == "P2") & (o["treatment"] == "drug"))), RUNS),
}  # fmt: skip


def _index(names: Callable[[anndata.AnnData], list]) -> Callable:
    def edit(adata: anndata.AnnData) -> None:
        adata.obs.index = pd.Index(names(adata))

    return changed(edit)


OF_TREATMENT = {
    "all missing": (lambda a: [np.nan] * a.n_obs, refused("treatment")),
    "missing in one training cell": (lambda a: _gaps(a, "treatment", 3), refused("treatment") | warned("missing")),
    "missing in a population": (
        lambda a: _gaps(a, "treatment", slice(25, 50)), refused("treatment") | warned("missing")),
    "numbers": (lambda a: np.arange(a.n_obs) % 3, refused("control")),
    "truth values": (lambda a: a.obs["treatment"].to_numpy() == "control", refused("control")),
    "empty texts": (lambda a: a.obs["treatment"].replace({"drug": ""}), refused("treatment|empty") | warned("empty|''")),
    "times": (lambda a: pd.date_range("2020", periods=a.n_obs).astype(str), refused("control")),
    "one label": (lambda a: ["control"] * a.n_obs, refused("treat")),
    "the text nan": (lambda a: a.obs["treatment"].replace({"drug": "nan"}), refused("nan|missing|treatment") | RUNS),
}  # fmt: skip
SAME_TREATMENT = {
    "categorical with unused labels": lambda a: pd.Categorical(
        a.obs["treatment"], ["zz", "control", "drug", "other", "aa"]),
    "ordered categorical": lambda a: pd.Categorical(
        a.obs["treatment"], ["other", "control", "drug"], ordered=True),
    "texts": lambda a: a.obs["treatment"].astype(str),
    "nullable texts": lambda a: a.obs["treatment"].astype("string"),
}  # fmt: skip


def _doses(treated: object, control: object = 0.0) -> Callable[[anndata.AnnData], list]:
    return lambda a: [control if t == "control" else treated for t in a.obs["treatment"]]


DOSES = {
    "numbers": (_doses(1.0), RUNS),
    "missing for controls": (_doses(1.0, np.nan), RUNS),
    "texts of numbers": (_doses("1.0", "0"), RUNS | refused("dose")),
    "texts": (_doses("high", "none"), refused("dose")),
    "texts with a unit": (_doses("10 uM", "0"), refused("dose")),
    "a decimal comma": (_doses("1,5", "0"), refused("dose")),
    "negative": (_doses(-1.0), refused("dose")),
    "infinite": (_doses(np.inf), refused("dose")),
    "missing for treated": (_doses(np.nan), refused("dose") | RUNS),
    "all zero": (_doses(0.0), refused("dose|zero") | warned("dose|zero") | RUNS),
    "huge": (_doses(1e300), refused("dose|1e") | warned("dose") | RUNS),
    "all different": (lambda a: np.arange(a.n_obs) + 1.0, refused("")),
    "truth values": (_doses(True, False), refused("dose") | RUNS),
}
SPLITS = {
    "sound": (lambda a: a.obs["patient"].map({"P5": "test", "P4": "val"}).fillna("train"), RUNS),
    "in capitals": (lambda a: a.obs["patient"].map({"P5": "TEST", "P4": "VAL"}).fillna("TRAIN"), refused("split") | RUNS),
    "other labels": (lambda a: a.obs["patient"].map({"P5": "held-out"}).fillna("train"), refused("held-out")),
    "missing": (lambda a: a.obs["patient"].map({"P5": "test", "P1": "train"}), refused("split|missing")),
    "all train": (lambda a: ["train"] * a.n_obs, RUNS),
    "all test": (lambda a: ["test"] * a.n_obs, refused("train")),
    "mixed in a patient": (lambda a: ["train", "test", "train"] * (a.n_obs // 3), refused("split|P1")),
    "numbers": (lambda a: np.arange(a.n_obs) % 2, refused("split|train")),
    "validation by another name": (lambda a: a.obs["patient"].map({"P5": "validation"}).fillna("train"), refused("valid")),
}  # fmt: skip
OTHERS = {
    "samples missing in some cells": (
        column("patient", lambda a: _gaps(a, "patient", slice(0, 5))), (), refused("patient") | warned("missing")),
    "samples all missing": (column("patient", lambda a: [np.nan] * a.n_obs), (), refused("patient")),
    "a sample for each cell": (
        column("patient", lambda a: [f"P{i}" for i in range(a.n_obs)]), (), refused("")),
    "numbers for samples": (
        column("patient", lambda a: a.obs["patient"].str[1:].astype(int)), ("@P5=5",), SAME),
    "numbers with a point for samples": (
        column("patient", lambda a: a.obs["patient"].str[1:].astype(float)), ("@P5=5",), SAME),
    "one batch a cell": (column("batch", lambda a: [f"b{i}" for i in range(a.n_obs)]), ("--batch-key", "batch"), RUNS),
    "batches missing": (
        column("batch", lambda a: [np.nan] * a.n_obs), ("--batch-key", "batch"), refused("batch") | warned("batch")),
    "cell types missing": (
        column("kind", lambda a: [np.nan] * a.n_obs), ("--cell-type-key", "kind"), refused("kind") | warned("kind")),
    "cell types missing in one cell": (
        column("kind", lambda a: [None, *["T"] * (a.n_obs - 1)]), ("--cell-type-key", "kind"),
        refused("kind") | warned("kind") | RUNS),
    "a cell type for each cell": (
        column("kind", lambda a: [f"t{i}" for i in range(a.n_obs)]), ("--cell-type-key", "kind"),
        refused("kind") | warned("kind") | RUNS),
    "a covariate that changes in a sample": (
        column("sex", lambda a: ["f", "m", "f"] * (a.n_obs // 3)), ("--covariate-key", "sex"), refused("sex")),
    "a covariate missing": (
        column("sex", lambda a: [np.nan] * a.n_obs), ("--covariate-key", "sex"), refused("sex") | warned("sex")),
    "a covariate of numbers": (
        column("age", lambda a: a.obs["patient"].str[1:].astype(int) + 0.5), ("--covariate-key", "age"), RUNS | refused("age")),
    "a covariate of the held-out patient alone": (
        column("sex", lambda a: np.where(a.obs["patient"] == "P5", "m", "f")), ("--covariate-key", "sex"),
        RUNS | refused("sex") | warned("sex")),
    "pairs with fractions": (
        column("pair", lambda a: np.arange(a.n_obs) + 0.5), ("--pairs-key", "pair"), refused("pair")),
    "pairs of texts": (column("pair", lambda a: ["a"] * a.n_obs), ("--pairs-key", "pair"), refused("pair")),
    "one number for all pairs": (column("pair", lambda a: [1] * a.n_obs), ("--pairs-key", "pair"), refused("pair")),
    "pairs missing": (
        column("pair", lambda a: [np.nan] * a.n_obs), ("--pairs-key", "pair"), refused("pair") | warned("pair") | RUNS),
    "the treatment twice": (changed(lambda a: None), ("--batch-key", "treatment"), RUNS | refused("treatment", codes=(2, 3))),
    "groups that cut samples": (
        column("site", lambda a: ["x", "y", "x"] * (a.n_obs // 3)), ("--group-key", "site"), refused("site|patient")),
    "treatments as samples": (changed(lambda a: None), ("--group-key", "treatment"), refused("treatment", codes=(2, 3))),
}  # fmt: skip
INDEXES = {
    "cell names twice": (lambda a: ["c0", *a.obs_names[:-1]], refused("names")),
    "all cell names alike": (lambda a: ["c"] * a.n_obs, refused("names")),
    "empty cell names": (lambda a: [""] * a.n_obs, refused("names")),
    "numbers as cell names": (lambda a: [str(i) for i in range(a.n_obs)], SAME),
    "long cell names": (lambda a: [f"{i}{'x' * 5000}" for i in range(a.n_obs)], SAME),
    "cell names with signs": (lambda a: [f"ü\n\t$x_{{$ [red] {i}" for i in range(a.n_obs)], SAME),
}


def cases() -> Iterator[Case]:
    """All of this kind."""
    for key in KEYS:
        for name in ("nothing", "Patient "):
            right = refused(name.strip() if key != "split" else "split|holdout", codes=(2, 3))
            commands = (*TRAINING, "compare") if name == "nothing" else TRAINING
            yield Case(KIND, f"--{key}-key {name!r}", changed(lambda a: None), on(right, commands),
                       options=(f"--{key}-key", name))  # fmt: skip
    for name, (values, right) in OF_TREATMENT.items():
        commands = (*TRAINING, "predict") if name in ("all missing", "numbers") else TRAINING
        rights = on(right, TRAINING) | on(refused("control|treatment"), commands[2:])
        yield Case(KIND, f"treatment: {name}", column("treatment", values), rights)
    for name, values in SAME_TREATMENT.items():
        yield Case(KIND, f"treatment: {name}", column("treatment", values, False),
                   on(SAME, (*TRAINING, "predict", "evaluate")))  # fmt: skip
    for name, (values, right) in DOSES.items():
        yield Case(
            KIND, f"dose: {name}", column("dose", values), on(right, TRAINING), options=("--dose-key", "dose")
        )
    for name, (values, right) in SPLITS.items():
        words = lambda c, f, s: _without_holdout(c, f, s, ("--split-key", "split"))  # noqa: E731
        yield Case(KIND, f"split: {name}", column("split", values), on(right, TRAINING), line=words)
    for name, (make, options, right) in OTHERS.items():
        if options[:1] == ("@P5=5",):
            rights = {
                "check": refused("P5"),
                "train": refused("P5"),
                "predict": RUNS,
                "evaluate": refused("P5"),
            }
            yield Case(KIND, name, make, rights)
        else:
            yield Case(KIND, name, make, on(right, TRAINING), options=options)
    for name, (values, right) in INDEXES.items():
        commands = (*TRAINING, "predict") if right is SAME else TRAINING
        yield Case(KIND, name, _index(values), on(right, commands))
    for name, (make, right) in DESIGNS.items():
        if right is not None:
            yield Case(KIND, name, make, on(right, TRAINING))
    yield Case(KIND, "one cell of control at prediction", _keep(lambda o: ~((o["patient"] == "P5") & ~_treated(o))
               | ((o["patient"] == "P5") & ~_treated(o)).cumsum().eq(1)), {"predict": refused("P5|cell") | warned("cell")})  # fmt: skip
    yield Case(
        KIND,
        "no controls at prediction",
        _keep(_treated),
        {"predict": refused("control"), "evaluate": RUNS | refused("control")},
    )
    yield Case(
        KIND,
        "only trained patients at prediction",
        _keep(lambda o: o["patient"] != "P5"),
        {"predict": refused("unseen|--samples"), "evaluate": refused("P5")},
    )


def _without_holdout(command: str, files: list[str], sound: object, options: tuple[str, ...]) -> list[str]:
    from tests.robustness.sound import HOLDOUT, command_line

    words = command_line(command, "markers", files, sound, options)
    if HOLDOUT[0] in words:
        at = words.index(HOLDOUT[0])
        words = words[:at] + words[at + 2 :]
    return words


__all__ = ["Right", "cases"]
