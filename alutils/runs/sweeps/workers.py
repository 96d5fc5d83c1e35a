"""Who computes the cells of a sweep: this process, processes on this machine, a Dask cluster.

Each takes orders and yields them with their outcome as they end, in whatever order. A cell that
takes its worker with it ends as `Lost`, and the others go on.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import pickle
import queue
import re
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import joblib
from joblib.externals.loky.backend import resource_tracker

from alutils.base.environment import variables
from alutils.base.errors import ParameterError
from alutils.runs.sweeps import one_cell
from alutils.runs.sweeps.grids import Swept
from alutils.runs.sweeps.one_cell import Order, Outcome

if TYPE_CHECKING:  # half a second that only a cluster is worth
    from distributed import Client, Future

CONNECT_S = 5  # how long a scheduler may take to answer at the start
FIRST_WORKER_S = 30  # how long the first worker may take to come, on a busy machine
ANSWER_S = 20  # and later, when it may be busy
NO_WORKERS_S = 60  # how long a cluster may be without any worker
_LOOK_S = 2  # between two looks at the cluster
_SILENT = logging.CRITICAL + 1


class WorkerError(RuntimeError):
    """Workers that cannot be had, or that were lost altogether."""


@dataclass(frozen=True)
class Lost:
    """A cell without an outcome: its worker died, every time."""

    reason: str


Ended = tuple[Order, Outcome | Lost]


def serial(orders: Sequence[Order]) -> Generator[Ended]:
    """Compute in this process, one cell after the other."""
    for order in orders:
        yield order, one_cell.compute(order)


def pool(orders: Sequence[Order], jobs: int) -> Generator[Ended]:
    """Compute in ``jobs`` processes of this machine (joblib's loky).

    A process that dies (out of memory, a crash in a library) takes the whole pool with it, and
    nobody knows which cell it was: all that were under way are run again, each alone, and one that
    dies then is `Lost`.

    Raises
    ------
    WorkerError
        Processes die before they have begun any cell.
    """
    waiting = {order.cell.id: order for order in orders}
    while waiting:
        begun: list[str] = []
        try:
            for order, outcome in _pool(list(waiting.values()), jobs, begun):
                del waiting[order.cell.id]
                yield order, outcome
        except BrokenProcessPool as error:
            suspects = [cell for cell in begun if cell in waiting]
            if not suspects:
                raise WorkerError(f"worker processes die at their start: {error}") from error
            for cell in suspects:
                order = waiting.pop(cell)
                try:
                    yield from _pool([order], 2, [])  # joblib runs one job in this very process
                except BrokenProcessPool:
                    yield order, Lost("its process died, and died again when the cell ran alone")


def _pool(orders: list[Order], jobs: int, begun: list[str]) -> Generator[Ended]:
    """Compute until the pool breaks; ``begun`` gets the cells that were handed out."""

    def tasks() -> Iterator[Any]:
        for order in orders:
            begun.append(order.cell.id)
            yield joblib.delayed(_in_pool)(order, os.getpid())

    _begin_clearing()
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        parallel = joblib.Parallel(
            n_jobs=jobs, return_as="generator_unordered", pre_dispatch=jobs, batch_size=1
        )
    yield from parallel(tasks())


def _begin_clearing() -> None:
    """Start the process that clears up after killed workers, without its warnings.

    What it has to clear is no news to anybody, and it would come after the last line of a command
    that Ctrl-C ended (joblib, issue 1273).
    """
    with variables({"PYTHONWARNINGS": "ignore"}):
        resource_tracker.ensure_running()


def _in_pool(order: Order, client: int) -> Ended:
    _follow(client)
    return order, one_cell.compute(order)


@functools.cache
def _follow(client: int) -> None:
    """Let this worker end with the process that it works for, and leave Ctrl-C to that one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == client:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def connect(address: str | None, n_workers: int | None) -> Iterator[Client]:
    """Connect to a Dask scheduler, or start a cluster of single-threaded processes here.

    Raises
    ------
    WorkerError
        Dask is not installed; no scheduler answers at the address within `CONNECT_S`.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise WorkerError(
            "Dask is not installed; run `pip install -e .[cluster]`, or take --jobs"
        ) from error
    if address is None:
        options = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "silence_logs": _SILENT}
        with _without_ctrl_c():
            here = LocalCluster(n_workers=n_workers, threads_per_worker=1, **options)
        with here, Client(here, set_as_default=False) as client:
            yield client
        return
    if not re.fullmatch(r"(tcp|tls|ws|wss)://[^/\s]+:\d+", address):
        raise ParameterError("--scheduler", address, "expected an address such as tcp://host:8786")
    _silence_dask()
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except OSError as error:
        raise WorkerError(
            f"--scheduler {address}: no Dask scheduler answers there within {CONNECT_S} s "
            f"({type(error).__name__}); start one with `dask scheduler`, which prints its address"
        ) from error
    try:
        yield client
    finally:
        client.close(timeout=CONNECT_S)


def _silence_dask() -> None:
    """Keep back Dask's tracebacks of a lost connection, which is told in one line here.

    Several of its loggers have levels of their own, and any of them may be the one that notices.
    """
    for name in ["distributed", *logging.root.manager.loggerDict]:
        if name.split(".")[0] == "distributed":
            logging.getLogger(name).setLevel(_SILENT)


@contextlib.contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Let processes start here that leave Ctrl-C to this one, which ends them in good order."""
    if threading.current_thread() is not threading.main_thread():  # only that one has signals
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # new processes inherit it
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def check(client: Client, swept: Swept) -> None:
    """Refuse workers that have other code than this process, or run several cells at once.

    Raises
    ------
    WorkerError
        Also where there are no workers.
    """
    if not _workers(client):
        try:
            client.wait_for_workers(1, timeout=FIRST_WORKER_S)
        except TimeoutError:
            raise WorkerError(
                "the scheduler has no workers; start some with `dask worker ADDRESS --nthreads 1`"
            ) from None
    for name, about in _workers(client).items():
        if about["nthreads"] != 1:
            raise WorkerError(
                f"worker {name} has {about['nthreads']} threads: cells need a process each; start "
                "it with `dask worker ADDRESS --nthreads 1 --nworkers N`"
            )
    here = one_cell.version(swept)
    there = client.run(one_cell.version, swept, on_error="return")
    for name, found in there.items():
        if isinstance(found, OSError):  # it left meanwhile; should it come back, every cell looks
            continue
        if found != here:
            shown = found if isinstance(found, dict) else f"{type(found).__name__}: {found}"
            raise WorkerError(
                f"worker {name} has not the code of this process: {shown}, expected {here}; put "
                "the same version of the package there and start the worker again"
            )


def prepare(client: Client, calls: Sequence[functools.partial]) -> list[Any]:
    """Make some calls on every host, before its workers all want what they get ready.

    Returns
    -------
    what each says on the first host
    """
    hosts = sorted({about["host"] for about in _workers(client).values()})
    tasks = [(call, host) for host in hosts for call in calls]
    said: dict[int, Any] = dict(_gather(client, tasks, max(len(tasks), 1)))
    for i, result in said.items():
        if isinstance(result, Lost):
            call, host = tasks[i]
            raise WorkerError(f"{call.keywords}: cannot be prepared on {host}: {result.reason}")
    return [said[i] for i in range(len(calls))]


def cluster(orders: Sequence[Order], client: Client) -> Generator[Ended]:
    """Compute on the workers of a cluster.

    A cell whose worker dies is run again on another, by Dask's scheduler, which gives up after its
    ``allowed-failures`` (3): `Lost`.

    Raises
    ------
    WorkerError
        The scheduler ended or does not answer; there are no workers for `NO_WORKERS_S`.
    CodeDiffers
        A worker that came later has other code.
    """
    # One cell a worker: a second that waited there would be blamed for the death of the first.
    tasks = [(functools.partial(one_cell.compute, order), None) for order in orders]
    for i, result in _gather(client, tasks):
        yield orders[i], result


def _gather(
    client: Client, tasks: Sequence[tuple[Callable[[], Any], str | None]], width: int | None = None
) -> Iterator[tuple[int, Any]]:
    """Yield numbers and results as calls end, each on its host if it has one.

    There are ``width`` of them under way at a time, or one a worker.
    """
    waiting = deque(enumerate(tasks))
    under_way: dict[Any, tuple[int, Future]] = {}
    ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
    n_workers, looked = len(_workers(client)), time.monotonic()
    alive = looked
    session = os.urandom(8).hex()
    try:
        while waiting or under_way:
            while waiting and len(under_way) < (width or max(n_workers, 1)):
                i, (call, host) = waiting.popleft()
                task = pickle.dumps(call)
                future = client.submit(_unpacked, task, key=f"cell-{session}-{i}", workers=host)
                under_way[future.key] = i, future
                future.add_done_callback(ended.put)
            with contextlib.suppress(queue.Empty):
                future = ended.get(timeout=_LOOK_S)
                result = _result(future, client)
                i, _ = under_way.pop(future.key)
                yield i, result
            if time.monotonic() - looked > _LOOK_S:
                n_workers, looked = len(_workers(client)), time.monotonic()
                alive = looked if n_workers else alive
                if looked - alive > NO_WORKERS_S:
                    raise WorkerError(
                        f"the cluster has had no workers for {NO_WORKERS_S} s; finished cells are "
                        "kept, give the command again when there are some"
                    )
    finally:
        if client.status == "running":
            client.cancel([future for _, future in under_way.values()], force=True)


def _unpacked(task: bytes) -> Any:
    """Run a task; the scheduler, which only passes bytes on, imports no experiment."""
    return pickle.loads(task)()


def _result(future: Future, client: Client) -> Any:
    """Fetch what a task gave, which may have to be computed again where its worker just died."""
    from distributed import KilledWorker

    while True:
        if future.cancelled():
            raise _gone(client, "the connection was lost")
        try:
            return future.result(timeout=ANSWER_S)
        except KilledWorker as error:
            return Lost(f"{error.allowed_failures + 1} workers died while they ran it")
        except TimeoutError:
            _workers(client)  # raises where the scheduler is gone


def _workers(client: Client) -> dict[str, Any]:
    """Return what the scheduler knows of its workers, by address, or raise."""
    if client.status != "running":
        raise _gone(client, f"the connection is {client.status}")
    try:
        scheduler: Any = client.scheduler
        known = client.sync(scheduler.identity, n_workers=-1, callback_timeout=ANSWER_S)
    except (OSError, TimeoutError) as error:
        raise _gone(client, f"{type(error).__name__}") from error
    return known["workers"]


def _gone(client: Client, reason: str) -> WorkerError:
    return WorkerError(
        f"the Dask scheduler is gone ({reason}); finished cells are kept: start a scheduler and "
        "give the same command again, with its address"
    )
