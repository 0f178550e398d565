"""What does a training step and a prediction cost, variant by variant?

    python benchmarks/step_time.py --points 250             letters as the table is trained
    python benchmarks/step_time.py --points 700 --k 50      the published batch, 10 x 700 points, k = 50
    python benchmarks/step_time.py --features 43            cells of 43 markers

Simulated Gaussian populations, so that no data are needed: costs do not depend on values. Variants are
timed in turn, several rounds of each, and medians over all rounds printed, so that a busy machine slows
them all alike. Warm-up steps are not counted. A prediction has the context of the whole population and 32
midpoint steps.
"""

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from cellflow_cli.catalog import Catalog
from cellflow_cli.config import RunConfig, from_dict, merged, read_toml
from cellflow_cli.model.model import build_method
from cellflow_cli.prediction.transport import Prepared, prepare, transport
from cellflow_cli.rng import streams
from cellflow_cli.training.config import TrainingConfig
from cellflow_cli.training.loop import fit
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
    parser.add_argument("--cells", type=int, default=1760, help="cells of a population")
    parser.add_argument("--predicted", type=int, default=1000, help="cells of a prediction")
    parser.add_argument("--k", type=int, default=None, help="neighbours of graph contexts")
    parser.add_argument("--steps", type=int, default=5, help="steps per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, default=None)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    variants = {name: Timed(settings, args) for name, settings in read_toml(args.variants).items()}
    for _ in range(args.rounds + 1):
        for variant in variants.values():
            variant.round()
    costs = {name: variant.medians() for name, variant in variants.items()}
    width = max(map(len, costs))
    print(f"{'':{width}} {'ms per step':>12} {'s per prediction':>18} {'parameters':>11}")
    for name, cost in costs.items():
        print(f"{name:{width}} {cost['step_ms']:12.0f} {cost['predict_s']:18.2f} {cost['parameters']:11,}")
    if args.json:
        args.json.write_text(json.dumps({"arguments": vars(args), "variants": costs}, indent=2, default=str))


class Timed:
    """One variant with its data, timed in rounds."""

    def __init__(self, settings: Mapping[str, Any], args: argparse.Namespace) -> None:
        self.args, device = args, torch.device(args.device)
        config = _config(settings, args.k)
        rng = torch.Generator().manual_seed(0)
        pairs = [_pair(i, args.cells, args.features, rng, device) for i in range(20)]
        shape = ModelShape(
            n_features=args.features, treatments=("drug",), samples=tuple(f"S{i}" for i in range(20))
        )
        self.method = build_method(config, shape).to(device)
        self.method.fit_units(pairs, torch.ones(args.features, device=device))
        self.sampler = PairSampler(
            pairs, shape, self.method.needs, n_populations=args.populations, n_cells=args.points
        )
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
        transport(self.method, Prepared(prepared.start[: self.args.predicted], prepared.conditioning))

    def _seconds(self, work: Callable[[], object]) -> float:
        if self.args.device != "cpu":
            torch.cuda.synchronize()
        started = time.perf_counter()
        work()
        if self.args.device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    def medians(self) -> dict[str, float]:
        """Medians without the warm-up."""
        return {
            "step_ms": 1000 * statistics.median(self.steps[1:]),
            "predict_s": statistics.median(self.predictions[1:]),
            "parameters": sum(p.numel() for p in self.method.parameters()),
        }


def _config(settings: Mapping[str, Any], k: int | None) -> RunConfig:
    """Settings of a variant with other neighbours and a fixed number of solver steps, where it has them."""
    method = settings["method"]
    if k is not None and "k" in method.get("embedder", {}):
        settings = merged(settings, {"method": {"embedder": {"k": k}}})
    own = {setting.name for setting in dataclasses.fields(Catalog("methods").load(method["name"]).config)}
    if "solver" in own:
        settings = merged(settings, {"method": {"solver": {"steps": 32}}})
    return from_dict(merged({"data": DATA}, settings))


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
