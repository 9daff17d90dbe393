"""Files in pieces, as players ask for films (RFC 9110, section 14)."""

import re
from collections.abc import Mapping

from django.http import HttpRequest, HttpResponse

ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def in_pieces(request: HttpRequest, data: bytes, *, content_type: str, headers: Mapping[str, str]) -> HttpResponse:
    """The whole file, or the one range of it that is asked for; 416 for one that lies outside.

    Several ranges, or what is no range, get the whole, as the standard allows.
    """
    wanted = ONE_RANGE.fullmatch(request.headers.get("Range", ""))
    told = {**headers, "Accept-Ranges": "bytes"}
    if wanted is None or wanted.group(1) == wanted.group(2) == "" or _is_stale(request, told):
        return HttpResponse(data, content_type=content_type, headers=told)
    first, last = _bounds(wanted, len(data))
    if first > last:
        told["Content-Range"] = f"bytes */{len(data)}"
        return HttpResponse(status=416, content_type=content_type, headers=told)
    told["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
    return HttpResponse(data[first : last + 1], status=206, content_type=content_type, headers=told)


def _bounds(wanted: re.Match[str], size: int) -> tuple[int, int]:
    start, end = wanted.groups()
    if not start:
        return max(0, size - int(end)) if int(end) else size, size - 1
    return int(start), min(int(end), size - 1) if end else size - 1


def _is_stale(request: HttpRequest, headers: Mapping[str, str]) -> bool:
    """Whether the caller has pieces of another file of this address, and so needs the whole of this one."""
    known = request.headers.get("If-Range")
    return known is not None and known != headers.get("ETag")
