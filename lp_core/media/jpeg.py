"""Pictures as JPEG files."""

from io import BytesIO

from torch import Tensor

QUALITY = 85  # of 100


def jpeg(picture: Tensor) -> bytes:
    """A picture (H, W, 3) uint8, on any device, as a JPEG file."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(picture.cpu().numpy()).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
