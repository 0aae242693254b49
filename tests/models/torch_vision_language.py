"""The two small vision-language models in PyTorch, written anew, filled with the Flax models' weights."""

import numpy as np
import torch
from torch.nn import functional

from tests.models.vision_language import HEADS, VOCABULARY, WIDTH


def _tensor(variable):
    return torch.from_numpy(np.array(variable[...]))


def attend(module, queries, keys, mask=None):
    """Multi-head attention, one head after the other."""
    results = []
    for head in range(HEADS):
        query, key, value = (
            source @ _tensor(layer.kernel)[:, head] + _tensor(layer.bias)[head]
            for source, layer in ((queries, module.query), (keys, module.key), (keys, module.value))
        )
        logits = query @ key.transpose(-1, -2) / (WIDTH // HEADS) ** 0.5
        if mask is not None:
            logits = logits.masked_fill(~mask, -torch.inf)
        results.append(torch.softmax(logits, dim=-1) @ value @ _tensor(module.out.kernel)[head])
    return sum(results) + _tensor(module.out.bias)


def gelu(x):
    return functional.gelu(x, approximate="tanh")


def encode(model, images):
    """Image tokens, ``(n, positions, width)``."""
    encoder = model.encoder
    kernel = _tensor(encoder.patches.kernel).permute(3, 2, 0, 1)
    pixels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)
    patches = functional.conv2d(pixels, kernel, _tensor(encoder.patches.bias), stride=4)
    tokens = gelu(patches.flatten(2).transpose(1, 2))
    tokens = tokens + attend(encoder.attention, tokens, tokens)
    scale, bias = _tensor(encoder.norm.scale), _tensor(encoder.norm.bias)
    return functional.layer_norm(tokens, (WIDTH,), scale, bias, eps=1e-6)


def logits_of(model, kind, image_tokens, tokens):
    """Teacher-forced logits; ``kind`` is ``"CrossAttending"`` or ``"Prefixed"``."""
    start = torch.full((len(tokens), 1), VOCABULARY)
    text = _tensor(model.embedding.embedding)[torch.cat([start, tokens[:, :-1]], dim=1)]
    if kind == "CrossAttending":
        causal = torch.ones(tokens.shape[1], tokens.shape[1]).tril().bool()
        text = text + attend(model.self_attention, text, text, causal)
        text = text + attend(model.cross_attention, text, image_tokens)
    else:
        both = torch.cat([image_tokens, text], dim=1)
        causal = torch.ones(both.shape[1], both.shape[1]).tril().bool()
        text = (both + attend(model.self_attention, both, both, causal))[:, image_tokens.shape[1] :]
    return gelu(text) @ _tensor(model.head.kernel) + _tensor(model.head.bias)


def maps_of(model, kind, images, tokens, masks):
    """Scores ``(n, m)`` and signed maps ``(n, m, positions)``, one backward pass a mask ``(m, t)``."""
    tokens = torch.from_numpy(np.array(tokens)).long()
    image_tokens = encode(model, images).detach().requires_grad_()
    log_probs = torch.log_softmax(logits_of(model, kind, image_tokens, tokens), dim=-1)
    chosen = log_probs.gather(-1, tokens[..., None])[..., 0]
    scores, maps = [], []
    for mask in torch.from_numpy(np.array(masks)):
        score = (chosen * mask).sum(1)
        (gradient,) = torch.autograd.grad(score.sum(), image_tokens, retain_graph=True)
        scores.append(score)
        maps.append((image_tokens * gradient.mean(1, keepdim=True)).sum(-1))
    return torch.stack(scores, 1).detach().numpy(), torch.stack(maps, 1).detach().numpy()
