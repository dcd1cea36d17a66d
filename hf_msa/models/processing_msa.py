"""The processor: text, audio and visual in, aligned tensors and masks out.

A processor is a tokenizer and a feature extractor that agree on the length of things. It travels with the checkpoint;
`collate` makes it the data collator of a plain `transformers.Trainer`.

Shapes: B batch, L text length, T frames, F raw feature size.
"""

import difflib
import inspect
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer, BatchEncoding, BatchFeature, ProcessorMixin
from transformers.utils import logging

from .alignment_msa import Word, fill_times, find_words, read_words, token_intervals, words_of_tokens
from .errors_msa import MsaError
from .feature_extraction_msa import MsaFeatureExtractor, as_whole, is_null
from .streams_msa import FRAME_STREAMS, STREAMS

# Under transformers' own name, so that its verbosity settings reach this file wherever it was loaded from.
logger = logging.get_logger("transformers.processing_msa")

# Keywords of `from_text_pretrained` that say how to fetch the tokenizer; all others are the feature extractor's.
_LOADING_KEYS = ("cache_dir", "force_download", "local_files_only", "revision", "subfolder", "token")

# A tokenizer without a limit names one that no machine number holds.
_NO_LIMIT = 2**31


class MsaProcessor(ProcessorMixin):
    """Turn utterances into batches.

    Missing is one thing everywhere: an argument None, an entry None, an empty text, an array (0, F).

    Args:
        feature_extractor: For both streams.
        tokenizer: A fast tokenizer, the text model's own; from here on it returns no token types.
        alignment: "word" gives one vector per text token, the mean of the frames spoken with its word; "none" keeps
            each stream's own time axis.
        max_text_length: Tokens beyond this are cut, with the frames of their words; None takes the tokenizer's limit.
        streams: Those that the model was trained with. `collate` leaves the others of a row out; in a call they are an
            error, since the model would read them with weights that were never trained.
        lowercase: Put texts in lower case first, for transcripts in capitals (MOSI's) and a tokenizer that tells them
            apart.
        vocab_size: Entries of the tokenizer when the processor was saved, to notice one that was not saved whole.

    Raises:
        MsaError: For another alignment or stream, or a tokenizer without character positions.
    """

    default_alignment: ClassVar[str] = "none"
    # Positions of the text model that the model wants for tokens of its own.
    reserved_positions: ClassVar[int] = 0

    def __init__(
        self,
        feature_extractor: MsaFeatureExtractor,
        tokenizer: Any,
        alignment: str | None = None,
        max_text_length: int | None = None,
        streams: Sequence[str] = STREAMS,
        lowercase: bool = False,
        vocab_size: int | None = None,
    ) -> None:
        super().__init__(feature_extractor, tokenizer)
        # Without its files transformers makes an empty tokenizer, to which every word is unknown, and says nothing.
        if vocab_size is not None and vocab_size != len(tokenizer):
            raise MsaError(
                f"tokenizer: expected {vocab_size} entries as when it was saved, got {len(tokenizer)}; "
                "its files are missing or of another one"
            )
        self.alignment = alignment or self.default_alignment
        self.max_text_length = self._check_limit("max_text_length", max_text_length)
        self.lowercase = lowercase
        # A list, as it comes back from JSON, in the one order.
        self.streams = [stream for stream in STREAMS if stream in streams]
        if not self.streams or len(self.streams) < len(streams):
            raise MsaError(f"streams: expected some of text, audio, visual, each once, got {list(streams)}")
        if self.alignment not in ("word", "none"):
            raise MsaError(f"alignment: expected 'word' or 'none', got {alignment!r}")
        if not tokenizer.is_fast:
            raise MsaError(f"tokenizer: expected a fast tokenizer, which knows positions, got {type(tokenizer)}")
        # An utterance is one text, and no model reads token types: saved, the tokenizer gives what `forward` takes.
        tokenizer.model_input_names = tokenizer.init_kwargs["model_input_names"] = ["input_ids", "attention_mask"]
        self._prepare_tokenizer()

    @classmethod
    def from_text_pretrained(
        cls,
        name_or_path: str,
        alignment: str | None = None,
        max_text_length: int | None = None,
        streams: Sequence[str] = STREAMS,
        lowercase: bool = False,
        **kwargs: Any,
    ) -> "MsaProcessor":
        """Make a processor with the tokenizer of a pretrained text model.

        Args:
            name_or_path: Repository or folder of the text model.
            alignment: "word" or "none"; None takes what the model's paper does.
            max_text_length: Limit of tokens; None takes what tokenizer and text model can do.
            streams: Those that the model will be trained with.
            lowercase: Put texts in lower case first.
            kwargs: Arguments of [`MsaFeatureExtractor`] (`audio_dim`, `visual_dim`, `audio_features`, ...);
                `revision`, `token`, `cache_dir`, `local_files_only`, `subfolder`, `force_download` for fetching.

        Raises:
            MsaError: For an unknown keyword.
        """
        loading = {key: kwargs.pop(key) for key in _LOADING_KEYS if key in kwargs}
        known = set(inspect.signature(MsaFeatureExtractor.__init__).parameters) - {"self", "kwargs"}
        if unknown := sorted(set(kwargs) - known):
            raise MsaError(f"{cls.__name__}: unknown keyword(s) {', '.join(map(repr, unknown))}")
        tokenizer = AutoTokenizer.from_pretrained(name_or_path, trust_remote_code=False, **loading)
        config = AutoConfig.from_pretrained(name_or_path, trust_remote_code=False, **loading)
        limit = min(tokenizer.model_max_length, _num_positions(config) - cls.reserved_positions)
        wanted = as_whole(max_text_length)  # what is no number is refused by name
        if max_text_length is None or wanted is not None:
            max_text_length = min(limit, limit if wanted is None else wanted)
        return cls(MsaFeatureExtractor(**kwargs), tokenizer, alignment, max_text_length, streams, lowercase)

    def to_dict(self) -> dict[str, Any]:
        """Return what is saved, with the size of the tokenizer as it is now."""
        return super().to_dict() | {"vocab_size": len(self.tokenizer)}

    @property
    def model_input_names(self) -> list[str]:
        """The tensors of a batch, in their order."""
        return ["input_ids", "attention_mask", *self.feature_extractor.model_input_names]

    @property
    def repairs(self) -> Mapping[str, int]:
        """What had to be mended so far in this process: non-finite values, interpolated word times, cut texts."""
        return self.feature_extractor.repairs

    def __call__(
        self,
        text: str | Sequence[str | None] | None = None,
        audio: Any = None,
        visual: Any = None,
        words: Any = None,
        audio_rate: Any = None,
        visual_rate: Any = None,
        speaker: Any = None,
        audio_features: str | Mapping[str, Any] | None = None,
        visual_features: str | Mapping[str, Any] | None = None,
        padding: str | bool = "longest",
        truncation: str | bool = True,
        max_length: int | None = None,
        return_tensors: str = "pt",
        **unknown: Any,
    ) -> BatchFeature:
        """Make a batch of utterances, or of one when `text` is a string or the only stream is a single array.

        Args:
            text: B texts; None or "" when missing, which leaves the tokenizer's special tokens.
            audio: B arrays (T, F_a), float of any width, from numpy or torch.
            visual: B arrays (T, F_v).
            words: Per text its words `(word, start, end)` in seconds from the start of the streams; times may be null.
                Needed with alignment "word" where a row has text and a stream; else checked and not used.
            audio_rate: Frames per second, one number or one per row; needed for alignment "word". By default that of
                the recorded features.
            visual_rate: The same.
            speaker: Name per row, for statistics per speaker.
            audio_features: Name of what the audio columns are; checked against what the model was trained on.
            visual_features: The same.
            padding: "longest" of the batch, for which True is another name, or "max_length". A batch is always padded.
            truncation: True, or "longest_first", which says the same of one text. A longer text is always cut, since
                the text model could not read it.
            max_length: Limit of tokens in this call; that of the processor holds beside it.
            return_tensors: "pt" or "np".
            unknown: Refused.

        Returns:
            `input_ids`, `attention_mask` (B, L), `audio_values` (B, T_a, F_a), `audio_attention_mask` (B, T_a) and the
            same for visual. With alignment "word", T_a = T_v = L.

        Raises:
            MsaError: When a row has no stream at all, streams have unequal numbers of rows, words do not match the
                text or are missing, a feature size, rate, speaker or feature name is wrong, a stream is given that the
                model was not trained with, a batch is asked for that is not padded or not cut, and for an argument
                that there is not.

        Warns:
            MsaWarning: Once, when a stream holds no finite value and so counts as missing.
        """
        if unknown:
            raise self._unknown(*unknown)
        if isinstance(text, str) or (text is None and (_is_single(audio) or _is_single(visual))):
            text, audio, visual, words = ([x] if x is not None else None for x in (text, audio, visual, words))
        columns = {"text": text, "audio": audio, "visual": visual, "words": words}
        text, audio, visual, words = (_as_column(name, column) for name, column in columns.items())
        columns = {"text": text, "audio": audio, "visual": visual, "words": words}
        sizes = {name: len(column) for name, column in columns.items() if column is not None}
        padding = self._check_padding(padding, truncation)
        max_length = self._check_limit("max_length", max_length)
        if return_tensors not in ("pt", "np"):
            raise MsaError(f"return_tensors: expected 'pt' or 'np', got {return_tensors!r}")
        if not sizes or len(set(sizes.values())) > 1:
            raise MsaError(f"batch: expected the same number of rows in every stream, got {sizes or 'no stream'}")
        size = next(iter(sizes.values()))
        if size == 0:
            raise MsaError("batch: expected at least one row, got none")
        texts = [self._read_text(entry, i) for i, entry in enumerate([None] * size if text is None else text)]
        if "text" not in self.streams and any(texts):
            raise self._untrained("text")
        frames = {
            stream: [self.feature_extractor.present_frames(stream, i, array) for i, array in enumerate(arrays)]
            if arrays is not None
            else None
            for stream, arrays in (("audio", audio), ("visual", visual))
        }
        for stream, rows in frames.items():
            if stream not in self.streams and any(map(len, rows or [])):
                raise self._untrained(stream)
        for i, entry in enumerate(texts):
            if not entry and all(rows is None or not len(rows[i]) for rows in frames.values()):
                streams = " or ".join(filter(None, [", ".join(self.streams[:-1]), self.streams[-1]]))
                raise MsaError(f"batch: expected {streams} in every row, got none in row {i}")
        self.feature_extractor.check_features(audio_features=audio_features, visual_features=visual_features)
        if audio_rate is None and isinstance(audio_features, Mapping):
            audio_rate = audio_features.get("rate")
        if visual_rate is None and isinstance(visual_features, Mapping):
            visual_rate = visual_features.get("rate")
        for stream, rate in (("audio", audio_rate), ("visual", visual_rate)):
            self.feature_extractor.rates(stream, rate, [False] * size)
        spoken = [None if is_null(entry) else read_words(entry, i) for i, entry in enumerate(words or [None] * size)]
        is_one = isinstance(speaker, (str, int)) or getattr(speaker, "ndim", None) == 0

        encoding = self._tokenize(texts, padding, max_length)
        intervals = None
        if self.alignment == "word":
            intervals = self._intervals(texts, spoken, encoding, frames, audio_rate, visual_rate)
        streams = self.feature_extractor(
            frames["audio"],
            frames["visual"],
            audio_rate,
            visual_rate,
            intervals,
            [speaker] * size if is_one else _as_column("speaker", speaker),
            batch_size=size,
            padding=padding,
        )
        data = {"input_ids": encoding["input_ids"], "attention_mask": encoding["attention_mask"], **streams}
        if self.alignment == "word":
            # Rows of one length, whether the longest is a text or the one vector of a row without text.
            data |= {key: _padded_columns(data[key], data["input_ids"].shape[1]) for key in streams}
        return BatchFeature({key: value.numpy() if return_tensors == "np" else value for key, value in data.items()})

    def collate(self, rows: Sequence[Mapping[str, Any]]) -> BatchFeature:
        """Make a batch of dataset rows; the data collator for Trainer (with `remove_unused_columns=False`).

        Args:
            rows: Mappings with any of `text`, `words`, `audio`, `visual`, `audio_rate`, `visual_rate`, `speaker`, and
                `label` (or `labels`). Other columns are left alone.

        Returns:
            The batch, with `labels` (B,) where the rows have them: float32 scores, int64 classes.

        Raises:
            MsaError: As `__call__`; for rows of which only some have a label, for labels that are NaN, and for rows
                without a column of any stream.
        """
        rows = list(rows)
        if rows and not any(stream in row for row in rows for stream in STREAMS):
            raise MsaError(
                f"rows: expected text, audio or visual, got {', '.join(sorted(set().union(*rows))) or 'nothing'}; "
                "a Trainer leaves these columns alone with remove_unused_columns=False"
            )
        # With what belongs to them.
        left_out = {
            name
            for stream in set(STREAMS) - set(self.streams)
            for name in (("text", "words") if stream == "text" else (stream, f"{stream}_rate"))
        }

        def column(name: str) -> list[Any] | None:
            values = [None if name in left_out else row.get(name) for row in rows]
            return None if all(value is None for value in values) else values

        batch = self(
            text=column("text") or [None] * len(rows),
            audio=column("audio"),
            visual=column("visual"),
            words=column("words"),
            audio_rate=column("audio_rate"),
            visual_rate=column("visual_rate"),
            speaker=column("speaker"),
        )
        labels = column("labels") or column("label")
        if labels is not None:
            batch["labels"] = _read_labels(labels, [row.get("id", i) for i, row in enumerate(rows)])
        return batch

    def fit(self, dataset: Iterable[Mapping[str, Any]], by: str | None = None) -> "MsaProcessor":
        """Learn the normalisation of the streams from a dataset; see [`MsaFeatureExtractor.fit`]."""
        self.feature_extractor.fit(dataset, by=by)
        return self

    def adapt(self, dataset: Iterable[Mapping[str, Any]]) -> "MsaProcessor":
        """Add the normalisation of new speakers; see [`MsaFeatureExtractor.adapt`]."""
        self.feature_extractor.adapt(dataset)
        return self

    def token_words(self, text: str, words: Any = None) -> list[tuple[str, range]]:
        """Return the words of a text, each with the positions of its tokens in a batch of one.

        Args:
            text: The utterance.
            words: As in a call; without them the tokenizer's own words are taken.
        """
        text = self._read_text(text, 0)
        if not text:
            return []
        encoding = self._tokenize([text], "longest").encodings[0]
        if words is not None:
            read = read_words(words)
            spans = find_words(text, read)
            covered = words_of_tokens(encoding.offsets, spans)
            numbers: list[int | None] = [c[0] if c else None for c in covered]
        else:
            numbers = list(encoding.word_ids)
        groups: dict[int, list[int]] = {}
        for position, number in enumerate(numbers):
            if number is not None:
                groups.setdefault(number, []).append(position)
        return [
            (
                text[encoding.offsets[at[0]][0] : encoding.offsets[at[-1]][1]].strip(),
                range(at[0], at[-1] + 1),
            )
            for at in groups.values()
        ]

    def _untrained(self, stream: str) -> MsaError:
        return MsaError(f"{stream}: expected none, since this model was trained with {', '.join(self.streams)} only")

    def _check_padding(self, padding: str | bool, truncation: str | bool) -> str:
        """Refuse what would give no batch, and return the padding by its name."""
        # `is`, since 1 == True, and a length belongs elsewhere.
        padding = "longest" if padding is True else padding
        if padding not in ("longest", "max_length"):
            raise MsaError(
                f"padding: expected True, 'longest' or 'max_length', since a batch is padded, got {padding!r}"
            )
        if truncation is not True and truncation != "longest_first":
            raise MsaError(f"truncation: expected True, since the text model reads no longer text, got {truncation!r}")
        return padding

    def _check_limit(self, name: str, limit: Any) -> int | None:
        """Return a limit of tokens as Python's number, None for none."""
        number, num_special = as_whole(limit), self.tokenizer.num_special_tokens_to_add()
        if limit is not None and (number is None or number <= num_special):
            raise MsaError(f"{name}: expected more than the {num_special} special tokens, got {limit!r}")
        return number

    def _unknown(self, *names: str) -> MsaError:
        known = [name for name in inspect.signature(self.__call__).parameters if name != "unknown"]
        close = difflib.get_close_matches(names[0], known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"expected some of {', '.join(known)}"
        return MsaError(f"{type(self).__name__}: unknown argument(s) {', '.join(map(repr, names))}; {hint}")

    def _prepare_tokenizer(self) -> None:
        """Set what the text model wants of its tokenizer; an encoder's is right as it is."""

    def _read_text(self, entry: Any, row: int) -> str:
        text = _read_text(entry, row)
        return text.lower() if self.lowercase else text

    def _tokenize(self, texts: list[str], padding: str, max_length: int | None = None) -> BatchEncoding:
        limit = min(self.max_text_length or self.tokenizer.model_max_length, max_length or _NO_LIMIT)
        if limit >= _NO_LIMIT:
            limit, padding = None, "longest"
        encoding = self.tokenizer(
            texts, padding=padding, truncation=limit is not None, max_length=limit, return_tensors="pt"
        )
        num_cut = sum(bool(row.overflowing) for row in encoding.encodings)
        if num_cut:
            self.feature_extractor.repairs["text_cut"] += num_cut
            logger.warning_once(f"text: longer than {limit} tokens in some rows; these are cut, with their words")
        return encoding

    def _intervals(
        self,
        texts: list[str],
        spoken: Sequence[list[Word] | None],
        encoding: BatchEncoding,
        frames: Mapping[str, list[Tensor] | None],
        audio_rate: Any,
        visual_rate: Any,
    ) -> list[list[Any]]:
        """Return the interval of every token, per row; empty for a row without text."""
        size = len(texts)
        durations = [0.0] * size
        for stream, rate in zip(FRAME_STREAMS, (audio_rate, visual_rate), strict=True):
            rows = frames[stream]
            if rows is not None:
                needed = [bool(text) and len(row) > 0 for text, row in zip(texts, rows, strict=True)]
                rates = self.feature_extractor.rates(stream, rate, needed)
                seconds = [len(row) / rates[i] if needed[i] else 0.0 for i, row in enumerate(rows)]
                durations = [max(pair) for pair in zip(durations, seconds, strict=True)]
        intervals: list[list[Any]] = []
        for i, text in enumerate(texts):
            if not text or not durations[i]:
                intervals.append([])
                continue
            read = spoken[i]
            if read is None:
                raise MsaError(f"words: expected words with times for alignment='word', got none for row {i}")
            spans = find_words(text, read, i)
            times, num_filled = fill_times(read, durations[i])
            self.feature_extractor.repairs["word_times_interpolated"] += num_filled
            num_outside = sum(end < 0 or start > durations[i] for start, end in times)
            if num_outside:
                self.feature_extractor.repairs["words_outside_stream"] += num_outside
                logger.warning_once("words: some lie outside of their stream and get no frames; times are in seconds")
            if not any(start < end for start, end in spans):
                # Nothing but signs, "!!!": as without text, or the streams would silently be lost.
                intervals.append([])
                continue
            intervals.append(token_intervals(words_of_tokens(encoding.encodings[i].offsets, spans), times))
        return intervals


def _as_column(name: str, values: Any) -> list[Any] | None:
    """Return what stands for every row as a list: a Series of pandas is indexed by its labels, not by the rows."""
    if values is None:
        return None
    is_many = hasattr(values, "__len__") and hasattr(values, "__getitem__") and getattr(values, "ndim", None) != 0
    if not is_many or isinstance(values, (str, bytes, Mapping)):
        remedy = "; list(...) makes one of it" if isinstance(values, Iterator) else ""
        raise MsaError(f"{name}: expected a list with an entry per row, got {type(values).__name__}{remedy}")
    return list(values)


def _read_text(entry: Any, row: int) -> str:
    if entry is None:
        return ""
    if not isinstance(entry, str):
        raise MsaError(f"text[{row}]: expected a string or None, got {entry!r}")
    if any("\ud800" <= sign <= "\udfff" for sign in entry):
        raise MsaError(
            f"text[{row}]: expected Unicode, got half of a surrogate pair in {entry!r}; decode it as UTF-16"
        )
    # Only space is as good as nothing, but some tokenizers make tokens of it.
    return entry if entry.strip() else ""


def _num_positions(config: Any) -> int:
    positions = config.max_position_embeddings
    # RoBERTa and its kin count positions from the padding token's number on.
    return positions - config.pad_token_id - 1 if config.model_type in ("roberta", "xlm-roberta") else positions


def _is_single(array: Any) -> bool:
    return getattr(array, "ndim", 0) == 2


def _padded_columns(values: Tensor, length: int) -> Tensor:
    missing = max(0, length - values.shape[1])
    return torch.cat([values, values.new_zeros(len(values), missing, *values.shape[2:])], dim=1)


def _read_labels(labels: list[Any], names: list[Any]) -> Tensor:
    # numpy's and torch's numbers become Python's.
    labels = [label.item() if getattr(label, "ndim", None) == 0 else label for label in labels]
    for label, name in zip(labels, names, strict=True):
        if isinstance(label, bool) or not isinstance(label, (int, float)) or not math.isfinite(label):
            raise MsaError(f"label: expected a finite number, got {label!r} in row {name!r}")
    is_class = all(isinstance(label, int) for label in labels)
    return torch.tensor(labels, dtype=torch.long if is_class else torch.float)


__all__ = ["MsaProcessor"]
