"""What every test with azure-servicebus needs; environment: tests/clients/js/support/servicebus.js."""

import json
import os
import re
import socket
import time
import unittest

from azure.servicebus import (ServiceBusClient, ServiceBusMessage, ServiceBusReceiveMode, ServiceBusSubQueue,
                              TransportType)

TRANSPORT = os.environ["MILLRACE_TRANSPORT"]
STEP = os.environ.get("MILLRACE_STEP")
LOCK_SECONDS = 5

DEAD_LETTERS = {"sub_queue": ServiceBusSubQueue.DEAD_LETTER}
DELETING = {"receive_mode": ServiceBusReceiveMode.RECEIVE_AND_DELETE}

volatile = unittest.skipIf(STEP, "what a restart ends")


def entity(name):
    """The entity of this name for the transport under test: the suites of all transports share one server."""
    return f"{name}-{TRANSPORT}"


def connection_string(key_name=None):
    plain = TRANSPORT == "amqp"
    text = os.environ["MILLRACE_CONNECTION_STRING" if plain else "MILLRACE_TLS_CONNECTION_STRING"]
    if not key_name:
        return text
    key = json.loads(os.environ["MILLRACE_ACCESS_KEYS"])[key_name]
    text = re.sub("SharedAccessKeyName=[^;]*", f"SharedAccessKeyName={key_name}", text)
    return re.sub("SharedAccessKey=[^;]*", f"SharedAccessKey={key}", text)


def connect(text=None, **options):
    """A client as a user makes one, but for shorter retries. With TLS it ignores the string's port."""
    port = os.environ["MILLRACE_AMQPS_PORT"]
    transport = {
        "amqp": {},
        "tls": {"transport_type": TransportType.Amqp, "custom_endpoint_address": f"sb://127.0.0.1:{port}"},
        "websocket": {
            "transport_type": TransportType.AmqpOverWebsocket,
            "custom_endpoint_address": f"sb://127.0.0.1:{port}",  # the client adds the path
        },
    }[TRANSPORT]
    if transport:
        transport["connection_verify"] = os.environ["MILLRACE_CA"]
    settings = {"retry_total": 8, "retry_backoff_factor": 0.1, "retry_backoff_max": 1} | transport | options
    return ServiceBusClient.from_connection_string(text or connection_string(), **settings)


def connect_once(text=None):
    """A client that gives up at the first error: for tests about errors."""
    return connect(text, retry_total=0)


def step():
    """
    A place in a test where all that counts is stored: with --restart-between-steps the server is killed and
    started again before this returns. The clients are not told.
    """
    if not STEP:
        return
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(STEP)
        control.sendall(b"restart\n")
        if not control.recv(100):
            raise RuntimeError("the server did not come back")


def body_of(message):
    """The bytes of a message as text."""
    return b"".join(message.body).decode()


def take(receiver, count, seconds=30):
    """Receives exactly `count` messages, however many calls that takes."""
    messages = []
    end = time.monotonic() + seconds
    while len(messages) < count:
        if time.monotonic() > end:
            raise AssertionError(f"{len(messages)} of {count} messages came")
        messages += receiver.receive_messages(max_message_count=count - len(messages), max_wait_time=5)
    return messages


def consume(receiver, count):
    """Receives and completes `count` messages; their bodies in the order of arrival."""
    messages = take(receiver, count)
    for message in messages:
        receiver.complete_message(message)
    # The client waits for no answer: the completions may be on their way, and a restart would lose them.
    eventually(lambda: not any(is_there(receiver, message.sequence_number) for message in messages))
    return [body_of(message) for message in messages]


def is_there(receiver, number):
    found = receiver.peek_messages(max_message_count=1, sequence_number=number)
    return bool(found) and found[0].sequence_number == number


def eventually(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("it did not happen")
        time.sleep(0.05)


def is_empty(receiver):
    """True if the entity holds nothing: nothing active, locked, deferred or scheduled."""
    # Without a number it begins behind the last message that was received.
    return not receiver.peek_messages(max_message_count=1, sequence_number=1)


class Case(unittest.TestCase):
    """Each test has a client of its own, and what it opens is closed at its end."""

    def setUp(self):
        self.client = self.opened(connect())

    def opened(self, thing):
        self.addCleanup(thing.close)
        return thing

    def expect_empty(self, receiver):
        """The client settles without waiting for an answer, so the end of it may be on its way."""
        eventually(lambda: is_empty(receiver))

    def sender(self, name, client=None):
        return self.opened((client or self.client).get_queue_sender(entity(name)))

    def receiver(self, name, client=None, **options):
        return self.opened((client or self.client).get_queue_receiver(entity(name), **options))

    def send(self, name, *bodies, **options):
        self.sender(name).send_messages([ServiceBusMessage(body, **options) for body in bodies])
