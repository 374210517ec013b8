"""Rows of pixels, fetched when asked for: a batch out of a memory map, a subset of one, or several one after the other.

Nothing here copies more than what is asked for, so a pack may be larger than memory.
"""

import ctypes
import mmap
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

_CHUNK_BYTES = 64 << 20
_WILLNEED: int | None = getattr(mmap, "MADV_WILLNEED", None)  # not on Windows


class Rows:
    """Images of one or several arrays as if they were one: uint8 (n, C, H, W), of which nothing is copied before use.

    ``parts`` are uint8 (n_i, C, H, W) on the CPU; ``chosen`` int64 (n,) counts through all of them and says which
    images there are, in this order (None: all). It has a tensor's ``shape``, ``dtype``, ``device``, ``nbytes`` and
    ``len``; indexed by an int64 tensor (B,) or a slice it gives a tensor. Raises ValueError where the parts differ in
    the shape of an image.
    """

    def __init__(self, parts: Sequence[Tensor], chosen: Tensor | None = None) -> None:
        shapes = {tuple(part.shape[1:]) for part in parts}
        if len(shapes) != 1:
            raise ValueError(f"images of {len(shapes)} different shapes cannot be one array")
        self.parts, self.chosen = tuple(parts), chosen
        self._starts = torch.tensor([0, *(len(part) for part in parts)]).cumsum(0)
        count = int(self._starts[-1]) if chosen is None else len(chosen)
        self.shape = torch.Size((count, *shapes.pop()))
        self.dtype = torch.uint8
        self.device = torch.device("cpu")

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes that the images would take as a tensor."""
        return self.shape.numel()

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        """The images of an index (B,) or a slice, as a tensor (B, C, H, W)."""
        return gather(self, torch.arange(*index.indices(len(self))) if isinstance(index, slice) else index)

    def __iter__(self) -> Iterator[Tensor]:
        """One image (C, H, W) after the other."""
        return (self[number : number + 1][0] for number in range(len(self)))

    def to(self, device: torch.device) -> Tensor:
        """All images as a tensor on a device; the host holds a few of them at a time."""
        pixels = torch.empty(self.shape, dtype=torch.uint8, device=device)
        step = max(1, _CHUNK_BYTES // max(1, self.shape[1:].numel()))
        for start in range(0, len(self), step):
            pixels[start : start + step] = self[start : start + step].to(device)
        return pixels

    def copy_into(self, out: Tensor, index: Tensor) -> None:
        """Write the images of ``index`` (B,) into ``out`` (B, C, H, W). Raises IndexError where there are no such."""
        where = index if self.chosen is None else self.chosen[index]
        if len(self.parts) == 1:
            gather(self.parts[0], where, out)
            return
        if len(where) and not 0 <= int(where.min()) <= int(where.max()) < int(self._starts[-1]):
            raise IndexError(f"an index beyond the {int(self._starts[-1])} images")
        # Part by part into a block, then into place: index_select copies whole rows, index_copy_ byte by byte.
        owner = torch.bucketize(where, self._starts[1:], right=True)
        order = owner.argsort(stable=True)
        block, filled = torch.empty_like(out), 0
        for number, part in enumerate(self.parts):
            inside = where[order[owner[order] == number]] - self._starts[number]
            gather(part, inside, block[filled : filled + len(inside)])
            filled += len(inside)
        torch.index_select(block, 0, order.argsort(), out=out)


Pixels = Tensor | Rows
"""Images as uint8 (n, C, H, W): in memory, on a device, mapped from a file, or rows chosen from such."""


def gather(pixels: Pixels, index: Tensor, out: Tensor | None = None) -> Tensor:
    """The images of ``index``, int64 (B,) on the device of the pixels, as uint8 (B, C, H, W).

    With ``out``, a contiguous uint8 (B, C, H, W) that may be pinned, they are written there and nowhere else. It
    releases Python's lock and may be called from a thread that prefetches. Raises ValueError where ``out`` has another
    shape.
    """
    shape = (len(index), *pixels.shape[1:])
    if out is None:
        out = torch.empty(shape, dtype=torch.uint8, device=pixels.device)
    elif tuple(out.shape) != shape or out.dtype != torch.uint8 or not out.is_contiguous():
        raise ValueError(f"out must be contiguous uint8 {shape}, and is {out.dtype} {tuple(out.shape)}")
    if isinstance(pixels, Rows):
        pixels.copy_into(out, index)
    else:
        read_ahead(pixels, index)
        torch.index_select(pixels, 0, index, out=out)
    return out


def read_ahead(pixels: Tensor, index: Tensor) -> None:
    """Ask the system to read the images of ``index`` (B,) from disk, all at once and no more than these.

    A batch of random images out of a cold file would otherwise be read page by page, one after the other. Images
    smaller than a page are left to the system's own guess, and so is memory that no file stands behind.
    """
    size = pixels[0].numel() if len(pixels) else 0
    if _WILLNEED is None or size < mmap.PAGESIZE or pixels.device.type != "cpu":
        return
    libc, start = ctypes.CDLL(None), pixels.data_ptr()
    for row in index.sort().values.tolist():
        address = start + row * size
        ahead = address % mmap.PAGESIZE  # madvise wants the beginning of a page
        libc.madvise(ctypes.c_void_p(address - ahead), ctypes.c_size_t(size + ahead), ctypes.c_int(_WILLNEED))


def choose(pixels: Pixels, index: Tensor) -> Pixels:
    """Only the images of ``index`` (n,), in its order, without copying them where they lie on the CPU."""
    if isinstance(pixels, Rows):
        return Rows(pixels.parts, index if pixels.chosen is None else pixels.chosen[index])
    return Rows([pixels], index) if pixels.device.type == "cpu" else pixels[index]


def join(first: Pixels, second: Pixels) -> Rows:
    """The first images, then the second ones, without copying them; both on the CPU."""
    one, two = (pixels if isinstance(pixels, Rows) else Rows([pixels]) for pixels in (first, second))
    parts = (*one.parts, *two.parts)
    if one.chosen is None and two.chosen is None:
        return Rows(parts)
    indices = (torch.arange(len(rows)) if rows.chosen is None else rows.chosen for rows in (one, two))
    behind = sum(len(part) for part in one.parts)
    return Rows(parts, torch.cat([next(indices), next(indices) + behind]))
