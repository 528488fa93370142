"""Vision transformers that people ask for: the image towers of DINOv2, CLIP and SigLIP, as ONNX.

Data only. The files are Xenova's exports at Hugging Face, whose addresses lead on to its delivery network;
each is named at a revision first, which cannot change, and then at the branch. Hashes are the git-lfs
pointers of those files; nobody here has had the files themselves. How each fact was come by stands
beside it.
"""

from __future__ import annotations

import dataclasses

from fc7.models.catalog.entry import CatalogEntry, WeightSource
from fc7.models.network.presets import clip_preprocess, siglip_preprocess
from fc7.models.network.spec import torch_preprocess


def _export(repository: str, revision: str, file: str, size: int, sha256: str) -> tuple[WeightSource, ...]:
    """A file of ``onnx/`` in one of Xenova's repositories."""
    place = f"https://huggingface.co/Xenova/{repository}/resolve"
    return (
        WeightSource(
            (f"{place}/{revision}/onnx/{file}", f"{place}/main/onnx/{file}"), file, size, sha256=sha256
        ),
    )


# facebookresearch/dinov2 dinov2/data/transforms.py, make_classification_eval_transform: short side 256
# bicubic, centre 224, ImageNet mean and deviation. preprocessor_config.json of the exports says the same.
_DINOV2 = dataclasses.replace(torch_preprocess(224, 256), interpolation="bicubic")

TRANSFORMERS: tuple[CatalogEntry, ...] = (
    CatalogEntry(
        "dinov2-small",
        about=(
            "DINOv2 ViT-S/14, learned without labels; nearest neighbours: 79.0% on "
            "ImageNet (its MODEL_CARD.md)"
        ),
        arch="onnx",
        # Size: the pointer's, as many public repositories repeat it. Hash: the publisher's page
        # huggingface.co/Xenova/dinov2-small/blob/<this revision>/onnx/model.onnx.
        sources=_export(
            "dinov2-small",
            "560a572cedd01ab59cf1a614c2d9673397b65ef2",
            "model.onnx",
            size=88_459_888,
            sha256="83141175ec78b4ff9a2bb58a4c7c264ba0054d1c2e122e5a8114b79a8d4179ea",
        ),
        licence="Apache-2.0",  # facebookresearch/dinov2 README.md: "code and model weights"
        preprocess=_DINOV2,
        # One class token and 16 x 16 patches, of 384 each; classifiers go on the class token after the last
        # normalisation: facebookresearch/dinov2 MODEL_CARD.md, huggingface/transformers pull 25392.
        # Output and input (pixel_values) of the export: ViTOnnxConfig of huggingface/optimum.
        default_layer="last_hidden_state",
        layers=(("last_hidden_state", 384),),
        pool="token",
        params=22_056_576,
        macs=5_514_854_400,
    ),
    CatalogEntry(
        "clip-vit-b32",
        about=(
            "OpenAI's CLIP ViT-B/32, its image tower: learned from 400 million pictures with their captions"
        ),
        arch="onnx",
        # Size: the same pointer in christopher-besch/homepage @e8db7e68. Hash: there, and the publisher's
        # page huggingface.co/Xenova/clip-vit-base-patch32/blob/<this revision>/onnx/vision_model.onnx.
        sources=_export(
            "clip-vit-base-patch32",
            "4c1807b705b1d015fb032789cc4d221b23025a6f",
            "vision_model.onnx",
            size=351_685_709,
            sha256="fd6e1402a588279d1723c7534d4bcba5bc0b14b47dfab0e46f8c47b8270d7d40",
        ),
        # LICENSE of openai/CLIP, which fetches the weights; whether it covers them was asked in its issues
        # 203 and 241 and not answered.
        licence="MIT (its code)",
        preprocess=clip_preprocess(),  # Xenova/clip-vit-base-patch32 preprocessor_config.json says the same
        # After the projection, as encode_image gives it to the linear probe in openai/CLIP README.md.
        # Name: CLIPVisionModelWithProjectionOnnxConfig in xenova/transformers.js scripts/extra/clip.py.
        default_layer="image_embeds",
        layers=(("image_embeds", 512),),
        params=87_849_216,
        macs=4_362_731_520,
    ),
    CatalogEntry(
        "siglip-base",
        about=(
            "Google's SigLIP ViT-B/16 at 224 pixels, its image tower: learned from "
            "pictures with their captions"
        ),
        arch="onnx",
        # Revision, size and hash: rutmehta/tessera tools/fetch_siglip.py @96a070bd, and others that state
        # them as checked against the publisher's tree.
        sources=_export(
            "siglip-base-patch16-224",
            "4649052661e53c7000355844105f8a1792088239",
            "vision_model.onnx",
            size=371_819_850,
            sha256="f89d41bac7f4d4b87e010a467d93f98689d708916ed22f5a07f96fdfa26f475f",
        ),
        licence="Apache-2.0",  # google-research/big_vision README.md, "including models"
        preprocess=siglip_preprocess(),  # the export's preprocessor_config.json says the same
        # The attention-pooled vector, which SigLIP compares with texts. Name: SiglipVisionModelOnnxConfig in
        # xenova/transformers.js scripts/extra/siglip.py.
        default_layer="pooler_output",
        layers=(("pooler_output", 768),),
        params=92_884_224,
        macs=16_999_907_328,
    ),
)
