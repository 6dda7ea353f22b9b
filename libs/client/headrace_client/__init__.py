"""Chat with a Headrace workload over Kafka."""
