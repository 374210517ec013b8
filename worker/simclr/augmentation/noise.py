"""Gaussian noise (Figure 4), batched, the same on every device and for any part of a batch."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.simclr.augmentation.op import Op, happens, replace_some, uniform

_KEY = 2**24
"""Float32 holds whole numbers below this exactly."""


@dataclass(frozen=True)
class Noise(Op):
    """Gaussian noise, independent in every pixel and channel; its standard deviation is drawn per image."""

    probability: float = 0.5
    min_sigma: float = 0.05
    max_sigma: float = 0.2

    def draw(self, count: int, height: int, width: int, rng: torch.Generator) -> Tensor:
        """(count, 3): sigma as a share of full intensity, 0 where there is no noise, and two halves of a key."""
        sigmas = uniform(self.min_sigma, self.max_sigma, count, rng) * happens(self.probability, count, rng)
        return torch.cat([sigmas.unsqueeze(1), torch.randint(_KEY, (count, 2), generator=rng).float()], dim=1)

    def apply(self, images: Tensor, parameters: Tensor, size: int) -> Tensor:
        """Noise added to those whose sigma is not 0, cut off at 0 and 1."""
        return replace_some(images, parameters[:, 0] > 0, _noisy, parameters)


def normal_from_keys(keys: Tensor, count: int) -> Tensor:
    """``count`` standard normal numbers float32 (N, count) for each of the ``keys`` int64 (N,).

    They are a function of the key alone, so a GPU gets the numbers of the CPU and a part of a batch those of the
    whole: splitmix64 (Steele, Lea and Flood, 2014) started at the key, then the Box-Muller transform, which makes two
    numbers of each 64 bits.
    """
    pairs = (count + 1) // 2
    place = torch.arange(1, pairs + 1, device=keys.device)
    bits = _mixed(keys.unsqueeze(1) + place * _signed(0x9E3779B97F4A7C15))
    radius = ((_shifted(bits, 40) + 0.5) / 2**24).log_().mul_(-2).sqrt_()
    angle = (_shifted(bits, 8) & (2**32 - 1)).float().mul_(2 * math.pi / 2**32)
    return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)[:, :count]


def _noisy(images: Tensor, parameters: Tensor) -> Tensor:
    keys = parameters[:, 1].long() * _KEY + parameters[:, 2].long()
    noise = normal_from_keys(keys, images[0].numel()).view_as(images)
    return images.addcmul(noise, parameters[:, 0].view(-1, 1, 1, 1)).clamp_(0, 1)


def _mixed(state: Tensor) -> Tensor:
    """The output function of splitmix64 on int64, whose products wrap around."""
    state = (state ^ _shifted(state, 30)) * _signed(0xBF58476D1CE4E5B9)
    state = (state ^ _shifted(state, 27)) * _signed(0x94D049BB133111EB)
    return state ^ _shifted(state, 31)


def _shifted(bits: Tensor, by: int) -> Tensor:
    """``bits`` int64 moved to the right, filled with zeros."""
    return (bits >> by) & (2 ** (64 - by) - 1)


def _signed(unsigned: int) -> int:
    return unsigned - 2**64 if unsigned >= 2**63 else unsigned
