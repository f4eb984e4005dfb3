"""Every kind of mistake in a route, and the line that tells of it."""

from __future__ import annotations

import pytest

from .mistakes import BROKER, BROKER_10, CALL, GOOD, IN, OUT, SERVE, TOPICS, told

MISTAKES: dict[str, tuple[str, str]] = {
    # The keys of a route
    "a route's name that is none": (
        BROKER + OUT.replace("routes.r", "routes.'a b'"),
        (
            "g.toml:3: routes.a b: 'a b' is no name: expected letters, digits, '-' and '_', 255"
            " at most"
        ),
    ),
    "a route without a kind": (
        BROKER + OUT.replace('kind = "out"\n', ""),
        (
            "g.toml:3: routes.r.kind: this is missing: expected 'out', 'in', 'topics', "
            "'call' or 'serve'"
        ),
    ),
    "a route of an unknown kind": (
        BROKER + OUT.replace('"out"', '"outs"'),
        (
            "g.toml:4: routes.r.kind = \"outs\": expected 'out', 'in', 'topics', 'call' or "
            "'serve'; did you mean 'out'?"
        ),
    ),
    "a route without a socket": (
        BROKER + "[routes.r]\nkind = 'out'\nqueue = 'q'\n",
        "g.toml:3: routes.r.socket: this is missing: expected a table",
    ),
    "unknown key of a route": (
        GOOD + "qeue = 'q'\n",
        "g.toml:7: routes.r.qeue = \"q\": unknown key; did you mean 'queue'?",
    ),
    "a key of another kind": (
        GOOD + "ack = 'reply'\n",
        (
            'g.toml:7: routes.r.ack = "reply": it does not count for a route of kind '
            '"out", but for in'
        ),
    ),
    "a key of two other kinds": (
        BROKER + SERVE + "queue = 'q'\nexchange = 'e'\n",
        (
            'g.toml:7: routes.r.exchange = "e": it does not count for a route of kind '
            '"serve", but for out, in, topics, call'
        ),
    ),
    "exchange over 1.0": (
        BROKER_10 + OUT + "address = 'a'\nexchange = 'e'\n",
        (
            'g.toml:8: routes.r.exchange = "e": it is of AMQP 0-9-1, and the broker\'s '
            "protocol is another: name an address"
        ),
    ),
    "queue over 1.0": (
        BROKER_10 + IN + "address = 'a'\nqueue = 'q'\n",
        (
            'g.toml:8: routes.r.queue = "q": it is of AMQP 0-9-1, and the broker\'s '
            "protocol is another: name an address"
        ),
    ),
    "mandatory over 1.0": (
        BROKER_10 + OUT + "address = 'a'\nmandatory = false\n",
        (
            "g.toml:8: routes.r.mandatory = false: it is of AMQP 0-9-1, and the broker's "
            "protocol is another"
        ),
    ),
    "address over 0-9-1": (
        GOOD + "address = 'a'\n",
        (
            'g.toml:7: routes.r.address = "a": it is of AMQP 1.0, and the broker\'s '
            "protocol is another: name an exchange or a queue"
        ),
    ),
    "a filter over 0-9-1": (
        BROKER + IN + "queue = 'q'\nfilter = \"a = 1\"\n",
        (
            'g.toml:7: routes.r.filter = "a = 1": it is of AMQP 1.0, and the broker\'s '
            "protocol is another"
        ),
    ),
    # Where to, and from where
    "out to nowhere": (
        BROKER + OUT,
        "g.toml:3: routes.r: it has neither exchange nor queue: say where messages go",
    ),
    "out to nowhere over 1.0": (
        BROKER_10 + OUT,
        "g.toml:4: routes.r.address: this is missing: the node that messages go to",
    ),
    "in from nowhere": (
        BROKER + IN,
        "g.toml:3: routes.r: it has neither queue nor exchange: name one",
    ),
    "in from nowhere over 1.0": (
        BROKER_10 + IN,
        ("g.toml:4: routes.r.address: this is missing: the node that messages come from"),
    ),
    "topics of nowhere": (
        BROKER + TOPICS,
        "g.toml:3: routes.r: it has no exchange: name a topic exchange",
    ),
    "a call of nobody": (
        BROKER + CALL,
        "g.toml:3: routes.r: it has neither exchange nor queue: say where messages go",
    ),
    "serve nobody": (
        BROKER + SERVE,
        "g.toml:3: routes.r: it has no queue: name the one that requests come to",
    ),
    "exchange and queue": (
        GOOD + "exchange = 'e'\n",
        "g.toml:3: routes.r: it has exchange and queue: give one of them",
    ),
    "a queue and a routing key": (
        GOOD + "routing_key = 'k'\n",
        (
            "g.toml:3: routes.r: it has queue and a routing key: to a queue goes what has"
            " the queue's name"
        ),
    ),
    "a queue with a binding's key": (
        BROKER + IN + "queue = 'q'\nrouting_key = 'k'\n",
        "g.toml:3: routes.r: it has queue and routing_key: a key is for an exchange",
    ),
    "key_frame and routing_key": (
        BROKER + OUT + "exchange = 'e'\nkey_frame = 0\nrouting_key = 'k'\n",
        (
            'g.toml:8: routes.r.routing_key = "k": give it or key_frame: the key is '
            "either in a frame or here"
        ),
    ),
    "topics of an exchange of another type": (
        BROKER + TOPICS + "exchange = 'e'\n[[broker.exchanges]]\nname = 'e'\ntype = 'fanout'\n",
        (
            'g.toml:6: routes.r.exchange = "e": subscriptions need a topic exchange, and '
            "this is fanout"
        ),
    ),
    # The values of a route
    "a template that is none": (
        BROKER + OUT + "exchange = 'e'\nrouting_key = 'a.{frame'\n",
        (
            "g.toml:7: routes.r.routing_key = \"a.{frame\": a '{' stands alone: expected "
            "{frame[N]}, {header[NAME]} or {property[NAME]}, and {{ or }} for a brace"
        ),
    ),
    "a template of an unknown place": (
        BROKER + OUT + "exchange = 'e'\nrouting_key = '{body}'\n",
        (
            'g.toml:7: routes.r.routing_key = "{body}": {body} is no place for a value: '
            "expected {frame[N]}, {header[NAME]} or {property[NAME]}, and {{ or }} for a "
            "brace"
        ),
    ),
    "a template of an unknown property": (
        BROKER + OUT + "exchange = 'e'\nrouting_key = '{property[subject]}'\n",
        (
            'g.toml:7: routes.r.routing_key = "{property[subject]}": {property[subject]}:'
            " expected one of content_type, content_encoding, durable, priority, "
            "message_id, correlation_id, reply_to, ttl, timestamp, type, user_id, app_id"
        ),
    ),
    "a template that asks for metadata": (
        BROKER + OUT + "exchange = 'e'\nrouting_key = '{header[country]}'\n",
        (
            'g.toml:7: routes.r.routing_key = "{header[country]}": it asks for metadata: '
            'give the route metadata = "json" or "msgpack"'
        ),
    ),
    "a routing key that is too long": (
        BROKER + OUT + f"exchange = 'e'\nrouting_key = '{'k' * 256}'\n",
        (
            "g.toml:7: routes.r.routing_key = "
            '"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk…: a routing key '
            "has 255 bytes at most"
        ),
    ),
    "a frame before the first": (
        BROKER + OUT + "exchange = 'e'\nkey_frame = -1\n",
        "g.toml:7: routes.r.key_frame = -1: expected at least 0",
    ),
    "prefetch of nothing": (
        BROKER + IN + "queue = 'q'\nprefetch = 0\n",
        "g.toml:7: routes.r.prefetch = 0: expected at least 1",
    ),
    "prefetch that is too much": (
        BROKER + IN + "queue = 'q'\nprefetch = 70000\n",
        "g.toml:7: routes.r.prefetch = 70000: expected at most 65535",
    ),
    "no-ack with a worker's reply": (
        BROKER + IN + "queue = 'q'\nack = 'reply'\nmode = 'no-ack'\n",
        (
            'g.toml:8: routes.r.mode = "no-ack": with ack = "reply" the broker has to '
            "keep a message until it is answered"
        ),
    ),
    "a time-out where nobody answers": (
        BROKER + IN + "queue = 'q'\ntimeout = 5\n",
        (
            'g.toml:7: routes.r.timeout = 5.0: it counts with ack = "reply" alone: nobody'
            " answers here"
        ),
    ),
    "a time-out of zero": (
        BROKER + CALL + "queue = 'q'\ntimeout = 0\n",
        "g.toml:7: routes.r.timeout = 0: expected more than 0",
    ),
    "an unknown mode": (
        GOOD + "mode = 'on_confirm'\n",
        (
            "g.toml:7: routes.r.mode = \"on_confirm\": expected 'on-confirm', 'on-publish' "
            "or 'no-ack'; did you mean 'on-confirm'?"
        ),
    ),
    "unknown metadata": (
        GOOD + "metadata = 'yaml'\n",
        "g.toml:7: routes.r.metadata = \"yaml\": expected 'none', 'json' or 'msgpack'",
    ),
    "a separator of two": (
        BROKER + TOPICS + "exchange = 'e'\nseparator = '::'\n",
        (
            'g.toml:7: routes.r.separator = "::": expected one ASCII character, which is '
            "neither * nor #"
        ),
    ),
    "a separator that is a wildcard": (
        BROKER + TOPICS + "exchange = 'e'\nseparator = '#'\n",
        (
            'g.toml:7: routes.r.separator = "#": expected one ASCII character, which is '
            "neither * nor #"
        ),
    ),
    "subscriptions of an XPUB": (
        BROKER + TOPICS + "exchange = 'e'\nsubscribe = 'a'\n",
        (
            "g.toml:7: routes.r.subscribe = ['a']: it counts for an XSUB; an XPUB is told"
            " by its subscribers what they want"
        ),
    ),
    "a property that is none": (
        GOOD + "properties.subject = 'a'\n",
        (
            'g.toml:7: routes.r.properties.subject = "a": unknown key; there are '
            "content_type, content_encoding, headers, annotations, durable, priority, "
            "message_id, correlation_id, reply_to, ttl, type, user_id, app_id"
        ),
    ),
    "a priority that is too high": (
        GOOD + "properties.priority = 300\n",
        "g.toml:7: routes.r.properties.priority = 300: expected at most 255",
    ),
    "a ttl of zero": (
        GOOD + "properties.ttl = 0\n",
        "g.toml:7: routes.r.properties.ttl = 0: expected more than 0",
    ),
    "a header that cannot be one": (
        GOOD + "properties.headers.when = 2026-01-01\n",
        "g.toml:7: routes.r.properties.headers = a table: a date cannot be a header",
    ),
    "a list in the headers of 1.0": (
        BROKER_10 + OUT + "address = 'a'\nproperties.headers.many = [1, 2]\n",
        (
            "g.toml:8: routes.r.properties.headers = a table: AMQP 1.0 has no lists or "
            "tables among the headers"
        ),
    ),
    "a reply address of one's own": (
        BROKER + CALL + "queue = 'q'\nproperties.reply_to = 'a'\n",
        (
            'g.toml:7: routes.r.properties.reply_to = "a": a route of kind "call" makes '
            "it for each request"
        ),
    ),
    # Sockets
    "a socket at no endpoint": (
        GOOD.replace("127.0.0.1:5555", "127.0.0.1"),
        ('g.toml:5: routes.r.socket = "tcp://127.0.0.1": the port is missing: expected host:port'),
    ),
    "a socket with an unknown scheme": (
        GOOD.replace('"tcp:', '"udp:'),
        (
            'g.toml:5: routes.r.socket = "udp://127.0.0.1:5555": no transport serves '
            "'udp'; there are inproc, ipc, tcp"
        ),
    ),
    "a socket that is nowhere": (
        BROKER + "[routes.r]\nkind = 'out'\nqueue = 'q'\nsocket = {}\n",
        (
            "g.toml:6: routes.r.socket: it binds nothing and connects to nothing: give it"
            " bind or connect"
        ),
    ),
    "unknown key of a socket": (
        GOOD.replace('"tcp://127.0.0.1:5555"', "{ bnd = 'tcp://*:1', connect = 'tcp://h:1' }"),
        ("g.toml:5: routes.r.socket.bnd = \"tcp://*:1\": unknown key; did you mean 'bind'?"),
    ),
    "a socket type that the kind does not have": (
        GOOD.replace('"tcp://127.0.0.1:5555"', "{ type = 'PUSH', bind = 'tcp://*:1' }"),
        ('g.toml:5: routes.r.socket.type = "PUSH": a route of kind "out" has one of PULL, SUB'),
    ),
    "a socket type for a reply": (
        BROKER + "[routes.r]\nkind = 'in'\nqueue = 'q'\nack = 'reply'\n"
        "socket = { type = 'PUSH', bind = 'tcp://*:1' }\n",
        (
            'g.toml:7: routes.r.socket.type = "PUSH": a route of kind "in" with ack = '
            '"reply" has a DEALER'
        ),
    ),
    "a DEALER where nobody replies": (
        BROKER + "[routes.r]\nkind = 'in'\nqueue = 'q'\n"
        "socket = { type = 'DEALER', bind = 'tcp://*:1' }\n",
        (
            'g.toml:6: routes.r.socket.type = "DEALER": a route of kind "in" with ack = '
            '"sent" has one of PUSH, PUB'
        ),
    ),
    "a SUB that subscribes to nothing": (
        GOOD.replace('"tcp://127.0.0.1:5555"', "{ type = 'SUB', connect = 'tcp://h:1' }"),
        (
            "g.toml:5: routes.r.socket.subscribe: this is missing: a SUB receives nothing"
            ' without; "" is every message'
        ),
    ),
    "a PULL that subscribes": (
        GOOD.replace('"tcp://127.0.0.1:5555"', "{ bind = 'tcp://*:1', subscribe = '' }"),
        (
            "g.toml:5: routes.r.socket.subscribe: only a SUB has subscriptions of its "
            "own, and this is a PULL"
        ),
    ),
    "unknown option": (
        GOOD.replace('"tcp://127.0.0.1:5555"', "{ bind = 'tcp://*:1', options.rcvhvm = 3 }"),
        (
            "g.toml:5: routes.r.socket.options.rcvhvm = 3: Pull has no option 'rcvhvm'; "
            "did you mean 'rcvhwm'?"
        ),
    ),
    "an option out of range": (
        GOOD.replace('"tcp://127.0.0.1:5555"', "{ bind = 'tcp://*:1', options.rcvhwm = -3 }"),
        "g.toml:5: routes.r.socket.options.rcvhwm = -3: expected at least 0",
    ),
    "an endpoint twice": (
        GOOD + OUT.replace("routes.r", "routes.s") + "queue = 'q'\n",
        (
            'g.toml:9: routes.s.socket = "tcp://127.0.0.1:5555": routes.r.socket is bound'
            " to this endpoint already"
        ),
    ),
}


@pytest.mark.parametrize(("text", "line"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_one_line(text: str, line: str) -> None:
    assert told(text) == line
