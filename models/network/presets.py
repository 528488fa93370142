"""What TensorFlow's networks, CLIP and SigLIP were fed, as published; Caffe's and PyTorch's are in `spec`."""

from __future__ import annotations

from fc7.models.network.spec import PreprocessSpec

# OpenAI's CLIP, clip/clip.py, _transform; the same in the preprocessor_config.json of
# openai/clip-vit-base-patch32. On RGB in 0-1.
CLIP_MEAN_RGB = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD_RGB = (0.26862954, 0.26130258, 0.27577711)


def tf_preprocess() -> PreprocessSpec:
    """The recipe of TensorFlow's networks (Inception, MobileNet, ResNet V2): RGB from -1 to 1.

    Notes
    -----
    The arithmetic ``x / 127.5 - 1`` is Keras's, mode "tf" of ``preprocess_input``
    (keras/src/applications/imagenet_utils.py). The geometry is that of the evaluation they were published
    with, tensorflow/models research/slim/preprocessing/inception_preprocessing.py, ``preprocess_for_eval``:
    the middle 87.5 % of both sides, which is 224 of 256, warped to the input, bilinear. TensorFlow's resize
    does not average over the pixels it skips; here it does, as for all other presets.

    Examples
    --------
    >>> tf_preprocess().describe()
    'warp 256x256 bilinear, centre crop 224x224, RGB, x 0.0078431373, minus 1/1/1'
    """
    return PreprocessSpec(
        "warp",
        resize_height=256,
        resize_width=256,
        crop_height=224,
        crop_width=224,
        channel_order="RGB",
        scale=1 / 127.5,
        mean=(1.0, 1.0, 1.0),
    )


def clip_preprocess() -> PreprocessSpec:
    """The recipe of CLIP: short side to the input's size, bicubic, RGB in 0-1, mean and deviation of its own.

    Source: OpenAI's CLIP, clip/clip.py, ``_transform``: Resize(n, BICUBIC), CenterCrop(n), Normalize.

    Examples
    --------
    >>> spec = clip_preprocess()
    >>> spec.resize_height == spec.crop_height == 224
    True
    """
    return PreprocessSpec(
        "short",
        resize_height=224,
        resize_width=224,
        crop_height=224,
        crop_width=224,
        channel_order="RGB",
        interpolation="bicubic",
        scale=1 / 255,
        mean=CLIP_MEAN_RGB,
        std=CLIP_STD_RGB,
    )


def siglip_preprocess() -> PreprocessSpec:
    """The recipe of SigLIP: warped to the input, bicubic, RGB from -1 to 1.

    Source: preprocessor_config.json of google/siglip-base-patch16-224: size 224 x 224, resample 3 (Pillow's
    bicubic), no crop, rescale_factor 1/255, image_mean and image_std 0.5.

    Examples
    --------
    >>> siglip_preprocess().describe()[:22]
    'warp 224x224 bicubic, '
    """
    half = (0.5, 0.5, 0.5)
    return PreprocessSpec(
        "warp",
        resize_height=224,
        resize_width=224,
        crop_height=224,
        crop_width=224,
        channel_order="RGB",
        interpolation="bicubic",
        scale=1 / 255,
        mean=half,
        std=half,
    )
