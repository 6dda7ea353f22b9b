"""The AsyncAPI 3.0 document of each service: what it sends and receives, and on which channels."""

from importlib.metadata import version
from typing import Any

from headrace_events.catalogue import EVENT_TYPES
from headrace_events.envelope import CONTENT_TYPE, EventData
from headrace_events.flows import flow_of
from headrace_events.topics import CATALOGUE, WORKLOADS, Topic, dlq

SERVICES = next(topic.consumers for topic in CATALOGUE if topic.name == WORKLOADS)

_ATTRIBUTES = {
    "ce_specversion": "always 1.0",
    "ce_id": "UUIDv7; derived from the causing event's id, so a repeat has the same",
    "ce_source": "/headrace/<service>",
    "ce_type": "the event type with its major version",
    "ce_subject": "the entity that the event is about",
    "ce_time": "RFC 3339",
    "ce_workload": "the use of a model that the event belongs to",
    "ce_causationid": "id of the event that caused this one",
    "ce_deadline": "RFC 3339; later than this nobody works on it",
    "content-type": CONTENT_TYPE,
    "traceparent": "W3C trace context",
    "tracestate": "W3C trace context",
}
_REQUIRED = ("ce_specversion", "ce_id", "ce_source", "ce_type")


def documents() -> dict[str, dict[str, Any]]:
    """Return the document of each service, by service."""
    return {service: _document(service) for service in SERVICES}


def _document(service: str) -> dict[str, Any]:
    sent = [m for m in EVENT_TYPES.values() if service in flow_of(m).producers]
    received = [m for m in EVENT_TYPES.values() if service in flow_of(m).consumers]
    named = {name for model in (*sent, *received) for name in model.topics()}
    used = [topic for topic in CATALOGUE if topic.name in named]
    dead = next(topic for topic in CATALOGUE if topic.name == dlq(service))
    return {
        "asyncapi": "3.0.0",
        "id": f"urn:headrace:service:{service}",
        "info": {
            "title": f"Headrace {service}",
            "version": version("headrace-events"),
            "description": f"Events that {service} sends and receives.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "HEADRACE_KAFKA__BOOTSTRAP_SERVERS",
                "variables": {"bootstrap": {"default": "localhost:9092"}},
            }
        },
        "channels": {
            **{topic.name: _channel(topic, (*sent, *received)) for topic in used},
            dead.name: _channel(dead, ())
            | {"messages": {"dead-letter": _message_ref("dead-letter")}},
        },
        "operations": {
            **_operations("receive", received),
            **_operations("send", sent),
            "send.dead-letters": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{dead.name}"},
                "summary": "Records that could not be handled, untouched, with their origin",
            },
        },
        "components": {
            "messages": {
                **{m.TYPE: _message(m) for m in dict.fromkeys((*received, *sent))},
                "dead-letter": _dead_letter(),
            },
            "messageTraits": {"cloudevent": _cloudevent()},
        },
    }


def _channel(topic: Topic, models: tuple[type[EventData], ...]) -> dict[str, Any]:
    types = sorted({model.TYPE for model in models if topic.name in model.topics()})
    configuration = topic.configuration()
    binding: dict[str, Any] = {"cleanup.policy": [configuration["cleanup.policy"]]}
    if "retention.ms" in configuration:
        binding["retention.ms"] = int(configuration["retention.ms"])
    return {
        "address": topic.name,
        "description": topic.description,
        "messages": {name: _message_ref(name) for name in types},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": binding,
                "bindingVersion": "0.5.0",
            }
        },
    }


def _message_ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/messages/{name}"}


def _operations(action: str, models: list[type[EventData]]) -> dict[str, dict[str, Any]]:
    """One operation for each type, and one more for its fast lane."""
    found = {f"{action}.{model.TYPE}": _operation(action, model, model.TOPIC) for model in models}
    return found | {
        f"{action}.{model.TYPE}.priority": _operation(action, model, model.FAST_TOPIC)
        for model in models
        if model.FAST_TOPIC
    }


def _operation(action: str, model: type[EventData], topic: str) -> dict[str, Any]:
    channel = f"#/channels/{topic}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "summary": (model.__doc__ or "").partition("\n")[0],
        "messages": [{"$ref": f"{channel}/messages/{model.TYPE}"}],
    }


def _message(model: type[EventData]) -> dict[str, Any]:
    topic = next(t for t in CATALOGUE if t.name == model.TOPIC)
    return {
        "name": model.TYPE,
        "title": model.TYPE,
        "contentType": CONTENT_TYPE,
        "traits": [{"$ref": "#/components/messageTraits/cloudevent"}],
        "payload": {"$ref": f"../events/{model.TYPE}.json"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": topic.key},
                "bindingVersion": "0.5.0",
            }
        },
    }


def _cloudevent() -> dict[str, Any]:
    return {
        "description": "CloudEvents 1.0, Kafka binary mode; structured mode is accepted too.",
        "headers": {
            "type": "object",
            "required": list(_REQUIRED),
            "properties": {
                name: {"type": "string", "description": text} for name, text in _ATTRIBUTES.items()
            },
        },
    }


def _dead_letter() -> dict[str, Any]:
    names = ("topic", "partition", "offset", "error", "attempts")
    return {
        "name": "dead-letter",
        "title": "A record as it came, with where it came from",
        "headers": {
            "type": "object",
            "properties": {f"headrace_dlq_{name}": {"type": "string"} for name in names},
        },
    }
