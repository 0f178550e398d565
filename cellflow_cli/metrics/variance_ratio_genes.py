"""Total predicted over total real variance of genes or markers, where a decoder loses some."""

from cellflow_cli.metrics._comparison import Comparison, Metric, MetricValue
from cellflow_cli.metrics.variance_ratio import ratio_of_variances


def variance_ratio_genes(comparison: Comparison) -> MetricValue:
    r"""Ratio of summed variances of genes or markers, unscaled, in float64.

    ratio = sum_g var_i(x_ig) / sum_g var_j(y_jg), variances with n - 1

    Cells that went through a few components keep a part of their variance only: compare with the
    truth sent through the same decoder. Without a decoder it differs from `variance-ratio` by the
    scaling of the features.

    Args:
        comparison: Genes or markers, shapes [n, g] and [m, g].

    Returns:
        Zero or more, best is one; undefined below two cells or without real variance.

    Source: ours, `variance-ratio` where a decoder has the last word.
    """
    predicted, target, _ = comparison.genes
    return ratio_of_variances(predicted, target)


ENTRY = Metric(variance_ratio_genes, best="one", symmetric=False, space="genes")
