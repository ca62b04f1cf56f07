"""Several processes that train one network, each on its share of every batch; started by `torchrun`, alone without it."""

import os
from dataclasses import dataclass

import torch
from torch import distributed, nn

from lvo.errors import UsageError

__all__ = ["Team", "join_team"]


@dataclass(frozen=True, slots=True)
class Team:
    """This process among those that train together: its number, how many there are, and what it computes on."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process validates, writes and speaks."""
        return self.rank == 0

    def share(self, batch: int, *, threads: int) -> int:
        """This process's part of every batch; its network computes with its part of the processor threads from now on.

        Raises:
            UsageError: the batch cannot be shared evenly.
        """
        if batch % self.size:
            msg = f"[fit] batch = {batch} cannot be shared by {self.size} processes: make it a multiple"
            raise UsageError(msg)
        torch.set_num_threads(max(1, threads // self.size))
        return batch // self.size

    def agree(self, value: float) -> float:
        """The leader's value, in every process: clocks differ, and what depends on them must not."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.device)
        distributed.broadcast(shared, src=0)
        return float(shared.item())

    def sharing(self, network: nn.Module) -> nn.Module:
        """The network with gradients averaged over the team; it has the same weights."""
        return network if self.size == 1 else nn.parallel.DistributedDataParallel(network)


def join_team() -> Team:
    """Join the processes that torchrun started, each on a GPU of its own if there are any; without torchrun a team of one."""
    size, rank, local = (
        int(os.environ.get(name, default)) for name, default in (("WORLD_SIZE", 1), ("RANK", 0), ("LOCAL_RANK", 0))
    )
    on_gpu = torch.cuda.is_available()
    device = torch.device(f"cuda:{local}" if on_gpu else "cpu")
    if size > 1 and not distributed.is_initialized():
        if on_gpu:
            torch.cuda.set_device(device)
        distributed.init_process_group("nccl" if on_gpu else "gloo")
    return Team(rank, size, device)
