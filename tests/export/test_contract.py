"""What holds for the files of every target."""

import anndata
import numpy as np
import pytest

from cellflow_cli.catalog import Catalog
from cellflow_cli.export._matched import matched

TARGETS = Catalog("export").names()


@pytest.mark.parametrize("name", TARGETS)
def test_files_are_whole_and_survive_the_disk(name, log1p, tmp_path):
    target = Catalog("export").load(name)
    cells = matched(*log1p)
    made = target.files(cells)
    assert tuple(made) == target.names
    assert target.usage.format(folder="F").count("F/") == len(made)
    for file, content in made.items():
        assert content.obs_names.is_unique
        assert list(content.var_names) == list(cells.var_names)
        content.write_h5ad(tmp_path / file)
        back = anndata.read_h5ad(tmp_path / file)
        assert back.X.dtype == np.float32
        assert set(content.obs) == set(back.obs)
