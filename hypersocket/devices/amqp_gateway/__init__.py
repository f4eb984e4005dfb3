"""The AMQP gateway: a device between ØMQ sockets and a broker."""
