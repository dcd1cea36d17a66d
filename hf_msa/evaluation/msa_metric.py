"""Offer the metrics to the `evaluate` library, without a network.

`evaluate.load` reads the import lines of this file by a regular expression that knows neither `import a, b` nor a
comment behind an import. It copies this file and those named in `from .name import ...`, not what they import in turn,
to its cache and runs the copies. So each module has its own line, and `metrics.py` imports no sibling.
"""

from typing import Any

import datasets
import evaluate

from .metrics import mosi_metrics, sims_metrics

METRICS = {"mosi": mosi_metrics, "sims": sims_metrics}

DESCRIPTION = """\
The metrics of multimodal sentiment regression as MMSA defines them: mean absolute error, Pearson correlation, and
accuracies and weighted F1 of the scores cut into classes. They differ between the MOSI and the SIMS family.
"""

INPUTS_DESCRIPTION = """\
Args:
    predictions: Predicted scores, one number per utterance.
    references: True scores, -3 to 3 for "mosi" and -1 to 1 for "sims".
    corpus: "mosi" (CMU-MOSI, CMU-MOSEI) or "sims" (CH-SIMS, CH-SIMS v2).
Returns:
    mae, corr, acc_2_has0, f1_has0, acc_2_non0, f1_non0, acc_5, acc_7 for "mosi"; mae, corr, acc_2, acc_3, acc_5, f1
    for "sims". Accuracies and F1 lie in [0, 1]; nothing is rounded.
"""

CITATION = """\
@inproceedings{mao2022msena,
  title = {{M-SENA}: An Integrated Platform for Multimodal Sentiment Analysis},
  author = {Mao, Huisheng and Yuan, Ziqi and Xu, Hua and Yu, Wenmeng and Liu, Yihe and Gao, Kai},
  booktitle = {Proceedings of the 60th Annual Meeting of the Association for Computational Linguistics: System
    Demonstrations},
  year = {2022},
  url = {https://arxiv.org/abs/2203.12441}
}
"""


class MsaMetric(evaluate.Metric):
    """Compute `mosi_metrics` or `sims_metrics` through `evaluate`.

    Example:
        >>> metric = evaluate.load(hf_msa.evaluation.msa_metric.__file__)  # or, without the loader, MsaMetric()
        >>> metric.compute(predictions=[1.2, -0.5], references=[1.0, -1.0], corpus="mosi")["acc_7"]
        0.5
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS_DESCRIPTION,
            features=datasets.Features(
                {"predictions": datasets.Value("float32"), "references": datasets.Value("float32")}
            ),
            codebase_urls=["https://github.com/thuiar/MMSA"],
        )

    def _compute(self, predictions: Any, references: Any, corpus: str = "mosi") -> dict[str, float]:
        if corpus not in METRICS:
            raise ValueError(f'corpus must be "mosi" or "sims", got {corpus!r}')
        return METRICS[corpus](predictions, references)


__all__ = ["MsaMetric"]
