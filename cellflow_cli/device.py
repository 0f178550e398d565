"""Where tensors live: the one place that knows the names of devices."""

import torch

from cellflow_cli.errors import ConfigError


def gpus_in_use() -> list[int]:
    """Indices of the GPUs that this process has touched: all of them, or none."""
    return list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []


def resolve(name: str | torch.device = "auto") -> torch.device:
    """The device called `name`.

    Args:
        name: `"auto"` (a GPU where there is one), `"cpu"`, `"cuda"`, `"cuda:1"`, or a device.

    Raises:
        ConfigError: If the name is not a device, or that device is not there.
    """
    if isinstance(name, torch.device):
        return name
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"Expected `--device` auto, cpu, cuda or cuda:N, found {name!r}.") from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"Expected `--device` auto, cpu, cuda or cuda:N, found {name!r}.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"Expected the device {name!r}, found {torch.cuda.device_count()} CUDA devices that torch can "
            "use. Choose `--device cpu`, or install a build of torch that matches the driver."
        )
    return device
