"""The words of a prompt in one plain form: whatever was done to hide them, and each way to read them."""

import re
import unicodedata

from moderation.dictionaries import mended

# Letters of other scripts that look like Latin ones, and Latin ones that Unicode does not take apart.
LOOKALIKES = str.maketrans(
    "аеорсухіјѕһԁԛԝпгкмтвαεικνορτυχωβγıøłđħɑɡɩʟɴʀʏᴀᴄᴅᴇᴊᴋᴍᴏᴘᴛᴜᴠᴡᴢʙɢʜɪ",
    "aeopcyxijshdqwnrkmtbaeiknoptuxwbgioldhagilnryacdejkmoptuvwzbghi",
)
# Letters in squares and circles, and those that flags are made of: four alphabets in a row.
LOOKALIKES |= {first + place: 97 + place for first in (0x1F130, 0x1F150, 0x1F170, 0x1F1E6) for place in range(26)}
LEET = str.maketrans("013457@$!|€", "oieastasile")
LEET_WITH_L = LEET | str.maketrans("1!|", "lli")
_INVISIBLE_RANGES = [(0x200B, 0x2010), (0x202A, 0x202F), (0x2060, 0x2070), (0xFE00, 0xFE10)]
INVISIBLE = dict.fromkeys([*(one for ends in _INVISIBLE_RANGES for one in range(*ends)), 0xFEFF, 0xAD, 0x180E, 0x34F])
# Inside a run of letters that are spelled out one by one, words of these lengths are looked for.
HIDDEN = range(4, 9)

_ENGLISH = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
_ITALIAN = (
    "un due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici sedici diciassette"
)
_YEARS = rf"(\d{{1,2}}|{'|'.join([*_ENGLISH.split(), *_ITALIAN.split()])})"
_AGE = re.compile(
    rf"(?<!\w){_YEARS}[\s-]{{0,3}}(?:(?:years?|yrs?)[\s-]{{1,3}}olds?|y/?o)(?!\w)(?!\s(?:single|malt|scotch|whisk|rum|wine))"
    rf"|(?<!\w)aged?\s{_YEARS}(?!\w)(?!\s(?:months|weeks|days))|(?<!\w)di\s{_YEARS}\sann[io](?!\w)"
)
_WEIGHT = re.compile(r":\s{0,3}\d+(?:\.\d+)?")
_PLUS = re.compile(r"[\w@$!|€+]+")
_MARK = re.compile(r"[()\[\]{}<>*_~`^+]")
_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_WORDLIKE = re.compile(r"[\w@$!|€]+")
_SPELLED = re.compile(r"(?<![^\W_])(?:[^\W_][\s.,/\-·•]){2,}[^\W_](?![^\W_])")
# A Roman number is not stretched.
_STRETCHED = re.compile(r"(?<!\w)[xvlc]*iii(?!\w)|([^\W\d_])\1{2,}")


def normalise(text: str) -> str:
    """One plain form for the many ways to write a word: the first of the `readings`, as text. Linear time.

    Compatibility forms, case, accents, invisible characters, look-alike letters of other scripts, weights and
    brackets of prompt syntax, letters spelled out one by one, digits for letters, stretched letters; an age below 18
    becomes the word underage.
    """
    return _read(_plain(text), "", LEET, 1)


def readings(text: str) -> list[list[str]]:
    """The words of a text in each way that it can be read, mostly one.

    A mark inside a word may hide it (nu*de) or part two (nude_woman), letters spelled out may be one word or several,
    a 1 may be an i or an l, a stretched letter a single one or a double one; and in a word that no dictionary knows two
    letters may have changed places.
    """
    plain = _plain(text)
    found = dict.fromkeys(
        _read(plain, mark, leet, kept) for mark in ("", " ") for leet in (LEET, LEET_WITH_L) for kept in (1, 2)
    )
    read = [_words(one) for one in found]
    return list(map(list, dict.fromkeys(tuple(one) for one in [*read, [mended(word) for word in read[0]]])))


def tokens(text: str) -> list[str]:
    """The words of a text, normalised, possessives cut."""
    return _words(normalise(text))


def _plain(text: str) -> str:
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text.translate(LOOKALIKES)))
    plain = "".join(character for character in plain.translate(INVISIBLE) if not unicodedata.combining(character))
    plain = _AGE.sub(_age, _WEIGHT.sub("", plain.casefold().translate(LOOKALIKES)))
    return _PLUS.sub(lambda found: _crossed(found.group()), plain)


def _read(plain: str, mark: str, leet: dict[int, int], stretched: int) -> str:
    if mark:
        text = _SPELLED.sub(_hidden, _MARK.sub(mark, plain.replace("|", mark)))
    else:
        text = _SPELLED.sub(_spelled, _MARK.sub("", plain))
    text = _WORDLIKE.sub(lambda found: _lettered(found.group(), leet), text)
    return _STRETCHED.sub(lambda found: found[1] * stretched if found[1] else found[0], text)


def _words(normalised: str) -> list[str]:
    return [re.sub(r"['’]s$", "", token).replace("’", "'") for token in _TOKEN.findall(normalised)]


def _crossed(word: str) -> str:
    """A plus is a t where digits stand for letters; else it weighs or joins words."""
    is_leet = "+" in word and any(map(str.isdecimal, word)) and any(map(str.isalpha, word))
    return word.replace("+", "t") if is_leet else word


def _age(found: re.Match[str]) -> str:
    """An age below 18 in one word that the policies know."""
    said = next(group for group in found.groups() if group)
    years = int(said) if said.isdecimal() else 0
    return "underage" if years < 18 else found.group()


def _spelled(found: re.Match[str]) -> str:
    return re.sub(r"[\s.,/\-·•]", "", found.group())


def _hidden(found: re.Match[str]) -> str:
    """What hides in letters that are spelled out; last the word without its first letter, which may be an article."""
    word = _spelled(found)
    if len(word) <= 3:
        return word
    pieces = [word[at : at + long] for long in HIDDEN if long < len(word) - 1 for at in range(len(word) - long + 1)]
    return " ".join([*pieces, word[1:]])


def _lettered(word: str, leet: dict[int, int]) -> str:
    """Letters for the digits and signs in a word that has a letter too. Signs around it are punctuation."""
    if word.isalpha():
        return word
    core = word.strip("!|").lstrip("@")
    return core.translate(leet) if any(character.isalpha() for character in core) else word
