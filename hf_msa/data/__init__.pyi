from .corpus import convert_corpus as convert_corpus
from .corpus import load_corpus as load_corpus
from .rows import CorpusError as CorpusError
from .safe_pickle import UnsafePickleError as UnsafePickleError
