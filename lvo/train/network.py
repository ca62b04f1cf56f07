"""The network: a small residual 3D U-Net of MONAI, and the same with probabilities for export."""

import torch
from monai.networks.nets import UNet
from torch import nn

from lvo.train.config import NetworkSettings

__all__ = ["CHANNELS", "WithSoftmax", "build_network", "count_parameters"]

CHANNELS = ("background", "artery", "vein")
"""What the network tells apart, in the order of the labels. A clot is background."""


def build_network(settings: NetworkSettings, *, seed: int) -> nn.Module:
    """Make the U-Net (Kerfoot et al., STACOM 2018, doi:10.1007/978-3-030-12029-0_40) with weights drawn from a seed.

    It takes (N, 1, K, J, I) images in 0..1 and gives (N, 3, K, J, I) logits. Batch norm, since instance norm learnt nothing in
    the same time on vessels that fill one voxel in fifty.
    """
    torch.manual_seed(seed)
    network: nn.Module = UNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=len(CHANNELS),
        channels=settings.channels,
        strides=[2] * (len(settings.channels) - 1),
        num_res_units=settings.residual_units,
        norm="batch",
    )
    return network


class WithSoftmax(nn.Module):
    """The network, giving probabilities."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(N, 1, K, J, I) to (N, 3, K, J, I) probabilities."""
        return torch.softmax(self.network(image), dim=1)


def count_parameters(network: nn.Module) -> int:
    """Number of weights."""
    return sum(parameter.numel() for parameter in network.parameters())
