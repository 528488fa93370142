"""What a user of full.onnx does before it: said in sentences, and written as a script of twelve lines.

The script uses ONNX Runtime, which brings NumPy, and Pillow; it does what `extract.images.geometry.frame`
decides.
"""

from __future__ import annotations

from fc7.extract.images.geometry import mean_colour
from fc7.models.common.errors import UsageError
from fc7.models.network.spec import PreprocessSpec


def before_the_network(spec: PreprocessSpec) -> list[str]:
    """The steps from a picture file to the input of full.onnx, in order, a sentence each."""
    resize = {"bilinear": "BILINEAR", "bicubic": "BICUBIC", "nearest": "NEAREST"}[spec.interpolation]
    how = (
        f"as Pillow's Image.resize(size, Resampling.{resize}) does, in 8 bits a channel"
        if _in_pillow(spec)
        else f"{spec.interpolation} without antialiasing, pixel centres at half integers, rounded half up"
    )
    fill = "the picture's mean level" if spec.image_mean else f"RGB {mean_colour(spec)}"
    height, width = spec.resize_height, spec.resize_width
    size = {
        "warp": f"Resize to {height} high and {width} wide, whatever the aspect ratio",
        "short": _covering(height, width),
        "pad": f"Resize to fit into {height} high and {width} wide (each side rounded, at least 1)",
    }[spec.resize]
    steps = ["Decode, apply EXIF orientation, make it RGB, 8 bits a channel.", f"{size}, {how}."]
    if spec.resize == "pad":
        steps.append(f"Put it in the middle of a canvas of {height} x {width} filled with {fill}.")
    crop = f"{spec.crop_height} high and {spec.crop_width} wide"
    half = "round((size - crop) / 2), to even" if spec.resize == "short" else "(size - crop) // 2"
    if spec.crops == 1:
        steps.append(f"Cut {crop} from the centre; the offset is {half}.")
    else:
        steps.append(
            f"Cut ten views {crop}: top left, top right, bottom left, bottom right, centre (offset {half}), "
            "and these five mirrored left to right; they are ten rows of the input, one after another."
        )
    return steps


def _covering(height: int, width: int) -> str:
    if height == width:
        return f"Resize so that the short side is {height} and the other int({height} * long / short)"
    return (
        f"Resize to max({height}, int({width} * height / width)) high and "
        f"max({width}, int({height} * width / height)) wide"
    )


def example_script(spec: PreprocessSpec, file: str, batch: int | None = None) -> str:
    """A script that classifies the pictures named on its command line.

    Parameters
    ----------
    file : str
        Where full.onnx lies.
    batch : int or None
        The only batch the file takes, if it is bound to one.

    Returns
    -------
    str
        Python; for every picture it prints path, label (or the word for rejected ones) and probability,
        separated by tabs.

    Raises
    ------
    UsageError
        If Pillow cannot do this resize.
    """
    if not _in_pillow(spec):
        raise UsageError(
            f"the classifier's images are resized {spec.interpolation} without antialiasing, which Pillow "
            "cannot do to the same pixels; the metadata 'before' of full.onnx says how it is done"
        )
    times = 1 if batch is None else batch // spec.crops
    geometry, pixels = _geometry(spec), "numpy.asarray(image)[None]"
    if spec.crops == 10:
        geometry.append("views += map(ImageOps.mirror, views[:5])")
        pixels = "numpy.stack(views)" if times == 1 else f"numpy.stack(views * {times})"
    elif times > 1:
        pixels += f".repeat({times}, 0)"
    lines = [
        "import json, os, sys, numpy",
        "from PIL import Image, ImageOps",
        # As in extract.engine.engine, and before the import: the module's own switch comes too late.
        'os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")',
        "import onnxruntime",
        f"model = onnxruntime.InferenceSession({file!r})",
        "meta = model.get_modelmeta().custom_metadata_map",
        "for path in sys.argv[1:]:",
        '    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")',
        *(f"    {line}" for line in geometry),
        f'    label, probabilities, rejected = model.run(None, {{"images": {pixels}}})[:3]',
        '    name = meta["rejected_label"] if rejected[0] else json.loads(meta["classes"])[label[0]]',
        '    print(path, name, f"{probabilities[0].max():.6f}", sep="\\t")',
    ]
    return "\n".join(lines) + "\n"


def _in_pillow(spec: PreprocessSpec) -> bool:
    return spec.antialias or spec.interpolation == "nearest"


def _geometry(spec: PreprocessSpec) -> list[str]:
    """From ``image`` at full size to ``image`` of the network's size, or for ten crops to ``views``."""
    method = f"Image.Resampling.{spec.interpolation.upper()}"
    height, width = spec.resize_height, spec.resize_width
    h, w = spec.crop_height, spec.crop_width
    right, bottom, left, top = width - w, height - h, (width - w) // 2, (height - h) // 2
    box = str((left, top, left + w, top + h))
    corners = str([(0, 0), (right, 0), (0, bottom), (right, bottom), (left, top)])
    if spec.resize == "warp":
        lines, whole = [], f"image.resize(({width}, {height}), {method})"
    elif spec.resize == "short":
        lines = [f"size = [max({height}, int({height} * a / b)) for a, b in (image.size, image.size[::-1])]"]
        if height != width:
            lines = [
                "a, b = image.size",
                f"size = max({width}, int({height} * a / b)), max({height}, int({width} * b / a))",
            ]
        whole = f"image.resize(size, {method})"
        lines.append(f"right, bottom = size[0] - {w}, size[1] - {h}")
        lines.append("left, top = round(right / 2), round(bottom / 2)")
        box = f"(left, top, left + {w}, top + {h})"
        corners = "[(0, 0), (right, 0), (0, bottom), (right, bottom), (left, top)]"
    else:
        fill = "(round(numpy.asarray(small).mean()),) * 3" if spec.image_mean else str(mean_colour(spec))
        lines = [
            f"scale = min({height} / image.height, {width} / image.width)",
            "fit = lambda side, room: min(room, max(1, round(side * scale)))",
            f"small = image.resize((fit(image.width, {width}), fit(image.height, {height})), {method})",
            f'canvas = Image.new("RGB", ({width}, {height}), {fill})',
            f"canvas.paste(small, (({width} - small.width) // 2, ({height} - small.height) // 2))",
        ]
        whole = "canvas"
    if spec.crops == 1:
        return [*lines, f"image = {whole}.crop({box})"]
    views = f"views = [image.crop((x, y, x + {w}, y + {h})) for x, y in {corners}]"
    return [*lines, f"image = {whole}", views]
