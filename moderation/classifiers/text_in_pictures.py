"""What is written in a picture, judged as a prompt is: by the lexicon and the names, and by what it means.

PaddleOCR's small networks (PP-OCRv4; Apache-2.0), as the package rapidocr-onnxruntime carries them: one finds lines of
text in the whole picture, and only where it finds some, another turns each upright and a third reads it. What was read
is judged line by line and as a whole, in reading order. Letters are misread, so nothing here blocks: a person looks.

Costs one pass of the finder over a picture brought to AREA pixels, and for each line of text time as long as the line.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rapidfuzz import process
from rapidfuzz.distance import DamerauLevenshtein

from moderation.classifiers.clip import WeightsRefused
from moderation.classifiers.meaning import Meaning
from moderation.dictionaries import apart, is_known, seen_as
from moderation.lexicon import NOTHING, judge_prompt
from moderation.policy import TEXT, TEXT_MEANING, PolicySet
from moderation.reading import tokens
from moderation.signals import ItemFault, Signal

if TYPE_CHECKING:
    from PIL import Image

# Of the files as the package 1.4.4 carries them.
WEIGHTS = {
    "ch_PP-OCRv4_det_infer.onnx": "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
    "ch_ppocr_mobile_v2.0_cls_infer.onnx": "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
    "ch_PP-OCRv4_rec_infer.onnx": "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
}
# Two are hardly faster, and where others work too they wait for each other.
THREADS = 1
# The finder sees every picture at about so many pixels, and none more than twice as large as it is: there it finds
# letters from 8 pixels on. A long banner is at most LONGEST wide. Lines are read at up to twice that size.
AREA, LONGEST, MOST_ENLARGED = 640 * 640, 2560, 2.0
# What its networks cannot do without.
LEAST_SIDE = 32
# A line costs as much as it is long, in heights; a short one no less than LEAST_COST, and one longer than WIDE the
# square of its length. A picture that costs more than MOST_COST, some 900 letters, is not read: a person looks.
LEAST_COST, WIDE, MOST_COST = 7, 100, 512
# How the package's parts are asked; what it says of a line that it is less sure of is not text.
FINDER = {
    "limit_side_len": LEAST_SIDE, "limit_type": "min", "mean": [0.5] * 3, "std": [0.5] * 3, "thresh": 0.3,
    "box_thresh": 0.5, "max_candidates": 1000, "unclip_ratio": 1.6, "use_dilation": True, "score_mode": "fast",
}  # fmt: skip
TURNER = {"cls_image_shape": [3, 48, 192], "cls_batch_num": 6, "cls_thresh": 0.9, "label_list": ["0", "180"]}
READER = {"rec_img_shape": [3, 48, 320], "rec_batch_num": 1}
LEAST_SURE = 0.5
# For a model that understands sentences one word says little, and a piece of a sentence other things than the whole:
# only a line of so many words is looked at by itself. The lexicon has every line.
LEAST_WORDS, LEAST_IN_LINE = 2, 5
# Where a word ends inside another: the reader loses gaps.
_INSIDE = re.compile(r"(?<=[a-zà-ú])(?=[A-ZÀ-Ú][a-zà-ú])")
# Shorter words are too many others with a letter wrong.
LEAST_LETTERS = 5
# So much of what was read is told to moderators.
TOLD = 120


class TooMuchText(Exception):
    """More is written in the picture than is read."""


class _Finite:
    """A network whose answer is used only where it is all numbers: what is none finds no text, and would pass."""

    def __init__(self, network: Any) -> None:
        self._network = network

    def __call__(self, given: Any) -> Any:
        import numpy as np

        answers = self._network(given)
        if not all(np.isfinite(answer).all() for answer in answers):
            raise FloatingPointError("the text networks gave what is no number")
        return answers


class Reader:
    """Finds lines of text in a picture and reads them. `pictures_read` counts those in which it found some."""

    def __init__(self) -> None:
        self.version = ""
        self.pictures_read = 0
        self._find: Any = None
        self._turn: Any = None
        self._read: Any = None

    def load(self) -> None:
        """Load the three networks from the package. Raises WeightsRefused for a file of another sum."""
        # Since 1.29 onnxruntime reports each session to its maker unless it is told not to, before it is loaded.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        import rapidocr_onnxruntime

        folder = Path(rapidocr_onnxruntime.__file__).with_name("models")
        for name, sha256 in WEIGHTS.items():
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != sha256:
                raise WeightsRefused(f"{name} is truncated or was changed")
        from rapidocr_onnxruntime.ch_ppocr_cls import TextClassifier
        from rapidocr_onnxruntime.ch_ppocr_det import TextDetector
        from rapidocr_onnxruntime.ch_ppocr_rec import TextRecognizer

        found, turned, read = (
            {"model_path": str(folder / name), "intra_op_num_threads": THREADS, "inter_op_num_threads": 1}
            for name in WEIGHTS
        )
        self._find, self._turn = TextDetector(found | FINDER), TextClassifier(turned | TURNER)
        self._read = TextRecognizer(read | READER)
        self._find.infer, self._turn.infer = _Finite(self._find.infer), _Finite(self._turn.infer)
        self._read.session = _Finite(self._read.session)
        rules = [WEIGHTS, AREA, LONGEST, MOST_ENLARGED, FINDER, TURNER, READER, LEAST_SURE]
        self.version = hashlib.sha256(json.dumps(rules).encode()).hexdigest()

    def lines(self, picture: "Image.Image") -> list[str]:
        """What is written, line by line in reading order. Raises TooMuchText."""
        scale = self._scale(picture)
        boxes, _ = self._find(_pixels(picture, scale))
        if boxes is None or not len(boxes):
            return []
        self.pictures_read += 1
        return self._read_lines(picture, scale, boxes)

    def boxes(self, picture: "Image.Image") -> int:
        """How many lines of text the finder sees. Reads none."""
        boxes, _ = self._find(_pixels(picture, self._scale(picture)))
        return 0 if boxes is None else len(boxes)

    def _read_lines(self, picture: "Image.Image", scale: float, boxes: Any) -> list[str]:
        from rapidocr_onnxruntime import RapidOCR

        finer = max(scale, min(1.0, 2 * scale))
        # The package's own steps: order, cut out upright, turn what stands on its head, read.
        cut = RapidOCR.get_crop_img_list(
            None, _pixels(picture, finer), [box * (finer / scale) for box in RapidOCR.sorted_boxes(boxes)]
        )
        if (cost := sum(_cost(line) for line in cut)) > MOST_COST:
            raise TooMuchText(f"it shows {len(cut)} lines of text, which are {cost / MOST_COST:.1f} times what is read")
        upright, _, _ = self._turn(cut)
        read, _ = self._read(upright)
        return [text for text, sure in read if sure >= LEAST_SURE and text.strip()]

    @staticmethod
    def _scale(picture: "Image.Image") -> float:
        width, height = picture.size
        return float(min(MOST_ENLARGED, (AREA / (width * height)) ** 0.5, LONGEST / max(width, height)))


class TextInPictures:
    """For each policy with words, and each with a meaning, what the text in a picture says: 0 where there is none."""

    name = TEXT

    def __init__(self, policies: PolicySet, meaning: Meaning) -> None:
        self.version = ""
        self.reader = Reader()
        self._policies = policies
        self._meaning = meaning
        self._wordy = [policy.code for policy in policies if policy.words is not None and not policy.is_context]
        self._terms = sorted(
            {
                word
                for policy in policies
                if policy.words is not None
                for group in (policy.words.review, policy.words.block, *policy.words.together)
                for term in group
                for word in tokens(term)
                if len(word) >= LEAST_LETTERS
            }
        )
        self._meant = [policy.code for policy in policies if policy.meaning is not None]

    def load(self) -> None:
        """Load the reader, checked. The meaning is the prompts', and loaded with them."""
        self.reader.load()
        self.version = f"{self.reader.version[:16]}.{self._policies.version[:16]}"

    def screen(self, pictures: Sequence["Image.Image"]) -> list[list[Signal]]:
        return [self._judge(index, picture) for index, picture in enumerate(pictures)]

    def _judge(self, index: int, picture: "Image.Image") -> list[Signal]:
        try:
            lines = self.reader.lines(picture)
        except TooMuchText as error:
            raise ItemFault(index, str(error)) from error
        return [*self._by_words(lines), *self._by_meaning(lines)]

    def _by_words(self, lines: Sequence[str]) -> list[Signal]:
        """For each policy with words the worst of the lines and the whole, as read and with gaps and letters mended."""
        worst = {code: Signal(code, NOTHING, TEXT, self.version) for code in self._wordy}
        whole = " ".join(lines)
        for text in dict.fromkeys([whole, self._mended(whole), *lines, *map(self._mended, lines)]):
            for one in judge_prompt(text, "", self._policies):
                if one.name in worst and one.field == "prompt" and one.score > worst[one.name].score:
                    worst[one.name] = Signal(one.name, one.score, TEXT, self.version, words=one.words)
        return list(worst.values())

    def _mended(self, line: str) -> str:
        return mended_text(line, self._terms)

    def _by_meaning(self, lines: Sequence[str]) -> list[Signal]:
        """For each policy with a meaning the worst of the whole and the long lines; its words are what says so."""
        version = f"{self._meaning.version}.{self.reader.version[:12]}"
        mended = [self._mended(line) for line in lines]
        whole = " ".join(mended)
        worst = {code: Signal(code, NOTHING, TEXT_MEANING, version) for code in self._meant}
        if len(whole.split()) < LEAST_WORDS:
            return list(worst.values())
        texts = list(dict.fromkeys([whole, *(line for line in mended if len(line.split()) >= LEAST_IN_LINE)]))
        for text, signals in zip(texts, self._meaning.screen(texts), strict=True):
            said = {one.name: one.score for one in signals}
            if said.keys() != worst.keys():
                raise RuntimeError(f"{self._meaning.name} did not speak of every policy")
            for code, score in said.items():
                # What is no number stays, whatever the other lines say.
                if math.isfinite(worst[code].score) and not score <= worst[code].score:
                    worst[code] = Signal(code, score, TEXT_MEANING, version, words=(text[:TOLD],))
        return list(worst.values())


