"""What is measured: a file for each topic, without any library that is measured."""

from benchmarks.speed.topics import extract, heads, input_chain, pairs, samplers, startup, training

_ALL = (
    training.RESNET50,
    training.MOBILENET,
    input_chain.TOPIC,
    samplers.TOPIC,
    heads.TOPIC,
    pairs.TOPIC,
    extract.TOPIC,
    startup.TOPIC,
)
TOPICS = {topic.name: topic for topic in _ALL}
