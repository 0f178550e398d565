"""What does scoring one condition cost, in seconds and in memory?

    python benchmarks/scoring_cost.py                                   5,000 cells of 43 markers
    python benchmarks/scoring_cost.py --cells 20000 --features 50       beyond the size that is kept in memory

Gaussian cells, the predicted ones a little off. Ours computes all metrics together, as `cellflow evaluate`
does. Beside it the plain route of one call for each metric: `ot.emd2` on `ot.dist` for W1 and W2, and the
kernels of the paper from whole matrices; it is left out above 10,000 cells. Both are timed in turn, medians
over rounds. Peak memory is that of our part, read before the plain route begins.
"""

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import ot
import torch
from torch import Tensor

from cellflow_cli.evaluation.compute import compute
from cellflow_cli.metrics import Comparison
from cellflow_cli.metrics.mmd_rbf import GAMMAS

PAPER = ("w1", "w2", "mmd-rbf", "r2-mean")
MAX_PLAIN = 10_000

Values = Mapping[str, float | None]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--features", type=int, default=43)
    parser.add_argument("--metrics", default=",".join(PAPER))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, default=None)
    args = parser.parse_args()
    rng = torch.Generator().manual_seed(0)
    predicted, target, control = torch.randn(3, args.cells, args.features, generator=rng, dtype=torch.float64)
    predicted = 0.9 * predicted + 0.1
    names, device = args.metrics.split(","), torch.device(args.device)

    def together() -> Values:
        comparison = Comparison(
            predicted=predicted.to(device), target=target.to(device), control=control.to(device)
        )
        return {name: metric.value for name, metric in compute(names, comparison).items()}

    together()  # warm-up, and the peak of memory
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    routes: dict[str, Callable[[], Values]] = {"all metrics together": together}
    if args.cells <= MAX_PLAIN:
        routes |= {
            "w1, plain": lambda: {"w1": transport(predicted, target, 1)},
            "w2, plain": lambda: {"w2": transport(predicted, target, 2)},
            "mmd-rbf, plain": lambda: {"mmd-rbf": kernels(predicted, target)},
        }
    seconds, values = in_turn(routes, args.rounds)
    print(f"{args.cells} cells of {args.features} features a side, {torch.get_num_threads()} threads")
    for name in routes:
        print(f"{name:22} {seconds[name]:7.2f} s   {values[name]}")
    print(f"peak memory {peak_mb:.0f} MB")
    if args.json:
        result = {"arguments": vars(args), "seconds": seconds, "values": values, "peak_mb": round(peak_mb)}
        args.json.write_text(json.dumps(result, indent=2, default=str))


def in_turn(
    routes: Mapping[str, Callable[[], Values]], rounds: int
) -> tuple[dict[str, float], dict[str, Values]]:
    """Median seconds of each route over rounds in which they take turns, and what each computes."""
    spent: dict[str, list[float]] = {name: [] for name in routes}
    values: dict[str, Values] = {}
    for _ in range(rounds):
        for name, route in routes.items():
            started = time.perf_counter()
            values[name] = route()
            spent[name].append(time.perf_counter() - started)
    return {name: statistics.median(seconds) for name, seconds in spent.items()}, values


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
