"""Photos, boxes, questions and cached features as numpy records; nothing here knows a model's parameters.

Another task caches a frozen CNN's features like this::

    encode = image_encoder("efficientnet_lite0", "pool")   # RGB in [0, 1] -> features and logits
    arrays = cached(folder / "photos.safetensors", {"views": [view.name for view in views], "size": 224},
                    lambda: encode_views(encode, views, 224))
"""
