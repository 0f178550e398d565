"""Options: nonsense for each of them, settings by `--set`, and options that contradict each other."""

from collections.abc import Iterator
from pathlib import Path

import typer

from tests.robustness.case import RUNS, Case, Right, refused
from tests.robustness.sound import COLUMNS, Sound, command_line

KIND = "options"
COMMANDS = ("check", "train", "predict", "evaluate", "compare", "export")
NONSENSE = {"nothing": "", "a word": "nonsense", "minus one": "-1", "infinity": "1e999", "NaN": "nan",
            "20 digits": "9" * 20, "signs": "\u00e9,=:;'\"$x_{$", "long": "a" * 10**4, "zero": "0"}  # fmt: skip
NUMBERS = {"nothing", "a word", "signs", "long"}
"""What is no number, whatever the option."""
SLOW = {
    "--steps": ("20 digits",),
    "--seeds": ("20 digits",),
    "--floor-splits": ("20 digits",),
    "--max-time": (),
}
OUTPUTS = {"--output"}
ANY = Right(codes=frozenset({2, 3, 4, 6, 7, 8, 9}), runs=True)
SETTINGS = (
    "seed", "data.min_cells", "data.dose_unit", "data.features", "training.populations_per_step", "training.clip_norm",
    "training.cells_per_population", "training.learning_rate", "training.weight_decay", "training.warmup_steps",
    "training.ema", "training.validate_every", "training.validation_cells", "training.patience", "method.source",
    "training.refit", "method.name", "method.field.width", "method.field.n_blocks", "method.field.time_features",
    "method.field.dropout", "method.field.modulated", "method.solver.method", "method.solver.steps", "method.solver.atol",
    "method.solver.rtol", "method.solver.tolerance", "method.solver.max_evaluations", "method.condition.name",
    "method.coupling.name",
)  # fmt: skip
FOURIER = tuple(
    f"method.embedder.{n}" for n in ("frequencies", "embedding", "reference_cells", "min_cells", "bandwidths")
)
VALUES = ("nonsense", "-1", "1000000000", "nan", "null", "[]", "1e308", "true")
SIZES = ("method.field.width", "method.field.n_blocks", "method.field.time_features", "method.embedder.frequencies",
         "method.embedder.embedding")  # fmt: skip
CONTRADICTIONS = {
    "holdout and split": ("train", ["--split-key", "patient"], refused("holdout", codes=(2,))),
    "counts without components": ("train", ["--expression", "counts"], refused("counts", codes=(2,))),
    "components without expression": ("train", ["--features", "pca:3"], refused("expression", codes=(2,))),
    "a fraction beside names": ("train", ["--holdout", "0.2"], refused("fraction", codes=(2,))),
    "the sample as treatment": ("check", ["--treatment-key", "patient"], refused("patient", codes=(2, 3))),
    "all patients held out": ("train", ["--holdout", "patient=P1,P2,P3,P4"], refused("train|held|group", codes=(2, 3))),
    "an unknown patient": ("train", ["--holdout", "patient=P9"], refused("P9", codes=(2, 3))),
    "an unknown column held out": ("train", ["--holdout", "donor=P9"], refused("donor", codes=(2, 3))),
    "a match key that is no sample key": ("check", ["--match-key", "batch"], refused("match", codes=(2, 3))),
    "a treatment held out": ("train", ["--holdout", "treatment=drug"], refused("treatment", codes=(2, 3)) | RUNS),
    "an unknown method": ("train", ["--method", "fmm"], refused("fmm", codes=(2,))),
    "an unknown device": ("train", ["--device", "tpu"], refused("tpu|device", codes=(2, 6))),
    "a device that is not there": ("predict", ["--device", "cuda:99"], refused("cuda", codes=(2, 6))),
    "an unknown treatment": ("predict", ["--treatment", "durg"], refused("durg|drug", codes=(2,))),
    "the control as treatment": ("predict", ["--treatment", "control"], refused("control", codes=(2,))),
    "a dose without doses": ("predict", ["--dose", "3"], refused("dose", codes=(2, 3))),
    "an unknown sample": ("predict", ["--samples", "patient=P9"], refused("P9", codes=(2, 3))),
    "an unknown column of samples": ("predict", ["--samples", "donor=P5"], refused("donor", codes=(2, 3))),
    "assumed controls beside a column": ("predict", ["--assume-control"], refused("assume-control", codes=(2, 3))),
    "coverage above one": ("predict", ["--min-feature-coverage", "2"], refused("coverage", codes=(2,))),
    "no chunk": ("predict", ["--chunk", "0"], refused("chunk", codes=(2,))),
    "like nothing": ("predict", ["--like", "nothing.h5ad"], refused("nothing.h5ad", codes=(2, 3))),
    "renaming what is not there": ("predict", ["--rename", "a=b"], refused("'b'|`b`|b", codes=(2, 3))),
    "renaming without equals": ("predict", ["--rename", "ab"], refused("rename", codes=(2, 3))),
    "renaming onto another": ("predict", ["--rename", "patient=treatment"], refused("", codes=(2, 3, 4))),
    "an unknown metric": ("evaluate", ["--metrics", "w3"], refused("w3", codes=(2,))),
    "an unknown baseline of the bar": ("evaluate", ["--fail-if-worse-than", "nobody"], refused("nobody", codes=(2,))),
    "ablation without model": ("evaluate", ["--ablation"], refused("--model", codes=(2,))),
    "no such model": ("evaluate", ["--model", "nothing"], refused("nothing", codes=(4,))),
    "columns that are not needed": ("evaluate", ["--treatment-key", "patient"], refused("treatment", codes=(2, 3))),
    "by and split": ("compare", ["--by", "patient", "--split-key", "patient"], refused("split", codes=(2, 3))),
    "more folds than patients": ("compare", ["--folds", "50"], refused("fold|50|patient", codes=(2, 3))),
    "one fold": ("compare", ["--folds", "1"], refused("folds", codes=(2,))),
    "no variants": ("compare", ["--variants", "nothing.toml"], refused("nothing.toml", codes=(2,))),
    "no settings": ("train", ["--config", "nothing.toml"], refused("nothing.toml", codes=(2,))),
    "an unknown reference": ("compare", ["--against", "nobody"], refused("nobody", codes=(2,))),
    "an unknown tool": ("export", ["--for", "excel"], refused("excel", codes=(2,))),
    "one cell exported": ("export", ["--max-cells", "1"], refused("max-cells", codes=(2,))),
    "an option that does not exist": ("train", ["--nonsense"], refused("nonsense", codes=(2,))),
    "a setting that does not exist": ("train", ["--set", "training.stepz=3"], refused("stepz|steps", codes=(2,))),
    "a setting without equals": ("train", ["--set", "training"], refused("training", codes=(2,))),
    "a table in place of a setting": ("train", ["--set", "training=3"], refused("training", codes=(2,))),
    "a setting of another method": ("train", ["--set", "method.embedder.k=3"], refused("embedder", codes=(2,))),
}  # fmt: skip


