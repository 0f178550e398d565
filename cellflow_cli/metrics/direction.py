"""Share of the truth's differential features that are predicted to change in the right direction."""

from cellflow_cli.metrics._comparison import Comparison, Metric, MetricValue


def direction(comparison: Comparison) -> MetricValue:
    r"""Agreement in sign of the mean changes of genes or markers against the control cells.

    agreement = mean over g of [1 if sign(dx_g) = sign(dy_g), 1/2 if dx_g = 0, else 0]

    with the changes dx of the predicted and dy of the target mean, over the features that differ
    between target and control (Welch's t-test, false discovery rate 5 %).

    Args:
        comparison: Genes or markers, shapes [n, g], [m, g] and, for the controls, [k, g].

    Returns:
        Between 0 and 1, by chance 1/2; undefined below two target or control cells, or if nothing
        differs in the target.

    Source: the direction match of Adduri et al. (2025), Predicting cellular responses to perturbation
    across diverse contexts with State. Differs: Welch's test, all features that pass it in the target,
    and a change of zero counts as a guess.
    """
    features = comparison.differential
    if features.why_not:
        return MetricValue(None, features.why_not)
    agreement = features.predicted_change.sign() * features.target_change.sign()
    value = float((1 + agreement[features.significant]).mean() / 2)
    return MetricValue(
        value, f"over {features.n_significant} of {len(features.significant)} features that differ"
    )


ENTRY = Metric(direction, best="high", symmetric=False, space="genes")
