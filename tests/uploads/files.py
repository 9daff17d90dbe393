"""Files as people bring them, good and bad, made in code."""

import io
import struct
import zlib
from typing import Any

import av
import numpy as np
from PIL import Image, PngImagePlugin


def drawing(width: int = 96, height: int = 64, seed: int = 1) -> Image.Image:
    """Four fields of colour: what is turned or mirrored can be told."""
    picture = Image.new("RGB", (width, height), (220, 30, 30))
    picture.paste((30, 200, 60), (width // 2, 0, width, height // 2))
    picture.paste((40, 60, 220), (0, height // 2, width // 2, height))
    picture.paste((240, 220, 40), (width // 2, height // 2, width, height))
    picture.putpixel((seed % width, 0), (0, 0, 0))
    return picture


def saved(picture: Image.Image, kind: str = "PNG", **how: Any) -> bytes:
    written = io.BytesIO()
    picture.save(written, format=kind, **how)
    return written.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def huge_header(width: int = 50_000, height: int = 50_000) -> bytes:
    """A PNG of a few bytes that says it is huge."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 10))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def bomb() -> bytes:
    """A PNG within the limit of pixels whose data unfold to gigabytes."""
    header = struct.pack(">IIBBBBB", 6000, 6000, 8, 6, 0, 0, 0)
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(b"\0" * 10_000_000) for _ in range(60)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def text_bomb() -> bytes:
    """A small PNG with a compressed text that unfolds to 200 MB."""
    data = saved(drawing())
    text = b"Comment\0\0" + zlib.compress(b"a" * 200_000_000, 9)
    return data[:33] + chunk(b"zTXt", text) + data[33:]


def animated(kind: str = "GIF") -> bytes:
    frames = [drawing(seed=number) for number in range(4)]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)


def turned(orientation: int = 6) -> bytes:
    """A JPEG that says how it has to be turned."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F], exif[0x0110] = "Canon", "EOS 5D"
    exif.get_ifd(0x8769)[0x9003] = "2026:01:02 03:04:05"
    exif.get_ifd(0x8825)[2] = (45.0, 4.0, 0.0)
    return saved(drawing(), "JPEG", exif=exif, quality=95)


def sixteen_bits() -> bytes:
    """A grey ramp of 16 bits."""
    ramp = np.tile(np.linspace(0, 65535, 96).astype(np.uint16), (64, 1))
    return saved(Image.fromarray(ramp))


def scripted() -> bytes:
    """A PNG with a script in its text, and another file behind its end."""
    told = PngImagePlugin.PngInfo()
    told.add_text("Comment", "<script>alert(1)</script>")
    told.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta><script>alert(2)</script></x:xmpmeta>")
    return saved(drawing(), pnginfo=told) + b"<?php system($_GET['c']); ?>"


def film(number: int = 16, fps: int = 8, size: tuple[int, int] = (96, 64), kind: str = "mp4", **told: str) -> bytes:
    """A film whose frames are told apart."""
    written = io.BytesIO()
    with av.open(written, "w", format=kind) as container:
        container.metadata.update(told)
        stream = container.add_stream("libvpx-vp9" if kind == "webm" else "libx264", rate=fps)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for each in range(number):
            frame = av.VideoFrame.from_image(drawing(*size, seed=each))
            frame.pts = each
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return written.getvalue()


def sound() -> bytes:
    """An MP4 without a picture."""
    written = io.BytesIO()
    with av.open(written, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return written.getvalue()
