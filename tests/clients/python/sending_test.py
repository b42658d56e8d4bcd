"""What a sender may send, and that it arrives as it was sent."""

import datetime
import uuid

from azure.servicebus import ServiceBusMessage
from azure.servicebus.amqp import AmqpAnnotatedMessage
from azure.servicebus.exceptions import (MessageNotFoundError, MessageSizeExceededError,
                                         MessagingEntityNotFoundError)

from support import (DEAD_LETTERS, DELETING, Case, body_of, connect_once, consume, entity, step,
                     take)

MESSAGE_BYTES_MAX = 1024 * 1024


def now():
    return datetime.datetime.now(datetime.timezone.utc)


class Sending(Case):
    def test_every_property_of_a_message_arrives(self):
        sent = {
            "message_id": "m-1", "correlation_id": "c-1", "content_type": "application/json",
            "subject": "greeting", "to": "somebody", "reply_to": "answers", "reply_to_session_id": "s-9",
            "partition_key": "p-1", "time_to_live": datetime.timedelta(hours=1),
        }
        self.send("properties", "Grüße", **sent)
        step()
        receiver = self.receiver("properties")
        message, = take(receiver, 1)
        self.assertEqual(body_of(message), "Grüße")
        for name, value in sent.items():
            self.assertEqual(getattr(message, name), value, name)
        self.assertEqual(message.delivery_count, 0)
        self.assertEqual(message.expires_at_utc - message.enqueued_time_utc, sent["time_to_live"])
        self.assertGreater(message.locked_until_utc, now())
        self.assertGreater(message.sequence_number, 0)
        receiver.complete_message(message)

    def test_application_properties_keep_their_values_and_types(self):
        properties = {
            "zero": 0, "small": -7, "int": 2**31 - 1, "fraction": 0.1, "yes": True,
            "no": False, "text": "ä", "empty": "", "nothing": None,
            "id": uuid.UUID("12345678-1234-5678-1234-567812345678"),
        }
        self.send("application-properties", "x", application_properties=properties)
        step()
        receiver = self.receiver("application-properties")
        message, = take(receiver, 1)
        received = {text_of(name): value for name, value in message.application_properties.items()}
        for name in ("text", "empty"):
            received[name] = text_of(received[name])
        self.assertEqual(received, properties)
        receiver.complete_message(message)

    def test_bodies_of_every_kind_arrive(self):
        bodies = ["text", "", "x" * 70_000, b"\x00\xff\x53\x75"]
        self.send("bodies", *bodies)
        step()
        receiver = self.receiver("bodies", **DELETING)
        received = [b"".join(message.body) for message in take(receiver, len(bodies))]
        self.assertEqual(received, [body.encode() if isinstance(body, str) else body for body in bodies])

    def test_bodies_of_amqp_values_and_sequences_arrive_as_such(self):
        sender = self.sender("sections")
        sender.send_messages(AmqpAnnotatedMessage(value_body=17))
        sender.send_messages(AmqpAnnotatedMessage(sequence_body=[[1, 2], [3]]))
        sender.send_messages(AmqpAnnotatedMessage(data_body=[b"one", b"two"]))
        step()
        value, sequence, data = take(self.receiver("sections", **DELETING), 3)
        self.assertEqual(value.body, 17)
        self.assertEqual(list(sequence.body), [[1, 2], [3]])
        self.assertEqual(list(data.body), [b"one", b"two"])

    def test_a_message_of_900_kb_arrives_whole(self):
        body = b"0123456789abcdef!" * 53_000
        self.send("large", body)
        step()
        message, = take(self.receiver("large", **DELETING), 1)
        self.assertEqual(b"".join(message.body), body)

    def test_a_message_that_is_too_large_is_refused_and_the_next_one_is_not(self):
        sender = self.sender("too-large")
        with self.assertRaises(MessageSizeExceededError):
            sender.send_messages(ServiceBusMessage(b"x" * (MESSAGE_BYTES_MAX + 1)))
        step()
        sender.send_messages(ServiceBusMessage("fits"))
        self.assertEqual(consume(self.receiver("too-large"), 1), ["fits"])

    def test_a_list_is_sent_as_one_batch_in_its_order(self):
        bodies = [f"message {i}" for i in range(50)]
        self.send("array", *bodies)
        step()
        messages = take(self.receiver("array", **DELETING), 50)
        self.assertEqual([body_of(message) for message in messages], bodies)

    def test_a_batch_takes_what_fits_and_arrives_whole(self):
        sender = self.sender("batch")
        batch = sender.create_message_batch()
        with self.assertRaises(ValueError):
            while True:
                batch.add_message(ServiceBusMessage(b"x" * 100_000))
        self.assertGreaterEqual(len(batch), 2)
        sender.send_messages(batch)
        step()
        messages = take(self.receiver("batch", **DELETING), len(batch))
        self.assertEqual({len(b"".join(message.body)) for message in messages}, {100_000})

    def test_a_message_that_was_seen_is_accepted_and_dropped_where_duplicates_are_detected(self):
        self.send("duplicates", "1", message_id="one")
        step()
        self.send("duplicates", "2", message_id="one")
        self.send("duplicates", "3", message_id="two")
        receiver = self.receiver("duplicates")
        self.assertEqual(consume(receiver, 2), ["1", "3"])
        step()
        self.send("duplicates", "4", message_id="two")
        self.expect_empty(receiver)

    def test_a_scheduled_message_waits_for_its_time(self):
        sender, receiver = self.sender("scheduled"), self.receiver("scheduled")
        in_an_hour = now().replace(microsecond=0) + datetime.timedelta(hours=1)
        far, = sender.schedule_messages(ServiceBusMessage("far"), in_an_hour)
        due = now().replace(microsecond=0) + datetime.timedelta(seconds=3)
        numbers = sender.schedule_messages([ServiceBusMessage("first"), ServiceBusMessage("second")], due)
        self.assertEqual(len(numbers), 2)
        step()
        peeked, = receiver.peek_messages(max_message_count=1, sequence_number=far)
        self.assertEqual((body_of(peeked), peeked.scheduled_enqueue_time_utc), ("far", in_an_hour))
        self.assertEqual(consume(receiver, 2), ["first", "second"])
        self.assertGreaterEqual(now(), due)
        sender.cancel_scheduled_messages(far)
        self.expect_empty(receiver)

    def test_a_scheduled_message_that_is_cancelled_never_comes(self):
        sender, receiver = self.sender("cancelled"), self.receiver("cancelled")
        due = now() + datetime.timedelta(hours=1)
        numbers = sender.schedule_messages([ServiceBusMessage("1"), ServiceBusMessage("2")], due)
        step()
        sender.cancel_scheduled_messages(numbers[0])
        left = receiver.peek_messages(10, sequence_number=1)
        self.assertEqual([body_of(message) for message in left], ["2"])
        sender.cancel_scheduled_messages(numbers[1])
        self.expect_empty(receiver)
        with self.assertRaises(MessageNotFoundError):
            self.sender("cancelled", self.opened(connect_once())).cancel_scheduled_messages(numbers[0])

    def test_an_expired_message_is_a_dead_letter_where_the_queue_says_so(self):
        name = "expires-to-dead-letters"
        self.send(name, "old", time_to_live=datetime.timedelta(milliseconds=500))
        step()
        dead, = take(self.receiver(name, **DEAD_LETTERS), 1)
        self.assertEqual((body_of(dead), dead.dead_letter_reason), ("old", "TTLExpiredException"))

    def test_sending_to_nothing_says_so(self):
        client = self.opened(connect_once())
        with self.assertRaises(MessagingEntityNotFoundError):
            client.get_queue_sender("nothing/here").send_messages(ServiceBusMessage("x"))
        step()
        client = self.opened(connect_once())
        with self.assertRaises(MessagingEntityNotFoundError):
            client.get_queue_receiver("nothing").receive_messages(max_wait_time=5)


class Topics(Case):
    def subscription(self, name, **options):
        return self.opened(self.client.get_subscription_receiver(entity("news"), name, **options))

    def test_each_subscription_gets_its_own_copy(self):
        sender = self.opened(self.client.get_topic_sender(entity("news")))
        sender.send_messages([ServiceBusMessage("1"), ServiceBusMessage("2")])
        step()
        self.assertEqual(consume(self.subscription("first"), 2), ["1", "2"])
        second = self.subscription("second")
        unwanted, = take(second, 1)
        second.dead_letter_message(unwanted, reason="unwanted")
        self.assertEqual(consume(second, 1), ["2"])
        step()
        dead, = take(self.subscription("second", **DEAD_LETTERS), 1)
        self.assertEqual(body_of(dead), "1")
        self.expect_empty(self.subscription("first"))


def text_of(value):
    return value.decode() if isinstance(value, bytes) else value
