"""What the papers of the models report, and how to cite them: the one place where such numbers are typed."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class PaperResult:
    """A row of a paper's main table.

    Args:
        corpus: mosi, mosei or sims.
        metrics: By our names, in our units: an accuracy is a share, not a percentage.
        setting: Text model, seeds, and what else must be known to compare.
    """

    corpus: str
    metrics: dict[str, float]
    setting: str


@dataclass(frozen=True)
class Paper:
    """Where a model comes from.

    Args:
        name: Of the model.
        arxiv: Number of the paper.
        citation: BibTeX.
        results: What it reports.
    """

    name: str
    arxiv: str
    citation: str
    results: tuple[PaperResult, ...] = field(default=())


def _bibtex(key: str, authors: str, title: str, arxiv: str, year: int) -> str:
    return (
        f"@misc{{{key},\n  title = {{{title}}},\n  author = {{{authors}}},\n  year = {{{year}}},\n"
        f"  eprint = {{{arxiv}}},\n  archivePrefix = {{arXiv}}\n}}"
    )


PAPERS = {
    "pgf_net": Paper(
        name="PGF-Net",
        arxiv="2508.15852",
        citation=_bibtex(
            "wen2025pgfnet",
            "Wen, Bin and Tan, Tien-Ping",
            "PGF-Net: A Progressive Gated-Fusion Framework for Efficient Multimodal Sentiment Analysis",
            "2508.15852",
            2025,
        ),
        results=(PaperResult("mosi", {"mae": 0.691, "f1_non0": 0.869}, "BERT-base, seeds not stated"),),
    ),
    "agfn": Paper(
        name="AGFN",
        arxiv="2510.01677",
        citation=_bibtex(
            "wu2025agfn",
            "Wu, Han and Sun, Yanming and Yang, Yunhe and Wong, Derek F.",
            "Adaptive Gated Fusion Network",
            "2510.01677",
            2025,
        ),
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
    ),
    "deepmlf": Paper(
        name="DeepMLF",
        arxiv="2504.11082",
        citation=_bibtex(
            "georgiou2025deepmlf",
            "Georgiou, Efthymios and Katsouros, Vassilis and Avrithis, Yannis and Potamianos, Alexandros",
            "DeepMLF: Multimodal Language Model with Learnable Tokens for Deep Fusion in Sentiment Analysis",
            "2504.11082",
            2025,
        ),
        # The paper's own tables were not at hand; these stand in a later paper of the same group.
        results=(
            PaperResult("mosei", {"acc_2_non0": 0.8677, "f1_non0": 0.8677}, "as arXiv 2607.12686 quotes it"),
            PaperResult("sims", {"acc_2": 0.8258, "f1": 0.8277}, "as arXiv 2607.12686 quotes it"),
        ),
    ),
}


__all__ = ["PAPERS", "Paper", "PaperResult"]
