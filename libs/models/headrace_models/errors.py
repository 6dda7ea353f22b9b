"""The errors of this library: each says what was wrong and what to do."""


class ModelError(Exception):
    """Base of everything this library raises on purpose."""


class ModelReferenceError(ModelError):
    """A model reference names nothing that can be loaded."""


class PromptTooLongError(ModelError):
    """A prompt and its answer do not fit into the model's context."""


class ConversationRefused(ModelError):
    """The model's chat template does not take a conversation of these turns."""


class ArtefactError(ModelError):
    """An artefact cannot be fetched, or is not the one that was promised."""
