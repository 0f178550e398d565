import numpy as np
import pytest
import scipy.sparse as sp

from cellflow_cli.features import TrainingCells
from cellflow_cli.features.values import Values, ValuesConfig, parse


def cells(*blocks) -> TrainingCells:
    genes = tuple(f"marker{i}" for i in range(blocks[0].shape[1]))
    n_cells = sum(block.shape[0] for block in blocks)
    return TrainingCells(genes=genes, n_cells=n_cells, is_log1p=False, blocks=lambda: iter(blocks))


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix])
def test_mean_and_spread_are_those_of_all_blocks(kind):
    space = ValuesConfig().fit(cells(kind([[0.0, 5.0]]), kind([[2.0, 5.0], [4.0, 5.0]])))
    np.testing.assert_array_equal(space.mean, [2, 5])
    np.testing.assert_allclose(space.scale, [np.sqrt(8 / 3), 1], rtol=1e-12)  # a constant feature has 1


def test_the_spread_far_from_zero_is_exact():
    space = ValuesConfig().fit(cells(np.array([[1e8 - 1.0], [1e8 + 1.0]])))
    assert space.scale.tolist() == [1.0]  # mean of squares less square of mean would give 0 or 1.4


def test_values_pass_in_both_directions():
    space = Values(names=("CD3", "CD4"), mean=np.zeros(2), scale=np.ones(2))
    x = np.array([[-1.5, 2.0]], dtype=np.float32)
    assert space.genes == space.names
    assert space.encode(x) is x
    assert space.decode(x) == (x, 0)
    assert space.obsm_key is None
    assert not space.varm()


def test_there_is_no_setting():
    assert parse("") == ValuesConfig()
    with pytest.raises(ValueError, match="no setting"):
        parse("3")
