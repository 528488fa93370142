"""What a user states of a network's preprocessing, over a preset or over what is known of the network."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from fc7.models.catalog.entry import PREPROCESS_PRESETS
from fc7.models.common.errors import UsageError
from fc7.models.common.progress import Notify
from fc7.models.network.spec import ChannelOrder, Interpolation, PreprocessSpec, Resize

Channels = tuple[float, float, float]
Size = tuple[int, int]

HOW_TO_SAY = (
    "say it with --preprocess caffe (BGR, 0-255 minus means), --preprocess torch (RGB, 0-1, mean and "
    "deviation), tf, clip or siglip, or with --mean, --std and --scale"
)

# 224 of 256 is ImageNet's usual crop: torchvision's presets, and the 87.5 % of TensorFlow's evaluation.
# Caffe's AlexNets take 227 of the same 256.
_USUAL = PreprocessSpec(
    "short", resize_height=256, resize_width=256, crop_height=224, crop_width=224, channel_order="RGB"
)
_ALSO_USUAL = {227: 224}
# Photographs have channel means of 0.4 to 0.5 of the range, and normalised pixels span 1 to 5 units, or 255
# where nothing divides them. Numbers this far off belong to another range of pixels.
_LEAST_MEAN, _LEAST_SPAN, _MOST_SPAN = 1 / 100, 1 / 10, 300
# Red is the brightest channel of photographs, blue the darkest: 124 and 104 in ImageNet.
_CLEARLY_BRIGHTER = 5


@dataclass(frozen=True, slots=True)
class PreprocessOptions:
    """What is stated of a preprocessing; None leaves a field to the preset.

    Attributes
    ----------
    preset : PreprocessSpec or None
        What holds where nothing else is stated. Its crop follows the network's input, and its resize the crop
        (`fit_crop`).
    mean, std : tuple of 3 floats or None
        In the network's channel order, on the scaled range: ``(pixel * scale - mean) / std``.
    scale : float or None
        Without a preset 1/255 where `mean` and `std` are numbers of the range 0-1, else 1.
    order : {"RGB", "BGR"} or None
        A preset's mean and deviation are turned with it.
    resize : {"warp", "short", "pad"} or None
    resize_size, crop : (height, width) or None
        Without a size a change to "warp" or "pad" takes the whole picture to the network's input, and "short"
        is as much larger than the crop as the preset's resize, or 256/224 of it.
    interpolation : {"nearest", "bilinear", "bicubic"} or None

    Examples
    --------
    >>> options = PreprocessOptions(mean=(127, 127, 127), std=(128, 128, 128), interpolation="bicubic")
    >>> options.spec((224, 224)).describe()
    'short side 256 bicubic, centre crop 224x224, RGB, minus 127/127/127, over 128/128/128'
    """

    preset: PreprocessSpec | None = None
    mean: Channels | None = None
    std: Channels | None = None
    scale: float | None = None
    order: ChannelOrder | None = None
    resize: Resize | None = None
    resize_size: Size | None = None
    crop: Size | None = None
    interpolation: Interpolation | None = None
    antialias: bool | None = None

    @classmethod
    def of(cls, given: PreprocessSpec | PreprocessOptions | str | None) -> PreprocessOptions:
        """`given` itself, or with it as the preset and nothing stated; a text is a preset's name.

        Raises
        ------
        UsageError
            If there is no such preset.
        """
        if isinstance(given, str):
            if given not in PREPROCESS_PRESETS:
                raise UsageError(f"no preset {given!r}: there are {', '.join(PREPROCESS_PRESETS)}")
            return cls(PREPROCESS_PRESETS[given])
        return given if isinstance(given, PreprocessOptions) else cls(given)

    def on(self, usual: PreprocessSpec | None) -> PreprocessOptions:
        """The same over `usual`, unless there is a preset already."""
        return self if self.preset is not None else dataclasses.replace(self, preset=usual)

    @property
    def arithmetic(self) -> bool:
        """Whether numbers are stated that the pixels are computed with."""
        return (self.mean, self.std, self.scale) != (None, None, None)

    @property
    def empty(self) -> bool:
        """Whether nothing is said at all."""
        return self == PreprocessOptions()

    def spec(self, size: Size | None, say: Notify = lambda note: None) -> PreprocessSpec:
        """The whole preprocessing of a network.

        Parameters
        ----------
        size : (height, width) or None
            The input that the network takes, or None where it takes any.
        say : callable
            Is given one-line notes: what was not stated and had to be chosen, numbers that are odd.

        Raises
        ------
        UsageError
            If what is stated does not go together, or with the network's input.
        """
        base = self.preset or dataclasses.replace(_USUAL, scale=1 / 255 if self._of_units() else 1.0)
        turned = self.order not in (None, base.channel_order)
        crop = self._crop(base, size)
        height, width = self._resized(base, crop)
        spec = dataclasses.replace(
            base,
            resize=self.resize or base.resize,
            resize_height=height,
            resize_width=width,
            crop_height=crop[0],
            crop_width=crop[1],
            channel_order=self.order or base.channel_order,
            interpolation=self.interpolation or base.interpolation,
            antialias=base.antialias if self.antialias is None else self.antialias,
            scale=base.scale if self.scale is None else float(self.scale),
            mean=_floats(self.mean) or (base.mean[::-1] if turned else base.mean),
            std=_floats(self.std) or (base.std[::-1] if turned else base.std),
            image_mean=base.image_mean and self.mean is None,
        )
        if self.arithmetic:
            _check_range(spec, self.scale is not None, say)
        if self.mean is not None:
            _check_order(spec, say)
        if self.preset is None:
            self._say_chosen(spec, size, say)
        return spec

    def _of_units(self) -> bool:
        values = (*(self.mean or ()), *(self.std or ()))
        return any(0 < value < 1 for value in values) and max(values) <= 1

    def _crop(self, base: PreprocessSpec, size: Size | None) -> Size:
        if None not in (size, self.crop) and size != self.crop:
            raise UsageError(
                f"--crop {_by(self.crop)} was found, and the network takes {_by(size)} alone; "
                "leave --crop out"
            )
        return size or self.crop or (base.crop_height, base.crop_width)

    def _resized(self, base: PreprocessSpec, crop: Size) -> Size:
        if self.resize_size is not None:
            return self.resize_size
        if self.resize in ("warp", "pad") and self.resize != base.resize:
            return crop
        fitted = fit_crop(base, crop)
        return fitted.resize_height, fitted.resize_width

    def _say_chosen(self, spec: PreprocessSpec, size: Size | None, say: Notify) -> None:
        chosen = {
            f"--order {spec.channel_order}": self.order,
            f"--scale {'1/255' if spec.scale != 1 else 1}": self.scale,
            f"--mean {spec.mean[0]:g}": self.mean,
            f"--std {spec.std[0]:g}": self.std,
            f"--resize {spec.resize}:{_by((spec.resize_height, spec.resize_width))}": self.resize_size,
            f"--crop {_by((spec.crop_height, spec.crop_width))}": size or self.crop,
            f"--interpolation {spec.interpolation}": self.interpolation,
        }
        taken = [text for text, stated in chosen.items() if stated is None]
        if taken:
            say(f"not stated, so taken: {', '.join(taken)}")


def fit_crop(preprocess: PreprocessSpec, size: Size) -> PreprocessSpec:
    """The same recipe with the crop a graph takes, and with a resize that is as much larger as it was.

    Parameters
    ----------
    size : (height, width)
        Of the graph's input, in pixels.

    Returns
    -------
    PreprocessSpec
        A resize that is the crop stays so. 227 counts as 224, since Caffe takes both from 256.

    Examples
    --------
    >>> from fc7.models.network.spec import torch_preprocess
    >>> [fit_crop(torch_preprocess(), (side, side)).resize_height for side in (32, 224, 227, 299, 384)]
    [37, 256, 256, 342, 439]
    """
    height, width = size
    return dataclasses.replace(
        preprocess,
        crop_height=height,
        crop_width=width,
        resize_height=_in_proportion(height, preprocess.crop_height, preprocess.resize_height),
        resize_width=_in_proportion(width, preprocess.crop_width, preprocess.resize_width),
    )


def _in_proportion(crop: int, old_crop: int, old_resize: int) -> int:
    if old_resize == old_crop:
        return crop
    nominal, old_nominal = _ALSO_USUAL.get(crop, crop), _ALSO_USUAL.get(old_crop, old_crop)
    return max(crop, round(nominal * old_resize / old_nominal))


def _check_range(spec: PreprocessSpec, scale_stated: bool, say: Notify) -> None:
    """A mean or a deviation of another range of pixels than the scale makes.

    Raises
    ------
    UsageError
        If no pixel can be as bright as the mean; or if the numbers are improbable and no scale is stated.
    """
    white = 255 * spec.scale
    found = (
        f"a mean of {_listed(spec.mean)} and a deviation of {_listed(spec.std)} were found, and pixels times "
        f"{spec.scale:.6g} are 0 to {white:.6g}"
    )
    if not all(0 <= value <= white * 1.001 for value in spec.mean):
        raise UsageError(
            f"{found}: no pixel is that. fc7 computes (pixel * scale - mean) / std; give a mean of that "
            "range or another --scale. For (pixel - mean) * s, as Caffe and OpenCV scale, give "
            "--scale 1 --std 1/s"
        )
    if 0 < max(spec.mean) < white * _LEAST_MEAN:
        warning = "almost nothing is subtracted"
    elif not _LEAST_SPAN <= white / max(spec.std) <= white / min(spec.std) <= _MOST_SPAN:
        warning = f"the network is fed numbers that span {white / max(spec.std):.3g}"
    else:
        return
    if not scale_stated:
        raise UsageError(
            f"{found}: {warning}. Numbers of the range 0-1 need --scale 1/255, those of 0-255 --scale 1"
        )
    say(f"{found}: {warning}. It is done as stated")


def _check_order(spec: PreprocessSpec, say: Notify) -> None:
    red, _, blue = spec.mean if spec.channel_order == "RGB" else spec.mean[::-1]
    if (blue - red) / spec.scale > _CLEARLY_BRIGHTER:
        other = "BGR" if spec.channel_order == "RGB" else "RGB"
        say(
            f"a mean of {_listed(spec.mean)} in the order {spec.channel_order} is brighter in blue than in "
            f"red, and photographs are not: if they are {other}, give --order {other} or turn them round"
        )


def _floats(values: Channels | None) -> Channels | None:
    """1 and 1.0 are one preprocessing, and are to have one fingerprint."""
    if values is None:
        return None
    first, second, third = values
    return float(first), float(second), float(third)


def _listed(values: Channels) -> str:
    return ",".join(f"{value:.6g}" for value in values)


def _by(size: Size | None) -> str:
    sides = size or ()
    return "x".join(map(str, sides if len(set(sides)) == 2 else sides[:1]))
