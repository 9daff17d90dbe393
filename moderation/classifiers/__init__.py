"""What looks at prompts and pictures. Knows torch and onnxruntime where weights are loaded, and no Django."""

from moderation.classifiers.armoury import Armoury
from moderation.signals import ItemFault, MachineryFault, PictureClassifier, Signal, Unarmed

__all__ = ["Armoury", "ItemFault", "MachineryFault", "PictureClassifier", "Signal", "Unarmed"]
