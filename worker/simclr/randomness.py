"""Random numbers that follow from (seed, step, use) and from nothing that happened before.

So a resumed run draws what an uninterrupted one would have drawn, and a preview draws what the run will draw.
"""

import hashlib

import torch


def derive_seed(seed: int, step: int, use: str) -> int:
    """A 63-bit seed for one use of randomness at one step; the same on every machine and in every process."""
    digest = hashlib.blake2b(f"{seed}/{step}/{use}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(seed: int, step: int, use: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator for one use of randomness at one step."""
    fresh = torch.Generator(device=device)
    fresh.manual_seed(derive_seed(seed, step, use))
    return fresh
