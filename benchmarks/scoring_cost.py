"""What does scoring one condition cost, in seconds and in memory?

    python benchmarks/scoring_cost.py                                   5,000 cells of 43 markers
    python benchmarks/scoring_cost.py --cells 20000 --features 50       beyond the size that is kept in memory

Gaussian cells, the predicted ones a little off. Ours computes all metrics together, as `cellflow evaluate`
does. Beside it the plain route of one call for each metric: `ot.emd2` on `ot.dist` for W1 and W2, and the
kernels of the paper from whole matrices; it is left out above 10,000 cells. Both are timed in turn, medians
over rounds. Peak memory is that of our part, read before the plain route begins.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import ot
import torch
from torch import Tensor

from cellflow_cli.evaluation.compute import compute
from cellflow_cli.metrics import Comparison
from cellflow_cli.metrics.mmd_rbf import GAMMAS

PAPER = ("w1", "w2", "mmd-rbf", "r2-mean")
MAX_PLAIN = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--features", type=int, default=43)
    parser.add_argument("--metrics", default=",".join(PAPER))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    made = torch.Generator().manual_seed(0)
    predicted, target, control = torch.randn(
        3, args.cells, args.features, generator=made, dtype=torch.float64
    )
    predicted = 0.9 * predicted + 0.1
    names = args.metrics.split(",")

    def ours() -> dict[str, float | None]:
        given = Comparison(
            predicted=predicted.to(args.device),
            target=target.to(args.device),
            control=control.to(args.device),
        )
        return {name: found.value for name, found in compute(names, given).items()}

    routes: dict[str, Callable[[], dict[str, float | None]]] = {"all metrics together": ours}
    routes["all metrics together"]()  # warm-up, and the peak of memory
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if args.cells <= MAX_PLAIN:
        routes |= {
            "w1, plain": lambda: {"w1": transport(predicted, target, 1)},
            "w2, plain": lambda: {"w2": transport(predicted, target, 2)},
            "mmd-rbf, plain": lambda: {"mmd-rbf": kernels(predicted, target)},
        }
    spent: dict[str, list[float]] = {name: [] for name in routes}
    values: dict[str, dict[str, float | None]] = {}
    for _ in range(args.rounds):
        for name, route in routes.items():
            started = time.perf_counter()
            values[name] = route()
            spent[name].append(time.perf_counter() - started)
    print(f"{args.cells} cells of {args.features} features a side, {torch.get_num_threads()} threads")
    for name, seconds in spent.items():
        print(f"{name:22} {statistics.median(seconds):7.2f} s   {values[name]}")
    print(f"peak memory {peak:.0f} MB")


def transport(x: Tensor, y: Tensor, power: int) -> float:
    """Exact transport, one problem by itself."""
    cost = ot.dist(x.numpy(), y.numpy(), metric="sqeuclidean" if power == 2 else "euclidean")
    return float(ot.emd2([], [], cost, numItermax=10_000_000)) ** (1 / power)


def kernels(x: Tensor, y: Tensor) -> float:
    """Squared kernel distance, biased, mean over bandwidths."""
    xx, yy, xy = torch.cdist(x, x) ** 2, torch.cdist(y, y) ** 2, torch.cdist(x, y) ** 2
    return float(
        sum((-g * xx).exp().mean() + (-g * yy).exp().mean() - 2 * (-g * xy).exp().mean() for g in GAMMAS)
        / len(GAMMAS)
    )


if __name__ == "__main__":
    main()
