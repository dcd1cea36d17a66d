# numpy only, so plain imports; `msa_metric` needs evaluate and datasets and is imported by whoever uses it.
from .bootstrap import BootstrapResult, paired_bootstrap
from .metrics import classification_metrics, metrics_for, mosi_metrics, round_metrics, sims_metrics

__all__ = [
    "BootstrapResult",
    "classification_metrics",
    "metrics_for",
    "mosi_metrics",
    "paired_bootstrap",
    "round_metrics",
    "sims_metrics",
]
