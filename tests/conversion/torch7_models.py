"""Writes `lstm.t7` and neuraltalk2's checkpoints in their exact layouts, with random weights."""

import numpy as np

from tests.formats.torch7_writer import Function, LuaTable, Object, Tensor, flattened, tensor, write_torch7


def write_lstm(path, words, seed=0):
    """Writes the published `lstm.t7`'s layout and returns its three vectors."""
    sizes = {
        "encoder_w_q": 3_564_033,
        "embedding_w_q": 200 * words + 200,
        "multimodal_w": 7_318_504,
    }
    generator = np.random.default_rng(seed)
    vectors = {name: generator.uniform(-0.08, 0.08, size).astype(np.float32) for name, size in sizes.items()}
    write_torch7(path, {name: tensor(vector, "Cuda") for name, vector in vectors.items()})
    return vectors


def write_neuraltalk2(
    path, words, *, gpu=True, named_nodes=True, channels=(4, 4, 4, 4, 512), hidden=16, size=8, seed=0
):
    """Writes a checkpoint of the published structure, with a narrower CNN and smaller vectors.

    Returns:
        The arrays as written: "cnn/1/weight", ..., "i2h/weight", ..., "lookup_table/weight".
    """
    generator = np.random.default_rng(seed)

    def draw(*shape):
        scale = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.05
        return (generator.standard_normal(shape) * scale).astype(np.float32)

    cnn, arrays = _cnn_arrays(draw, channels, hidden, size), {}
    language = {
        f"{name}/{kind}": draw(*shape)
        for name, outputs in (("i2h", 4 * size), ("h2h", 4 * size), ("decoder", len(words) + 1))
        for kind, shape in (("weight", (outputs, size)), ("bias", (outputs,)))
    }
    language["lookup_table/weight"] = draw(len(words) + 1, size)
    arrays = {f"cnn/{name}": array for name, array in cnn.items()} | language

    element = "Cuda" if gpu else "Float"
    views = dict(zip(cnn, flattened(list(cnn.values()), element)[1], strict=True))
    modules = [_cnn_module(number, views, gpu) for number in range(1, 41)]
    views = dict(zip(language, flattened(list(language.values()), element)[1], strict=True))
    root = {
        "opt": {"learning_rate": 4e-4, "backend": "cudnn"},
        "iter": 500_000,
        "loss_history": {"0": 9.2, "100": 5.1},
        "val_predictions": [{"caption": "a cat", "image_id": 1}],
        "vocab": {str(index): word for index, word in enumerate(words, 1)},
        "protos": {
            "cnn": Object("nn.Sequential", {"modules": modules, "train": False, "output": _empty(element)}),
            "lm": _language_model(views, len(words), size, element, named_nodes),
        },
    }
    write_torch7(path, root)
    return arrays


def _cnn_arrays(draw, channels, hidden, size):
    arrays, number, inputs = {}, 1, 3
    for count, outputs in zip((2, 2, 3, 3, 3), channels, strict=True):
        for _ in range(count):
            arrays |= {f"{number}/weight": draw(outputs, inputs, 3, 3), f"{number}/bias": draw(outputs)}
            number, inputs = number + 2, outputs
        number += 1
    for number, outputs, inputs in ((33, hidden, 512 * 49), (36, hidden, hidden), (39, size, hidden)):
        arrays |= {f"{number}/weight": draw(outputs, inputs), f"{number}/bias": draw(outputs)}
    return arrays


def _cnn_module(number, views, gpu):
    weight, bias = views.get(f"{number}/weight"), views.get(f"{number}/bias")
    if weight is None:
        return Object("cudnn.ReLU" if gpu else "nn.ReLU", {"inplace": True, "train": False})
    fields = {"weight": weight, "bias": bias, "output": _empty(weight.element), "name": f"module {number}"}
    if len(weight.sizes) == 2:
        return Object("nn.Linear", fields)
    if gpu:
        return Object("cudnn.SpatialConvolution", fields | {"groups": 1})
    # nn's convolution on a CPU keeps its kernel as a matrix.
    out, inputs, height, width = weight.sizes
    columns = inputs * height * width
    fields["weight"] = Tensor(weight.storage, (out, columns), (columns, 1), weight.offset, weight.element)
    return Object("nn.SpatialConvolutionMM", fields | {"kW": 3, "kH": 3})


def _language_model(views, words, size, element, named_nodes):
    linear = {
        name: Object("nn.Linear", {"weight": views[f"{name}/weight"], "bias": views[f"{name}/bias"]})
        for name in ("i2h", "h2h", "decoder")
    }
    others = [Object("nn.Identity", {}), Object("nn.CAddTable", {}), Object("nn.LogSoftMax", {})]
    core = Object("nn.gModule", {"nInputs": 3, "updateOutput": Function(), "verbose": False})
    if named_nodes:
        # Out of the graph's order, so that only the names can tell the two equal shapes apart.
        modules = [others[0], linear["h2h"], linear["i2h"], others[1], linear["decoder"], others[2]]
        names = {id(linear["i2h"]): "i2h_1", id(linear["h2h"]): "h2h_1", id(linear["decoder"]): "decoder"}
        core.fields["forwardnodes"] = _nodes(modules, names)
    else:
        modules = [others[0], linear["i2h"], linear["h2h"], others[1], linear["decoder"], others[2]]
    core.fields["modules"] = modules
    fields = {
        "vocab_size": words,
        "input_encoding_size": size,
        "rnn_size": size,
        "num_layers": 1,
        "seq_length": 16,
        "core": core,
        "lookup_table": Object("nn.LookupTable", {"weight": views["lookup_table/weight"]}),
        "init_state": [_empty(element), _empty(element)],
        "num_state": 2,
        "createClones": Function(upvalues=[core]),
    }
    return Object("nn.LanguageModel", fields)


def _nodes(modules, names):
    """The graph's nodes, whose tables have nodes and tables as keys, and which refer to one another."""
    nodes, previous = [], None
    for number, module in enumerate(modules, 1):
        annotations = {"_debugLabel": f"[string]:{number}"}
        if id(module) in names:
            annotations["name"] = names[id(module)]
        data = LuaTable([("module", module), ("annotations", annotations), ("forwardNodeId", number)])
        children = LuaTable()
        node = Object("nngraph.Node", {"data": data, "id": number, "children": children, "visited": False})
        if previous is not None:
            children.pairs += [(1, previous), (previous, 1)]
            before = previous.fields["data"]
            data.pairs.append(("mapindex", LuaTable([(1, before), (before, 1)])))
        nodes.append(node)
        previous = node
    return nodes


def _empty(element):
    return Tensor(None, (), (), 1, element)
