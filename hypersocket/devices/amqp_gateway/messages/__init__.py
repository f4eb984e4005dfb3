"""What becomes of a message between ØMQ and AMQP. Nothing here does I/O."""
