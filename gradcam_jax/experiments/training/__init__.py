"""One training program for every experiment, on one optax loop with exact resume.

``configs/`` has a file for each experiment: ``program.run(find_configuration("captioning"), Options(data="DIR"),
print)`` trains the bundled captioner. The loop takes three functions and an optimiser; it does not depend on what
is trained::

    def loss(params, batch, key):          # key: for dropout, another one every step
        return scalar, {"accuracy": scalar}

    def batch_at(step):                    # numpy arrays; a pure function of the step, so that a resumed run
        return {"ids": ..., "labels": ...} # sees the batches that an uninterrupted one sees

    def evaluate(params):                  # every so many steps; the params best by `monitor` are kept
        return {"accuracy": 0.81}

    result = train(loss, params, batch_at, modern(1e-3, 5000), 5000, key=jax.random.key(0),
                   evaluate=evaluate, monitor="accuracy", folder=Path("output/run"))
"""
