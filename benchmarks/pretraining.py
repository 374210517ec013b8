"""Images/s of our pretraining beside two loops that others use and beside the bare step, in one run.

    python -m benchmarks.pretraining [--rows NAME ...]

The contenders (see ``contenders``) take turns, so that a busy machine slows down all of them alike; ratios are medians
over the turns. All share the process and so its settings of threads and memory, which help the others as well. Peak
memory is that of a process of its own for each contender, on the CPU without its DataLoader workers. ``of matrix rate``
is the rate of the net's operations, forward and backward, as a share of the fastest large matrix product in the same
precision on this machine.
"""

import argparse
import statistics
import subprocess
import sys
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.contenders import CONTENDERS, Row, Step, bare
from benchmarks.machine import describe, matrix_rate, peak_memory, wait_for
from worker.simclr.nets.model import Architecture
from worker.simclr.precision import best_device, choose_precision, prepare_device, set_threads
from worker.simclr.training.memory import keep_freed_memory

_RESNET18, _RESNET50 = Architecture("resnet18", 1.0, "cifar"), Architecture("resnet50", 1.0, "cifar")
ROWS = {
    "cpu": {
        "resnet18": Row("ResNet-18, 32 px, batch 128", _RESNET18, 32, 128, 256),
        "quarter": Row("ResNet-18 x 1/4, 32 px, batch 256", Architecture("resnet18", 0.25, "cifar"), 32, 256, 1024),
        "resnet50": Row("ResNet-50, 32 px, batch 64", _RESNET50, 32, 64, 64),
        "imagenet": Row("ResNet-50, 224 px, batch 16", Architecture("resnet50", 1.0, "imagenet"), 224, 16, 32),
    },
    "cuda": {
        "resnet18": Row("ResNet-18, 32 px, batch 512", _RESNET18, 32, 512, 20_480, 14),
        "resnet50": Row("ResNet-50, 32 px, batch 512", _RESNET50, 32, 512, 5_120, 14),
        "imagenet": Row("ResNet-50, 224 px, batch 256", Architecture("resnet50", 1.0, "imagenet"), 224, 256, 2_560, 14),
    },
}
SMOKE = Row("smoke", Architecture("resnet18", 0.0625, "stride2"), 32, 8, 8)


def measure(contenders: dict[str, Step], row: Row, turns: int, device: torch.device) -> dict[str, list[float]]:
    """Images/s of every contender in every turn; each warms up before its first."""
    for step in contenders.values():
        step()
        step()
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(turns):
        for name, step in contenders.items():
            wait_for(device)
            started, images = time.perf_counter(), 0
            while images < row.images:
                images += step()
            wait_for(device)
            speeds[name].append(images / (time.perf_counter() - started))
    return speeds


def flops_an_image(row: Row) -> float:
    """Operations of the net, forward and backward, for the two views of an image (counted by torch)."""
    few = Row(row.name, row.architecture, row.image_size, 2, 2)
    with FlopCounterMode(display=False) as counter:
        bare(few)()
    return counter.get_total_flops() / 2


def memory_of(name: str, row: str) -> int:
    """Peak memory in bytes of two steps of a contender, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.pretraining", "--memory-of", name, "--rows", row]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def ratio(speeds: dict[str, list[float]], name: str) -> float:
    """Median over the turns of ours divided by the contender ``name`` in the same turn."""
    return statistics.median(a / b for a, b in zip(speeds["ours"], speeds[name], strict=True))


def show(key: str, row: Row, names: list[str], turns: int, rate: float, device: torch.device) -> None:
    """Measure a row and print a line for each contender."""
    contenders = {name: CONTENDERS[name](row) for name in names}
    speeds = measure(contenders, row, turns, device)
    flops = flops_an_image(row)
    print(row.name)
    for name, values in speeds.items():
        speed = statistics.median(values)
        print(
            f"  {name:14}{speed:10.1f}{memory_of(name, key) / 2**30:10.2f}{speed * flops / rate:12.1%}"
            f"{ratio(speeds, name):10.2f}",
            flush=True,
        )


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pretraining", description=__doc__)
    parser.add_argument("--turns", type=int, default=5, help="turns of every contender (default 5)")
    parser.add_argument("--rows", nargs="+", help="which rows: resnet18, quarter, resnet50, imagenet (default all)")
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=list(CONTENDERS))
    parser.add_argument("--memory-of", choices=list(CONTENDERS), help="print the peak memory of one, in bytes")
    parser.add_argument("--smoke", action="store_true", help="a tiny net and one turn: only shows that it runs")
    args = parser.parse_args(argv)
    set_threads()
    keep_freed_memory()
    device = best_device()
    prepare_device(device, deterministic=False)
    rows = {"smoke": SMOKE} if args.smoke or args.rows == ["smoke"] else ROWS[device.type]
    chosen = args.rows or list(rows)
    if args.memory_of:
        step = CONTENDERS[args.memory_of](rows[chosen[0]])
        step()
        step()
        print(peak_memory(device))
        return
    precision = choose_precision("auto", device)
    rate = matrix_rate(device, precision, side=256 if args.smoke else None, seconds=0.1 if args.smoke else 2.0)
    print(describe(device, precision))
    print(f"matrix product in {precision}: {rate / 1e12:.3f} TFLOP/s")
    print(f"{'':16}{'images/s':>10}{'peak GiB':>10}{'of matrix':>12}{'ours/it':>10}")
    for key in chosen:
        show(key, rows[key], args.contenders, 1 if args.smoke else args.turns, rate, device)
    print("images/s: medians over the turns; ratios: medians of the turns' ratios")


if __name__ == "__main__":
    main()
