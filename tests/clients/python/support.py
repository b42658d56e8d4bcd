"""What every test with azure-servicebus needs; environment: tests/clients/js/support/servicebus.js."""

import json
import os
import re
import socket
import time
import unittest

from azure.servicebus import (ServiceBusClient, ServiceBusMessage, ServiceBusReceiveMode, ServiceBusSubQueue,
                              TransportType)
from azure.servicebus.exceptions import (MessageLockLostError, ServiceBusConnectionError,
                                         SessionLockLostError)

TRANSPORT = os.environ["MILLRACE_TRANSPORT"]
STEP = os.environ.get("MILLRACE_STEP")
LOCK_SECONDS = 5

DEAD_LETTERS = {"sub_queue": ServiceBusSubQueue.DEAD_LETTER}
DELETING = {"receive_mode": ServiceBusReceiveMode.RECEIVE_AND_DELETE}


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
        control.sendall(b"server\n")
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
    for message in messages:
        await_settled(receiver, message)
    return [body_of(message) for message in messages]


def await_settled(receiver, message):
    """Until a message left its queue: the client waits for no answer, and a restart may lose it."""
    eventually(lambda: not is_there(receiver, message.sequence_number))


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

    def step_under_lock(self, receiver, message):
        """
        A place in a test where `receiver` holds the lock of `message`. With restarts the server is killed
        here and locks end with it: this one is lost, and the message comes again with this delivery counted.
        Returns the message whose lock is held from here on.
        """
        if not STEP:
            return message
        step()
        with self.assertRaises(MessageLockLostError):
            receiver.renew_message_lock(message)
        return self.taken_again(receiver, message)

    def step_under_session(self, receiver, message, accept):
        """
        The same where `receiver` holds a session, as accept() answered it, and has received `message` of it.
        Returns who holds the session from here on, and the message.
        """
        if not STEP:
            return receiver, message
        step()
        self.expect_session_lost(receiver)
        receiver = accept()
        return receiver, self.taken_again(receiver, message)

    def expect_session_lost(self, receiver):
        """The client says once that the connection broke, from then on that the session's lock is lost."""
        with self.assertRaises(ServiceBusConnectionError):
            receiver.session.renew_lock()
        with self.assertRaises(SessionLockLostError):
            receiver.session.renew_lock()

    def taken_again(self, receiver, message):
        again, = take(receiver, 1)
        self.assertEqual(again.sequence_number, message.sequence_number)
        self.assertEqual(again.delivery_count, message.delivery_count + 1)
        return again
