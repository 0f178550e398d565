"""Names of devices."""

import pytest
import torch

from cellflow_cli.device import resolve
from cellflow_cli.errors import ConfigError


def test_names():
    assert resolve("cpu") == torch.device("cpu")
    assert resolve(torch.device("cpu")) == torch.device("cpu")
    assert resolve("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "mps", "meta"])
def test_other_names_are_refused(name):
    with pytest.raises(ConfigError, match=f"auto, cpu, cuda or cuda:N, found {name!r}"):
        resolve(name)


def test_a_device_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert resolve("cuda") == torch.device("cuda")
    with pytest.raises(ConfigError, match=r"device 'cuda:1', found 1 CUDA devices.*--device cpu"):
        resolve("cuda:1")
