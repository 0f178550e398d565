"""How near to a letter can anybody come? Floors of simulated letters, a `--reference` of `cellflow compare`.

    python benchmarks/letters_floor.py --seed 0 -o floor.csv     and the options of `simulate letters`

*iid*: as many points of the same glyph drawn anew; *jitter*: the same pixels with fresh jitter. All points,
unscaled, mean over the populations of the validation and of the test letters.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cellflow_cli.catalog import Catalog
from cellflow_cli.metrics import Comparison, Metric
from cellflow_cli.simulate.letters import LettersConfig, fresh_points, letter_points

METRICS = ("w1", "w2", "mmd-rbf")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--alphabet", default=LettersConfig.alphabet)
    parser.add_argument("--validation", default=LettersConfig.validation)
    parser.add_argument("--test", default=LettersConfig.test)
    parser.add_argument("--rotations", type=int, default=LettersConfig.n_rotations)
    parser.add_argument("--font", default=LettersConfig.font)
    parser.add_argument("--size", type=int, default=LettersConfig.size)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    config = LettersConfig(
        alphabet=args.alphabet, validation=args.validation, test=args.test, n_rotations=args.rotations,
        font=args.font, size=args.size,
    )  # fmt: skip
    metrics = {name: Catalog("metrics").load(name) for name in METRICS}
    lines = []
    for part, letters in (("val", args.validation), ("test", args.test)):
        for kind, resampled in (("floor (iid)", True), ("floor (jitter)", False)):
            values = [
                _scores(metrics, config, args.seed, letter, rotation, resampled)
                for letter in letters
                for rotation in range(args.rotations)
            ]
            means = zip(METRICS, np.mean(values, axis=0), strict=True)
            lines += [(kind, part, metric, float(mean)) for metric, mean in means]
    table = pd.DataFrame(lines, columns=["predictor", "part", "metric", "value"])
    table.to_csv(args.output, index=False)
    print(table.to_string(index=False))


def _scores(
    metrics: Mapping[str, Metric],
    config: LettersConfig,
    seed: int,
    letter: str,
    rotation: int,
    resampled: bool,
) -> list[float | None]:
    source, target = (torch.from_numpy(x) for x in letter_points(config, seed, letter, rotation))
    fresh = torch.from_numpy(fresh_points(config, seed, letter, rotation, resampled=resampled))
    comparison = Comparison(predicted=fresh, target=target, control=source)
    return [metrics[name].function(comparison).value for name in METRICS]


if __name__ == "__main__":
    main()
