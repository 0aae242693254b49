"""Explains one network written three ways on four devices, and prints each case's errors as a line of JSON.

Started by ``test_four_devices``, in a process that has the devices.
"""

import functools
import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import gradcam_jax as gc
from tests.comparison import relative_error
from tests.interception.test_three_ways import expected, images
from tests.models.three_ways import LAYERS, WAYS

TARGETS = {"one": [[3], [1], [0], [4]], "many": [[0, 4, 2], [1, 1, 3], [2, 0, 0], [4, 3, 1]]}
AXIS = "devices"


def in_shard_map(mesh, explain):
    """The caller's own ``shard_map``, with its default checks."""
    return jax.jit(jax.shard_map(explain, mesh=mesh, in_specs=(P(), P(AXIS), P(AXIS)), out_specs=P(AXIS)))


def with_sharded_batch(mesh, explain):
    """``jit`` of arrays that lie on the devices: the compiler splits the program."""
    split = NamedSharding(mesh, P(AXIS))
    explain = jax.jit(explain, out_shardings=split)
    return lambda forward, *batch: explain(forward, *jax.device_put(batch, split))


CALLS = {"shard_map": in_shard_map, "sharded jit": with_sharded_batch}


def main():
    mesh = Mesh(np.array(jax.devices()), (AXIS,))
    assert len(jax.devices()) == 4
    explain = functools.partial(gc.explain, guided=True)
    for way, call, layers, targets in itertools.product(WAYS, CALLS, [("trunk",), LAYERS], TARGETS):
        labels = TARGETS[targets]
        maps, pixels = expected(tuple(map(tuple, labels)))
        found = CALLS[call](mesh, explain)(WAYS[way](layers, False), images(4), jnp.array(labels))
        assert len(found.guided_backprop.sharding.device_set) == 4
        cams = found.cam if len(layers) > 1 else {layers[0]: found.cam}
        errors = {layer: relative_error(cams[layer], maps[layer]) for layer in layers}
        errors["guided"] = relative_error(found.guided_backprop, pixels)
        print(json.dumps([[way, call, "+".join(layers), targets], errors]))


if __name__ == "__main__":
    main()
