"""Several processes that train one model together, as `torchrun` starts them.

    torchrun --nproc-per-node 2 -m -- models_train.train joints --steps 100000 --run runs/joints

The two dashes are necessary: without them, `torchrun` takes `--run` for the start of one of its own options.
Every process has its own batches and its own noise. The processes average their gradients, so their weights stay equal. A step
thus uses `batch_size` samples per process. The first process validates, logs and saves.
"""

import os
from dataclasses import dataclass

import torch
from torch import distributed, nn


@dataclass(frozen=True)
class Processes:
    """The place of this process among all processes of a training. The default is a training in one process."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def batch_number(self, step: int) -> int:
        """Returns the number of the batch of this process in a step. No two processes or steps have the same number."""
        return step * self.count + self.rank

    def average_gradients(self, net: nn.Module) -> None:
        """Replaces the gradients of `net` by their mean over all processes."""
        gradients = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
        if self.count == 1 or not gradients:
            return
        together = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(together)
        together /= self.count
        for gradient, mean in zip(gradients, together.split([gradient.numel() for gradient in gradients])):
            gradient.copy_(mean.view_as(gradient))

    def share_weights(self, net: nn.Module) -> None:
        """Gives all processes the weights and buffers of the first process."""
        if self.count > 1:
            for value in net.state_dict().values():
                distributed.broadcast(value, 0)

    def agreed(self, value: float, device: str) -> float:
        """Returns the value of the first process. Clocks differ, but all processes must stop at the same step."""
        if self.count == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=device)
        distributed.broadcast(shared, 0)
        return float(shared)

    def leave(self) -> None:
        """Waits for the other processes, and ends the connection to them. Without the wait, the first to end may crash."""
        if self.count > 1:
            distributed.barrier()
            distributed.destroy_process_group()


ALONE = Processes()


def join(device: str) -> Processes:
    """Connects to the processes that `torchrun` started; one process if it did not start this one.

    Args:
        device: "cpu", or "cuda" for one GPU per process.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return ALONE
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    return Processes(distributed.get_rank(), count)
