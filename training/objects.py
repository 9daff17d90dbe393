"""What the house models know: the objects, by name, by drawing, and by the other words people use for them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Thing:
    """One object. An empty `fluent` or `noto` means that this set has no such drawing."""

    word: str
    fluent: str
    noto: str
    also: tuple[str, ...] = ()
    only: str | None = None
    """The one colour that this thing may have; None where any colour may be painted on."""
    never: tuple[str, ...] = ()


def _plain(line: str) -> list[Thing]:
    """Read `word` or `word=drawing` or `word=fluent/noto`, separated by blanks."""
    things = []
    for entry in line.split():
        word, _, drawing = entry.partition("=")
        fluent, _, noto = (drawing or word).partition("/")
        things.append(Thing(word.replace("_", " "), fluent, noto or fluent))
    return things


# What the demo's policies look for, each next to something harmless that looks alike.
SOUGHT: dict[str, list[Thing]] = {
    "weapon": [
        Thing("gun", "own:gun-a", "own:gun-b", ("pistol", "handgun", "weapon")),
        Thing("bomb", "bomb", "bomb", ("explosive", "weapon")),
        Thing("knife", "kitchen-knife", "kitchen-knife", ("blade", "weapon")),
        Thing("dagger", "dagger", "dagger", ("blade", "weapon")),
        Thing("sword", "own:sword-a", "own:sword-b", ("blade", "weapon")),
    ],
    "blood": [Thing("drop of blood", "drop-of-blood", "drop-of-blood", ("blood",), only="red")],
    "alcohol_tobacco": [
        Thing("beer", "beer-mug", "beer-mug", ("mug of beer", "alcohol")),
        Thing("wine", "wine-glass", "wine-glass", ("glass of wine", "alcohol")),
        Thing("cocktail", "cocktail-glass", "cocktail-glass", ("alcohol",)),
        Thing("cigarette", "cigarette", "cigarette", ("tobacco",)),
    ],
    "skull": [Thing("skull", "skull", "skull", ("skeleton", "death"))],
}

LOOK_ALIKES: dict[str, list[Thing]] = {
    "weapon": [
        Thing("water gun", "water-pistol", "water-pistol", ("toy",)),
        Thing("balloon", "balloon", "balloon"),
        Thing("spoon", "spoon", "spoon"),
        Thing("pencil", "pencil", "pencil"),
    ],
    "blood": [Thing("drop of water", "droplet", "droplet", ("water",), never=("red", "pink", "orange"))],
    "alcohol_tobacco": [
        Thing("milk", "glass-of-milk", "glass-of-milk", ("glass of milk",)),
        Thing("tea", "teacup-without-handle", "teacup-without-handle", ("cup of tea",)),
        Thing("coffee", "hot-beverage", "hot-beverage", ("cup of coffee",)),
    ],
    "skull": [Thing("smiling face", "grinning-face", "grinning-face", ("smile", "face"))],
}

EVERYDAY = _plain(
    "apple=red-apple banana pear lemon strawberry cherries grapes carrot mushroom egg pizza cookie cake=birthday-cake "
    "lollipop car=automobile bus tractor airplane rocket sailboat bicycle house castle tent cat=cat-face dog=dog-face "
    "rabbit=rabbit-face bear pig=pig-face frog fish=tropical-fish/fish whale octopus turtle snail butterfly "
    "bee=honeybee penguin owl fox elephant flower=tulip sunflower rose tree=deciduous-tree cactus "
    "leaf=maple-leaf cloud sun moon=crescent-moon star heart=red-heart fire snowman ball=basketball guitar umbrella "
    "drum trumpet key bell crown hat=top-hat shirt=t-shirt candle book=closed-book "
    "gift=wrapped-gift light_bulb=light-bulb camera hammer robot ghost anchor trophy"
)

THINGS: list[Thing] = [
    *(thing for group in SOUGHT.values() for thing in group),
    *(thing for group in LOOK_ALIKES.values() for thing in group),
    *EVERYDAY,
]
