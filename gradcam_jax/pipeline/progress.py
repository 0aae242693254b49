"""How far a run is, and where its time goes."""

import dataclasses


@dataclasses.dataclass
class Progress:
    """Counts of images, and seconds of this process since it started.

    Attributes:
        explained: Images explained.
        failed: Images that could not be.
        skipped: Images that were done before.
        first_map_seconds: From the start to the first map, compilation included.
        seconds: Since the start.
        processes: Processes that decode.
        decode_seconds: That they were at work, over all of them.
        decode_processor_seconds: The processor's share of that.
        file_seconds: The share of it that they read files.
        starved_seconds: That the devices' thread waited for pixels.
        transfer_seconds: Moving batches to the devices.
        compute_seconds: That the devices were at work: from the moment that a batch was there, and the one before
            it done, until its results were.
        fetch_seconds: Bringing results back.
        write_seconds: Spent by the thread that writes, drawing and waiting for the disk included.
        draw_seconds: The share of it spent drawing.
        disk_seconds: The share of it spent waiting for the disk.
    """

    explained: int = 0
    failed: int = 0
    skipped: int = 0
    first_map_seconds: float = 0.0
    seconds: float = 0.0
    processes: int = 1
    decode_seconds: float = 0.0
    decode_processor_seconds: float = 0.0
    file_seconds: float = 0.0
    starved_seconds: float = 0.0
    transfer_seconds: float = 0.0
    compute_seconds: float = 0.0
    fetch_seconds: float = 0.0
    write_seconds: float = 0.0
    draw_seconds: float = 0.0
    disk_seconds: float = 0.0
