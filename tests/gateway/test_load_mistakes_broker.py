"""Every kind of mistake about the broker, and what is declared there."""

from __future__ import annotations

import pytest

from .mistakes import BROKER, BROKER_10, GOOD, OUT, told

MISTAKES: dict[str, tuple[str, str]] = {
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
}


@pytest.mark.parametrize(("text", "line"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_one_line(text: str, line: str) -> None:
    assert told(text) == line
