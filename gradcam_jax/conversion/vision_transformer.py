"""ViT-B/16 from torchvision's names (``vit_b_16-c867db91.pth``)."""

from gradcam_jax.conversion.rules import Rule, as_is, convolution, dense, weight_and_bias


def vit_from_torchvision(layers: int) -> list[Rule]:
    """Returns the table from ``class_token`` to ``heads.head.bias``, for so many blocks.

    ``in_proj_weight`` has the rows of query, key and value one after the other, each head by head; so has
    ``in_proj`` its columns here, and the ordinary transposition serves.
    """
    rules = [
        Rule("class_token", "params/tokens/class_token", as_is),
        Rule("encoder.pos_embedding", "params/tokens/pos_embedding", as_is),
        *weight_and_bias("conv_proj.", "conv_proj", convolution),
    ]
    for index in range(layers):
        source, target = f"encoder.layers.encoder_layer_{index}.", f"encoder_layer_{index}/"
        attention = f"{target}self_attention/"
        rules += [
            *_layer_norm(f"{source}ln_1.", f"{target}ln_1"),
            *weight_and_bias(f"{source}self_attention.in_proj_", f"{attention}in_proj", dense),
            *weight_and_bias(f"{source}self_attention.out_proj.", f"{attention}out_proj", dense),
            *_layer_norm(f"{source}ln_2.", f"{target}ln_2"),
            *weight_and_bias(f"{source}mlp.0.", f"{target}mlp_1", dense),
            *weight_and_bias(f"{source}mlp.3.", f"{target}mlp_2", dense),
        ]
    return [*rules, *_layer_norm("encoder.ln.", "ln"), *weight_and_bias("heads.head.", "head", dense)]


def of_this_version(key: str) -> str:
    """Returns a key as torchvision writes it today: the published file has ``mlp.linear_1`` for ``mlp.0``.

    Example:
        >>> of_this_version("encoder.layers.encoder_layer_0.mlp.linear_2.bias")
        'encoder.layers.encoder_layer_0.mlp.3.bias'
    """
    return key.replace(".mlp.linear_1.", ".mlp.0.").replace(".mlp.linear_2.", ".mlp.3.")


def _layer_norm(source: str, target: str) -> list[Rule]:
    return [
        Rule(f"{source}weight", f"params/{target}/scale", as_is),
        Rule(f"{source}bias", f"params/{target}/bias", as_is),
    ]
