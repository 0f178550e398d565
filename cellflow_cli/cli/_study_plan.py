"""What a comparison would train and score, shown before it does."""

from typing import TYPE_CHECKING, Any

from cellflow_cli.cli import console
from cellflow_cli.errors import listed

if TYPE_CHECKING:
    from cellflow_cli.study import Study


def show(study: "Study") -> None:
    """The size of the comparison, the groups of each fold, and what is ignored or not scored."""
    done = len(study.jobs()) - len(study.pending())
    n_folds = sum(bool(fold.scored) for fold in study.folds)
    console.say(
        f"{len(study.variants)} variants x {n_folds} folds x {len(study.seeds)} seeds: "
        f"{len(study.jobs())} trainings, {done} of them done"
    )
    for variant in study.variants:
        if variant.ignored:
            console.say(
                f"{variant.name}: ignores {listed(variant.ignored, 20)}, which {variant.config.method.name} "
                "does not have",
                style="yellow",
            )
    for fold in study.folds:
        parts = "; ".join(f"{part}: {listed(groups, 8)}" for part, groups in fold.scored)
        console.say(f"Fold {fold.name}: {parts or 'nothing to score, not trained'}")
        if fold.untrained:
            untrained = listed((f"{group}, {condition.label}" for group, condition in fold.untrained), 8)
            console.say(
                f"Fold {fold.name}: not scored, since no training group has the condition: {untrained}",
                style="yellow",
            )


def as_json(study: "Study") -> dict[str, Any]:
    """What a dry run prints with `--json`."""
    from dataclasses import asdict

    from cellflow_cli.study import not_scored

    return {
        "dry_run": True,
        "jobs": [job.title for job in study.jobs()],
        "folds": {fold.name: {part: list(groups) for part, groups in fold.scored} for fold in study.folds},
        "scoring": asdict(study.scoring),
        "not_scored": not_scored(study.folds),
        "ignored_settings": {
            variant.name: list(variant.ignored) for variant in study.variants if variant.ignored
        },
    }
