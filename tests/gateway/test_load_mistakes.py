"""Every kind of wrong gateway file, and the line that tells of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypersocket.devices import ConfigurationError, topology
from hypersocket.devices.amqp_gateway.config._load import load, loads

BROKER = """\
[broker]
url = "amqp://localhost"
"""
BROKER_10 = """\
[broker]
url = "amqp://localhost"
protocol = "1.0"
"""
OUT = """\
[routes.r]
kind = "out"
socket = "tcp://127.0.0.1:5555"
"""
IN = OUT.replace('"out"', '"in"')
TOPICS = OUT.replace('"out"', '"topics"')
CALL = OUT.replace('"out"', '"call"')
SERVE = OUT.replace('"out"', '"serve"')
GOOD = BROKER + OUT + "queue = 'q'\n"

ENVIRON = {"PASSWORD": "geheim"}

MISTAKES: dict[str, tuple[str, str]] = {
    # The file as a whole
    "no TOML": (
        "[broker\n",
        (
            "g.toml: this is no TOML: Expected ']' at the end of a table declaration (at "
            "line 1, column 8)"
        ),
    ),
    "nothing in it": (
        "",
        (
            "g.toml: broker: this is missing: expected a table\ng.toml: routes: this is "
            "missing: a gateway carries nothing without [routes.NAME]"
        ),
    ),
    "no broker": (OUT, "g.toml: broker: this is missing: expected a table"),
    "no routes": (
        BROKER,
        ("g.toml: routes: this is missing: a gateway carries nothing without [routes.NAME]"),
    ),
    "unknown table": (
        GOOD + "[route.x]\n",
        "g.toml:7: route = a table: unknown key; did you mean 'routes'?",
    ),
    "unknown key of the gateway": (
        GOOD + "[gateway]\nlingr = 3\n",
        "g.toml:8: gateway.lingr = 3: unknown key; did you mean 'linger'?",
    ),
    "a name that is none": (
        GOOD + "[gateway]\nname = 'a,b'\n",
        (
            'g.toml:8: gateway.name = "a,b": this is no name: expected letters, digits, '
            "'-' and '_', 255 at most"
        ),
    ),
    "linger below zero": (
        GOOD + "[gateway]\nlinger = -1\n",
        "g.toml:8: gateway.linger = -1: expected at least 0",
    ),
    "metrics at no address": (
        GOOD + "[gateway]\nmetrics = '9100'\n",
        ('g.toml:8: gateway.metrics = "9100": expected HOST:PORT, such as 127.0.0.1:9100'),
    ),
    "a monitor of another type": (
        GOOD + "[gateway]\nmonitor = { type = 'PUSH', bind = 'tcp://*:1' }\n",
        'g.toml:8: gateway.monitor.type = "PUSH": a monitor has one of XPUB, PUB',
    ),
    "a variable that is not set": (
        GOOD.replace("localhost", "${host}"),
        (
            "g.toml:2: broker.url = \"amqp://${host}\": the variable 'host' is not set: "
            "give it a value in [variables], in an included address map, or when "
            "starting; there are none"
        ),
    ),
    # The broker
    "unknown key of the broker": (
        BROKER + "heartbeet = 3\n" + OUT + "queue = 'q'\n",
        "g.toml:3: broker.heartbeet = 3: unknown key; did you mean 'heartbeat'?",
    ),
    "no url": (
        "[broker]\n" + OUT + "queue = 'q'\n",
        (
            "g.toml:1: broker.url: this is missing: expected amqp://USER@HOST:PORT/VHOST,"
            " or amqps:// for TLS"
        ),
    ),
    "url is no text": (
        GOOD.replace('"amqp://localhost"', "5672"),
        "g.toml:2: broker.url = 5672: expected text in quotes, or a list of such",
    ),
    "unknown scheme": (
        GOOD.replace("amqp:", "tcp:"),
        (
            'g.toml:2: broker.url = "tcp://localhost": the scheme is unknown: expected '
            "amqp://USER@HOST:PORT/VHOST, or amqps:// for TLS"
        ),
    ),
    "url without a scheme": (
        GOOD.replace("amqp://", ""),
        (
            'g.toml:2: broker.url = "localhost": the scheme is unknown: expected '
            "amqp://USER@HOST:PORT/VHOST, or amqps:// for TLS"
        ),
    ),
    "url without a host": (
        GOOD.replace("localhost", "/vhost"),
        (
            'g.toml:2: broker.url = "amqp:///vhost": there is no host: expected '
            "amqp://USER@HOST:PORT/VHOST, or amqps:// for TLS"
        ),
    ),
    "url with a host that is no name": (
        GOOD.replace("localhost", "rabbit..example"),
        (
            'g.toml:2: broker.url = "amqp://rabbit..example": the host is no name: a part of it is '
            "empty, too long, or not allowed: expected amqp://USER@HOST:PORT/VHOST, or amqps:// "
            "for TLS"
        ),
    ),
    "url with a bad port": (
        GOOD.replace("localhost", "anna:geheim@localhost:rabbit"),
        (
            'g.toml:2: broker.url = "amqp://anna:***@localhost:rabbit": the port is no '
            "number from 1 to 65535: expected amqp://USER@HOST:PORT/VHOST, or amqps:// "
            "for TLS"
        ),
    ),
    "url with a port that is too high": (
        GOOD.replace("localhost", "localhost:70000"),
        (
            'g.toml:2: broker.url = "amqp://localhost:70000": the port is no number from '
            "1 to 65535: expected amqp://USER@HOST:PORT/VHOST, or amqps:// for TLS"
        ),
    ),
    "url with port 0": (
        GOOD.replace("localhost", "localhost:0"),
        (
            'g.toml:2: broker.url = "amqp://localhost:0": the port is no number from 1 to'
            " 65535: expected amqp://USER@HOST:PORT/VHOST, or amqps:// for TLS"
        ),
    ),
    "url that is none": (
        GOOD.replace("localhost", "[::1"),
        (
            'g.toml:2: broker.url = "amqp://[::1": this is no URL: expected '
            "amqp://USER@HOST:PORT/VHOST, or amqps:// for TLS"
        ),
    ),
    "url with a query": (
        GOOD.replace("localhost", "localhost/?heartbeat=5"),
        (
            'g.toml:2: broker.url = "amqp://localhost/?heartbeat=5": nothing may stand '
            "after a ? or # (there are keys of [broker] for that): expected "
            "amqp://USER@HOST:PORT/VHOST, or amqps:// for TLS"
        ),
    ),
    "url with a slash in the virtual host": (
        GOOD.replace("localhost", "localhost/a/b"),
        (
            'g.toml:2: broker.url = "amqp://localhost/a/b": a / in the virtual host is '
            "written %2F: expected amqp://USER@HOST:PORT/VHOST, or amqps:// for TLS"
        ),
    ),
    "url that is not UTF-8": (
        GOOD.replace("localhost", "localhost/%ff"),
        (
            'g.toml:2: broker.url = "amqp://localhost/%ff": what is percent-encoded is '
            "not UTF-8: expected amqp://USER@HOST:PORT/VHOST, or amqps:// for TLS"
        ),
    ),
    "the second url": (
        GOOD.replace('"amqp://localhost"', '["amqp://h", "http://h"]'),
        (
            'g.toml:2: broker.url[1] = "http://h": the scheme is unknown: expected '
            "amqp://USER@HOST:PORT/VHOST, or amqps:// for TLS"
        ),
    ),
    "unknown protocol": (
        BROKER + "protocol = '0.9.1'\n" + OUT + "queue = 'q'\n",
        ("g.toml:3: broker.protocol = \"0.9.1\": expected '0-9-1' or '1.0'; did you mean '0-9-1'?"),
    ),
    "reconnect_ivl_max below reconnect_ivl": (
        BROKER + "reconnect_ivl = 5\nreconnect_ivl_max = 1\n" + OUT + "queue = 'q'\n",
        ("g.toml:4: broker.reconnect_ivl_max = 1.0: expected at least reconnect_ivl, which is 5"),
    ),
    "connect_timeout of zero": (
        BROKER + "connect_timeout = 0\n" + OUT + "queue = 'q'\n",
        "g.toml:3: broker.connect_timeout = 0: expected more than 0",
    ),
    "a user without a password": (
        GOOD.replace("localhost", "anna@localhost"),
        (
            "g.toml:2: broker.url: there is no password for 'anna': give password = { env"
            ' = "NAME" }'
        ),
    ),
    "a password without a user": (
        BROKER + "password = 'geheim'\n" + OUT + "queue = 'q'\n",
        ("g.toml:1: broker.username: this is missing: there is a password, but whose is it?"),
    ),
    "an environment variable that is not set": (
        BROKER + "username = 'anna'\npassword = { env = 'NOT_SET' }\n" + OUT + "queue = 'q'\n",
        ('g.toml:4: broker.password.env = "NOT_SET": the environment variable NOT_SET is not set'),
    ),
    "a secret file that is not there": (
        BROKER + "username = 'anna'\npassword = { file = 'no/such' }\n" + OUT + "queue = 'q'\n",
        ('g.toml:4: broker.password.file = "no/such": cannot read it: No such file or directory'),
    ),
    "a password from two places": (
        BROKER
        + "username = 'anna'\npassword = { env = 'A', text = 'geheim' }\n"
        + OUT
        + "queue = 'q'\n",
        (
            'g.toml:4: broker.password = (not shown): expected one of { env = "NAME" }, {'
            ' file = "PATH" } and the text itself'
        ),
    ),
    "a password from nowhere": (
        BROKER + "username = 'anna'\npassword = {}\n" + OUT + "queue = 'q'\n",
        (
            'g.toml:4: broker.password = (not shown): expected one of { env = "NAME" }, {'
            ' file = "PATH" } and the text itself'
        ),
    ),
    "a password that is no text": (
        BROKER + "username = 'a'\npassword = 12345678\n" + OUT + "queue = 'q'\n",
        (
            'g.toml:4: broker.password = (not shown): expected { env = "NAME" }, { file ='
            ' "PATH" } or text in quotes'
        ),
    ),
    "a misspelt password": (
        BROKER + "passwort = 'geheim'\n" + OUT + "queue = 'q'\n",
        ("g.toml:3: broker.passwort = (not shown): unknown key; did you mean 'password'?"),
    ),
    "a null byte in a secret file's name": (
        BROKER + 'username = "a"\npassword = { file = "a\\u0000b" }\n' + OUT + "queue = 'q'\n",
        ('g.toml:4: broker.password.file = "a\x00b": cannot read it: embedded null byte'),
    ),
    "a list of brokers": (
        "[[broker]]\npassword = 'geheim'\n" + OUT + "queue = 'q'\n",
        "g.toml:1: broker = [(not shown)]: expected a table",
    ),
    "unknown sasl": (
        BROKER + "sasl = 'GSSAPI'\n" + OUT + "queue = 'q'\n",
        ("g.toml:3: broker.sasl = \"GSSAPI\": expected 'PLAIN', 'EXTERNAL' or 'ANONYMOUS'"),
    ),
    "EXTERNAL without a certificate": (
        BROKER + "sasl = 'EXTERNAL'\n" + OUT + "queue = 'q'\n",
        (
            'g.toml:3: broker.sasl = "EXTERNAL": it is by a certificate of one\'s own: '
            "give tls.cert, and an amqps:// url"
        ),
    ),
    "PLAIN without anything, 1.0": (
        BROKER_10 + "sasl = 'PLAIN'\n" + OUT + "address = 'q'\n",
        ('g.toml:4: broker.sasl = "PLAIN": it is by username and password, and there are none'),
    ),
    "tls without amqps": (
        BROKER + "tls = { verify = false }\n" + OUT + "queue = 'q'\n",
        ("g.toml:3: broker.tls: it counts for amqps:// alone, and no url has that scheme"),
    ),
    "a certificate that is not there": (
        GOOD.replace("amqp:", "amqps:").replace("\n[routes", "\ntls.ca = 'no/ca.pem'\n[routes"),
        ('g.toml:3: broker.tls.ca = "no/ca.pem": cannot read it: No such file or directory'),
    ),
    "a key without a certificate": (
        GOOD.replace("amqp:", "amqps:").replace("\n[routes", "\ntls.key = 'key.pem'\n[routes"),
        ('g.toml:3: broker.tls.key = "key.pem": a key without a certificate: give cert, too'),
    ),
    # What is declared
    "unknown key of an exchange": (
        BROKER + "exchanges = [{ name = 'e', kind = 'x' }]\n" + OUT + "queue = 'q'\n",
        (
            'g.toml:3: broker.exchanges[0].kind = "x": unknown key; there are name, type,'
            " durable, auto_delete, passive, arguments"
        ),
    ),
    "an exchange without a name": (
        GOOD + "[[broker.exchanges]]\ntype = 'fanout'\n",
        "g.toml:7: broker.exchanges[0].name: this is missing: expected text in quotes",
    ),
    "an exchange twice": (
        GOOD + "[[broker.exchanges]]\nname = 'e'\n[[broker.exchanges]]\nname = 'e'\n",
        ('g.toml:10: broker.exchanges[1].name = "e": it stands among the exchanges already'),
    ),
    "an exchange of the broker's": (
        GOOD + "[[broker.exchanges]]\nname = 'amq.mine'\n",
        (
            'g.toml:8: broker.exchanges[0].name = "amq.mine": names with amq. are the '
            "broker's own: give passive = true, or another name"
        ),
    ),
    "a queue with an empty name": (
        GOOD + "[[broker.queues]]\nname = ''\n",
        'g.toml:8: broker.queues[0].name = "": expected text that is not empty',
    ),
    "a queue whose name is too long": (
        GOOD + f"[[broker.queues]]\nname = '{'n' * 256}'\n",
        (
            "g.toml:8: broker.queues[0].name = "
            '"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn…: expected at '
            "most 255 characters"
        ),
    ),
    "an argument that 0-9-1 cannot have": (
        GOOD + "[[broker.queues]]\nname = 'q'\narguments.x = 12:30:00\n",
        (
            "g.toml:9: broker.queues[0].arguments.x = datetime.time(12, 30): a time "
            "cannot stand here"
        ),
    ),
    "a binding without a queue": (
        GOOD + "[[broker.bindings]]\nexchange = 'e'\n",
        "g.toml:7: broker.bindings[0].queue: this is missing: expected text in quotes",
    ),
    "declared over 1.0": (
        BROKER_10 + OUT + "address = 'q'\n" + "[[broker.queues]]\nname = 'q'\n",
        ("g.toml:8: broker.queues: AMQP 1.0 cannot declare anything: make it at the broker"),
    ),
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
    # Dead letters and policy
    "dead letters to nowhere": (
        GOOD + "dead_letters = {}\n",
        ("g.toml:7: routes.r.dead_letters: expected one of exchange, queue, address and socket"),
    ),
    "dead letters to two places": (
        GOOD + "dead_letters = { exchange = 'e', socket = 'tcp://*:1' }\n",
        (
            "g.toml:7: routes.r.dead_letters: expected one of exchange, queue, address "
            "and socket, not exchange and socket"
        ),
    ),
    "dead letters by a socket that cannot": (
        GOOD + "dead_letters.socket = { type = 'PULL', bind = 'tcp://*:1' }\n",
        (
            'g.toml:7: routes.r.dead_letters.socket.type = "PULL": dead letters have one '
            "of PUSH, PUB"
        ),
    ),
    "dead letters to an exchange over 1.0": (
        BROKER_10 + OUT + "address = 'a'\ndead_letters.exchange = 'e'\n",
        (
            'g.toml:8: routes.r.dead_letters.exchange = "e": it is of AMQP 0-9-1, and the'
            " broker's protocol is another: name an address"
        ),
    ),
    "dead letters to a node over 0-9-1": (
        GOOD + "dead_letters.address = 'e'\n",
        (
            'g.toml:7: routes.r.dead_letters.address = "e": it is of AMQP 1.0, and the '
            "broker's protocol is another: name an exchange or a queue"
        ),
    ),
    "dead letters by the default exchange": (
        GOOD + "dead_letters.exchange = ''\n",
        (
            'g.toml:7: routes.r.dead_letters.exchange = "": the default exchange needs a '
            "queue's name as routing_key: give queue instead"
        ),
    ),
    "dead letters with a key to nothing": (
        GOOD + "dead_letters = { queue = 'd', routing_key = 'k' }\n",
        ('g.toml:7: routes.r.dead_letters.routing_key = "k": it counts for an exchange alone'),
    ),
    "unknown key of the policy": (
        GOOD + "policy.exchange = 'e'\n",
        ("g.toml:7: routes.r.policy.exchange = \"e\": unknown key; did you mean 'exchanges'?"),
    ),
    "policy against the own queue": (
        GOOD + "policy.queues = 'p*'\n",
        ("g.toml:6: routes.r.queue = \"q\": the policy does not allow the queue 'q', but 'p*'"),
    ),
    "policy against the own exchange": (
        BROKER + OUT + "exchange = 'e'\npolicy.exchanges = ['a', 'b']\n",
        (
            'g.toml:6: routes.r.exchange = "e": the policy does not allow the exchange '
            "'e', but 'a', 'b'"
        ),
    ),
    "policy against the own key": (
        BROKER + OUT + "exchange = 'e'\nrouting_key = 'k'\npolicy.topics = 'a.*'\n",
        (
            'g.toml:7: routes.r.routing_key = "k": the policy does not allow the topic '
            "'k', but 'a.*'"
        ),
    ),
    "policy against a binding's key": (
        BROKER + IN + "exchange = 'e'\nrouting_key = '#'\npolicy.topics = 'a.*'\n",
        (
            'g.toml:7: routes.r.routing_key = "#": the policy does not allow the topic '
            "'#', but 'a.*'"
        ),
    ),
    "policy against the own address": (
        BROKER_10 + OUT + "address = 'a'\npolicy.addresses = []\n",
        ("g.toml:7: routes.r.address = \"a\": the policy does not allow the address 'a', but none"),
    ),
    "policy against a called queue": (
        BROKER + CALL + "queue = 'q'\npolicy.queues = 'p'\n",
        ("g.toml:6: routes.r.queue = \"q\": the policy does not allow the queue 'q', but 'p'"),
    ),
    "a rate of zero": (
        GOOD + "policy.rate = 0\n",
        "g.toml:7: routes.r.policy.rate = 0: expected more than 0",
    ),
    "messages of no size": (
        GOOD + "policy.max_message_size = 0\n",
        "g.toml:7: routes.r.policy.max_message_size = 0: expected at least 1",
    ),
}


def told(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        loads(text, file="g.toml", environ=ENVIRON)
    return str(caught.value)


@pytest.mark.parametrize(("text", "line"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_one_line(text: str, line: str) -> None:
    assert told(text) == line


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("broker", "sasl_password"),
        ("broker", "api_Token"),
        ("broker", "credentials"),
        ("gateway", "passphrase"),
        ("routes.r.properties", "secret"),
    ],
)
def test_what_may_be_a_secret_is_not_shown(table: str, key: str) -> None:
    """Messages end in logs; the value of a key that is not known may be anything."""
    text = GOOD + "[gateway]\n[routes.r.properties]\n"
    wrong = text.replace(f"[{table}]\n", f"[{table}]\n{key} = '${{env:PASSWORD}}'\n")
    assert f"{table}.{key} = (not shown): unknown key" in told(wrong)
    assert "geheim" not in told(wrong)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = " + "[" * 5000 + "]" * 5000, "tables and lists are nested more than 32 deep"),
        ("a" + ".a" * 5000 + " = 1", "tables and lists are nested more than 32 deep"),
        ("x = " + "9" * 5000, "this is no TOML: Exceeds the limit"),
    ],
    ids=["lists", "tables", "digits"],
)
def test_what_no_parser_likes(text: str, says: str) -> None:
    assert told(text).startswith(f"g.toml: {says}")


def test_a_variable_that_no_parser_likes() -> None:
    socket = "{ bind = 'tcp://*:1', options = { rcvhwm = '${env:IT}' } }"
    text = GOOD.replace('"tcp://127.0.0.1:5555"', socket)
    with pytest.raises(ConfigurationError) as caught:
        loads(text, environ={"IT": "[" * 5000})
    assert caught.value.key == "routes.r.socket.options.rcvhwm"


@pytest.mark.parametrize("as_member", [False, True], ids=["include", "config"])
def test_a_name_that_no_file_can_have(as_member: bool, tmp_path: Path) -> None:
    path = tmp_path / "g.toml"
    key = "config" if as_member else "include"
    line = f'{key} = "a\\u0000b"\n'
    path.write_text("[gateways.g]\n" + line if as_member else line + GOOD, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="cannot read it: embedded null"):
        topology.load(path) if as_member else load(path)


def test_a_mark_at_the_beginning_is_no_mistake(tmp_path: Path) -> None:
    """Some editors begin a file of UTF-8 with a byte order mark."""
    (tmp_path / "map.toml").write_text("[variables]\na = 1\n", encoding="utf-8-sig")
    path = tmp_path / "g.toml"
    path.write_text("include = 'map.toml'\n" + GOOD, encoding="utf-8-sig")
    assert load(path).spec.name == "g"


@pytest.mark.parametrize(
    "text",
    [
        GOOD + f"[gateway]\nname = '{'x' * 256}'\n",
        GOOD.replace("routes.r", f"routes.{'x' * 256}"),
    ],
    ids=["gateway", "route"],
)
def test_names_that_are_too_long_for_topics(text: str) -> None:
    """A monitor could not tell of them."""
    assert "255 at most" in told(text)
