"""What a run says at its end: how fast it was, where the time went, and what would make it faster."""

from gradcam_jax.pipeline import Progress
from gradcam_jax.pipeline.machine import usable_cores

_MOSTLY = 0.5  # the share from which something is said to be what a time consists of


def summary(progress: Progress, cores: int | None = None, *, failed_before: int = 0) -> list[str]:
    """Returns the lines.

    Each stage's share is the time that it was busy; that of decoding is an average over its processes. The stage
    that is busy nearly all the time is the one that the others wait for.

    Args:
        progress: The run's, at its end.
        cores: Processor cores; those of this process if left out.
        failed_before: How many of the images that were done before had failed.
    """
    before = f" ({failed_before} of them failed)" if failed_before else ""
    done = progress.explained + progress.failed
    seconds = max(progress.seconds, 1e-9)
    first = f", first map after {progress.first_map_seconds:.1f} s" if progress.first_map_seconds else ""
    lines = [
        f"{progress.explained} explained, {progress.failed} failed, {progress.skipped} done before{before}; "
        f"{seconds:.1f} s, {done / seconds:.1f} images/s{first}"
    ]
    if not progress.explained:
        return lines
    shares = busy_shares(progress)
    text = ", ".join(f"{stage} {share:.0%}" for stage, share in shares.items())
    worked = progress.decode_processor_seconds / max(progress.decode_seconds, 1e-9)
    files = progress.file_seconds / max(progress.decode_seconds, 1e-9)
    waited = progress.starved_seconds / seconds
    lines += [
        f"busy: {text}; pixels were waited for {waited:.0%} of the time",
        f"decoding, {progress.processes} process{'es' * (progress.processes > 1)}: computing {worked:.0%} of the "
        f"time, reading files {files:.0%}, else waiting for a core",
    ]
    slowest = max(shares, key=lambda stage: shares[stage])
    if shares[slowest] > _MOSTLY:  # else the run was mostly its own start
        lines.append(f"Faster with {_advice(slowest, progress, cores or usable_cores())}.")
    return lines


def busy_shares(progress: Progress) -> dict[str, float]:
    """Returns for each stage the share of the time that it was busy."""
    seconds = max(progress.seconds, 1e-9)
    return {
        "decode": progress.decode_seconds / progress.processes / seconds,
        "transfer": progress.transfer_seconds / seconds,
        "compute": progress.compute_seconds / seconds,
        "fetch": progress.fetch_seconds / seconds,
        "write": progress.write_seconds / seconds,
    }


def _advice(stage: str, progress: Progress, cores: int) -> str:
    if stage == "decode":
        if progress.file_seconds > _MOSTLY * progress.decode_seconds:
            return "a faster disk or network to read from, or more --workers"
        if progress.processes < cores and busy_shares(progress)["compute"] < _MOSTLY:
            return f"more --workers: {progress.processes} of {cores} cores decode"
        return "more cores (or --scaled_decoding, for JPEGs much larger than the network's image)"
    if stage == "write":
        if progress.disk_seconds > _MOSTLY * progress.write_seconds:
            return "a faster disk to write to"
        if progress.draw_seconds > _MOSTLY * progress.write_seconds:
            return "fewer pictures (--save), or more cores"
        return "more processes that share the images (--num_processes)"
    return {
        "transfer": "a faster way to the device",
        "compute": "a faster device, or more of them",
        "fetch": "a faster way from the device, or fewer --methods",
    }[stage]
