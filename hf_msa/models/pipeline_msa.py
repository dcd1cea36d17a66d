"""The pipeline: features of an utterance in, score and label out. It travels with every checkpoint."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import Pipeline

from .errors_msa import MsaError
from .streams_msa import STREAMS

# What rows of a corpus have beside the inputs.
_IGNORED_KEYS = ("id", "label", "labels", "label_text", "label_audio", "label_visual")
_INPUT_KEYS = (
    "text",
    "audio",
    "visual",
    "words",
    "audio_rate",
    "visual_rate",
    "speaker",
    "audio_features",
    "visual_features",
)


class MsaPipeline(Pipeline):
    """Score utterances given as text and features of audio and visual.

    ```python
    pipe = pipeline("multimodal-sentiment-analysis", model=folder_or_repository, trust_remote_code=True)
    pipe({"text": "i loved it", "audio": audio, "words": words, "audio_rate": 100.0}, explain=True)
    ```

    An input is a mapping with any of `text`, `audio` (T, F_a), `visual` (T, F_v), `words`, `audio_rate`,
    `visual_rate`, `speaker`, `audio_features`, `visual_features`; what is absent is missing. A plain string is a text
    alone. One, a list, a dataset or a generator.

    Returns:
        `{"score", "label"}`. In a regression the score is in the units of the labels, and the label is "negative",
        "neutral" or "positive": neutral is the middle one of seven equal grades of `label_range`, +-0.5 for (-3, 3);
        None where the model has no range or the score is no number. With classes the score is the probability of the
        label.
        With `explain=True` also `shares` of text, audio and visual, and `words`, a list of `{"word", "text_share"}`,
        where the model has a share per word.
    """

    _load_processor = True
    _load_tokenizer = False
    _load_feature_extractor = False
    _load_image_processor = False
    _load_video_processor = False

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:
        """Score one utterance, or many: a list, a tuple, a generator or any dataset."""
        if not isinstance(inputs, (Mapping, list, str)) and hasattr(inputs, "__iter__"):
            # transformers takes generators for many inputs, but a `datasets.Dataset` or a tuple for one.
            inputs = list(inputs) if isinstance(inputs, tuple) else (row for row in inputs)
        return [] if inputs == [] else super().__call__(inputs, **kwargs)

    def save_pretrained(self, save_directory: Any, **kwargs: Any) -> None:
        """Write model and processor; both bring the code, this file too."""
        self.model.save_pretrained(save_directory, **kwargs)
        self.processor.save_pretrained(save_directory, **kwargs)

    def _sanitize_parameters(self, explain: bool | None = None, **unknown: Any) -> tuple[dict, dict, dict]:
        if unknown:
            raise MsaError(f"pipeline: unknown argument(s) {', '.join(map(repr, sorted(unknown)))}")
        parameters = {} if explain is None else {"explain": explain}
        return parameters, parameters, {}

    def preprocess(self, input_: Mapping[str, Any] | str, explain: bool = False) -> dict[str, Any]:
        """Make a batch of one.

        Raises:
            MsaError: For an input that is neither a mapping nor a string or has unknown keys, and as the processor.
        """
        if isinstance(input_, str):
            input_ = {"text": input_}
        if not isinstance(input_, Mapping):
            raise MsaError(
                f"pipeline: expected a string or a mapping with 'text', 'audio' or 'visual', got {type(input_)}"
            )
        if unknown := [key for key in input_ if key not in (*_INPUT_KEYS, *_IGNORED_KEYS)]:
            names = ", ".join(sorted(map(repr, unknown)))
            hint = f"expected some of {', '.join(_INPUT_KEYS)}"
            if "chunks" in unknown:
                hint = "what a speech pipeline returns is given as 'words'"
            raise MsaError(f"pipeline: unknown key(s) {names}; {hint}")
        if all(input_.get(stream) is None for stream in STREAMS):
            given = ", ".join(input_) or "an empty mapping"
            raise MsaError(f"batch: expected text, audio or visual in every row, got none but {given}")
        batch = self.processor(
            **{key: input_.get(key) for key in ("audio_features", "visual_features")},
            **{key: None if input_.get(key) is None else [input_[key]] for key in _INPUT_KEYS[:7]},
        )
        inputs: dict[str, Any] = dict(batch)
        if explain:
            # Without a stream nobody has looked at the words, and they may not match the text.
            has_stream = batch["audio_attention_mask"].any() or batch["visual_attention_mask"].any()
            words = input_.get("words") if has_stream and self.processor.alignment == "word" else None
            inputs["token_words"] = self.processor.token_words(input_.get("text") or "", words)
        return inputs

    def _forward(self, input_tensors: dict[str, Any], explain: bool = False) -> dict[str, Any]:
        if not explain:
            return {"logits": self.model(**input_tensors).logits}
        tensors = {key: value for key, value in input_tensors.items() if isinstance(value, Tensor)}
        return {**self.model.explain(**tensors), "token_words": input_tensors["token_words"]}

    def postprocess(self, model_outputs: dict[str, Any]) -> dict[str, Any]:
        """Turn the tensors of one utterance into a plain dict."""
        result = self._scored(model_outputs["logits"][0].float())
        if "text_share" in model_outputs:
            shares = model_outputs["text_share"][0]
            result["words"] = [
                {"word": word, "text_share": shares[list(at)].mean().item()}
                for word, at in model_outputs["token_words"]
            ]
        if "stream_shares" in model_outputs:
            named = zip(("text", "audio", "visual"), model_outputs["stream_shares"][0].tolist(), strict=True)
            result["shares"] = dict(named)
        return result

    def _scored(self, logits: Tensor) -> dict[str, Any]:
        config = self.model.config
        if config.num_labels > 1:
            probabilities = torch.softmax(logits, dim=-1)
            best = int(probabilities.argmax())
            if not math.isfinite(probabilities[best].item()):
                return {"score": math.nan, "label": None}
            return {"score": probabilities[best].item(), "label": config.id2label[best]}
        score = logits[0].item()
        if config.label_range is None or not math.isfinite(score):
            return {"score": score, "label": None}
        low, high = config.label_range
        middle, grade = (low + high) / 2, (high - low) / 6
        if abs(score - middle) <= grade / 2:
            return {"score": score, "label": "neutral"}
        return {"score": score, "label": "positive" if score > middle else "negative"}


__all__ = ["MsaPipeline"]
