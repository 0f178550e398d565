"""Features: missing, renamed, twice, in another order, more of them, and ones that are no markers."""

from collections.abc import Callable, Iterator

import anndata
import numpy as np
import pandas as pd

from tests.robustness.case import RUNS, SAME, Case, refused, warned
from tests.robustness.cases_matrices import changed, on

KIND = "features"
READERS = ("predict", "evaluate")


def names(change: Callable[[list[str]], list], base: str = "markers") -> Callable:
    """A maker: the same cells, other feature names."""

    def edit(adata: anndata.AnnData) -> None:
        adata.var.index = pd.Index(change(list(adata.var_names)))

    return changed(edit, base)


def more(extra: dict[str, object]) -> Callable:
    """A maker: columns beside the markers."""

    def edit(adata: anndata.AnnData) -> anndata.AnnData:
        rng = np.random.default_rng(3)
        columns = [np.broadcast_to(f(rng, adata.n_obs), adata.n_obs) for f in extra.values()]
        x = np.c_[adata.X, np.stack(columns, 1)].astype(np.float32)
        return anndata.AnnData(x, obs=adata.obs, var=pd.DataFrame(index=[*adata.var_names, *extra]))

    return changed(edit)


def _uniform(high: float) -> Callable:
    return lambda rng, n: rng.uniform(0, high, n)


RENAMED = {
    "all others": lambda v: [f"X{n}" for n in v],
    "lower case": lambda v: [n.lower() for n in v],
    "a prefix": lambda v: [f"GRCh38_{n}" for n in v],
    "a version": lambda v: [f"{n}.1" for n in v],
    "numbers": lambda v: [str(i) for i in range(len(v))],
    "blanks": lambda v: [f"{n} " for n in v],
    "empty": lambda v: [""] * len(v),
    "one in common": lambda v: [v[0], *[n.lower() for n in v[1:]]],
    "one renamed": lambda v: [*v[:-1], "new"],
    "one empty": lambda v: [*v[:-1], ""],
    "a channel before": lambda v: [f"Pr141Di_{n}" for n in v],
    "zero width": lambda v: [f"{n}\u200b" for n in v],
    "swapped case of one": lambda v: [v[0].swapcase(), *v[1:]],
    "nan": lambda v: [*v[:-1], "nan"],
}
TWICE = {
    "one name twice": lambda v: [v[1], *v[1:]],
    "all names alike": lambda v: ["M"] * len(v),
    "two names twice": lambda v: [v[0], v[0], v[1], v[1], *v[4:]],
}
ODD_NAMES = {
    "mathtext": "$x_{$", "rich": "[red]x", "script": "<script>", "comma": "a,b", "line break": "a\nb", "long": "x" * 10**5,
    "slash": "CD3/CD4", "emoji": "\U0001f9ea", "quotes": "a'b\"", "greek": "TNF\u03b1", "blank": " ",
}  # fmt: skip
NO_MARKERS = {
    "Time": _uniform(3e6), "Event_length": _uniform(70), "Ce140Di": lambda rng, n: np.zeros(n),
    "DNA1": _uniform(9e3), "beads": _uniform(1e5), "FSC-A": _uniform(2e5),
}  # fmt: skip
FEATURES = {
    "layers/none": "none", "obsm/none": "none", "pca:0": "pca", "pca:-1": "pca", "pca:1000": "", "pca:x": "pca",
    "": "", "Y": "Y", "pca": "pca", "pca:": "pca", "obsm/": "obsm", "layers/": "layers", "x": "x", "uns/x": "uns",
    "pca:1e9": "pca", "pca:99999999999999999999": "pca", "pca:3.5": "pca", "X/Y": "X", "raw": "raw",
}  # fmt: skip


def _obsm(values: Callable[[int], np.ndarray]) -> Callable:
    return changed(lambda a: a.obsm.__setitem__("X_x", values(a.n_obs)))


def cases() -> Iterator[Case]:
    """All of this kind."""
    for base in ("markers", "counts"):
        for name, change in RENAMED.items():
            yield Case(KIND, f"{base}: {name}", names(change, base), on(refused("feature|gene|marker|name", codes=(3, 4)), READERS),
                       base=base)  # fmt: skip
        for name, change in TWICE.items():
            yield Case(KIND, f"{base}: {name}", names(change, base),
                       on(refused("names|twice|duplicate"), ("check", "train", *READERS)), base=base)  # fmt: skip
        yield Case(
            KIND,
            f"{base}: other order",
            changed(lambda a: a[:, ::-1].copy(), base),
            on(SAME, READERS),
            base=base,
        )
        shuffled = lambda a: a[:, np.random.default_rng(0).permutation(a.n_vars)].copy()  # noqa: E731
        yield Case(KIND, f"{base}: shuffled", changed(shuffled, base), on(SAME, READERS), base=base)
        for n in (1, 3):
            yield Case(KIND, f"{base}: {n} missing", changed(lambda a, k=n: a[:, k:].copy(), base),
                       on(refused("M0|GENE0", codes=(3, 4)), READERS), base=base)  # fmt: skip
        yield Case(KIND, f"{base}: most missing", changed(lambda a: a[:, :2].copy(), base),
                   on(refused("M|GENE", codes=(3, 4)), READERS), base=base)  # fmt: skip
        yield Case(KIND, f"{base}: none", changed(lambda a: a[:, :0].copy(), base),
                   on(refused("feature|columns|gene|marker|no ", codes=(3, 4)), ("check", "train", *READERS)), base=base)  # fmt: skip
    yield Case(KIND, "one more", more({"extra": _uniform(3)}), on(SAME, READERS))
    yield Case(
        KIND,
        "one more, of NaN",
        more({"extra": lambda r, n: np.full(n, np.nan)}),
        on(SAME, READERS) | on(refused("extra"), ("check", "train")),
    )
    for name, values in NO_MARKERS.items():
        yield Case(KIND, f"no marker: {name}", more({name: values}), on(warned(name), ("check", "train")))
    yield Case(KIND, "no markers: all", more(NO_MARKERS), on(warned("Time"), ("check", "train")))
    for name, text in ODD_NAMES.items():
        yield Case(
            KIND,
            f"a marker called {name}",
            names(lambda v, t=text: [*v[:-1], t]),
            on(RUNS, ("check", "train")),
        )
    yield Case(KIND, "one marker", changed(lambda a: a[:, :1].copy()), on(RUNS, ("check", "train")))
    for text, said in FEATURES.items():
        yield Case(KIND, f"--features {text!r}", changed(lambda a: None), on(refused(said, codes=(2, 3)), ("check", "train")),
                   options=("--features", text, "--expression", "as-is"))  # fmt: skip
    for name, values, right in (
        ("numbers", lambda n: np.random.default_rng(0).normal(size=(n, 3)), RUNS),
        ("NaN", lambda n: np.full((n, 3), np.nan), refused("finite|X_x")),
        ("texts", lambda n: np.array([["a"] * 3] * n, dtype=object), refused("X_x|number")),
        (
            "zeros",
            lambda n: np.zeros((n, 3)),
            refused("X_x|vari|constant|zero") | warned("X_x|vari|constant|zero"),
        ),
        (
            "one huge value",
            lambda n: np.r_[np.full((1, 3), 1e300), np.ones((n - 1, 3))],
            refused("X_x|float32|large"),
        ),
    ):
        yield Case(
            KIND,
            f"obsm of {name}",
            _obsm(values),
            on(right, ("check", "train")),
            options=("--features", "obsm/X_x"),
        )
