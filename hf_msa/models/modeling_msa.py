"""What every model of the package shares: the base class, the outputs, the loss.

Shapes: B batch, L text length, T frames, F raw feature size, D width, H heads, C classes.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.utils import (
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
    ModelOutput,
    cached_file,
    can_return_tuple,
    logging,
)

from .configuration_msa import MsaConfig
from .errors_msa import MsaError
from .inputs_msa import first_token
from .streams_msa import STREAMS

logger = logging.get_logger("transformers.modeling_msa")

# Names of files that torch writes as pickles.
PICKLES = frozenset({".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"})
# Keywords of `from_text_pretrained` that say how to fetch and load the text model; all others are configuration.
_LOADING_KEYS = ("cache_dir", "force_download", "local_files_only", "revision", "subfolder", "token")


@dataclass
class MsaModelOutput(ModelOutput):
    """Output of a model without a head.

    Args:
        last_hidden_state: (B, L, D) text states after the last layer.
        fused_state: (B, D) what a head reads: one vector per utterance.
        hidden_states: With `output_hidden_states`, (B, L, D) after the embeddings and after every layer.
        attentions: With `output_attentions`, cross-modal attention weights per fused layer.
        gates: With `output_gates`, gate values per fused layer.
    """

    last_hidden_state: Tensor | None = None
    fused_state: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    gates: tuple[Tensor, ...] | None = None


@dataclass
class MsaOutput(ModelOutput):
    """Output of a model with a head. Everything but loss and logits comes on request only.

    Args:
        loss: Scalar, when labels were given.
        logits: (B, C) scores; C = 1 in a regression.
        losses: Named parts of the loss where a model has several.
        fused_state: With `output_hidden_states`, (B, D) what the head read.
        hidden_states: With `output_hidden_states`, (B, L, D) after the embeddings and after every layer.
        attentions: With `output_attentions`, cross-modal attention weights per fused layer.
        gates: With `output_gates`, gate values per fused layer.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    losses: dict[str, Tensor] | None = None
    fused_state: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    gates: tuple[Tensor, ...] | None = None


@dataclass
class MsaExplanation(ModelOutput):
    """What a model looked at.

    Args:
        logits: (B, C) the scores that are explained.
        text_share: (B, L) share of the text in each token's state, in [0, 1]; the rest came from the other streams.
        stream_shares: (B, 3) share of text, audio and visual in the utterance, in [0, 1], summing to 1.
    """

    logits: Tensor | None = None
    text_share: Tensor | None = None
    stream_shares: Tensor | None = None


