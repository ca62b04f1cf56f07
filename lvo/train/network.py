"""The network: a MONAI U-Net at half resolution between a strided first step and a fine last one, and the same for export."""

import torch
from monai.networks.nets import DynUNet
from torch import nn

from lvo.core.anatomy import VESSEL_CLASSES
from lvo.infer.window import IMAGE_CHANNELS
from lvo.train.config import NetworkSettings

__all__ = ["VesselNetwork", "WithSoftmax", "build_network", "count_parameters"]

_FINE = 15
"""Features that the coarse network hands to the last step; with the image itself 16."""


class VesselNetwork(nn.Module):
    """Classes of `VESSEL_CLASSES` from a CT angiogram and the place in the atlas.

    Nearly all the work happens at half resolution (MONAI's DynUNet, after Isensee et al., Nat Methods 2021,
    doi:10.1038/s41592-020-01008-z), where a voxel's features still tell its eight parts apart; the last step sees the image
    itself again, so that thin vessels keep their place. On a processor it costs a quarter of a U-Net at full resolution.
    Batch norm, since instance norm learnt nothing in the same time on vessels that fill one voxel in fifty, and because it is
    folded into the convolutions for export.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        filters, levels = list(settings.channels), len(settings.channels)
        self.coarse = DynUNet(
            spatial_dims=3,
            in_channels=len(IMAGE_CHANNELS),
            out_channels=filters[0],
            kernel_size=[3] * levels,
            strides=[2] * levels,
            upsample_kernel_size=[2] * (levels - 1),
            filters=filters,
            norm_name="batch",
            res_block=settings.residual,
        )
        self.finer = nn.ConvTranspose3d(filters[0], _FINE, kernel_size=2, stride=2)
        self.last = nn.Sequential(
            nn.Conv3d(_FINE + 1, 16, kernel_size=3, padding=1), nn.LeakyReLU(0.01), nn.Conv3d(16, len(VESSEL_CLASSES), 1)
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(N, 4, K, J, I) `IMAGE_CHANNELS` to (N, 8, K, J, I) logits; sizes are multiples of `2 ** levels`."""
        fine = self.finer(nn.functional.leaky_relu(self.coarse(image), 0.01))
        logits: torch.Tensor = self.last(torch.cat([fine, image[:, :1]], dim=1))
        return logits


def build_network(settings: NetworkSettings, *, seed: int) -> nn.Module:
    """Make the network with weights drawn from a seed."""
    torch.manual_seed(seed)
    return VesselNetwork(settings).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload,no-any-return]


class WithSoftmax(nn.Module):
    """The network, giving probabilities."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(N, 4, K, J, I) to (N, 8, K, J, I) probabilities."""
        return torch.softmax(self.network(image), dim=1)


def count_parameters(network: nn.Module) -> int:
    """Number of weights."""
    return sum(parameter.numel() for parameter in network.parameters())
