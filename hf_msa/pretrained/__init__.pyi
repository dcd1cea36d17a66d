from .checkpoint import load_checkpoint as load_checkpoint
from .checkpoint import load_pipeline as load_pipeline
from .checkpoint import save_checkpoint as save_checkpoint
from .offline_lm import write_offline_lm as write_offline_lm
from .text_models import OFFLINE_TEXT_MODEL as OFFLINE_TEXT_MODEL
from .text_models import offline_text_model as offline_text_model
