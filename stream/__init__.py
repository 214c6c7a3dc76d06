"""The ten-minute loan: a streaming credit decision engine on Apache Kafka."""

__version__ = "0.1.0"
