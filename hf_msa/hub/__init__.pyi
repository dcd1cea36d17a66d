from .card import fill_card as fill_card
from .corpus import publish_corpus as publish_corpus
from .publication import Publication as Publication
from .publication import PublishError as PublishError
from .publication import publish as publish
