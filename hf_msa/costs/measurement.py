"""How time, memory and FLOPs of a piece of work are measured."""

import gc
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.weak import WeakIdKeyDictionary

MIB = 2**20


def time_in_turns(runs: Sequence[Callable[[], Any]], repeats: int, device: torch.device) -> list[list[float]]:
    """Return the seconds of each run, in turns: a list per repeat, whose entries share whatever slowed them down."""

    def seconds(run: Callable[[], Any]) -> float:
        _synchronize(device)  # a GPU works on after a call has returned
        start = time.perf_counter()
        run()
        _synchronize(device)
        return time.perf_counter() - start

    for run in runs:
        run()  # to warm up: fill the allocator's pools, make the optimizer's states
    return [[seconds(run) for run in runs] for _ in range(repeats)]


def _synchronize(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def count_flops(run: Callable[[], Any]) -> int:
    """Return the multiplications and additions in the matrix products of a run."""
    # The counter knows the fused attention kernels of CUDA but not that of the CPU, whose FLOPs it would leave out.
    # Taken apart into matrix products, attention counts the same everywhere.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


class _TensorMemory(TorchDispatchMode):
    """Follow the memory of the tensors that come to life while the mode is on.

    The process's own figures do not serve on a CPU: resident memory only shows its highest mark since the start, and
    the allocator keeps what it frees. Every tensor, in forward, backward and optimizer, is the output of an operation,
    which passes through here; its storage is counted once, however many views share it, until it is freed. This gives
    to the byte the peak of the allocations that torch.profiler records, without its log lines. What a kernel
    allocates by itself, past torch, stays unseen by both.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held = self.peak = 0
        self._known = WeakIdKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in _tensors((args, kwargs)):
            # Weights and batch, met first as arguments, were there before; all others are known already.
            self._known.setdefault(tensor.untyped_storage(), True)
        output = func(*args, **(kwargs or {}))
        for tensor in _tensors(output):
            storage = tensor.untyped_storage()
            if storage not in self._known:
                self._known[storage] = True
                self.held += storage.nbytes()
                weakref.finalize(storage, self._release, storage.nbytes())
        self.peak = max(self.peak, self.held)
        return output

    def _release(self, num_bytes: int) -> None:
        self.held -= num_bytes


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def peak_mib(run: Callable[[], Any], device: torch.device) -> float:
    """Return the most memory that `run` uses at one time beyond what was there before, in MiB.

    On CUDA the allocator keeps this figure itself, kernels' workspaces included; elsewhere tensors are followed.
    """
    if device.type != "cuda":
        with _TensorMemory() as memory:
            run()
        return memory.peak / MIB
    run()  # workspaces that stay for good shall not count for whoever comes first
    gc.collect()  # what is freed during the run would hide as much of what the run takes
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    run()
    torch.cuda.synchronize(device)
    return (torch.cuda.max_memory_allocated(device) - before) / MIB


__all__ = ["MIB", "count_flops", "peak_mib", "time_in_turns"]
