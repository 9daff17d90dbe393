"""What there is: things by name, by drawing, by kind, and what each can do in a scene.

A drawing has one name in all sets; four are our own, since no set has a real gun or a single sword.
"""

from __future__ import annotations

from dataclasses import dataclass

# The classes of a segmentation map, in the order of their numbers; 0 is the background.
KINDS = ("person", "animal", "food", "vehicle", "building", "plant", "sky", "toy", "clothing", "tool", "household")


@dataclass(frozen=True)
class Thing:
    """One thing. `only` is the one colour that it may have, `never` are those that would make it another thing."""

    word: str
    icon: str
    kind: str
    only: str = ""
    never: tuple[str, ...] = ()


_LISTS: dict[str, str] = {
    "person": "person=person-standing man=man-standing woman=woman-standing boy girl baby robot alien ghost snowman "
    "ninja santa=santa-claus",
    "animal": "cat dog horse cow pig sheep=ewe goat deer bear=bear panda lion=lion tiger fox wolf rabbit mouse rat "
    "hamster hedgehog bat frog turtle snake lizard crocodile dragon dinosaur=sauropod whale=spouting-whale dolphin "
    "fish=tropical-fish shark octopus crab lobster shrimp squid snail butterfly ant bee=honeybee ladybug=lady-beetle "
    "spider duck eagle owl penguin parrot flamingo swan peacock rooster chick=baby-chick turkey dove elephant "
    "camel giraffe zebra monkey gorilla kangaroo sloth otter beaver squirrel=chipmunk llama ox unicorn seal moose "
    "donkey goose worm jellyfish",
    "food": "apple=red-apple banana pear lemon orange=tangerine strawberry cherries grapes watermelon pineapple peach "
    "mango coconut kiwi=kiwi-fruit tomato avocado carrot corn=ear-of-corn pepper=bell-pepper chilli=hot-pepper "
    "broccoli potato onion garlic mushroom bread croissant pretzel cheese=cheese-wedge egg bacon hamburger pizza taco "
    "hot_dog=hot-dog sandwich popcorn cookie cake=birthday-cake cupcake pie chocolate=chocolate-bar candy lollipop "
    "ice_cream=soft-ice-cream doughnut milk=glass-of-milk tea=teacup-without-handle coffee=hot-beverage "
    "beer=beer-mug wine=wine-glass cocktail=cocktail-glass",
    "vehicle": "car=automobile taxi bus truck=delivery-truck fire_engine=fire-engine ambulance police_car=police-car "
    "tractor bicycle motorcycle scooter=motor-scooter skateboard train=locomotive airplane helicopter rocket "
    "flying_saucer=flying-saucer sailboat ship speedboat canoe sled",
    "building": "house castle tent church factory tower=tokyo-tower mountain volcano island=desert-island fountain "
    "statue=moai school",
    "plant": "tree=deciduous-tree pine=evergreen-tree palm=palm-tree cactus tulip rose sunflower leaf=maple-leaf "
    "clover=four-leaf-clover",
    "sky": "sun moon=crescent-moon star cloud rainbow snowflake fire lightning=high-voltage comet planet=ringed-planet",
    "toy": "ball=soccer-ball basketball balloon kite teddy_bear=teddy-bear drum guitar violin trumpet saxophone "
    "bell yo-yo water_gun=water-pistol dice=game-die puzzle_piece=puzzle-piece",
    "clothing": "crown ring hat=top-hat cap=billed-cap shirt=t-shirt dress jeans socks shoe=running-shoe "
    "boot=hiking-boot gloves scarf glasses umbrella backpack handbag",
    "tool": "pencil crayon paintbrush scissors hammer axe saw=carpentry-saw wrench screwdriver ladder bucket broom "
    "flashlight magnet microscope telescope anchor shield dagger knife=kitchen-knife bomb compass key lock=locked",
    "household": "book=closed-book box=package gift=wrapped-gift envelope newspaper candle light_bulb=light-bulb "
    "camera television telephone mobile_phone=mobile-phone laptop radio clock=alarm-clock watch "
    "hourglass=hourglass-done "
    "chair bed sofa=couch-and-lamp door window mirror bathtub spoon teapot jar basket trophy medal=sports-medal "
    "heart=red-heart diamond=gem-stone coin skull bone tooth feather cigarette",
}  # fmt: skip

_OWN = (
    Thing("gun", "own:gun", "tool"),
    Thing("sword", "own:sword", "tool"),
    Thing("drop of blood", "drop-of-blood", "food", only="red"),
    Thing("drop of water", "droplet", "food", never=("red", "pink", "orange")),
    Thing("smiling face", "grinning-face", "person"),
)


