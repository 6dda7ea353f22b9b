"""One real Apache Kafka node on the JVM, without Docker."""

from headrace_stack.kafka.node import EmbeddedKafka, KafkaNode
from headrace_stack.kafka.topics import create_topics

__all__ = ["EmbeddedKafka", "KafkaNode", "create_topics"]
