"""Pixels as a picture for a person."""

import io

from PIL import Image
from torch import Tensor


def png(pixels: Tensor) -> bytes:
    """An image, uint8 (C, H, W), as PNG: of three channels or more the first three as RGB, else the first in grey."""
    shown = pixels[:3].permute(1, 2, 0) if len(pixels) >= 3 else pixels[0]
    file = io.BytesIO()
    Image.fromarray(shown.contiguous().numpy()).save(file, "PNG")
    return file.getvalue()
