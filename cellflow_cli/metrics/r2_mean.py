"""Squared correlation of feature means, predicted against measured."""

from cellflow_cli.metrics._comparison import Comparison, Metric, MetricValue
from cellflow_cli.metrics._correlation import pearson


def r2_mean(comparison: Comparison) -> MetricValue:
    r"""Squared Pearson correlation of the means of genes or markers, in float64.

    r^2 = corr_g(mean_i x_ig, mean_j y_jg)^2

    Mostly it says that highly expressed genes stay so: doing nothing scores high too. See `r2-delta`.

    Args:
        comparison: Genes or markers, shapes [n, g] and [m, g].

    Returns:
        Between 0 and 1; undefined below three features or where all means are equal.

    Source: Lotfollahi, Wolf and Theis (2019), scGen predicts single-cell perturbation responses,
    Methods.
    """
    predicted, target, _ = comparison.genes
    r = pearson(predicted.mean(0), target.mean(0))
    if r is None:
        return MetricValue(
            None, f"no correlation over {predicted.shape[1]} means: fewer than three, or all equal"
        )
    return MetricValue(r * r)


ENTRY = Metric(r2_mean, best="high", symmetric=True, space="genes")
