from .configuration_agfn import AGFNConfig as AGFNConfig
from .configuration_deepmlf import DeepMLFConfig as DeepMLFConfig
from .configuration_deepmlf_av import DeepMLFAudioVisualConfig as DeepMLFAudioVisualConfig
from .configuration_late_fusion import LateFusionConfig as LateFusionConfig
from .configuration_msa import MsaConfig as MsaConfig
from .configuration_pgf_net import PGFNetConfig as PGFNetConfig
from .errors_msa import MsaError as MsaError
from .feature_extraction_msa import MsaFeatureExtractor as MsaFeatureExtractor
from .modeling_agfn import AGFNForSequenceClassification as AGFNForSequenceClassification
from .modeling_agfn import AGFNGates as AGFNGates
from .modeling_agfn import AGFNModel as AGFNModel
from .modeling_agfn import AGFNPreTrainedModel as AGFNPreTrainedModel
from .modeling_deepmlf import DeepMLFForSequenceClassification as DeepMLFForSequenceClassification
from .modeling_deepmlf import DeepMLFModel as DeepMLFModel
from .modeling_deepmlf import DeepMLFModelOutput as DeepMLFModelOutput
from .modeling_deepmlf import DeepMLFPreTrainedModel as DeepMLFPreTrainedModel
from .modeling_deepmlf_av import DeepMLFAudioVisualEncoder as DeepMLFAudioVisualEncoder
from .modeling_late_fusion import LateFusionForSequenceClassification as LateFusionForSequenceClassification
from .modeling_late_fusion import LateFusionModel as LateFusionModel
from .modeling_late_fusion import LateFusionPreTrainedModel as LateFusionPreTrainedModel
from .modeling_msa import MsaExplanation as MsaExplanation
from .modeling_msa import MsaModelOutput as MsaModelOutput
from .modeling_msa import MsaOutput as MsaOutput
from .modeling_msa import MsaPreTrainedModel as MsaPreTrainedModel
from .modeling_pgf_net import PGFNetForSequenceClassification as PGFNetForSequenceClassification
from .modeling_pgf_net import PGFNetModel as PGFNetModel
from .modeling_pgf_net import PGFNetPreTrainedModel as PGFNetPreTrainedModel
from .pipeline_msa import MsaPipeline as MsaPipeline
from .processing_agfn import AGFNProcessor as AGFNProcessor
from .processing_deepmlf import DeepMLFProcessor as DeepMLFProcessor
from .processing_late_fusion import LateFusionProcessor as LateFusionProcessor
from .processing_msa import MsaProcessor as MsaProcessor
from .processing_pgf_net import PGFNetProcessor as PGFNetProcessor

MODELS: dict[str, tuple[str, str, str, str]]

def register() -> None: ...
