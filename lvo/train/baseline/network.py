"""Two small networks of MONAI's DenseNet: one that sees the head at once, and one that compares its sides."""

import torch
from monai.networks.nets import DenseNet
from torch import nn

from lvo.train.baseline.config import BaselineNetwork

__all__ = ["PLACES", "SidesNetwork", "build_baseline"]

PLACES = ("left", "right", "midline")
"""What is judged, in the order of the outputs; the patient's sides."""


class SidesNetwork(nn.Module):
    """Both hemispheres through one encoder.

    The right one is mirrored, so that both look alike; a side is judged by its own features and by their difference to the
    other's (the idea of DeepSymNet, Barman et al., ISBI 2019), the midline by their sum. So the mirrored head gives
    the mirrored answer, whatever the weights.
    """

    def __init__(self, settings: BaselineNetwork) -> None:
        super().__init__()
        self.encoder = _dense_net(settings, settings.encoded)
        self.side = nn.Linear(2 * settings.encoded, 1)
        self.midline = nn.Linear(settings.encoded, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(N, 1, K, J, I) along the atlas, i to the patient's left, to (N, 3) log odds of `PLACES`."""
        half = image.shape[-1] // 2
        left, right = (torch.relu(self.encoder(side)) for side in (image[..., -half:], image.flip(-1)[..., -half:]))
        sides = [self.side(torch.cat([own, own - other], dim=1)) for own, other in ((left, right), (right, left))]
        return torch.cat([*sides, self.midline(left + right)], dim=1)


def build_baseline(settings: BaselineNetwork, *, seed: int) -> nn.Module:
    """Make the network with weights drawn from a seed; (N, 1, K, J, I) to (N, 3) log odds of `PLACES`."""
    torch.manual_seed(seed)
    return SidesNetwork(settings) if settings.kind == "sides" else _dense_net(settings, len(PLACES))


def _dense_net(settings: BaselineNetwork, out_channels: int) -> nn.Module:
    network: nn.Module = DenseNet(
        spatial_dims=3, in_channels=1, out_channels=out_channels, init_features=settings.init_features,
        growth_rate=settings.growth_rate, block_config=settings.block_config, dropout_prob=settings.dropout,
    )  # fmt: skip
    return network
