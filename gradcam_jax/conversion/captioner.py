"""neuraltalk2's captioner and its CNN from a checkpoint such as ``model_id1-501-1448236541.t7``.

The GPU file (``cudnn`` classes, ``torch.CudaTensor``) and the CPU file (``nn`` classes, layer names lost) have
the same structure: a ``Sequential`` CNN whose modules are known by their place, and a language model whose
graph holds three linear layers.

References:
    karpathy/neuraltalk2, ``train.lua``, ``misc/LanguageModel.lua``, ``misc/LSTM.lua``.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from gradcam_jax.conversion.rules import Rule, as_is, dense, inside, weight_and_bias
from gradcam_jax.conversion.vgg import VGG16, vgg_features_from_torch7
from gradcam_jax.errors import CheckpointError
from gradcam_jax.formats.torch7_values import Table, TorchObject

_IMAGE_EMBEDDING = 39  # the module after VGG-16's fc7, its rectifier and its dropout, counted from 1
_LINEAR_LAYERS = ("i2h_1", "h2h_1", "decoder")  # in the order of the graph


def is_captioner_table(root: Any) -> bool:
    """Tells whether the content of a Torch7 file is a neuraltalk2 checkpoint."""
    protos = root.get("protos") if isinstance(root, Mapping) else None
    return isinstance(protos, Mapping) and isinstance(protos.get("lm"), TorchObject)


def captioner_arrays(root: Any) -> dict[str, np.ndarray]:
    """Returns the weights of a neuraltalk2 checkpoint, with the shapes that Torch7 gives them.

    Returns:
        ``"cnn/1/weight"`` to ``"cnn/39/bias"`` by the module's number, ``"i2h_1/weight"``, ``"h2h_1/..."``,
        ``"decoder/..."`` and ``"lookup_table/weight"``.

    Raises:
        CheckpointError: If it is not such a checkpoint, or the graph has other linear layers.
    """
    if not is_captioner_table(root):
        raise CheckpointError("Expected a neuraltalk2 checkpoint, a table with protos.cnn and protos.lm.")
    cnn, language_model = root["protos"].get("cnn"), root["protos"]["lm"]
    arrays = {}
    for number, module in enumerate(_list_of(cnn, "modules"), 1):
        arrays |= _weights(module, f"cnn/{number}/")
    linear = dict(_linear_layers(language_model.get("core")))
    if sorted(linear) != sorted(_LINEAR_LAYERS):
        raise CheckpointError(
            f"Expected a language model of one LSTM layer, with the linear layers {', '.join(_LINEAR_LAYERS)}, "
            f"got {', '.join(linear) or 'none'}."
        )
    for name, module in linear.items():
        arrays |= _weights(module, f"{name}/")
    return arrays | _weights(language_model.get("lookup_table"), "lookup_table/")


def captioner_words(root: Any) -> tuple[str, ...]:
    """Returns the checkpoint's words; the one at index n is row n of the embedding and class n of the decoder.

    Raises:
        CheckpointError: If ``vocab`` is no table from ``"1"``, ``"2"``, ... to words.
    """
    table = root.get("vocab")
    if not isinstance(table, Table) or not len(table):
        raise CheckpointError(f"Expected vocab to be a table from numbers to words, got {table!r}.")
    words = []
    for number in range(1, len(table) + 1):
        word = table.get(str(number))
        if not isinstance(word, str):
            raise CheckpointError(
                f"Expected vocab to have a word for 1 to {len(table)}, got {word!r} for {number}."
            )
        words.append(word)
    return tuple(words)


def captioner_from_torch7() -> list[Rule]:
    """Returns the table from the keys of :func:`captioner_arrays`."""
    cnn = [rule._replace(source=f"cnn/{rule.source}") for rule in vgg_features_from_torch7(VGG16)]
    return [
        *inside("cnn", cnn),
        *weight_and_bias(f"cnn/{_IMAGE_EMBEDDING}/", "image_embedding", dense),
        *weight_and_bias("i2h_1/", "lstm/i2h", dense),
        *weight_and_bias("h2h_1/", "lstm/h2h", dense),
        *weight_and_bias("decoder/", "decoder", dense),
        Rule("lookup_table/weight", "params/word_embedding/embedding", as_is),
    ]


def _linear_layers(core: Any) -> Iterator[tuple[str, Any]]:
    """Yields the graph's linear layers, by the names that its nodes carry, or else by their order."""
    nodes = [node.get("data") for node in _list_of(core, "forwardnodes") if isinstance(node, TorchObject)]
    layers = [
        (_annotated_name(data), data.get("module"))
        for data in nodes
        if isinstance(data, Table) and _is_linear(data.get("module"))
    ]
    if not layers:  # Other versions of nngraph keep the modules only.
        layers = [(None, module) for module in _list_of(core, "modules") if _is_linear(module)]
    for index, (name, module) in enumerate(layers):
        in_order = _LINEAR_LAYERS[index] if index < len(_LINEAR_LAYERS) else f"linear layer {index + 1}"
        yield name or in_order, module


def _annotated_name(data: Table) -> str | None:
    annotations = data.get("annotations")
    name = annotations.get("name") if isinstance(annotations, Table) else None
    return name if isinstance(name, str) else None


def _is_linear(module: Any) -> bool:
    return isinstance(module, TorchObject) and module.class_name == "nn.Linear"


def _list_of(owner: Any, field: str) -> list[Any]:
    """Returns a list-like field of an object, empty where there is none."""
    table = owner.get(field) if isinstance(owner, TorchObject) else None
    if not isinstance(table, Table):
        return []
    return [table[index] for index in range(1, len(table) + 1) if index in table]


def _weights(module: Any, prefix: str) -> dict[str, np.ndarray]:
    if not isinstance(module, TorchObject):
        return {}
    fields = ((name, module.get(name)) for name in ("weight", "bias"))
    return {f"{prefix}{name}": array for name, array in fields if isinstance(array, np.ndarray) and array.size}
