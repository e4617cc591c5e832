"""The patch code that autoencoder and face encoder share is what it says: principal components."""

import torch

from iad.config import PRESETS
from iad.models.autoencoder import PATCH, create_autoencoder, principal_components
from iad.models.encoders import create_face_encoder


def _patches(count=400):
    torch.manual_seed(0)
    shades = torch.rand(count, 3, 2, 2)
    return torch.nn.functional.interpolate(shades, size=(PATCH, PATCH), mode="bilinear")


def test_components_are_orthonormal_and_sorted():
    axes, scale, mean = principal_components(_patches(), 12)
    gram = axes.flatten(1) @ axes.flatten(1).T
    assert torch.allclose(gram, torch.eye(12), atol=1e-4)
    assert (scale.flatten().diff() <= 0).all() and scale.min() > 0
    assert torch.allclose(mean, _patches().mean(0), atol=1e-5)


def test_all_variance_of_twelve_shades_lies_in_twelve_components():
    patches = _patches()
    axes, _, mean = principal_components(patches, 12)
    flat, basis = (patches - mean).flatten(1), axes.flatten(1)
    assert torch.allclose(flat @ basis.T @ basis, flat, atol=1e-4)


def test_codes_of_autoencoder_and_encoder_have_unit_variance():
    tiny, patches = PRESETS["tiny"], _patches()
    autoencoder, encoder = create_autoencoder(tiny), create_face_encoder(tiny)
    autoencoder.set_components(patches)
    encoder.set_components(patches)
    for code in (autoencoder.encode(patches), encoder.patches(patches)):
        assert torch.allclose(code.flatten(1).std(0, correction=0), torch.ones(code.shape[1]), atol=0.02)
        assert code.mean(0).abs().max() < 0.02


def test_a_tokens_last_numbers_tell_of_its_own_patch():
    tiny = PRESETS["tiny"]
    encoder = create_face_encoder(tiny).eval()
    encoder.set_components(_patches())
    picture = torch.full((1, 3, tiny.size, tiny.size), 0.5)
    changed = picture.clone()
    changed[..., :PATCH, PATCH : 2 * PATCH] = 0.9  # the second cell of the first row
    with torch.inference_mode():
        before, after = encoder(picture).tokens, encoder(changed).tokens
    moved = (before - after)[0, :, -tiny.encoder.components :].abs().amax(1) > 1e-4
    assert moved.nonzero().flatten().tolist() == [1]
