"""What does a training step and a prediction cost, method by method?

    python benchmarks/step_time.py --points 250             letters as the table is trained
    python benchmarks/step_time.py --points 700 --k 50      the published batch, 10 x 700 points, k = 50
    python benchmarks/step_time.py --features 43            1,024 cells of 43 markers a step

Simulated Gaussian populations of 1,760 cells, so that no data are needed: costs do not depend on values.
Methods are timed in turn, several rounds of each, and medians over all rounds printed, so that a busy
machine slows them all alike. Warm-up steps are not counted. A prediction is 1,000 cells with the context
of the whole population, 32 midpoint steps.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

from cellflow_cli.config import from_dict, merged, read_toml
from cellflow_cli.flow.ode import SolverConfig
from cellflow_cli.model._model import build_method
from cellflow_cli.prediction.transport import prepare, transport
from cellflow_cli.rng import streams
from cellflow_cli.training.loop import TrainingConfig, fit
from cellflow_cli.training.sampler import PairSampler
from cellflow_cli.types import Condition, ModelShape, Population, PopulationPair

VARIANTS = Path(__file__).with_name("letters.toml")
DATA = {"treatment_key": "treatment", "control": "control", "sample_key": "population"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variants", type=Path, default=VARIANTS)
    parser.add_argument("--populations", type=int, default=10)
    parser.add_argument("--points", type=int, default=250)
    parser.add_argument("--features", type=int, default=2)
    parser.add_argument("--k", type=int, default=None, help="neighbours of graph contexts")
    parser.add_argument("--steps", type=int, default=5, help="steps per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, default=None)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    timed = {name: Timed(settings, args) for name, settings in read_toml(args.variants).items()}
    for _ in range(args.rounds + 1):
        for one in timed.values():
            one.round()
    rows = [{"method": name, **one.medians()} for name, one in timed.items()]
    print(f"{'':18} {'ms per step':>12} {'s per 1,000 cells':>18} {'parameters':>11}")
    for row in rows:
        print(f"{row['method']:18} {row['step_ms']:12.0f} {row['predict_s']:18.2f} {row['parameters']:11,}")
    if args.json:
        args.json.write_text(
            json.dumps(
                {"arguments": vars(args) | {"variants": str(args.variants)}, "rows": rows}, default=str
            )
        )


class Timed:
    """One method with its data, timed in rounds."""

    def __init__(self, settings: dict, args: argparse.Namespace) -> None:
        if args.k is not None and "k" in settings["method"].get("embedder", {}):
            settings = merged(settings, {"method": {"embedder": {"k": args.k}}})
        self.args, device = args, torch.device(args.device)
        config = from_dict(merged({"data": DATA}, settings))
        rng = torch.Generator().manual_seed(0)
        pairs = [_pair(i, 1760, args.features, rng, device) for i in range(20)]
        shape = ModelShape(
            n_features=args.features, treatments=("drug",), samples=tuple(f"S{i}" for i in range(20))
        )
        self.method = build_method(config, shape).to(device)
        self.method.fit_units(pairs, torch.ones(args.features, device=device))
        self.sampler = PairSampler(
            pairs, shape, n_populations=args.populations, n_cells=args.points,
            context_cells=self.method.context_cells, apart=getattr(self.method, "context_apart", False),
            with_pairs=getattr(self.method, "uses_pairs", True),
        )  # fmt: skip
        self.pair, self.rngs = pairs[0], streams(0)
        self.steps: list[float] = []
        self.predictions: list[float] = []

    def round(self) -> None:
        """Some steps and one prediction; the first round is the warm-up."""
        training = TrainingConfig(steps=self.args.steps, validate_every=10**9, patience=0)
        seconds = self._seconds(lambda: fit(self.method, self.sampler.draw, training, self.rngs))
        self.steps.append(seconds / self.args.steps)
        self.predictions.append(self._seconds(self._predict))

    def _predict(self) -> None:
        prepared = prepare(self.method, self.pair.source, self.pair.condition, 0)
        transport(self.method, self.pair.source.cells[:1000], prepared, SolverConfig(steps=32))

    def _seconds(self, work) -> float:  # noqa: ANN001
        if self.args.device != "cpu":
            torch.cuda.synchronize()
        started = time.perf_counter()
        work()
        if self.args.device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    def medians(self) -> dict:
        """Medians without the warm-up."""
        return {
            "step_ms": 1000 * statistics.median(self.steps[1:]),
            "predict_s": statistics.median(self.predictions[1:]),
            "parameters": sum(p.numel() for p in self.method.parameters()),
        }


def _pair(i: int, n: int, d: int, rng: torch.Generator, device: torch.device) -> PopulationPair:
    x0 = torch.randn(n, d, generator=rng)
    x1 = x0 + 0.5 * torch.randn(n, d, generator=rng)
    rows = torch.arange(n)
    name = (f"S{i}",)
    return PopulationPair(
        source=Population(sample=name, group=name[0], cells=x0.to(device)),
        target=Population(sample=name, group=name[0], cells=x1.to(device), condition=Condition("drug")),
        pairs=(rows, rows),
    )


if __name__ == "__main__":
    main()
