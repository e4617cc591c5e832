"""Tiny twins: models with random weights, saved in the very layout in which the real ones are published."""

from pathlib import Path

import torch


def write_cogvideox(
    folder: Path, *, heads: int = 4, layers: int = 4, height: int = 64, width: int = 96, seed: int = 0
) -> Path:
    """Write a CogVideoX pipeline as `CogVideoXPipeline.save_pretrained` does: 0.4 M parameters.

    It takes requests as the real one does: 8k + 1 frames, sides that are multiples of 16, prompts of 226
    tokens; by itself it makes 9 frames.
    """
    from diffusers import (
        AutoencoderKLCogVideoX,
        CogVideoXDDIMScheduler,
        CogVideoXPipeline,
        CogVideoXTransformer3DModel,
    )

    torch.manual_seed(seed)
    blocks = 4
    vae = AutoencoderKLCogVideoX(
        block_out_channels=(8,) * blocks,
        down_block_types=("CogVideoXDownBlock3D",) * blocks,
        up_block_types=("CogVideoXUpBlock3D",) * blocks,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        temporal_compression_ratio=4,
        sample_height=480,  # of its tiles
        sample_width=720,
    )
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=heads,
        attention_head_dim=16,
        in_channels=4,
        out_channels=4,
        time_embed_dim=8,
        text_embed_dim=32,
        num_layers=layers,
        sample_width=width // 8,
        sample_height=height // 8,
        sample_frames=9,
        use_rotary_positional_embeddings=True,
    )
    scheduler = CogVideoXDDIMScheduler(  # not what its authors sample with, as in the published folder
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        set_alpha_to_one=True,
        snr_shift_scale=1.0,
        timestep_spacing="linspace",
    )
    pipeline = CogVideoXPipeline(_tokenizer(), _t5(), vae, transformer, scheduler)
    pipeline.save_pretrained(folder)
    return folder


def _t5():
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4, is_gated_act=True)
    ).eval()


def _tokenizer():
    from transformers import T5Tokenizer

    letters = [(letter, -3.0) for letter in "abcdefghijklmnopqrstuvwxyz,.'-[]0123456789"]
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *letters]
    return T5Tokenizer(vocab=vocabulary, extra_ids=0)
