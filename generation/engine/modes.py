"""What can be asked of a model: each mode, what it needs beside words, and which diffusers pipelines do it."""

from dataclasses import dataclass
from typing import Literal

# What may go in beside the words, each of which is one of `Mode.needs`. `picture` is the one to change, vary or set in
# motion; `mask` is white where to draw anew; `control` is a sketch or a segmentation map; `last` is the frame to end
# with; `film` is one to vary.
Input = Literal["picture", "mask", "control", "last", "film"]


@dataclass(frozen=True)
class Mode:
    """One way of drawing. `has_strength`: how far the result may leave what went in is asked for, 0 to 1."""

    name: str
    title: str
    pipelines: frozenset[str]
    needs: tuple[Input, ...] = ()
    is_film: bool = False
    has_strength: bool = False
    # Whether it can do without a prompt: what goes in says enough.
    may_be_wordless: bool = False
    # Whether what goes in is painted in colours that mean things; its card names them.
    has_palette: bool = False

    @property
    def moves_by_words(self) -> bool:
        """Whether it is the prompt that says how things move, and no second picture or film."""
        return self.is_film and not {"last", "film"}.intersection(self.needs)


def _names(line: str) -> frozenset[str]:
    return frozenset(f"{name}Pipeline" for name in line.split())


# Growing a list of pipelines is a decision: each class has its own traps, and a test that draws with it.
_GUIDED = _names(
    "StableDiffusionImg2Img StableDiffusionXLImg2Img StableDiffusion3Img2Img FluxImg2Img ZImageImg2Img "
    "LatentConsistencyModelImg2Img Flux2Klein"
)
_CONTROLLED = _names("StableDiffusionControlNet StableDiffusionXLControlNet")

MODES: dict[str, Mode] = {
    mode.name: mode
    for mode in (
        Mode(
            "text_to_image",
            "Picture from words",
            _names(
                "StableDiffusion StableDiffusionXL StableDiffusion3 Flux Flux2Klein ZImage LatentConsistencyModel "
                "TwoThings"
            )
            | {"fake"},
        ),
        Mode(
            "inpainting",
            "Change a part",
            _names(
                "StableDiffusionInpaint StableDiffusionControlNetInpaint StableDiffusionXLInpaint "
                "StableDiffusion3Inpaint FluxInpaint ZImageInpaint"
            )
            | {"fake"},
            needs=("picture", "mask"),
            has_strength=True,
        ),
        Mode(
            "variation",
            "Vary a picture",
            _GUIDED | {"fake"},
            needs=("picture",),
            has_strength=True,
            may_be_wordless=True,
        ),
        Mode("image_to_image", "Draw over a picture", _GUIDED | {"fake"}, needs=("picture",), has_strength=True),
        Mode("scribble", "From a sketch", _CONTROLLED | {"fake"}, needs=("control",)),
        Mode("segmentation", "From a painted map", _CONTROLLED | {"fake"}, needs=("control",), has_palette=True),
        Mode("text_to_film", "Film from words", _names("AnimateDiff PictureInMotion LTX Wan") | {"fake"}, is_film=True),
        Mode(
            "image_to_film",
            "Set a picture in motion",
            _names(
                "StableVideoDiffusion LTXImageToVideo LTXCondition WanImageToVideo AnimateDiffVideoToVideo "
                "PictureInMotion"
            )
            | {"fake"},
            needs=("picture",),
            is_film=True,
            may_be_wordless=True,
        ),
        Mode(
            "film_between",
            "Film between two pictures",
            _names("LTXCondition WanImageToVideo LatentInterpolation") | {"fake"},
            needs=("picture", "last"),
            is_film=True,
            may_be_wordless=True,
        ),
        Mode(
            "film_variation",
            "Variations of a film",
            _names("AnimateDiffVideoToVideo WanVideoToVideo LTXCondition") | {"fake"},
            needs=("film",),
            is_film=True,
            has_strength=True,
            may_be_wordless=True,
        ),
    )
}
