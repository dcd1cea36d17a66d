"""Let a last batch of one row join the batch before it: one row has no variance for a batch norm to divide by."""

from collections.abc import Iterator

from torch import nn
from torch.utils.data import BatchSampler, DataLoader

# What a loader is made of, beside its batches.
_LOADER_ARGUMENTS = (
    "dataset",
    "collate_fn",
    "num_workers",
    "pin_memory",
    "persistent_workers",
    "multiprocessing_context",
    "prefetch_factor",
    "worker_init_fn",
    "in_order",
)


class JoiningBatchSampler(BatchSampler):
    """Batches of a size, the last of at least two rows: one left over makes the batch before it a row larger."""

    def __iter__(self) -> Iterator[list[int]]:
        """Return the batches as lists of row numbers."""
        held: list[int] | None = None
        for batch in super().__iter__():
            if held is not None:
                if len(batch) == 1:
                    yield held + batch
                    return
                yield held
            held = batch
        if held is not None:
            yield held

    def __len__(self) -> int:
        """Return how many batches there are."""
        number, left = divmod(len(self.sampler), self.batch_size)  # type: ignore[arg-type]
        return number + (left > 1 or (left == 1 and number == 0))


def has_batch_norm(model: nn.Module) -> bool:
    """Return whether rows of a batch depend on each other in training."""
    return any(isinstance(module, nn.BatchNorm1d) for module in model.modules())


def join_last_batch(loader: DataLoader) -> DataLoader | None:
    """Return a loader of the same rows in which a last batch of one joins the one before it, or None if none would.

    Args:
        loader: With batches of a fixed size, all of one process.
    """
    batches = loader.batch_sampler
    if type(batches) is not BatchSampler or batches.drop_last:
        return None
    if batches.batch_size < 2 or len(batches.sampler) % batches.batch_size != 1:  # type: ignore[arg-type]
        return None
    joining = JoiningBatchSampler(batches.sampler, batches.batch_size, drop_last=False)
    return DataLoader(batch_sampler=joining, **{name: getattr(loader, name) for name in _LOADER_ARGUMENTS})


__all__ = ["JoiningBatchSampler", "has_batch_norm", "join_last_batch"]
