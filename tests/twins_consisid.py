"""A tiny twin of ConsisID: its pipeline and its face networks, laid out like the published repository."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import twins

EMBEDDING = 512  # antelopev2's, and the twin's
POOLED = 16  # of the twin's EVA tower
WIDTH = 32  # of its hidden layers


def write_consisid(
    folder: Path, *, height: int = 64, width: int = 64, frames: int = 9, seed: int = 0
) -> Path:
    """Write the pipeline as `save_pretrained` does, and `face_encoder/` beside it but for InsightFace's pack.

    As the published one it has rotary and learned positions, so it makes clips of these sides alone.
    """
    from diffusers import ConsisIDPipeline

    with TemporaryDirectory() as parts:
        twins.write_cogvideox(Path(parts), seed=seed)
        torch.manual_seed(seed + 1)
        transformer = _transformer(height, width, frames)
        ConsisIDPipeline.from_pretrained(parts, transformer=transformer).save_pretrained(folder)
    (folder / "face_encoder").mkdir()
    write_eva(folder / "face_encoder" / "EVA02_CLIP_L_336_psz14_s6B.pt", seed=seed)
    write_face_parser(folder / "face_encoder" / "parsing_bisenet.pth", seed=seed)
    return folder


def _transformer(height: int, width: int, frames: int):
    from diffusers import ConsisIDTransformer3DModel

    heads, head_dim = 4, 16
    return ConsisIDTransformer3DModel(
        num_attention_heads=heads,
        attention_head_dim=head_dim,
        in_channels=8,
        out_channels=4,
        time_embed_dim=8,
        text_embed_dim=32,
        num_layers=4,
        sample_width=width // 8,
        sample_height=height // 8,
        sample_frames=frames,
        use_rotary_positional_embeddings=True,
        use_learned_positional_embeddings=True,
        is_train_face=True,
        is_kps=False,
        cross_attn_interval=2,
        cross_attn_dim_head=16,
        cross_attn_num_heads=2,
        LFE_id_dim=EMBEDDING + POOLED,
        LFE_vit_dim=WIDTH,
        LFE_depth=5,
        LFE_dim_head=16,
        LFE_num_heads=2,
        LFE_num_id_token=2,
        LFE_num_querie=4,
        LFE_output_dim=int(heads * head_dim / 3 * 2),
    )


def write_eva(file: Path, *, seed: int = 0) -> Path:
    """Write EVA02-CLIP's file: the picture tower under `visual.`, rotary angles and the scale beside it."""
    from iad.full_size.face_networks import EvaConfig, EvaTower

    torch.manual_seed(seed)
    tower = EvaTower(EvaConfig(size=56, width=WIDTH, layers=24, head_dim=16, hidden=85, output=POOLED))
    for parameter in tower.parameters():
        torch.nn.init.normal_(parameter, mean=1.0 if parameter.ndim == 1 else 0.0, std=0.2)
    state = {f"visual.{name}": value.half() for name, value in tower.state_dict().items()}
    for place in ("visual.rope", *(f"visual.blocks.{i}.attn.rope" for i in range(24))):
        state |= {f"{place}.freqs_cos": tower.cos, f"{place}.freqs_sin": tower.sin}
    torch.save(state | {"logit_scale": torch.tensor(4.6)}, file)
    return file


def write_face_parser(file: Path, *, width: int = 4, seed: int = 0) -> Path:
    """Write BiSeNet's file, with the two outputs that only its training needed."""
    from iad.full_size.face_networks import FaceParser, create_output

    torch.manual_seed(seed)
    parser = FaceParser(width)
    parser.conv_out16, parser.conv_out32 = create_output(width), create_output(width)
    for parameter in parser.parameters():
        torch.nn.init.normal_(parameter, mean=float(parameter.ndim == 1), std=0.3)
    torch.save(parser.state_dict(), file)
    return file
