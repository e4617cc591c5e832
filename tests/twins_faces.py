"""Tiny twins of what a full-size model sees faces with, as published: CLIP and InsightFace's antelopev2."""

import json
from pathlib import Path

import numpy as np
import torch

BOX = (0.25, 0.25, 0.75, 0.85)  # where the twin's detector always sees a face, in the picture's unit square
POINTS = ((0.36, 0.47), (0.64, 0.47), (0.5, 0.6), (0.39, 0.74), (0.61, 0.74))
STRIDES = (8, 16, 32)
SIDE = 320  # of the detector's picture
_MEAN, _STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def write_clip(
    folder: Path, *, width: int = 1024, side: int = 336, pooled: int = 768, layers: int = 3, seed: int = 0
) -> Path:
    """Write a CLIP with both halves as one .bin, as OpenAI's is published; shallow, its outputs as wide.

    The published file has position ids beside the weights, which newer libraries do not know any more.
    """
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(seed)
    config = CLIPConfig(
        projection_dim=pooled,
        text_config={
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_attention_heads": 2,
            "num_hidden_layers": 1,
            "vocab_size": 64,
            "bos_token_id": 0,
            "eos_token_id": 1,
            "projection_dim": pooled,
        },
        vision_config={
            "hidden_size": width,
            "intermediate_size": 16,
            "num_attention_heads": width // 16,
            "num_hidden_layers": layers,
            "patch_size": 14,
            "image_size": side,
            "projection_dim": pooled,
        },
    )
    folder.mkdir(parents=True, exist_ok=True)
    state = CLIPModel(config).state_dict()
    positions = (side // 14) ** 2 + 1
    state["vision_model.embeddings.position_ids"] = torch.arange(positions)[None]
    state["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    torch.save(state, folder / "pytorch_model.bin")
    config.architectures = ["CLIPModel"]
    config.save_pretrained(folder)
    preprocessing = {"crop_size": side, "image_mean": _MEAN, "image_std": _STD, "resample": 3, "size": side}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return folder


def write_antelope(folder: Path, *, score: float = 0.9, dim: int = 512) -> Path:
    """Write an InsightFace pack under antelopev2's own file names: a detector and a recogniser.

    The detector always says the same (nothing, at a score below 0.5); the recogniser really looks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_detector(folder / "scrfd_10g_bnkps.onnx", score)
    _write_recogniser(folder / "glintr100.onnx", dim)
    return folder


def _write_detector(file: Path, score: float) -> None:
    """SCRFD's nine outputs: for each stride scores, boxes and points, two anchors a place."""
    from onnx import helper

    constants = [_said_at(stride, score if stride == 32 else 0.0) for stride in STRIDES]
    outputs, nodes, tensors = [], [], []
    for kind, values in zip(("score", "bbox", "kps"), zip(*constants, strict=True), strict=True):
        for stride, value in zip(STRIDES, values, strict=True):
            name = f"{kind}_{stride}"
            tensors.append(_tensor(f"{name}_said", value))
            # the sum keeps the picture an input of the graph
            nodes.append(helper.make_node("Add", [f"{name}_said", "nothing"], [name]))
            outputs.append(helper.make_tensor_value_info(name, 1, value.shape))
    nodes.insert(0, helper.make_node("ReduceMin", ["input.1"], ["least"], keepdims=0))
    nodes.insert(1, helper.make_node("Mul", ["least", "zero"], ["nothing"]))
    tensors.append(_tensor("zero", np.float32(0)))
    _save(file, nodes, outputs, tensors, [1, 3, "?", "?"])


def _said_at(stride: int, score: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    places = SIDE // stride
    scores = np.zeros((places * places * 2, 1), np.float32)
    middle = (places // 2) * places + places // 2
    scores[2 * middle] = score
    centre = np.array([places // 2, places // 2]) * stride
    left, top, right, bottom = np.array(BOX) * SIDE
    box = np.array([centre[0] - left, centre[1] - top, right - centre[0], bottom - centre[1]]) / stride
    points = (np.array(POINTS) * SIDE - centre).ravel() / stride
    return scores, *(np.tile(row, (len(scores), 1)).astype(np.float32) for row in (box, points))


def _write_recogniser(file: Path, dim: int) -> None:
    from onnx import helper

    weights = np.random.default_rng(0).standard_normal((3 * 14 * 14, dim)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["input.1"], ["pooled"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["683"]),
    ]
    outputs = [helper.make_tensor_value_info("683", 1, ["None", dim])]
    _save(file, nodes, outputs, [_tensor("weights", weights)], ["None", 3, 112, 112])


def _tensor(name: str, values: np.ndarray):
    from onnx import numpy_helper

    return numpy_helper.from_array(np.asarray(values, np.float32), name)


def _save(file: Path, nodes, outputs, tensors, shape) -> None:
    import onnx
    from onnx import helper

    picture = [helper.make_tensor_value_info("input.1", 1, shape)]
    graph = helper.make_graph(nodes, file.stem, picture, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, file)
