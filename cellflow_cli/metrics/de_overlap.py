"""Overlap of the top differential features of prediction and truth, mean over sets of 20, 50, 100."""

from cellflow_cli.metrics._comparison import Comparison, Metric, MetricValue

SIZES = (20, 50, 100)


def de_overlap(comparison: Comparison) -> MetricValue:
    r"""Share of the most differential features of the truth that are so in the prediction, too.

    overlap = mean over k of |top_k(predicted) and top_k(target)| / k,  k in {20, 50, 100}

    Features are ranked by the size of their mean change against the same control cells, predicted as
    well as real in standard errors of the real one, each enlarged by the mean error (see
    `differential_features`). A set holds a quarter of the features at most, so that by chance no more
    than a quarter of it is found, and no more than differ significantly in the target. Where not even
    20 features are left by that, as on a panel of 24 markers, there is one set of as many as are left
    (there: 6, or fewer).

    Args:
        comparison: Genes or markers, shapes [n, g], [m, g] and, for the controls, [k, g].

    Returns:
        Between 0 and 1, with the sizes, each overlap and the one expected by chance, k / g, as remark;
        undefined below four features, below two target or control cells, or if nothing differs in the
        target.

    Source: the overlap at k of Adduri et al. (2025), Predicting cellular responses to perturbation
    across diverse contexts with State. Differs: changes in standard errors instead of fold changes
    of features that pass Wilcoxon's test, and sets limited to a quarter of the features.
    """
    features = comparison.differential
    g = len(features.significant)
    if g < 4:
        return MetricValue(None, f"needs four features or more, found {g}")
    if features.why_not:
        return MetricValue(None, features.why_not)
    most = min(g // 4, features.n_significant)
    sizes = [k for k in SIZES if k <= most] or [most]
    predicted, target = features.predicted_order.tolist(), features.target_order.tolist()
    shares = [len({*predicted[:k]} & {*target[:k]}) / k for k in sizes]
    parts = ", ".join(
        f"{share:.2f} at {k} (by chance {k / g:.2f})" for share, k in zip(shares, sizes, strict=True)
    )
    return MetricValue(sum(shares) / len(shares), f"{parts}; {features.n_significant} of {g} features differ")


ENTRY = Metric(de_overlap, best="high", symmetric=False, space="genes")
