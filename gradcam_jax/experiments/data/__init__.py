"""Photos, boxes, questions and cached features as numpy records; nothing here knows a model's parameters.

Another task caches a frozen CNN's features like this::

    encode = image_encoder("efficientnet_lite0", "pool")   # RGB in [0, 1] -> features and logits
    arrays = cached(folder / "photos.safetensors", {"photos": names, "size": 224},
                    lambda: encode_images(encode, (load(name) for name in names), len(names)))
"""