class MsaPreTrainedModel(PreTrainedModel):
    """Load, initialise and freeze in the same way for all models.

    A layer that starts from other values than transformers' N(0, 0.02) has a method `initialize`; `post_init` and the
    loading of a checkpoint call it. The text model keeps the rules of its own class.
    """

    config_class = MsaConfig
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    # Modules whose weights the text model does not bring: PEFT trains and saves them whole, beside LoRA.
    modules_to_save: ClassVar[tuple[str, ...]] = ()
    # Trainer takes any forward with **kwargs for one that divides its loss by `num_items_in_batch`; ours never does.
    accepts_loss_kwargs = False
    # What reads the text model's weights: DeepMLF wants the head of its language model too.
    text_auto_class: ClassVar[Any] = AutoModel

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        initialize = getattr(module, "initialize", None)
        if callable(initialize):
            initialize()
        else:
            super()._init_weights(module)

    @property
    def text_model(self) -> PreTrainedModel:
        """The pretrained text model inside."""
        return self.base_model.text_encoder

    def get_input_embeddings(self) -> nn.Module:
        """Return the text model's token embeddings."""
        return self.text_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the text model's token embeddings."""
        self.text_model.set_input_embeddings(value)

    def freeze_text_model(self) -> None:
        """Freeze the text model if the configuration says so; called again after loading, which forgets it."""
        if self.config.freeze_text_encoder:
            self.text_model.requires_grad_(False)

    @property
    def can_explain(self) -> bool:
        """Whether `explain` gives the share of each stream in an utterance; a model without a head never does."""
        return False

    def bare_text_inputs(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what the bare text model reads of a batch, so that both can be set side by side.

        Args:
            batch: With `input_ids` and `attention_mask` (B, L).
        """
        return {name: batch[name] for name in ("input_ids", "attention_mask")}

    def text_only_loss(
        self, hidden: Tensor, batch: Mapping[str, Tensor], head: nn.Module, *, table: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return this model's loss and logits (B, C) if it were its bare text model with one linear head.

        Args:
            hidden: (B, L', D) states of the bare text model on `bare_text_inputs`.
            batch: With `input_ids`, `attention_mask` and `labels`.
            head: (..., D) to (..., C).
            table: (V, D) embeddings of the text model that gave the states, which predict the next token in a model
                with such a loss; None takes this model's.
        """
        logits = head(first_token(hidden, batch["attention_mask"]))
        return msa_loss(logits, batch["labels"], self.config), logits

    def part_without_counterpart(self, batch: Mapping[str, Tensor]) -> Callable[[], Any] | None:
        """Return what runs the part that a bare text model has nothing like, or None: then the whole is compared.

        Args:
            batch: What `forward` takes.
        """
        return None

    @classmethod
    def from_text_pretrained(cls, name_or_path: str, config: MsaConfig | None = None, **kwargs: Any) -> Any:
        """Build a new model around a pretrained text model, whose weights are loaded once, here.

        Args:
            name_or_path: Repository or folder of the text model.
            config: A whole configuration in place of single fields.
            kwargs: Fields of the configuration; `revision`, `token`, `cache_dir`, `local_files_only`, `subfolder`,
                `force_download` for fetching; `dtype` (float32 by default, whatever the text model was stored in,
                since fresh weights do not train in half precision) and `attn_implementation`.

        Raises:
            MsaError: When the text model is of a family that this model is not built on, brings code of its own,
                which is never run, or is of other sizes than `config` says, or a field is unknown.
        """
        loading = {key: kwargs.pop(key) for key in _LOADING_KEYS if key in kwargs}
        building = {key: kwargs.pop(key) for key in ("dtype", "attn_implementation") if key in kwargs}
        building.setdefault("dtype", torch.float32)
        if config is None:
            kwargs.setdefault("text_model_name_or_path", str(name_or_path))
            kwargs.setdefault("text_model_revision", loading.get("revision"))
            with _without_its_code(name_or_path):
                text_config = AutoConfig.from_pretrained(name_or_path, trust_remote_code=False, **loading)
            config = cls.config_class(text_config=text_config, **kwargs)
        elif kwargs:
            raise MsaError(f"config: expected either a configuration or its fields, got both, with {sorted(kwargs)}")

        with _without_its_code(name_or_path):
            pretrained = cls.text_auto_class.from_pretrained(
                name_or_path, trust_remote_code=False, weights_only=True, **loading, **building
            )
        if not has_safetensors(name_or_path, **loading):
            logger.warning_once(
                f"{name_or_path}: its weights are a pickle (*.bin), of which torch has read the tensors alone "
                "(weights_only); safetensors hold nothing else"
            )
        model = cls._from_config(config, **building)
        weights, wanted = pretrained.base_model.state_dict(), model.text_model.state_dict()
        # A pooler or a head of the pretrained model has no place here; what is needed must be there.
        wrong = [key for key in wanted if key not in weights or weights[key].shape != wanted[key].shape]
        if wrong:
            raise MsaError(f"{name_or_path}: expected the weights that text_config describes, but not for {wrong[0]}")
        model.text_model.load_state_dict({key: weights[key] for key in wanted})
        model.adopt_text_model(pretrained)
        return model

    def adopt_text_model(self, pretrained: Any) -> None:
        """Take over what of a pretrained text model lies outside of `text_model`; most models take nothing.

        Args:
            pretrained: As `text_auto_class` loaded it.
        """

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Load a checkpoint; see `PreTrainedModel.from_pretrained` for the arguments. Its weights are safetensors.

        Raises:
            MsaError: When the checkpoint is of another model type, its weights are no safetensors, a file is damaged,
                an index names shards outside of the folder, or weights are missing, of another size or without a
                place, where transformers would warn and go on with random ones.
        """
        if kwargs.pop("use_safetensors", None) is False:
            raise MsaError("use_safetensors: expected True, got False; a checkpoint's pickles are never read")
        wants_info = kwargs.pop("output_loading_info", False)
        allows_mismatch = kwargs.pop("ignore_mismatched_sizes", False)
        place = pretrained_model_name_or_path
        refuse_shards_elsewhere(place)
        _refuse_pickles_alone(place, kwargs.get("subfolder", ""))
        if kwargs.get("state_dict") is None:
            kwargs["use_safetensors"] = True
        try:
            model, info = super().from_pretrained(
                place, *args, output_loading_info=True, ignore_mismatched_sizes=True, **kwargs
            )
        except Exception as error:
            if isinstance(error, OSError) and "use_safetensors" in str(error):  # of a repository
                raise MsaError(
                    f"{place}: expected weights as model.safetensors, got none; pickles (*.bin) are never read"
                ) from error
            # The class of safetensors' errors lives in a library that checkpoints do not import.
            if type(error).__name__ == "SafetensorError":
                raise MsaError(f"{place}: expected whole weights, got a damaged file ({error})") from error
            raise
        if info["mismatched_keys"] and not allows_mismatch:
            key, found, expected = min(info["mismatched_keys"])
            raise MsaError(f"{place}: expected {key} of shape {tuple(expected)} by config.json, got {tuple(found)}")
        # A head may be missing, when a base model is loaded into a class with one; nothing else may.
        is_base = model.base_model is model
        for kind, keys in (
            ("lacks", [k for k in info["missing_keys"] if is_base or k.startswith(model.base_model_prefix + ".")]),
            # Quantisers keep tensors of their own.
            ("has, beside what config.json describes,", [] if config_is_quantized(model) else info["unexpected_keys"]),
        ):
            if keys:
                raise MsaError(f"{place}: the checkpoint {kind} {len(keys)} weights, among them {min(keys)}")
        model.freeze_text_model()
        return (model, info) if wants_info else model

    @staticmethod
    def _load_pretrained_model(
        model: Any, state_dict: Any, checkpoint_files: Any, *args: Any, **kwargs: Any
    ) -> tuple[Any, Any]:
        # Here transformers opens weights, whatever config.json, an index or an adapter made it look for.
        for file in checkpoint_files or ():
            if not str(file).endswith(".safetensors"):
                raise MsaError(f"{file}: expected weights as safetensors, got another file, which was not read")
        return PreTrainedModel._load_pretrained_model(model, state_dict, checkpoint_files, *args, **kwargs)


class MsaForSequenceClassification(MsaPreTrainedModel):
    """A model with a head: one sentiment score, or classes with `num_labels > 1`.

    A subclass has the base model under its `base_model_prefix`, and says how logits come from its output.
    """

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        audio_values: Tensor | None = None,
        audio_attention_mask: Tensor | None = None,
        visual_values: Tensor | None = None,
        visual_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        output_gates: bool = False,
        token_type_ids: Tensor | None = None,
    ) -> MsaOutput:
        """Score utterances; see the base model's `forward` for the streams and what can be asked for.

        Args:
            input_ids: (B, L) tokens with the tokenizer's special ones; or `inputs_embeds`.
            attention_mask: (B, L) of the text. Masks: 1 real, 0 padding; None means all real.
            audio_values: (B, T_a, F_a) frames, or None when missing.
            audio_attention_mask: (B, T_a); a row of zeros is a missing stream.
            visual_values: (B, T_v, F_v) frames, or None when missing.
            visual_attention_mask: (B, T_v); a row of zeros is a missing stream.
            labels: (B,) scores, or class numbers with `num_labels > 1`; gives a loss, and `losses` where it has parts.
            inputs_embeds: (B, L, D) token embeddings in place of `input_ids`.
            output_attentions: Return the cross-modal attention weights.
            output_hidden_states: Return the text's states, all layers, and the fused state that the head reads.
            output_gates: Return the gates.
            token_type_ids: Not read; here so that whatever a tokenizer returns can be passed on. An utterance is one
                text, of type 0.

        Raises:
            MsaError: For a text, stream or labels of a shape or value that does not fit.
        """
        output = self.base_model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            audio_values=audio_values,
            audio_attention_mask=audio_attention_mask,
            visual_values=visual_values,
            visual_attention_mask=visual_attention_mask,
            inputs_embeds=inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            output_gates=output_gates,
            return_dict=True,
        )
        logits = self.score(output)
        loss, losses = None, None
        if labels is not None:
            loss = msa_loss(logits, labels, self.config)
            further = self.further_losses(output, labels, input_ids=input_ids, attention_mask=attention_mask)
            if further is not None:
                losses = {"task": loss} | {name: value for name, (value, _) in further.items()}
                loss = loss + sum(weight * value for value, weight in further.values())
        return MsaOutput(
            loss=loss,
            logits=logits,
            losses=losses,
            fused_state=None if output.hidden_states is None else output.fused_state,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
            gates=output.gates,
        )

    def score(self, output: Any) -> Tensor:
        """Return the logits (B, C).

        Args:
            output: Of the base model.
        """
        raise NotImplementedError

    def further_losses(
        self, output: Any, labels: Tensor, *, input_ids: Tensor | None, attention_mask: Tensor | None
    ) -> dict[str, tuple[Tensor, float]] | None:
        """Return what is added to the loss of the scores, as (loss, weight) by name; None where it has no parts.

        Args:
            output: Of the base model.
            labels: (B,).
            input_ids: (B, L) tokens, or None.
            attention_mask: (B, L), or None.
        """
        return None


def has_safetensors(place: Any, subfolder: str = "", **loading: Any) -> bool:
    """Return whether a model's weights are there as safetensors, whole or in shards; else they are a pickle.

    Args:
        place: Folder or repository.
        subfolder: Where in it.
        loading: `revision`, `token`, `cache_dir` and what else says how to fetch.
    """
    quiet = {"_raise_exceptions_for_missing_entries": False, "_raise_exceptions_for_connection_errors": False}
    names = (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME)
    return any(cached_file(place, name, subfolder=subfolder, **quiet, **loading) is not None for name in names)


@contextlib.contextmanager
def _without_its_code(name: Any) -> Iterator[None]:
    """Say in one line that code which came with a text model was not run."""
    try:
        yield
    except ValueError as error:
        if "trust_remote_code" not in str(error):
            raise
        raise MsaError(
            f"{name}: expected a text model that transformers knows, got one with code of its own, which is never run"
        ) from error


def _refuse_pickles_alone(place: Any, subfolder: str) -> None:
    """Refuse a file that is no safetensors, and a folder that has pickles where these should be."""
    folder = Path(place, subfolder) if isinstance(place, (str, Path)) else Path()
    if place is None or not folder.exists():
        return
    if folder.is_file():
        pickles = [] if folder.suffix == ".safetensors" else [folder]
    else:
        has_weights = next(folder.glob("*.safetensors"), None) is not None
        pickles = [] if has_weights else sorted(file for file in folder.iterdir() if file.suffix in PICKLES)
    if pickles:
        raise MsaError(
            f"{place}: expected weights as safetensors, got {pickles[0].name}, which was not read; load it where you "
            "trust it and save it anew by save_pretrained"
        )


def refuse_shards_elsewhere(place: Any) -> None:
    """Refuse a folder whose index names files outside of it; of a repository huggingface_hub fetches no such file.

    What an index names that is no safetensors file is refused when it is to be opened.

    Args:
        place: Folder or repository of a checkpoint.

    Raises:
        MsaError: It names index and file.
    """
    indices = sorted(Path(place).glob("*.index.json")) if isinstance(place, (str, Path)) else []
    for index in indices:
        names = json.loads(index.read_text(encoding="utf-8")).get("weight_map", {}).values()
        for name in sorted(set(map(str, names))):
            if name != Path(name).name or "\\" in name:
                raise MsaError(f"{index}: expected names of files beside it, got {name!r}")


def text_encoder_from_config(text_config: Any) -> PreTrainedModel:
    """Return a fresh encoder of the BERT family, without the pooler that no model here reads."""
    # ELECTRA never has a pooler and does not take the argument.
    options = {} if text_config.model_type == "electra" else {"add_pooling_layer": False}
    return AutoModel.from_config(text_config, **options)


def config_is_quantized(model: PreTrainedModel) -> bool:
    """Return whether a checkpoint holds a quantiser's tensors beside the model's."""
    return getattr(model.config, "quantization_config", None) is not None


def msa_loss(logits: Tensor, labels: Tensor, config: MsaConfig) -> Tensor:
    """Return the mean loss of a batch: `config.regression_loss` for one label, cross-entropy for more.

    Args:
        logits: (B, C).
        labels: (B,) scores within `label_range`, or class numbers 0 to C - 1.
        config: Says which loss.

    Raises:
        MsaError: For labels of another shape and, where looking costs no synchronisation (on the CPU), for NaN and
            for classes that do not exist.
    """
    labels = labels.to(logits.device)
    if labels.dim() == 2 and labels.shape[1] == 1:
        labels = labels.squeeze(1)
    if labels.shape != logits.shape[:1]:
        raise MsaError(f"labels: expected shape ({logits.shape[0]},), got {tuple(labels.shape)}")
    if labels.device.type == "cpu" and not torch.compiler.is_compiling():
        _check_labels(labels, config.num_labels)
    if config.num_labels > 1:
        return F.cross_entropy(logits.float(), labels.long())
    scores, labels = logits.squeeze(-1).float(), labels.float()
    losses = {"l1": F.l1_loss, "mse": F.mse_loss, "smooth_l1": F.smooth_l1_loss}
    return losses[config.regression_loss](scores, labels)


def _check_labels(labels: Tensor, num_labels: int) -> None:
    if num_labels == 1:
        wrong, expected = ~torch.isfinite(labels.float()), "a finite score"
    else:
        wrong = (labels != labels.round()) | (labels < 0) | (labels >= num_labels)
        expected = f"a class from 0 to {num_labels - 1}"
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise MsaError(f"labels: expected {expected}, got {labels[row].item()} in row {row}")


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode; afterwards, whatever happened, every module goes back into its own.

    Args:
        model: The model.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def explain_by_leaving_out(
    model: MsaPreTrainedModel, batch: dict[str, Tensor], streams: tuple[str, ...]
) -> MsaExplanation:
    """Return the scores, and as shares how far they move when one stream is left out, divided by the sum.

    Args:
        model: Whose forward is asked once, and once more per stream.
        batch: What its forward takes.
        streams: Those that the model reads; others have no share.
    """
    with evaluating(model):
        logits = model(**batch, return_dict=True).logits
        moved = []
        for stream in STREAMS:
            mask = "attention_mask" if stream == "text" else f"{stream}_attention_mask"
            values = "input_ids" if stream == "text" else f"{stream}_values"
            if stream not in streams or batch.get(values) is None:
                moved.append(logits.new_zeros(len(logits), dtype=torch.float))
                continue
            without = batch | {mask: torch.zeros(batch[values].shape[:2], dtype=torch.long, device=logits.device)}
            moved.append((model(**without, return_dict=True).logits - logits).float().abs().sum(dim=-1))
    moved_BM = torch.stack(moved, dim=1)
    sums_B1 = moved_BM.sum(dim=1, keepdim=True)
    return MsaExplanation(logits=logits, stream_shares=moved_BM / sums_B1.clamp(min=torch.finfo(torch.float).tiny))


__all__ = [
    "MsaExplanation",
    "MsaForSequenceClassification",
    "MsaModelOutput",
    "MsaOutput",
    "MsaPreTrainedModel",
    "PICKLES",
    "evaluating",
    "explain_by_leaving_out",
    "has_safetensors",
    "msa_loss",
    "text_encoder_from_config",
]
