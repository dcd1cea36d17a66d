"""The streams of an utterance, always in this order."""

STREAMS = ("text", "audio", "visual")
# Those that are frames over time.
FRAME_STREAMS = ("audio", "visual")

__all__ = ["FRAME_STREAMS", "STREAMS"]
