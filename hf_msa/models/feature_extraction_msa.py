"""The feature extractor of both streams: frames in, normalised and padded tensors out.

"Feature extractor" is transformers' word for the part of a processor that is not the tokenizer. The features
themselves (pitch, action units) are computed elsewhere; what they are is recorded here and checked.

Shapes: B batch, L text length, T frames, F raw feature size.
"""

import contextlib
import math
import operator
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import BatchFeature, FeatureExtractionMixin

from .alignment_msa import Interval, align_frames
from .errors_msa import MsaError, MsaWarning
from .frames_msa import content_of, normalise_frames
from .streams_msa import FRAME_STREAMS

# What `audio_features` and `visual_features` may say.
_FEATURE_KEYS = ("name", "version", "columns", "rate")
# What transformers writes beside the fields.
_TRANSFORMERS_KEYS = frozenset({"auto_map", "feature_extractor_type", "processor_class", "_processor_class"})


class MsaFeatureExtractor(FeatureExtractionMixin):
    r"""Check, repair, normalise, align and pad frames of audio and visual features.

    Args:
        audio_dim: Columns F of a frame of audio.
        visual_dim: Columns F of a frame of the visual stream.
        audio_statistics: Normalisation per column, `{"mean": [F], "std": [F], "speakers": {name: {"mean", "std"}}}`,
            as `fit` makes it; None for none.
        visual_statistics: The same for the visual stream.
        audio_features: What the columns are, `{"name", "version", "columns", "rate"}`, or None when unknown. Its rate
            (frames per second) is the default of a call.
        visual_features: The same for the visual stream.
        max_audio_length: Frames beyond this are cut, where streams keep their own time axis; None for no limit.
        max_visual_length: The same for the visual stream.
        kwargs: What transformers stores beside these.
    """

    model_input_names = ("audio_values", "audio_attention_mask", "visual_values", "visual_attention_mask")

    def __init__(
        self,
        audio_dim: int = 5,
        visual_dim: int = 20,
        audio_statistics: dict | None = None,
        visual_statistics: dict | None = None,
        audio_features: dict | None = None,
        visual_features: dict | None = None,
        max_audio_length: int | None = None,
        max_visual_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        if unknown := sorted(set(kwargs) - _TRANSFORMERS_KEYS):
            raise MsaError(f"MsaFeatureExtractor: unknown keyword(s) {', '.join(map(repr, unknown))}")
        super().__init__(**kwargs)
        self.audio_dim = audio_dim
        self.visual_dim = visual_dim
        self.audio_statistics = audio_statistics
        self.visual_statistics = visual_statistics
        self.audio_features = audio_features
        self.visual_features = visual_features
        self.max_audio_length = max_audio_length
        self.max_visual_length = max_visual_length
        self._check()
        self.repairs: Counter[str] = Counter()

    def __call__(
        self,
        audio: Sequence[Any] | None = None,
        visual: Sequence[Any] | None = None,
        audio_rate: Any = None,
        visual_rate: Any = None,
        intervals: list[list[list[Interval]]] | None = None,
        speaker: Sequence[str | None] | None = None,
        batch_size: int | None = None,
        padding: str = "longest",
    ) -> BatchFeature:
        """Turn the frames of a batch into padded tensors with masks (1 real, 0 padding).

        Infinite and NaN values become 0 on the normalised scale, the mean of their column; a stream without any finite
        value is missing. `repairs` counts both.

        Args:
            audio: B arrays (T, F) of any float type, numpy, torch or lists; an entry None or (0, F) is missing.
            visual: The same.
            audio_rate: Frames per second, one number or one per row; needed with `intervals`.
            visual_rate: The same.
            intervals: Per row and text token the intervals in seconds of its words; then each stream gives one vector
                per token. A row without tokens has no text: its stream gives one vector, the mean of all frames.
            speaker: Name per row, for statistics per speaker.
            batch_size: Size B where both streams are None.
            padding: "longest" of the batch, or "max_length" (`max_*_length`).

        Returns:
            `audio_values` (B, T_a, F_a), `audio_attention_mask` (B, T_a), and the same for visual.

        Raises:
            MsaError: For a wrong number of columns, unequal batch sizes, a missing rate, or an unknown padding.
        """
        if padding not in ("longest", "max_length"):
            raise MsaError(f"padding: expected 'longest' or 'max_length', got {padding!r}")
        columns = {"audio": audio, "visual": visual, "intervals": intervals, "speaker": speaker}
        sizes = {name: len(column) for name, column in columns.items() if column is not None}
        size = batch_size if batch_size is not None else next(iter(sizes.values()), 0)
        for name, found in sizes.items():
            if found != size:
                raise MsaError(f"{name}: expected {size} rows as the batch, got {found}")
        data: dict[str, Tensor] = {}
        for stream, arrays, rate in (("audio", audio, audio_rate), ("visual", visual, visual_rate)):
            rows = [self._prepared(stream, i, None if arrays is None else arrays[i], speaker) for i in range(size)]
            if intervals is None:
                limit = getattr(self, f"max_{stream}_length")
                rows = [row[:limit] for row in rows]
                masks = [torch.ones(len(row), dtype=torch.long) for row in rows]
                length = limit if padding == "max_length" and limit else max([1, *map(len, rows)])
            else:
                needed = [len(row) > 0 and len(own) > 0 for row, own in zip(rows, intervals, strict=True)]
                rates = self.rates(stream, rate, needed)
                aligned = [
                    self._aligned(row, spans, rate) for row, spans, rate in zip(rows, intervals, rates, strict=True)
                ]
                rows, masks = [values for values, _ in aligned], [mask for _, mask in aligned]
                length = max([1, *map(len, rows), *map(len, intervals)])
            data[f"{stream}_values"] = torch.stack([_padded(row, length) for row in rows])
            data[f"{stream}_attention_mask"] = torch.stack([_padded(mask, length) for mask in masks])
        return BatchFeature(data)

    def fit(self, dataset: Iterable[Mapping[str, Any]], by: str | None = None) -> "MsaFeatureExtractor":
        """Learn mean and deviation of every column from the frames of a dataset; usually its training split.

        Args:
            dataset: Rows with `audio` and `visual`, and the column that `by` names.
            by: None for one set of statistics, or "speaker" for a set per speaker beside it. Rows of speakers that
                were not seen are normalised with the common set; `adapt` adds speakers later.

        Raises:
            MsaError: For another `by`, a row without the speaker, or frames of a wrong size.
        """
        self.audio_statistics, self.visual_statistics = self._measured(dataset, by)
        return self

    def adapt(self, dataset: Iterable[Mapping[str, Any]]) -> "MsaFeatureExtractor":
        """Add statistics for the speakers of a dataset, which needs no labels; all others stay as they are.

        Args:
            dataset: Rows with `audio`, `visual` and `speaker`.

        Raises:
            MsaError: Before `fit(..., by="speaker")`.
        """
        for stream, found in zip(FRAME_STREAMS, self._measured(dataset, "speaker"), strict=True):
            statistics = getattr(self, f"{stream}_statistics")
            if statistics is None or "speakers" not in statistics:
                raise MsaError(f"{stream}_statistics: expected statistics fitted by speaker before adapt()")
            statistics["speakers"] |= found["speakers"]
        return self

    def check_features(self, **features: str | Mapping[str, Any] | None) -> None:
        """Refuse features of another kind than the model was trained on.

        Args:
            features: `audio_features` and `visual_features`: a name, or a dict with name and version, or None when
                unknown.

        Raises:
            MsaError: When both sides are known and differ, and for what says nothing of the kind.
        """
        for key, given in features.items():
            stated = given if isinstance(given, Mapping) else {"name": given}
            trained = getattr(self, key) or {}
            if stated and not set(stated) & set(_FEATURE_KEYS):
                raise MsaError(f"{key}: expected some of {', '.join(_FEATURE_KEYS)}, got {given!r}")
            for part in ("name", "version"):
                value, expected = stated.get(part), trained.get(part)
                if value is not None and not isinstance(value, str if part == "name" else (str, int, float)):
                    raise MsaError(f"{key}: expected a name, or a mapping with name and version, got {given!r}")
                if value is not None and expected is not None and value != expected:
                    raise MsaError(
                        f"{key}: expected {expected!r}, on which this model was trained, got {value!r} as {part}"
                    )

    def rates(self, stream: str, rate: Any, needed: Sequence[bool]) -> list[float]:
        """Return frames per second for every row; from the record of the features where the call says nothing.

        Args:
            stream: "audio" or "visual".
            rate: One number, or one per row, or None; NaN, as which a null of a dataset may come, is None.
            needed: Per row, whether it has frames to be placed in time; other rows need no rate, but theirs is
                checked too.

        Raises:
            MsaError: For a missing or impossible rate, or a wrong number of them.
        """
        recorded = (getattr(self, f"{stream}_features") or {}).get("rate")
        is_many = isinstance(rate, (list, tuple)) or getattr(rate, "ndim", 0) == 1
        rates = list(rate) if is_many else [rate] * len(needed)
        rates = [recorded if is_null(value) else value for value in rates]
        if len(rates) != len(needed):
            raise MsaError(f"{stream}_rate: expected one rate or {len(needed)}, got {len(rates)}")
        for i, value in enumerate(rates):
            if (needed[i] or value is not None) and not _is_rate(value):
                raise MsaError(f"{stream}_rate: expected frames per second, got {value!r} for row {i}")
        return [0.0 if value is None else float(value) for value in rates]

    def read_frames(self, stream: str, row: int, array: Any) -> Tensor:
        """Return one utterance's frames as float32 (T, F), with T = 0 when missing, and check their size.

        Args:
            stream: "audio" or "visual".
            row: Row of the batch, for the error.
            array: numpy, torch or lists; None, empty, or the NaN that a null of a dataset reads as, is missing.

        Raises:
            MsaError: For anything else than (T, F) numbers.
        """
        dim = getattr(self, f"{stream}_dim")
        if array is None:
            return torch.zeros(0, dim)
        try:
            frames = _as_tensor(array)
            if frames.is_complex():
                raise MsaError("complex ones")
            frames = frames.float()
        except (TypeError, ValueError, RuntimeError) as error:
            raise MsaError(f"{stream}[{row}]: expected numbers of shape (frames, {dim}), got {error}") from error
        if frames.numel() == 0 or (frames.dim() == 0 and bool(frames.isnan())):
            if frames.dim() == 2 and frames.shape[1] not in (0, dim):
                raise MsaError(f"{stream}[{row}]: expected shape (frames, {dim}), got {tuple(frames.shape)}")
            return torch.zeros(0, dim)
        if frames.dim() != 2 or frames.shape[1] != dim:
            raise MsaError(f"{stream}[{row}]: expected shape (frames, {dim}), got {tuple(frames.shape)}")
        return frames

    def present_frames(self, stream: str, row: int, array: Any) -> Tensor:
        """Return what `read_frames` does, T = 0 also for frames without a finite value, as the corpora are read.

        Those are counted, and the first of a process is warned of.

        Args:
            stream: "audio" or "visual".
            row: Row of the batch, for error and warning.
            array: As for `read_frames`.
        """
        frames = self.read_frames(stream, row, array)
        if content_of(frames.numpy()) != "nan":
            return frames
        key = f"utterances_with_{stream}_of_nan"
        if not self.repairs[key]:
            warnings.warn(
                f"{stream}: expected finite values, got none in row {row}; such a stream counts as missing",
                MsaWarning,
                stacklevel=2,
            )
        self.repairs[key] += 1
        self.repairs[f"{stream}_nonfinite"] += int((~torch.isfinite(frames)).sum())
        return frames[:0]

    def to_dict(self) -> dict[str, Any]:
        """Return what is saved: everything but the counts of this process."""
        output = super().to_dict()
        output.pop("repairs", None)
        return output

    def _check(self) -> None:
        for stream in FRAME_STREAMS:
            for name in (f"{stream}_dim", f"max_{stream}_length"):
                value = getattr(self, name)
                number = as_whole(value)
                if not (value is None and name.startswith("max_")) and (number is None or number < 1):
                    raise MsaError(f"{name}: expected an integer of at least 1, got {value!r}")
                setattr(self, name, number)
            dim = getattr(self, f"{stream}_dim")
            statistics = getattr(self, f"{stream}_statistics") or {}
            for own in (statistics, *statistics.get("speakers", {}).values()) if statistics else ():
                mean, std = (torch.tensor(own.get(key, ()), dtype=torch.float) for key in ("mean", "std"))
                if mean.shape != (dim,) or std.shape != (dim,):
                    raise MsaError(f"{stream}_statistics: expected a 'mean' and a 'std' of {dim} columns")
                if not (torch.isfinite(mean) & torch.isfinite(std) & (std > 0)).all():
                    raise MsaError(f"{stream}_statistics: expected finite means and positive deviations, got {own}")
            columns = (getattr(self, f"{stream}_features") or {}).get("columns")
            if columns is not None and len(columns) != dim:
                raise MsaError(f"{stream}_features: expected {dim} columns as {stream}_dim, got {len(columns)}")

    def _prepared(self, stream: str, row: int, array: Any, speaker: Sequence[str | None] | None) -> Tensor:
        frames, num_broken = normalise_frames(
            self.present_frames(stream, row, array).numpy(),
            getattr(self, f"{stream}_statistics"),
            None if speaker is None else _speaker_name(speaker[row]),
        )
        if num_broken:
            self.repairs[f"{stream}_nonfinite"] += num_broken
        return torch.from_numpy(frames)

    def _aligned(self, frames: Tensor, intervals: list[list[Interval]], rate: float) -> tuple[Tensor, Tensor]:
        values, mask = align_frames(frames.numpy(), intervals, rate)
        return torch.from_numpy(values), torch.from_numpy(mask)

    def _measured(self, dataset: Iterable[Mapping[str, Any]], by: str | None) -> tuple[dict, dict]:
        if by not in (None, "speaker"):
            raise MsaError(f"by: expected None or 'speaker', got {by!r}")
        sums: dict[tuple[str, str | None], Tensor] = {}
        for index, row in enumerate(dataset):
            speaker = None if by is None else _speaker_name(row.get(by))
            if by is not None and speaker is None:
                raise MsaError(f"by: expected a column {by!r} in every row, got none in row {index}")
            for stream in FRAME_STREAMS:
                frames = self.read_frames(stream, index, row.get(stream)).double()
                finite = torch.isfinite(frames)
                frames = frames.masked_fill(~finite, 0)
                sums_3F = torch.stack([finite.double().sum(0), frames.sum(0), frames.square().sum(0)])
                for key in {None, speaker}:
                    sums[stream, key] = sums.get((stream, key), 0) + sums_3F
        if not sums:
            raise MsaError("dataset: expected at least one row, got none")
        found = []
        for stream in FRAME_STREAMS:
            statistics = _mean_and_std(sums[stream, None])
            if by is not None:
                own = {key: total for (name, key), total in sums.items() if name == stream and key is not None}
                statistics["speakers"] = {key: _mean_and_std(total) for key, total in own.items() if total[0].any()}
            found.append(statistics)
        return found[0], found[1]


def _as_tensor(array: Any) -> Tensor:
    if isinstance(array, Tensor):
        return array.detach().cpu()
    if not isinstance(array, (list, tuple)):
        # torch.tensor copies: a memory-mapped dataset hands out arrays that may not be written to. It refuses arrays
        # of objects, as pandas has them, other byte orders and negative strides.
        with contextlib.suppress(TypeError, ValueError):
            return torch.tensor(array)
    return torch.tensor(_as_lists(array))


def _as_lists(array: Any) -> Any:
    array = array.tolist() if hasattr(array, "tolist") else array
    return [_as_lists(entry) for entry in array] if isinstance(array, (list, tuple)) else array


def is_null(value: Any) -> bool:
    """Return whether a value is None, or the NaN as which a null of a dataset may come."""
    try:
        return value is None or (not isinstance(value, (str, bytes)) and math.isnan(value))
    except (TypeError, ValueError):
        return False


def as_whole(value: Any) -> int | None:
    """Return a whole number, Python's, numpy's or torch's, as Python's; None for anything else, True and False too."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None


def _is_rate(value: Any) -> bool:
    try:
        return not isinstance(value, (str, bytes, bool)) and 0 < float(value) < math.inf
    except (TypeError, ValueError):
        return False


def _speaker_name(speaker: Any) -> str | None:
    # JSON, in which statistics are saved, knows names only; numpy's and torch's numbers become Python's first.
    name = speaker.item() if getattr(speaker, "ndim", None) == 0 else speaker
    if is_null(name):
        return None
    if isinstance(name, float) and name.is_integer():  # a column of numbers of which some are null
        name = int(name)
    if isinstance(name, bool) or not isinstance(name, (str, int)):
        raise MsaError(f"speaker: expected a name or a number for every row, got {speaker!r}")
    return str(name)


def _mean_and_std(sums_3F: Tensor) -> dict[str, Any]:
    count, total, squares = sums_3F
    mean = total / count.clamp(min=1)
    std = (squares / count.clamp(min=1) - mean.square()).clamp(min=0).sqrt()
    # A constant column, or one that was never there, is only shifted.
    std = torch.where(std > 1e-6 * mean.abs().clamp(min=1e-6), std, torch.ones_like(std))
    return {"mean": mean.tolist(), "std": std.tolist()}


def _padded(rows: Tensor, length: int) -> Tensor:
    return torch.cat([rows, rows.new_zeros(length - len(rows), *rows.shape[1:])])


MsaFeatureExtractor.register_for_auto_class("AutoFeatureExtractor")

__all__ = ["MsaFeatureExtractor", "as_whole", "is_null"]
