"""The configuration of AGFN."""

import math
from typing import Any, ClassVar, Literal

from huggingface_hub.dataclasses import strict

from .configuration_msa import MsaConfig, Paper, PaperResult
from .errors_msa import MsaError


@strict
class AGFNConfig(MsaConfig):
    r"""Describe an AGFN: three encoders that read each other, and two gates that weigh what they say.

    The defaults are the paper's setting on CMU-MOSI where it says what it did, and otherwise ours; "ours" marks what
    the paper leaves open.

    Args:
        hidden_size: Width D of every modality's state (ours).
        audio_encoder: "lstm", bidirectional on packed sequences (paper); "transformer", which exports with dynamic
            lengths (ours); "mean", the mean of the frames, which knows nothing of time (the temporal ablation).
        visual_encoder: The same for the visual stream.
        num_encoder_layers: Layers of the LSTMs or Transformers (paper: 3 on MOSI, 2 on MOSEI).
        num_attention_heads: Heads of the cross-modal attention and of the Transformers (ours).
        gate_variant: "both" gates, blended by a learned weight; "entropy" or "importance", that gate alone; "concat",
            none. The paper's ablation table says "w/" where its text says without, so the names here are our own.
        gate_logits: "signed" is the paper's formula, in which a negative logit turns the meaning of entropy round: the
            less certain a stream, the more it weighs. "softplus" keeps logits positive (ours).
        normalize_entropy: Divide the entropy by log D, so that it lies in [0, 1]. Without it exp(-H) is about 0.008 at
            D = 128 and the entropy gate is flat: plain averaging.
        entropy_temperature: The $\tau$ of exp(-H / $\tau$) (ours).
        encoder_dropout: Dropout between the layers of the LSTMs and in the Transformers (ours).
        attention_dropout: Dropout on the cross-modal attention's weights and output (ours).
        classifier_dropout: Dropout in front of the head (ours).
        virtual_adversarial_weight: Weight $\lambda$ of the virtual adversarial loss (paper: 0.1); 0 for none.
        virtual_adversarial_steps: Power iterations (paper: 5 on MOSI, 3 on MOSEI).
        virtual_adversarial_xi: Length of the probe in a power iteration (ours; 1e-6, usual with a divergence,
            underflows in a squared loss).
        virtual_adversarial_epsilon: Length of the perturbation (ours).
        freeze_text_encoder: Keep BERT as it was pretrained (paper: False).
        kwargs: The fields of [`MsaConfig`], and those of every transformers configuration.
    """

    model_type = "agfn"
    exported_classes: ClassVar[dict[str, str]] = {
        "AutoConfig": "configuration_agfn.AGFNConfig",
        "AutoModel": "modeling_agfn.AGFNModel",
        "AutoModelForSequenceClassification": "modeling_agfn.AGFNForSequenceClassification",
        "AutoProcessor": "processing_agfn.AGFNProcessor",
    }
    supported_text_models: ClassVar[tuple[str, ...]] = ("bert", "roberta", "xlm-roberta", "electra")
    paper: ClassVar[Paper | None] = Paper(
        name="AGFN",
        title="Adaptive Gated Fusion Network",
        authors=("Wu, Han", "Sun, Yanming", "Yang, Yunhe", "Wong, Derek F."),
        year=2025,
        arxiv="2510.01677",
        results=(
            PaperResult(
                "mosi",
                {"mae": 0.7102, "acc_2_has0": 0.8275, "f1_has0": 0.8268, "acc_7": 0.4869},
                "BERT-base, mean of 3 seeds",
            ),
            PaperResult(
                "mosei",
                {"mae": 0.5357, "acc_2_has0": 0.8401, "f1_has0": 0.8411, "acc_7": 0.5430},
                "BERT-base, mean of 3 seeds",
            ),
        ),
    )

    hidden_size: int = 128
    audio_encoder: Literal["lstm", "transformer", "mean"] = "lstm"
    visual_encoder: Literal["lstm", "transformer", "mean"] = "lstm"
    num_encoder_layers: int = 3
    num_attention_heads: int = 4
    gate_variant: Literal["both", "entropy", "importance", "concat"] = "both"
    gate_logits: Literal["signed", "softplus"] = "signed"
    normalize_entropy: bool = True
    entropy_temperature: float | int = 1.0
    encoder_dropout: float | int = 0.1
    attention_dropout: float | int = 0.1
    classifier_dropout: float | int = 0.1
    virtual_adversarial_weight: float | int = 0.1
    virtual_adversarial_steps: int = 5
    virtual_adversarial_xi: float | int = 0.1
    virtual_adversarial_epsilon: float | int = 1.0

    def __post_init__(self, **kwargs: Any) -> None:
        """Check sizes and ranges."""
        super().__post_init__(**kwargs)
        for name in ("num_encoder_layers", "num_attention_heads", "virtual_adversarial_steps"):
            if getattr(self, name) < 1:
                raise MsaError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.hidden_size < 2 or self.hidden_size % 2 or self.hidden_size % self.num_attention_heads:
            raise MsaError(
                f"hidden_size: expected an even multiple of num_attention_heads {self.num_attention_heads}, "
                f"got {self.hidden_size}"
            )
        for name in ("entropy_temperature", "virtual_adversarial_xi", "virtual_adversarial_epsilon"):
            if not 0 < getattr(self, name) < math.inf:
                raise MsaError(f"{name}: expected a number above 0, got {getattr(self, name)}")
        if not 0 <= self.virtual_adversarial_weight < math.inf:
            raise MsaError(f"virtual_adversarial_weight: expected 0 or more, got {self.virtual_adversarial_weight}")
        for name in ("encoder_dropout", "attention_dropout", "classifier_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise MsaError(f"{name}: expected a rate in [0, 1), got {getattr(self, name)}")

    @property
    def has_gates(self) -> bool:
        """Whether `output_gates` gives gates."""
        return self.gate_variant != "concat"

    @property
    def fused_size(self) -> int:
        """Width of the fused state: D, or 3 D where the three states are only put side by side."""
        return 3 * self.hidden_size if self.gate_variant == "concat" else self.hidden_size


AGFNConfig.register_for_auto_class()

__all__ = ["AGFNConfig"]
