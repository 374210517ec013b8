"""Several processes that train one net together: each has its share of every batch and the same weights.

What one process would compute is computed by all: negatives come from all ranks, gradients flow back through the
gather, batch statistics are those of all ranks, and rank 0 alone decides what happens next and reports. A team of
one is the ordinary case, in which none of this costs anything.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

_PLAIN_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
PATIENCE = timedelta(days=7)
"""Ranks wait this long for each other: rank 0 evaluates while the others wait. A dead one is torchrun's to notice."""


@dataclass(frozen=True)
class Team:
    """The processes of a run. ``rank`` counts from 0; ``control`` is the group of their processors' agreements."""

    rank: int = 0
    size: int = 1
    control: Any = None

    @classmethod
    def from_environment(cls, device: torch.device) -> Self:
        """The team that torchrun started this process in (RANK, WORLD_SIZE); a team of one without torchrun."""
        if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
            return cls()
        if device.type == "cuda":
            dist.init_process_group("nccl", timeout=PATIENCE, device_id=device)
            return cls(dist.get_rank(), dist.get_world_size(), dist.new_group(backend="gloo", timeout=PATIENCE))
        dist.init_process_group("gloo", timeout=PATIENCE)
        return cls(dist.get_rank(), dist.get_world_size(), dist.group.WORLD)

    @property
    def is_chief(self) -> bool:
        """Whether this process decides, reports, saves and evaluates."""
        return self.rank == 0

    def share(self, batch_size: int) -> slice:
        """The rows of a batch that are this rank's; ``batch_size`` is a multiple of the team's size."""
        rows = batch_size // self.size
        return slice(self.rank * rows, (self.rank + 1) * rows)

    def agree(self, value: int) -> int:
        """Rank 0's ``value`` on every rank, which all must ask for. Does not wait for a GPU."""
        if self.size == 1:
            return value
        said = torch.tensor([value])
        dist.broadcast(said, src=0, group=self.control)
        return int(said)

    def all(self, value: bool) -> bool:
        """Whether ``value`` holds on every rank, all of which must ask. Does not wait for a GPU."""
        if self.size == 1:
            return value
        said = torch.tensor([int(value)])
        dist.all_reduce(said, op=dist.ReduceOp.MIN, group=self.control)
        return bool(said)

    def gather(self, z: Tensor) -> Tensor:
        """Every rank's z (2n, D), two views of n images each, as one z (2N, D): first views, then second views.

        Gradients flow back to the rank that a row came from, summed over the ranks that used it.
        """
        if self.size == 1:
            return z
        rows = cast("Tensor", _Gather.apply(z, self.rank, self.size))  # (size, 2n, D)
        return rows.unflatten(1, (2, -1)).transpose(0, 1).flatten(0, 2)

    def anchors(self, batch_size: int, device: torch.device) -> Tensor | None:
        """The rows (2n,) of the gathered z that are this rank's own; None where all are."""
        if self.size == 1:
            return None
        mine = self.share(batch_size)
        first = torch.arange(mine.start, mine.stop, device=device)
        return torch.cat([first, first + batch_size])

    def sum_gradients(self, model: nn.Module) -> None:
        """Replace every gradient by its sum over the ranks, in one exchange."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        parts = flat.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def sum(self, values: Tensor) -> Tensor:
        """The sum of ``values`` over the ranks."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def join(self, model: nn.Module) -> nn.Module:
        """``model`` with batch statistics of all ranks; its parameters and buffers keep their names and values.

        Raises ValueError where it has a batch normalisation of another kind, which could not be replaced by ours.
        """
        if self.size == 1:
            return model
        for module in model.modules():
            if isinstance(module, _BatchNorm) and type(module) not in _PLAIN_BATCH_NORMS:
                raise ValueError(f"a net with {type(module).__name__} cannot be trained on several GPUs")
        if next(model.parameters()).device.type == "cuda":
            return nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return _with_global_batch_norm(model)

    @contextmanager
    def chief_first(self) -> Generator[None]:
        """Rank 0 passes the block before the others: what it makes there, they find."""
        if not self.is_chief:
            self.agree(0)
        yield
        if self.is_chief:
            self.agree(0)

    @contextmanager
    def rehearsal(self, model: nn.Module) -> Generator["Team"]:
        """A team of the same size and rank that talks to none: a rank may fail in it without leaving others waiting.

        Shares and sizes are the same; z of other ranks is replaced by this rank's, and batch statistics are its own.
        """
        if self.size == 1:
            yield self
            return
        joined: dict[nn.Module, type[nn.Module]] = {
            module: type(module) for module in model.modules() if isinstance(module, _OF_ALL_RANKS)
        }
        for module in joined:
            module.__class__ = _LonelyBatchNorm
        try:
            yield _Rehearsal(self.rank, self.size)
        finally:
            for module, kind in joined.items():
                module.__class__ = kind

    def leave(self) -> None:
        """Take leave of the other ranks."""
        if self.size > 1:
            dist.destroy_process_group()