def mended_text(text: str, terms: Sequence[str] = ()) -> str:
    """What was read, in plain words: run together it is taken apart, an l that ought to be an i is one, and what no
    dictionary knows is the word of a term that it differs from in one letter."""
    words = [part for word in tokens(_INSIDE.sub(" ", text)) for part in apart(seen_as(word))]
    return " ".join(_term(word, terms) for word in words)


def _term(word: str, terms: Sequence[str]) -> str:
    if len(word) < LEAST_LETTERS or is_known(word):
        return word
    near = process.extractOne(word, terms, scorer=DamerauLevenshtein.distance, score_cutoff=1)
    return str(near[0]) if near else word


def _pixels(picture: "Image.Image", scale: float) -> Any:
    """Blue, green, red, as the networks know it; edges are black where a side is too short for them."""
    import numpy as np
    from PIL import Image

    width, height = (max(1, round(side * scale)) for side in picture.size)
    resized = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    pixels = np.asarray(resized)[:, :, ::-1]
    missing = [(0, max(0, LEAST_SIDE - side)) for side in (height, width)]
    return np.ascontiguousarray(np.pad(pixels, [*missing, (0, 0)]))


def _cost(line: Any) -> float:
    """How long it takes to read, in heights of the line."""
    height, width = line.shape[:2]
    heights = width / max(1, height)
    return float(max(LEAST_COST, heights, heights * heights / WIDE))
