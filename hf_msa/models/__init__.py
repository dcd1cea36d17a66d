"""The export room: every file here may travel with a checkpoint, so all lie flat and import only what users have.

Importing this package makes transformers' Auto classes and `pipeline` know the models; users who have `hf_msa`
installed need no `trust_remote_code`.
"""

from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoProcessor,
)
from transformers.pipelines import PIPELINE_REGISTRY

from .configuration_agfn import AGFNConfig
from .configuration_deepmlf import DeepMLFConfig
from .configuration_deepmlf_av import DeepMLFAudioVisualConfig
from .configuration_msa import MsaConfig
from .configuration_pgf_net import PGFNetConfig
from .feature_extraction_msa import MsaFeatureExtractor
from .modeling_agfn import AGFNForSequenceClassification, AGFNGates, AGFNModel, AGFNPreTrainedModel
from .modeling_deepmlf import (
    DeepMLFForSequenceClassification,
    DeepMLFModel,
    DeepMLFModelOutput,
    DeepMLFPreTrainedModel,
)
from .modeling_deepmlf_av import DeepMLFAudioVisualEncoder
from .modeling_msa import MsaExplanation, MsaModelOutput, MsaOutput, MsaPreTrainedModel
from .modeling_pgf_net import PGFNetForSequenceClassification, PGFNetModel, PGFNetPreTrainedModel
from .pipeline_msa import MsaPipeline
from .processing_agfn import AGFNProcessor
from .processing_deepmlf import DeepMLFProcessor
from .processing_msa import MsaProcessor
from .processing_pgf_net import PGFNetProcessor

for _config, _model, _classifier, _processor in (
    (AGFNConfig, AGFNModel, AGFNForSequenceClassification, AGFNProcessor),
    (DeepMLFConfig, DeepMLFModel, DeepMLFForSequenceClassification, DeepMLFProcessor),
    (DeepMLFAudioVisualConfig, DeepMLFAudioVisualEncoder, DeepMLFAudioVisualEncoder, DeepMLFProcessor),
    (PGFNetConfig, PGFNetModel, PGFNetForSequenceClassification, PGFNetProcessor),
):
    AutoConfig.register(_config.model_type, _config)
    AutoModel.register(_config, _model)
    AutoModelForSequenceClassification.register(_config, _classifier)
    AutoFeatureExtractor.register(_config, MsaFeatureExtractor)
    AutoProcessor.register(_config, _processor)

PIPELINE_REGISTRY.register_pipeline(
    "multimodal-sentiment-analysis",
    pipeline_class=MsaPipeline,
    pt_model=AutoModelForSequenceClassification,
    type="multimodal",
)

__all__ = [
    "AGFNConfig",
    "AGFNForSequenceClassification",
    "AGFNGates",
    "AGFNModel",
    "AGFNPreTrainedModel",
    "AGFNProcessor",
    "DeepMLFAudioVisualConfig",
    "DeepMLFAudioVisualEncoder",
    "DeepMLFConfig",
    "DeepMLFForSequenceClassification",
    "DeepMLFModel",
    "DeepMLFModelOutput",
    "DeepMLFPreTrainedModel",
    "DeepMLFProcessor",
    "MsaConfig",
    "MsaExplanation",
    "MsaFeatureExtractor",
    "MsaModelOutput",
    "MsaOutput",
    "MsaPipeline",
    "MsaPreTrainedModel",
    "MsaProcessor",
    "PGFNetConfig",
    "PGFNetForSequenceClassification",
    "PGFNetModel",
    "PGFNetPreTrainedModel",
    "PGFNetProcessor",
]
