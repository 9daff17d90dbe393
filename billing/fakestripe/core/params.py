"""The parameters of one request: read by name, and whatever nobody read is refused."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

from billing.fakestripe.core.errors import StripeError

Tree = dict[str, Any]


def parse(text: str) -> Tree:
    """Turn `a[b][0]=x&a[b][1]=y` into {"a": {"b": ["x", "y"]}}."""
    tree: Tree = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        steps = name.replace("]", "").split("[")
        here = tree
        for step in steps[:-1]:
            below = here.setdefault(step or str(len(here)), {})
            if not isinstance(below, dict):
                raise StripeError(f"Parameter {name} is given twice in different shapes.", param=name)
            here = below
        here[steps[-1] or str(len(here))] = value
    return {name: _lists(value) for name, value in tree.items()}


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(below) for key, below in value.items()}


class Params:
    """One level of parameters. Read everything, then call `end`: what is unread is unknown to us and refused.

    Stripe refuses what it does not know; the fake also refuses what only Stripe knows, so that nobody
    believes a parameter works which does nothing here.
    """

    def __init__(self, tree: Tree, path: str = "") -> None:
        self._tree = tree
        self._path = path
        self._read: set[str] = set()
        self._below: list[Params] = []
        self.has_ended = False

    def name(self, key: str) -> str:
        """How a person would write this parameter: `line_items[0][price]`."""
        return f"{self._path}[{key}]" if self._path else key

    def is_text(self, key: str) -> bool:
        """Whether the parameter was sent as a plain value rather than as a hash or a list."""
        return isinstance(self._tree.get(key), str)

    def has(self, key: str) -> bool:
        """Whether the parameter was sent at all, even if empty."""
        return key in self._tree

    def _take(self, key: str) -> Any:
        self._read.add(key)
        return self._tree.get(key)

    def text(self, key: str) -> str | None:
        """The text, or None when it is absent or was emptied."""
        value = self._take(key)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise StripeError(f"Invalid string: {self.name(key)}", param=self.name(key))
        return value

    def need(self, key: str) -> str:
        """The text, which must be there."""
        value = self.text(key)
        if value is None:
            raise StripeError(
                f"Missing required param: {self.name(key)}.", code="parameter_missing", param=self.name(key)
            )
        return value

    def integer(self, key: str) -> int | None:
        """The whole number, or None when it is absent."""
        value = self.text(key)
        if value is None:
            return None
        try:
            return int(value)
        except ValueError:
            raise StripeError(
                f"Invalid integer: {value}", code="parameter_invalid_integer", param=self.name(key)
            ) from None

    def number(self, key: str) -> float | None:
        """The number, or None when it is absent."""
        value = self.text(key)
        if value is None:
            return None
        try:
            return float(value)
        except ValueError:
            raise StripeError(f"Invalid decimal: {value}", param=self.name(key)) from None

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false; `default` when it is absent."""
        value = self.text(key)
        if value is None:
            return default
        if value not in ("true", "false"):
            raise StripeError(f"Invalid boolean: {value}", param=self.name(key))
        return value == "true"

    def choice(self, key: str, options: Sequence[str]) -> str | None:
        """One of the options, or None when it is absent."""
        value = self.text(key)
        if value is not None and value not in options:
            raise StripeError(f"Invalid {self.name(key)}: must be one of {', '.join(options)}", param=self.name(key))
        return value

    def was_emptied(self, key: str) -> bool:
        """Whether it was sent as the empty text, which is how Stripe unsets a field."""
        self._read.add(key)
        return self._tree.get(key) == ""

    def texts(self, key: str) -> list[str]:
        """A list of texts; empty when absent."""
        value = self._take(key)
        if value is None or value == "":
            return []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise StripeError(f"Invalid array: {self.name(key)}", param=self.name(key))
        return list(value)

    def below(self, key: str) -> "Params":
        """The parameters inside a hash; empty ones when it is absent."""
        value = self._take(key)
        if value is None or value == "":
            value = {}
        if not isinstance(value, dict):
            raise StripeError(f"Invalid object: {self.name(key)}", param=self.name(key))
        child = Params(value, self.name(key))
        self._below.append(child)
        return child

    def each(self, key: str) -> list["Params"]:
        """The parameters inside each hash of a list; empty when absent."""
        value = self._take(key)
        if value is None or value == "":
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise StripeError(f"Invalid array: {self.name(key)}", param=self.name(key))
        children = [Params(item, self.name(f"{key}][{at}")) for at, item in enumerate(value)]
        if self._path == "":
            children = [Params(item, f"{key}[{at}]") for at, item in enumerate(value)]
        self._below.extend(children)
        return children

    def metadata(self, key: str = "metadata") -> dict[str, str] | None:
        """The metadata to merge, {} to change nothing, or None to clear all of it."""
        value = self._take(key)
        if value == "":
            return None
        if value is None:
            return {}
        if isinstance(value, list):  # keys that are all digits look like a list
            value = {str(at): item for at, item in enumerate(value)}
        if not all(isinstance(item, str) for item in value.values()):
            raise StripeError(f"Metadata values must be strings: {self.name(key)}", param=self.name(key))
        return dict(value)

    def _unread(self) -> list[str]:
        mine = [self.name(key) for key in self._tree if key not in self._read]
        return mine + [name for child in self._below for name in child._unread()]

    def end(self) -> None:
        """Refuse whatever was not read. From here on the request is being carried out."""
        unread = self._unread()
        if unread:
            plural = "s" if len(unread) > 1 else ""
            raise StripeError(
                f"Received unknown parameter{plural}: {', '.join(unread)}", code="parameter_unknown", param=unread[0]
            )
        self.has_ended = True


def merged(old: dict[str, str] | None, new: dict[str, str] | None) -> dict[str, str]:
    """Stripe's way with metadata: keys are merged, an empty value removes its key, an empty hash clears."""
    if new is None:
        return {}
    both = {**(old or {}), **new}
    return {key: value for key, value in both.items() if value != ""}
