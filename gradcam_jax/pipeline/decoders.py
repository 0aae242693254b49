"""Processes that decode, each with a thread here that speaks with it; one that dies costs the photo at fault.

Processes and not threads: every photo needs Python's lock for a tenth of a millisecond and more, and with the
pixels in shared memory nothing but a path and a few numbers passes between processes.
"""

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from gradcam_jax.errors import InputError
from gradcam_jax.images.decoder import FAILED, Answer, Decoded, Settings, Source

Request = Sequence[tuple[int, int, Source]]

# The path is this process's, however it came to be.
_PROGRAM = "import sys; sys.path[:] = {path!r}; from gradcam_jax.images.decoder import main; main()"
_TRIES = 5
# One thread a process: they are many already. And glibc keeps the memory of one photo for the next: fresh pages
# from the system take a sixth of Pillow's time and half of the fast libraries'.
_ENVIRONMENT = {
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    **dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(2**28)),
    "MALLOC_TOP_PAD_": str(2**24),
}


class Work(NamedTuple):
    """What the processes did, over all of them.

    Attributes:
        seconds: At work.
        processor_seconds: The processor's share of it.
        waiting_seconds: Reading files.
    """

    seconds: float = 0.0
    processor_seconds: float = 0.0
    waiting_seconds: float = 0.0


class Decoders:
    """Decoding processes; as a context they end with it.

    Attributes:
        work: What they did.
    """

    def __init__(self, settings: Settings, processes: int):
        """Starts processes; more can be started later."""
        self.work = Work()
        self._settings = settings
        self._jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._closing = False
        for _ in range(processes):
            self.start_another()

    def __len__(self) -> int:
        """Returns the number of processes."""
        return len(self._threads)

    @property
    def wait_for_files(self) -> bool:
        """Whether most of the time goes into reading files: then more processes help than there are cores."""
        return self.work.waiting_seconds > self.work.seconds / 2

    def __enter__(self) -> "Decoders":
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the processes, at once: what was asked for and not waited for is not wanted."""
        self._closing = True
        for process in list(self._processes):
            process.kill()
        for _thread in self._threads:
            self._jobs.put(None)
        for server in self._threads:
            server.join()

    def start_another(self) -> None:
        """Starts one more process."""
        thread = threading.Thread(target=self._serve, name=f"decoder {len(self)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def submit(self, request: Request) -> "Future[list[Decoded]]":
        """Asks for some photos; whichever process is free decodes them.

        Args:
            request: Batch and row in the ring where the pixels go, and where the photo is.
        """
        future: Future[list[Decoded]] = Future()
        self._jobs.put((request, future))
        return future

    def _serve(self) -> None:
        process = None
        while (job := self._jobs.get()) is not None:
            request, future = job
            try:
                process = process or self._start()
                answer, process = self._ask(process, request)
                future.set_result(answer)
            except Exception as error:  # whoever waits for the answer raises it
                future.set_exception(error)
        if process is not None:
            _end(process)

    def _ask(self, process: Any, request: Request) -> tuple[list[Decoded], Any]:
        """Returns the answer and the process, which is a new one if that given died of the request."""
        answer = _answer_of(process, request)
        if answer is None:
            process = self._replace(process)
            if len(request) > 1:  # which photo it died of shows when each is asked for alone
                photos = []
                for one in request:
                    (photo,), process = self._ask(process, [one])
                    photos.append(photo)
                return photos, process
            answer = _answer_of(process, request)
        if answer is None:
            status = process.wait()
            reason = f"signal {-status}" if status < 0 else f"status {status}"
            why = f"decoding it ended the process twice ({reason}): too little memory, or a fault in a codec"
            return [FAILED._replace(error=why)], self._replace(process)
        self._count(answer)
        return answer.photos, process

    def _replace(self, process: Any) -> Any:
        _end(process)
        return self._start()

    def _start(self) -> Any:
        for _ in range(_TRIES):
            process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM.format(path=sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | _ENVIRONMENT,
                pass_fds=(self._settings.descriptor,),
                process_group=0,  # an interrupt at the terminal is for the run alone, which ends in order
            )
            self._processes.append(process)
            if self._closing:
                process.kill()
            _send(process, self._settings)
            if _received(process) is not None:
                return process
            status = process.wait()
            _end(process)
            if self._closing or status >= 0:  # below 0 it was killed, which is no fault of its own
                break
        raise InputError("A process that decodes photos could not be started; what it said stands above.")

    def _count(self, answer: Answer) -> None:
        with self._lock:
            seconds, worked, waited = self.work
            waited += sum(photo.waiting for photo in answer.photos)
            self.work = Work(seconds + answer.seconds, worked + answer.processor_seconds, waited)


def _answer_of(process: Any, request: Request) -> Answer | None:
    """Returns what a process answers, or None if it died."""
    _send(process, list(request))
    return _received(process)


def _received(process: Any) -> Any:
    try:
        return pickle.load(process.stdout)
    except (EOFError, pickle.UnpicklingError):
        return None


def _send(process: Any, message: Any) -> None:
    try:
        content = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(
            f"Expected pixels and a preprocessing that can be sent to another process, such as functions of a "
            f"module or functools.partial of them: {error}"
        ) from error
    try:
        process.stdin.write(content)
        process.stdin.flush()
    except BrokenPipeError:
        return  # it died, which shows when its answer is waited for


def _end(process: Any) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        try:
            stream.close()
        except BrokenPipeError:
            continue  # what could not be sent is not wanted any more
