"""What marks released files: the signer, by the operator's keys or the house's own, and the watermark.

Never imported by the web process.
"""

import os
from functools import lru_cache
from urllib.parse import urlsplit

from django.conf import settings

from moderation.provenance import authority
from moderation.provenance.authority import Keys, KeysUnusable
from moderation.provenance.credentials import Signer
from moderation.provenance.watermark import Watermark


@lru_cache
def keys() -> Keys:
    """The keys of this house. Raises KeysUnusable: a house that cannot mark what it made releases nothing."""
    chain, key, anchors = settings.C2PA_CHAIN, settings.C2PA_KEY, settings.C2PA_ANCHORS
    if bool(chain) != bool(key):
        raise KeysUnusable("C2PA_CHAIN and C2PA_KEY come together: set both, or neither.")
    if chain:
        return authority.checked(chain.encode(), key.encode(), anchors.encode())
    host = urlsplit(settings.BASE_URL).hostname or "localhost"
    return authority.of_the_house(settings.DATA / "credentials", f"Vaglio at {host}")


@lru_cache
def signer() -> Signer:
    """The signer of this process: what the C2PA library holds is of no use to a process forked from it."""
    return Signer(keys())


@lru_cache
def watermark() -> Watermark:
    """The watermark of this process. Raises WatermarkUnusable."""
    return Watermark(settings.WATERMARK_KEYS or [settings.SECRET_KEY])


os.register_at_fork(after_in_child=signer.cache_clear)
# onnxruntime's threads do not come along into a process forked from this one.
os.register_at_fork(after_in_child=watermark.cache_clear)