def _file(folder: Path, sound: Sound) -> list[str]:
    return [str(sound.folder / "markers.h5ad")]


def _line(options: list[str]):
    def line(command: str, files: list[str], sound: Sound) -> list[str]:
        words = command_line(command, "markers", files, sound)
        single = {
            "--treatment-key",
            "--for",
            "--folds",
            "--method",
            "--metrics",
            "--device",
            "--steps",
            "--jobs",
            "--output",
        }
        for name in single & set(options):
            at = words.index("-o") if name == "--output" else words.index(name) if name in words else None
            if at is not None:
                del words[at : at + 2]
        return [*words, *options]

    return line


def options_of(command: str) -> Iterator[tuple[str, bool]]:
    """Options of a command that take a value, each with whether it is a number."""
    from cellflow_cli.cli.app import app

    found = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    for parameter in found.params:
        name = max(parameter.opts, key=len)
        if parameter.param_type_name == "argument" or parameter.is_flag:
            continue
        yield name, parameter.metavar in ("N", "X")


def nonsense() -> Iterator[Case]:
    """Every option of every command with values that make no sense."""
    for command in COMMANDS:
        for option, number in options_of(command):
            if option in OUTPUTS:
                continue
            for name, value in NONSENSE.items():
                if name in SLOW.get(option, ()) or (
                    command == "compare" and name not in ("a word", "minus one")
                ):
                    continue
                right = refused("", codes=(2,)) if number and name in NUMBERS else ANY
                yield Case(
                    KIND,
                    f"{command} {option} {name}",
                    _file,
                    {command: right},
                    line=_line([f"{option}={value}"]),
                )


def settings() -> Iterator[Case]:
    """Settings by `--set`."""
    for setting in (*SETTINGS, *FOURIER):
        method = ["--method", "mfm"] if "embedder" in setting else []
        for value in VALUES:
            if value == "1000000000" and setting in ("method.solver.steps", "training.patience"):
                continue
            right = Right(codes=frozenset({2, 3, 5}), runs=True)
            if value == "1000000000" and setting in SIZES:
                right = refused("", codes=(2, 5))
            yield Case(KIND, f"--set {setting}={value}", _file, {"train": right},
                       line=_line([*method, "--set", f"{setting}={value}"]))  # fmt: skip


def cases() -> Iterator[Case]:
    """All of this kind."""
    for name, (command, options, right) in CONTRADICTIONS.items():
        yield Case(KIND, name, _file, {command: right}, line=_line(options))
    yield from nonsense()
    yield from settings()


__all__ = ["COLUMNS", "cases"]
