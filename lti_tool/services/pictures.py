"""Pictures of badges as people upload them: checked, cleaned, and small enough for every Badgr server."""

import base64
import io
import struct

import py_svg_hush
from PIL import Image, ImageOps, UnidentifiedImageError

from lti_tool.errors import InvalidInputError

MAXIMUM_BYTES = 2 * 1024 * 1024
MAXIMUM_SVG_BYTES = 256 * 1024
# In memory each is four bytes, more than once; photographs are read at a smaller scale at once.
MAXIMUM_PIXELS = 4_000_000
MAXIMUM_PHOTOGRAPH_PIXELS = 16_000_000
# Badgr makes every picture this small anyway (BADGR.md §5).
SIDE = 400
TAKEN = ("PNG", "JPEG", "WEBP", "GIF")
TOO_MANY_PIXELS = "picture: it has too many pixels. Make it smaller; 400 by 400 are enough."


def data_uri(content: bytes) -> str:
    """An uploaded picture as Badgr takes it: PNG or SVG, without anything but the picture; raises InvalidInputError."""
    if not content:
        raise InvalidInputError("picture: the file is empty. Choose another one.")
    if len(content) > MAXIMUM_BYTES:
        raise InvalidInputError("picture: the file is larger than 2 MB. Make it smaller; 400 by 400 pixels are enough.")
    head = content[:1024].lstrip().lower()
    if head.startswith((b"<svg", b"<?xml", b"<!--", b"<!doctype svg")) or b"<svg" in head:
        return _uri("image/svg+xml", _clean_svg(content))
    return _uri("image/png", _clean_bitmap(content))


def _clean_svg(content: bytes) -> bytes:
    if len(content) > MAXIMUM_SVG_BYTES:
        raise InvalidInputError("picture: the drawing is larger than 256 KB. Save it in a simpler form, or as PNG.")
    try:
        # Only what draws is left: no scripts, no links, nothing from elsewhere.
        return bytes(py_svg_hush.filter_svg(content))
    except ValueError:
        raise InvalidInputError("picture: the SVG drawing cannot be read. Save it anew, or as PNG.") from None


def _clean_bitmap(content: bytes) -> bytes:
    try:
        with Image.open(io.BytesIO(content), formats=TAKEN) as picture:
            if picture.width * picture.height > MAXIMUM_PHOTOGRAPH_PIXELS:
                raise InvalidInputError(TOO_MANY_PIXELS)
            # Only JPEG knows this; all others stay as they are.
            picture.draft("RGB", (SIDE, SIDE))
            if picture.width * picture.height > MAXIMUM_PIXELS:
                raise InvalidInputError(TOO_MANY_PIXELS)
            # Drawn anew: what cameras and programs have written beside the picture is left behind.
            upright = ImageOps.exif_transpose(picture).convert("RGBA")
    except Image.DecompressionBombError:
        raise InvalidInputError(TOO_MANY_PIXELS) from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, struct.error):
        raise InvalidInputError("picture: this is no picture that can be read. Take a PNG, JPEG or SVG file.") from None
    square = ImageOps.pad(upright, (SIDE, SIDE), color=(0, 0, 0, 0))
    out = io.BytesIO()
    square.save(out, "PNG", optimize=True)
    return out.getvalue()


def _uri(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"
