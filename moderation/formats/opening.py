"""Uploads as pixels: one still picture, or the frames of a film, read within the limits. In the limited process.

Whatever these are given, what they leave is encoded anew from pixels: nothing of the file's own travels along.
"""

import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from moderation.formats import limits

MAKE, MODEL, SOFTWARE, TAKEN = 0x010F, 0x0110, 0x0131, 0x9003
EXIF_POINTER = 0x8769


class Refused(Exception):
    """The upload is not taken; the message is for the person."""


def decode_picture(path: Path, folder: Path) -> dict[str, Any]:
    """One still picture as RGB on white; its alpha beside it, if any of it is not opaque."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # sizes are checked below, by our own limit
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            file = Image.open(path, formats=limits.PICTURE_FORMATS)
        except UnidentifiedImageError:
            raise Refused("This is no picture that can be read. Bring a PNG, JPEG or WebP.") from None
        with file:
            width, height = file.size
            _check_size(width, height, limits.MOST_PIXELS)
            if (frames := getattr(file, "n_frames", 1)) > 1:
                raise Refused(f"This is an animation of {frames} frames. Bring one still picture, or a film.")
            known = {"format": file.format, "mode": file.mode, "width": width, "height": height}
            profile = file.info.get("icc_profile")
            try:
                file.load()
                exif = file.getexif()
            except (OSError, SyntaxError, ValueError, EOFError) as error:
                raise Refused("The file is damaged, or ends before its picture does.") from error
            turned = ImageOps.exif_transpose(file)
    colours, alpha = _plain(turned, profile)
    if max(colours.size) > limits.MOST_SIDE:
        colours.thumbnail((limits.MOST_SIDE, limits.MOST_SIDE), Image.Resampling.LANCZOS)
        if alpha:
            alpha = alpha.resize(colours.size, Image.Resampling.LANCZOS)
    colours.save(folder / "picture.png")
    if alpha:
        alpha.save(folder / "alpha.png")
    return {
        **known,
        "camera": _camera(exif),
        "decoded_width": colours.width,
        "decoded_height": colours.height,
        "has_alpha": alpha is not None,
        "is_flat": all(least == most for least, most in colours.getextrema()),
    }


def _plain(picture: Any, profile: bytes | None) -> tuple[Any, Any]:
    """RGB of 8 bits in sRGB, and the alpha where it is not opaque all over. What is see-through shows white."""
    from PIL import Image

    if picture.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        most = 65535 if picture.mode.startswith("I;16") or picture.getextrema()[1] > 255 else 255
        picture = picture.convert("F").point(lambda value: value * (255 / most)).convert("L")
    alpha = None
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        picture = picture.convert("RGBA")
        alpha = picture.getchannel("A")
        if alpha.getextrema() == (255, 255):
            alpha = None
        else:
            ground = Image.new("RGBA", picture.size, "white")
            ground.alpha_composite(picture)
            picture = ground
    elif profile and picture.mode in ("RGB", "CMYK"):
        picture = _to_srgb(picture, profile)
    made = picture.convert("RGB")
    # A new picture from pixels alone: nothing of the file's own travels along.
    return Image.frombytes("RGB", made.size, made.tobytes()), alpha


def _to_srgb(picture: Any, profile: bytes) -> Any:
    """Colours by the embedded profile; as they are where it is broken."""
    import io

    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        turned = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture
    return turned or picture


def _camera(exif: Any) -> dict[str, Any]:
    """What a camera wrote: who made it, what edited it, whether it says when. Places and names are not kept."""
    tags = {"make": MAKE, "model": MODEL, "software": SOFTWARE}
    words = {name: str(exif.get(tag, ""))[:64] for name, tag in tags.items()}
    return {**{name: word for name, word in words.items() if word}, "taken": TAKEN in exif.get_ifd(EXIF_POINTER)}


def decode_film(path: Path, folder: Path) -> dict[str, Any]:
    """A film without its sound, each kept frame as it was, made smaller where it is too large."""
    import av

    av.logging.set_level(av.logging.PANIC)
    try:
        container = av.open(str(path), "r", options={"protocol_whitelist": "file"})
    except (av.FFmpegError, ValueError) as error:
        raise Refused("This is no film that can be read. Bring an MP4 or a WebM.") from error
    with container:
        if container.format.name not in limits.FILM_FORMATS or not container.streams.video:
            raise Refused("This is no film that can be read. Bring an MP4 or a WebM.")
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        width, height = stream.codec_context.width, stream.codec_context.height
        _check_size(width, height, limits.MOST_FILM_PIXELS)
        fps = Fraction(stream.average_rate or 25).limit_denominator(1001)
        told = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        told = max(told, (container.duration or 0) / 1e6)
        if told > limits.MOST_SECONDS + 0.5:
            raise Refused(f"The film lasts {told:,.0f} seconds; at most {limits.MOST_SECONDS} can be read. Cut it.")
        if not 1 <= fps <= 240:
            raise Refused(f"The film says it has {float(fps):g} frames a second. Encode it anew, with 24 or 30.")
        frames = _frames(container)
        every = max(1, -(-(stream.frames or round(told * fps)) // limits.MOST_FILM_KEPT))
        size = _fitting(width, height)
        kept = (frame for number, frame in enumerate(_scaled(frames, size)) if number % every == 0)
        flat: list[bool] = []
        number = _write(folder / "film.mp4", kept, size, fps / every, flat)
    return {
        "format": container.format.name,
        "width": width,
        "height": height,
        "decoded_width": size[0],
        "decoded_height": size[1],
        "frames": number,
        "fps": float(fps / every),
        "seconds": float(number * every / fps),
        "camera": {},
        "is_flat": all(flat),
    }


def _frames(container: Any) -> Iterator[Any]:
    """Decoded frames, no more than may be."""
    import av

    number = 0
    try:
        for frame in container.decode(video=0):
            number += 1
            if number > limits.MOST_FRAMES:
                raise Refused(f"The film has more than {limits.MOST_FRAMES} frames. Cut it.")
            yield frame
    except (av.FFmpegError, ValueError) as error:
        raise Refused("The film is damaged, or ends before it should.") from error


def _scaled(frames: Iterator[Any], size: tuple[int, int]) -> Iterator[Any]:
    for frame in frames:
        yield frame.reformat(width=size[0], height=size[1], format="rgb24")


def _write(path: Path, frames: Iterator[Any], size: tuple[int, int], fps: Fraction, flat: list[bool]) -> int:
    """Write the frames anew. They become bare pixels on the way: no side data travels along."""
    import av

    from moderation.formats import films

    def bare() -> Iterator[Any]:
        for frame in frames:
            picture = frame.to_image()
            flat.append(all(least == most for least, most in picture.getextrema()))
            yield av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]

    number = films.write(str(path), bare(), size, fps, lossless=True)
    if not number:
        raise Refused("The film has no frames.")
    return number


def _fitting(width: int, height: int) -> tuple[int, int]:
    """The size that a film is kept in: even sides, none above the most."""
    share = min(1.0, limits.MOST_FILM_SIDE / max(width, height))
    return max(2, round(width * share / 2) * 2), max(2, round(height * share / 2) * 2)


def _check_size(width: int, height: int, most: int) -> None:
    if width * height > most:
        raise Refused(f"It is {width:,} x {height:,} pixels; at most {most:,} pixels can be read. Bring a smaller one.")
    if min(width, height) < limits.LEAST_SIDE:
        raise Refused(f"It is {width} x {height} pixels; each side needs {limits.LEAST_SIDE} at the least.")