def _read(kind: str, line: str) -> list[Thing]:
    """Read `word` or `word=drawing`, separated by blanks."""
    pairs = (entry.partition("=")[::2] for entry in line.split())
    return [Thing(word.replace("_", " "), drawing or word.replace("_", "-"), kind) for word, drawing in pairs]


THINGS: list[Thing] = [*(thing for kind, line in _LISTS.items() for thing in _read(kind, line)), *_OWN]
BY_WORD = {thing.word: thing for thing in THINGS}

# Other words that people use. Those of several things are true of each of them.
ALSO: dict[str, tuple[str, ...]] = {
    "gun": ("pistol", "handgun", "weapon"),
    "sword": ("blade", "weapon"),
    "dagger": ("blade", "weapon"),
    "knife": ("blade", "weapon"),
    "bomb": ("explosive", "weapon"),
    "axe": ("hatchet",),
    "drop of blood": ("blood",),
    "drop of water": ("water",),
    "beer": ("mug of beer", "alcohol"),
    "wine": ("glass of wine", "alcohol"),
    "cocktail": ("alcohol",),
    "cigarette": ("tobacco",),
    "skull": ("skeleton", "death"),
    "water gun": ("toy gun",),
    "smiling face": ("smile", "face"),
    "milk": ("glass of milk",),
    "tea": ("cup of tea",),
    "coffee": ("cup of coffee",),
    "tower": ("steel tower",),
    "island": ("desert island",),
    "lightning": ("lightning bolt",),
    "flying saucer": ("spaceship",),
    "mobile phone": ("phone",),
    "clock": ("alarm clock",),
    "box": ("package",),
}
# A word for a whole kind, where people would say it.
OF_KIND = {"animal": "animal", "vehicle": "vehicle", "building": "building", "plant": "plant", "food": "food"}


def _set(line: str) -> frozenset[str]:
    """Words between commas."""
    return frozenset(line.split(","))


def names_of(thing: Thing) -> tuple[str, ...]:
    """Every word that is true of a thing, its own first."""
    kind = (OF_KIND[thing.kind],) if thing.kind in OF_KIND and not thing.word.startswith("drop") else ()
    return (thing.word, *ALSO.get(thing.word, ()), *kind)


# What can ride, and be ridden: animals with a back, and whatever one stands or sits on.
RIDERS = _set("person,man,woman,robot,alien,ninja,santa,monkey,cat,dog,bear,panda,frog,penguin,rabbit,mouse")
RIDDEN = _set(
    "horse,cow,pig,sheep,deer,elephant,camel,zebra,llama,ox,donkey,turtle,dinosaur,crocodile,whale,bicycle,motorcycle,"
    "scooter,skateboard,sled,canoe,tractor"
)
HOLDERS = _set("person,man,woman,robot,alien,ninja,santa,snowman,ghost,monkey,bear,panda,gorilla,penguin,rabbit")
HELD = _set(
    "apple,banana,lemon,strawberry,cherries,carrot,mushroom,bread,croissant,pretzel,egg,hamburger,pizza,taco,cookie,"
    "cupcake,candy,lollipop,ice cream,doughnut,milk,tea,coffee,beer,wine,tulip,rose,sunflower,star,heart,ball,balloon,"
    "guitar,trumpet,bell,umbrella,handbag,pencil,paintbrush,hammer,axe,wrench,bucket,broom,flashlight,key,book,gift,"
    "envelope,candle,camera,telephone,clock,spoon,teapot,trophy,gun,sword,knife,bomb,shield,crown,hat,teddy bear"
)
# What the demo's policies look for.
SOUGHT: dict[str, frozenset[str]] = {
    "weapon": _set("gun,bomb,knife,dagger,sword"),
    "blood": _set("drop of blood"),
    "alcohol_tobacco": _set("beer,wine,cocktail,cigarette"),
    "skull": _set("skull"),
}
# Whatever something may stand on; of these, nothing has a point at its top.
PERCHES = _set(
    "book,box,gift,chair,bed,sofa,house,car,bus,truck,taxi,train,sled,skateboard,mushroom,turtle,elephant,cow,"
    "bathtub,television,laptop,radio,drum,basket,bucket,island,cake,whale,cloud"
)
# Too large, or never, to stand on something.
STAYS = frozenset(thing.word for thing in THINGS if thing.kind in ("building", "sky")) | {"bed", "sofa", "rainbow"}
# Two is many; six cannot be told from five at this size.
COUNTS = {"two": 2, "three": 3, "four": 4, "five": 5}
