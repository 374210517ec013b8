"""Where to compute and in which number format."""

import os
from typing import Literal

import torch

from worker.simclr.cores import available_cores

Precision = Literal["fp32", "bf16"]


def best_device() -> torch.device:
    """The GPU if there is one (under torchrun the one of this rank), else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def prepare_device(device: torch.device, *, deterministic: bool) -> None:
    """Let torch choose the fastest kernels, or with ``deterministic`` only those that always give the same bits.

    To be called before anything runs on the device. Float32 products on a GPU use TF32 (10 bits of mantissa, as
    convolutions do by default). On the CPU everything is deterministic already.
    """
    if device.type != "cuda":
        return
    torch.cuda.set_device(device)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = not deterministic
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(mode=True)


def is_fast_at_bf16(device: torch.device) -> bool:
    """Whether bf16 is faster than fp32: a GPU since Ampere, a CPU with avx512_bf16 or AMX. Elsewhere it is emulated."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def choose_precision(wish: Literal["auto", "fp32", "bf16"], device: torch.device) -> Precision:
    """'auto' is bf16 where the processor is fast at it, else fp32."""
    if wish == "auto":
        return "bf16" if is_fast_at_bf16(device) else "fp32"
    return wish


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """The context of a forward pass: bf16 convolutions and matrix products, float32 parameters and statistics."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def set_threads() -> int:
    """Let torch use the available cores, or OMP_NUM_THREADS where it is set; returns the number.

    torch alone counts the machine's cores and so starts far too many threads in a container with a CPU quota. The
    number of threads fixes the order of sums: runs are bit for bit equal only under the same number.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(available_cores())
    return torch.get_num_threads()
