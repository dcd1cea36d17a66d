"""The export room: every file here may travel with a checkpoint, so all lie flat and import only what users have.

Names are imported when they are used, as the stub beside this file lists them: word alignment in numpy must not cost
the import of torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

# Model type -> configuration, model, model with a head, processor.
MODELS = {
    "agfn": ("AGFNConfig", "AGFNModel", "AGFNForSequenceClassification", "AGFNProcessor"),
    "deepmlf": ("DeepMLFConfig", "DeepMLFModel", "DeepMLFForSequenceClassification", "DeepMLFProcessor"),
    "deepmlf_av": (
        "DeepMLFAudioVisualConfig",
        "DeepMLFAudioVisualEncoder",
        "DeepMLFAudioVisualEncoder",
        "DeepMLFProcessor",
    ),
    "late_fusion": (
        "LateFusionConfig",
        "LateFusionModel",
        "LateFusionForSequenceClassification",
        "LateFusionProcessor",
    ),
    "pgf_net": ("PGFNetConfig", "PGFNetModel", "PGFNetForSequenceClassification", "PGFNetProcessor"),
}


def register() -> None:
    """Make transformers' Auto classes and `pipeline` know the models, so that no `trust_remote_code` is needed."""
    from transformers import (
        AutoConfig,
        AutoFeatureExtractor,
        AutoModel,
        AutoModelForSequenceClassification,
        AutoProcessor,
    )
    from transformers.pipelines import PIPELINE_REGISTRY

    from .feature_extraction_msa import MsaFeatureExtractor
    from .pipeline_msa import MsaPipeline

    for model_type, names in MODELS.items():
        config, model, classifier, processor = map(__getattr__, names)
        AutoConfig.register(model_type, config, exist_ok=True)
        AutoModel.register(config, model, exist_ok=True)
        AutoModelForSequenceClassification.register(config, classifier, exist_ok=True)
        AutoFeatureExtractor.register(config, MsaFeatureExtractor, exist_ok=True)
        AutoProcessor.register(config, processor, exist_ok=True)
    PIPELINE_REGISTRY.register_pipeline(
        "multimodal-sentiment-analysis",
        pipeline_class=MsaPipeline,
        pt_model=AutoModelForSequenceClassification,
        type="multimodal",
    )
