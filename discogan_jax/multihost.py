"""One run on several processes: how they find each other, agree, and end together."""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from discogan_jax import host
from discogan_jax.errors import (
    EXIT_INPUT,
    DivergedError,
    InputError,
    InterruptedRunError,
    causes,
    printable,
)

T = TypeVar("T")

START_SECONDS = 120
"""How long the processes wait for each other at the start."""

HEARTBEAT_SECONDS = 20
"""How long a process may be silent before JAX considers it dead."""

EXIT_ENDED = 1
"""Exit status after an error of this process alone, or after another process has ended."""

# Number of processes, number of this one, and what else JAX looks for before it detects SLURM.
_SLURM = ("SLURM_NTASKS", "SLURM_PROCID", "SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_LOCALID")

# What errors contain that come from the network. Often there is no error in Python at all: JAX
# notices that a process has ended, says that most likely "another task died", and aborts.
_SIGNS_OF_NETWORK = ("Gloo", "NCCL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "coordination service")

_NUMBERS = "of N processes, each has a number from 0 to N - 1"


@dataclass(frozen=True)
class ProcessInfo:
    """Identifies a process of a run.

    Attributes:
      coordinator: ``HOST:PORT`` of process 0; None where JAX finds it.
      processes: number of processes.
      process: number of this one, from 0.
      detection: name of the cluster that JAX asks for the rest, or ``deactivate``.
    """

    coordinator: str | None
    processes: int
    process: int
    detection: str


def process_info(
    coordinator: str | None,
    processes: int | None,
    process: int | None,
    environment: Mapping[str, str],
) -> ProcessInfo | None:
    """Identifies this process by the flags and by what a scheduler put into the environment.

    SLURM (inside `srun`) and Open MPI give both numbers, an indexed job of Kubernetes that of the
    process. JAX finds process 0 by itself under SLURM and Open MPI 4.

    Args:
      coordinator: ``--coordinator``, or None.
      processes: ``--processes``, or None.
      process: ``--process``, or None.
      environment: variables of the process.

    Returns:
      What `joined` needs, or None for a process that trains alone: there are no flags, and no
      scheduler has started more than one process.

    Raises:
      InputError: flags are missing or contradictory, or a variable is no number.
    """
    count, number, detection = _scheduled(environment)
    if coordinator is None and processes is None and process is None:
        # A process without flags and without a scheduler trains alone, as does a job of one.
        if count is None or count == 1:
            return None
        # Under SLURM and Open MPI 4, JAX finds out the rest.
        if number is not None and detection != "deactivate":
            return ProcessInfo(None, count, number, detection)

    # Flags win over what the scheduler says.
    processes = count if processes is None else processes
    process = number if process is None else process
    if coordinator is None or processes is None or process is None:
        flags = {"--coordinator": coordinator, "--processes": processes, "--process": process}
        missing = ", ".join(name for name, value in flags.items() if value is None)
        raise InputError(
            f"--coordinator, --processes and --process belong together; missing: {missing}. Each "
            "process gets the same --coordinator=HOST:PORT (the host of process 0 and a free port "
            "there) and --processes=N, and a --process=I of its own, from 0"
        )

    # All three are known, but may be wrong.
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise InputError(f"--coordinator={coordinator}: it must be HOST:PORT, a host and a port")
    if processes < 1 or not 0 <= process < processes:
        raise InputError(f"--processes={processes} --process={process}: {_NUMBERS}")
    return None if processes == 1 else ProcessInfo(coordinator, processes, process, "deactivate")


def _scheduled(environment: Mapping[str, str]) -> tuple[int | None, int | None, str]:
    """Reads the two numbers that a scheduler gives, and JAX's name for it if JAX knows the rest."""

    def number(name: str) -> int:
        value = environment.get(name, "")
        if not value.isdecimal():
            raise InputError(f"the environment has {name}={value!r}, which is no number: unset it")
        return int(value)

    def numbers(*names: str) -> tuple[int, int]:
        count, process = map(number, names)
        if process >= count:
            found = " ".join(f"{name}={environment[name]}" for name in names)
            raise InputError(f"the environment has {found}: {_NUMBERS}; unset them")
        return count, process

    if all(name in environment for name in _SLURM):
        return *numbers(*_SLURM[:2]), "slurm"
    if "OMPI_COMM_WORLD_SIZE" in environment:
        # JAX finds process 0 by a variable that Open MPI 5 does not have any more.
        detection = "ompi" if "OMPI_MCA_orte_hnp_uri" in environment else "deactivate"
        return *numbers("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"), detection
    if "JOB_COMPLETION_INDEX" in environment:
        return None, number("JOB_COMPLETION_INDEX"), "deactivate"
    return None, None, "deactivate"


@contextmanager
def joined(info: ProcessInfo | None) -> Iterator[None]:
    """Joins the processes of a run; at the end they wait for each other.

    Must come before JAX is asked for its devices. Errors that all processes raise together
    (`DivergedError`, `InterruptedRunError`) pass through. After any other one this process exits
    at once, since the others would wait for it forever: JAX notices, and ends them.

    Args:
      info: from `process_info`; nothing is done for None.

    Raises:
      InputError: the others were not found.
    """
    if info is None:
        yield
        return
    # On CPU, JAX has no collectives between processes unless one is chosen.
    if os.environ.get("JAX_PLATFORMS") == "cpu":
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(
            info.coordinator,
            info.processes,
            info.process,
            cluster_detection_method=info.detection,
            initialization_timeout=START_SECONDS,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"process {info.process} of {info.processes} did not find the others within "
            f"{START_SECONDS} seconds ({str(error).splitlines()[0]}): start all of them, with the "
            "same --coordinator, an address of process 0 that the others can reach"
        ) from error
    try:
        yield
    except (DivergedError, InterruptedRunError):
        jax.distributed.shutdown()
        raise
    except BaseException as error:
        _exit(info, error)
    jax.distributed.shutdown()


def _exit(info: ProcessInfo, error: BaseException) -> NoReturn:
    """Ends the process without waiting for the others, and says why."""
    code, message = EXIT_ENDED, ""
    everything = " ".join(str(e) for e in causes(error))
    if isinstance(error, InputError):
        code, message = EXIT_INPUT, f"{error}\n"
    elif explained := host.explain(error):
        code, message = EXIT_INPUT, f"{explained}\n"
    elif isinstance(error, KeyboardInterrupt):
        code = 128 + signal.SIGINT
    elif any(sign in everything for sign in _SIGNS_OF_NETWORK):
        message = (
            f"Process {info.process} of {info.processes} cannot reach the others "
            f"({str(error).splitlines()[0]}): most likely one of them has ended. Start all of them "
            "again: they resume from the last checkpoint.\n"
        )
    else:
        message = "".join(traceback.format_exception(error))

    # `sys.exit` would wait for the others.
    sys.stdout.flush()
    print(printable(message), end="", file=sys.stderr, flush=True)
    os._exit(code)


def is_chief() -> bool:
    """Returns whether this is process 0, the one that writes and prints."""
    return jax.process_index() == 0


def all_max(value: int) -> int:
    """Returns the largest of all processes' values; waits until all have called this."""
    return int(np.max(multihost_utils.process_allgather(np.int32(value))))


def on_process_0_first(work: Callable[[], T]) -> T:
    """Works on process 0, then on the others, which find its results on a shared disk.

    Raises:
      InputError: on all processes, if process 0 raises one.
    """
    refused: InputError | None = None
    result: Any = None
    if is_chief():
        try:
            result = work()
        except InputError as error:
            refused = error
    # Here the others wait for process 0.
    if all_max(int(refused is not None)):
        raise refused or InputError("process 0 has refused the run: see its message")
    return result if is_chief() else work()
