"""Explains why a model said what it said about a photo: ``gradcam_jax``, from the repository; see --help."""

from gradcam_jax.app.main import run

if __name__ == "__main__":
    run()