class _Rehearsal(Team):
    """A team without the others."""

    def agree(self, value: int) -> int:
        """The value of this rank."""
        return value

    def gather(self, z: Tensor) -> Tensor:
        """As many rows as all ranks have, each of them this rank's."""
        return z.unflatten(0, (2, -1)).repeat(1, self.size, 1).flatten(0, 1)

    def sum_gradients(self, model: nn.Module) -> None:
        """Nothing to add."""

    def sum(self, values: Tensor) -> Tensor:
        """Nothing to add."""
        return values


class _Gather(Function):
    """all_gather whose gradient is the sum over the ranks: each rank's loss depends on every row."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, rank: int, size: int) -> Tensor:
        """(2n, D) to (size, 2n, D)."""
        ctx.rank = rank
        rows = z.new_empty((size, *z.shape))
        dist.all_gather(list(rows.unbind(0)), z.contiguous())
        return rows

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        """(size, 2n, D) to (2n, D)."""
        total = grad_outputs[0].contiguous()
        dist.all_reduce(total)
        return total[ctx.rank], None, None


class _Sum(Function):
    """all_reduce whose gradient is the sum over the ranks too."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:  # noqa: ARG004 (torch's signature)
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:  # noqa: ARG004 (torch's signature)
        total = grad_outputs[0].clone()
        dist.all_reduce(total)
        return total


class GlobalBatchNorm(_BatchNorm):
    """Batch normalisation over the rows of all ranks, on the CPU too (torch's SyncBatchNorm needs a GPU)."""

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 (torch's name)
        if input.ndim < 2:
            raise ValueError(f"at least 2 dimensions are needed, not {input.ndim}")

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        """(B, C, ...) to the same shape; mean and variance are taken in float32 over B and all that follows C."""
        if not self.training:
            return super().forward(input)
        dims = [0, *range(2, input.ndim)]
        x = input.float()
        count = x.new_tensor(x.numel() // x.shape[1])
        mean = cast("Tensor", _Sum.apply(x.sum(dims))) / self._total(count)
        shape = (1, -1, *(1,) * (x.ndim - 2))
        centred = x - mean.view(shape)
        total = self._total(count)
        variance = cast("Tensor", _Sum.apply(centred.square().sum(dims))) / total
        if self.track_running_stats and self.running_mean is not None and self.running_var is not None:
            self._follow(mean.detach(), variance.detach() * total / (total - 1))
        scaled = centred * torch.rsqrt(variance + self.eps).view(shape)
        return (scaled * self.weight.view(shape) + self.bias.view(shape)).to(input.dtype)

    def _total(self, count: Tensor) -> Tensor:
        return cast("Tensor", _Sum.apply(count))

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Update the running statistics as torch does (unbiased variance)."""
        momentum = 0.1 if self.momentum is None else self.momentum
        if self.num_batches_tracked is not None:
            self.num_batches_tracked += 1
        cast("Tensor", self.running_mean).lerp_(mean, momentum)
        cast("Tensor", self.running_var).lerp_(variance, momentum)


class _LonelyBatchNorm(_BatchNorm):
    """Batch normalisation over the rows of this rank, of any number of dimensions."""

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 (torch's name)
        """Its place in the net has been checked."""


_OF_ALL_RANKS = (GlobalBatchNorm, nn.SyncBatchNorm)


def _with_global_batch_norm(module: nn.Module) -> nn.Module:
    if isinstance(module, _BatchNorm):
        module.__class__ = GlobalBatchNorm
    for child in module.children():
        _with_global_batch_norm(child)
    return module
