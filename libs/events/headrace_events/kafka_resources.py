"""What a cluster needs, made from the topic files: Strimzi topics and users (ACLs), Helm values."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from headrace_events import yaml_text
from headrace_events.topics import REPLICAS

TopicFile = Mapping[str, Any]

_API = "kafka.strimzi.io/v1"
_CLUSTER = "headrace"
_DLQ = "headrace.dlq."
_HEADER = "# Written by `headrace schemas export` from schemas/topics; do not edit.\n"
_USERS_HEADER = (
    _HEADER
    + "# One KafkaUser for each principal, with what the catalogue says it reads and writes and\n"
    "# nothing more. `stack` is the command line: it follows all topics and replays dead letters.\n"
    "# `operators` and `product-services` are patterns: make one such user for each team.\n"
)


def files(topics: Sequence[TopicFile]) -> dict[str, str]:
    """Return the files of `infra/`, by relative path."""
    return {
        "kafka/topics.yaml": _HEADER + _documents(_topic(topic) for topic in topics),
        "kafka/acls.yaml": _USERS_HEADER
        + _documents(_user(principal, topics) for principal in principals(topics)),
        "helm/contracts.values.yaml": _HEADER + yaml_text.dump(helm_values(topics)),
    }


def principals(topics: Iterable[TopicFile]) -> list[str]:
    """Return everybody who reads or writes a topic, in the order of the topics."""
    return list(dict.fromkeys(name for t in topics for name in (*t["producers"], *t["consumers"])))


def helm_values(topics: Sequence[TopicFile]) -> dict[str, Any]:
    """Return values for a chart: the topics, and what each principal may do."""
    return {
        "kafka": {
            "topics": {
                topic["topic"]: {
                    "partitions": topic["partitions"],
                    "replicas": REPLICAS,
                    "config": dict(topic["config"]),
                }
                for topic in topics
            },
            "principals": {
                user_name(name): {
                    "reads": _read(name, topics),
                    "writes": _written(name, topics),
                    "groups": _groups(name),
                }
                for name in principals(topics)
            },
        }
    }


def user_name(principal: str) -> str:
    """Return a principal's name as Kubernetes takes it."""
    return principal.replace(" ", "-")


def _documents(documents: Iterable[Mapping[str, Any]]) -> str:
    return "".join("---\n" + yaml_text.dump(document) for document in documents)


def _resource(kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "labels": {"strimzi.io/cluster": _CLUSTER}}
    return {"apiVersion": _API, "kind": kind, "metadata": metadata, "spec": spec}


def _topic(topic: TopicFile) -> dict[str, Any]:
    # Said here and not left to the cluster's default: min.insync.replicas goes with it.
    return _resource(
        "KafkaTopic",
        topic["topic"],
        {
            "partitions": topic["partitions"],
            "replicas": REPLICAS,
            "config": dict(topic["config"]),
        },
    )


def _user(principal: str, topics: Sequence[TopicFile]) -> dict[str, Any]:
    acls = [
        *(_acl("topic", name, "Describe", "Read") for name in _read(principal, topics)),
        *(_acl("topic", name, "Describe", "Write") for name in _written(principal, topics)),
        *(_group(name) for name in _groups(principal)),
    ]
    spec = {
        "authentication": {"type": "scram-sha-512"},
        "authorization": {"type": "simple", "acls": acls},
    }
    return _resource("KafkaUser", user_name(principal), spec)


def _acl(kind: str, name: str, *operations: str, pattern: str = "literal") -> dict[str, Any]:
    resource = {"type": kind, "name": name, "patternType": pattern}
    return {"resource": resource, "operations": list(operations)}


def _group(name: str) -> dict[str, Any]:
    if name.endswith("*"):
        return _acl("group", name[:-1], "Describe", "Read", pattern="prefix")
    return _acl("group", name, "Describe", "Read")


def _read(principal: str, topics: Iterable[TopicFile]) -> list[str]:
    if principal == "stack":  # `headrace events tail` and `headrace dlq` look at everything
        return [topic["topic"] for topic in topics]
    return [topic["topic"] for topic in topics if principal in topic["consumers"]]


def _written(principal: str, topics: Iterable[TopicFile]) -> list[str]:
    return [
        topic["topic"]
        for topic in topics
        if principal in topic["producers"]
        # A replayed dead letter goes back to where it came from.
        or (principal == "stack" and topic["dead_letters"])
    ]


def _groups(principal: str) -> list[str]:
    """Return consumer groups; a trailing `*` is a prefix (each stream has a group of its own)."""
    if principal == "stack":
        return ["headrace.stack.*"]
    return [f"headrace.{user_name(principal)}", f"headrace.{user_name(principal)}.*"]
