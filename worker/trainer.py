"""The training process as its supervisor sees it: started, told what to do, killed, and how it ended."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self

from backend.contracts.runs import Claim
from worker.orders import Order

COMMAND: tuple[str, ...] = (sys.executable, "-m", "worker.train")
TORCHRUN: tuple[str, ...] = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node")
_BAD_COMMAND = 2
_NO_SPACE = 4


class Trainer:
    """A running ``worker.train``, in a session of its own, that hears orders on standard input.

    What it prints is appended to ``output``. As a context manager it does not outlive the block.
    """

    def __init__(
        self,
        claim: Claim,
        run_dir: Path,
        packs_dir: Path,
        *,
        environment: Mapping[str, str],
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.output = run_dir / "trainer.log"
        arguments = [str(_write_config(claim, run_dir)), str(run_dir), "--supervised", "--attempt", str(claim.attempt)]
        if claim.dataset.pack_sha256:
            arguments += ["--data", str(packs_dir / claim.dataset.pack_sha256)]
        for other in claim.transfer:
            if other.pack_sha256:
                arguments += ["--transfer", f"{other.name}={packs_dir / other.pack_sha256}"]
        if claim.checkpoints:
            arguments += ["--resume", *(f"{checkpoint.name}:{checkpoint.sha256}" for checkpoint in claim.checkpoints)]
        self.output.unlink(missing_ok=True)
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [*of_team(command, claim.config.resources.gpus), *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """The process's id, which is its group's too."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the process is over. What it wrote before is in the log by then."""
        return self._process.poll() is not None

    def tell(self, order: Order) -> None:
        """Ask it to make a checkpoint and end. A process that is over does not hear it."""
        assert self._process.stdin is not None  # noqa: S101 (it was opened as a pipe)
        with suppress(BrokenPipeError, ValueError):  # over, or killed by us
            self._process.stdin.write(f"{order}\n".encode())
            self._process.stdin.flush()

    def kill(self) -> None:
        """End it and what it started, at once."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        with suppress(BrokenPipeError):
            self._process.communicate()

    def failure(self, words: str) -> tuple[Literal["failed", "no_space", "crashed"], str]:
        """What to say of a process that ended without an end event: what became of the attempt, and why.

        ``words`` are the last ones that it printed.
        """
        code = self._process.wait()
        if code == _BAD_COMMAND:
            return "failed", words or "The training process did not understand its command."
        if code == _NO_SPACE:
            return "no_space", words or "The disk of the worker is full."
        if code < 0:
            cause = f"The training process was killed by {signal.Signals(-code).name}."
            if -code == signal.SIGKILL:
                cause += " The system does that when memory runs out."
        else:
            cause = f"The training process ended with exit code {code} without saying why."
        return "crashed", f"{cause}\n{words}".strip()


def of_team(command: Sequence[str], gpus: int) -> list[str]:
    """The command that starts one process for each of several GPUs under torchrun; ``command`` itself for one."""
    return [*command] if gpus < 2 else [*TORCHRUN, str(gpus), *command[1:]]


def _write_config(claim: Claim, run_dir: Path) -> Path:
    """The config of this attempt: one that came later may ask for more evaluation."""
    path = run_dir / "config.json"
    draft = run_dir / f".config-{claim.attempt}.json"
    draft.write_text(claim.config.model_dump_json(indent=2))
    draft.replace(path)
    return path
