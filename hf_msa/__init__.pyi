from .models import *
from .training.adapters import load_adapter as load_adapter

__version__: str
