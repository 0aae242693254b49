"""The small captioner in PyTorch, written from the original program's description, one step at a time."""

import numpy as np
import torch
from torch.nn import functional


class _GuidedRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * (x > 0) * (gradient > 0)


def _tensor(array) -> torch.Tensor:
    return torch.from_numpy(np.asarray(array).copy())


def _linear(layer, x):
    return x @ _tensor(layer["kernel"]) + _tensor(layer["bias"])


def _convolve(layer, x):
    kernel = _tensor(layer["kernel"]).permute(3, 2, 0, 1)
    return functional.conv2d(x, kernel, _tensor(layer["bias"]), padding=1)


def step(lstm, x, cell, hidden):
    gates = _linear(lstm["i2h"], x) + _linear(lstm["h2h"], hidden)
    into, forget, out, candidate = gates.reshape(4, -1)
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(into) * torch.tanh(candidate)
    return cell, torch.sigmoid(out) * torch.tanh(cell)


def run(params, image, tokens, *, guided=False, temperature=1.0):
    """Returns the words' scores (T + 1, V + 1), the second block's activations (1, k, h, w) and the pixels."""
    relu = _GuidedRelu.apply if guided else torch.relu
    pixels = _tensor(image).permute(2, 0, 1)[None].requires_grad_()
    cnn = params["cnn"]
    x = functional.max_pool2d(relu(_convolve(cnn["conv1_1"], pixels)), 2)
    activations = relu(_convolve(cnn["conv2_1"], x))
    activations.retain_grad()
    x = functional.max_pool2d(activations, 2).permute(0, 2, 3, 1).reshape(-1)
    x = relu(_linear(cnn["fc7"], relu(_linear(cnn["fc6"], x))))
    vector = relu(_linear(params["image_embedding"], x))
    embedding = _tensor(params["word_embedding"]["embedding"])
    start = embedding.shape[0] - 1
    zeros = torch.zeros(params["lstm"]["h2h"]["kernel"].shape[0], dtype=vector.dtype)
    state = step(params["lstm"], vector, zeros, zeros)
    rows = []
    for token in [start, *tokens.tolist()]:
        state = step(params["lstm"], embedding[token], *state)
        rows.append(_linear(params["decoder"], _read(params, state[1], vector)))
    scores = temperature * torch.log_softmax(torch.stack(rows) / temperature, dim=1)
    return scores, activations, pixels


def _read(params, hidden, vector):
    """What the decoder reads: the hidden vector, and the gated first values of the image's vector, if any."""
    if "image_gate" not in params:
        return hidden
    evidence = params["decoder"]["kernel"].shape[0] - hidden.shape[0]
    return torch.cat([hidden, torch.sigmoid(_linear(params["image_gate"], hidden)) * vector[:evidence]])


def signed_map(params, image, tokens, mask, *, temperature=1.0):
    """The Grad-CAM map, before its ReLU, of the marked words' summed scores."""
    scores, activations, _ = run(params, image, tokens, temperature=temperature)
    score = sum(scores[place, token] for place, token in enumerate(tokens.tolist()) if mask[place])
    score.backward()
    weights = activations.grad.mean(dim=(2, 3), keepdim=True)
    return (weights * activations).sum(dim=1)[0].detach().numpy()


def guided_gradient(params, image, tokens, mask):
    """The guided gradient at the pixels, (H, W, 3)."""
    log_probs, _, pixels = run(params, image, tokens, guided=True)
    sum(log_probs[place, token] for place, token in enumerate(tokens.tolist()) if mask[place]).backward()
    return pixels.grad[0].permute(1, 2, 0).numpy()
