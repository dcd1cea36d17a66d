"""Load folders where hf_msa and peft cannot be imported and print logits; `hf-msa publish` runs this by itself.

Usage: python fresh_process.py UTTERANCES.json FOLDER ...
"""

import importlib.machinery
import json
import sys
from pathlib import Path
from typing import Any


class WithoutPackage(importlib.machinery.PathFinder):
    """Find modules as usual, but hide the package and peft as if they were not installed."""

    @classmethod
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> Any:
        """Return where a module is, None for those that are hidden."""
        return None if fullname.split(".")[0] in ("hf_msa", "peft") else super().find_spec(fullname, path, target)


def hide_package() -> None:
    """Make every later import of the package or of peft fail, and of the files beside this one."""
    sys.path = [folder for folder in sys.path if Path(folder or ".").resolve() != Path(__file__).resolve().parent]
    # Editable installations bring a finder of their own.
    finders = [finder for finder in sys.meta_path if "editable" not in str(finder)]
    sys.meta_path = [WithoutPackage if finder is importlib.machinery.PathFinder else finder for finder in finders]


def load(folder: str, columns: dict[str, Any]) -> dict[str, Any]:
    """Return the logits of a batch and the pipeline's scores of its rows, or what went wrong."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoProcessor, pipeline

    options = {"trust_remote_code": True, "local_files_only": True}
    try:
        model = AutoModelForSequenceClassification.from_pretrained(folder, **options).eval()
        processor = AutoProcessor.from_pretrained(folder, **options)
        with torch.no_grad():
            logits = model(**processor(**columns)).logits
        pipe = pipeline("multimodal-sentiment-analysis", model=folder, trust_remote_code=True, device="cpu")
        lists = {key: value for key, value in columns.items() if isinstance(value, list)}
        fixed = {key: value for key, value in columns.items() if key not in lists}
        size = len(next(iter(lists.values())))
        scores = [pipe({key: value[i] for key, value in lists.items()} | fixed)["score"] for i in range(size)]
    except Exception as error:  # whatever the code of a checkpoint raises
        return {"error": " ".join(f"{type(error).__name__}: {error}".split())}
    return {"logits": logits.double().tolist(), "scores": scores}


def main(utterances: str, *folders: str) -> None:
    """Write what each folder gives to standard output, as one JSON line."""
    hide_package()
    columns = json.loads(Path(utterances).read_text(encoding="utf-8"))
    sys.stdout.write("\nRESULT " + json.dumps([load(folder, columns) for folder in folders]) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
