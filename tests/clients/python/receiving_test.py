"""Receiving, settling and locks."""

import re
import time

from azure.servicebus import AutoLockRenewer, ServiceBusMessage
from azure.servicebus.exceptions import (MessageAlreadySettled, MessageLockLostError, MessageNotFoundError,
                                         ServiceBusAuthenticationError, ServiceBusAuthorizationError,
                                         ServiceBusConnectionError)

from support import (DEAD_LETTERS, DELETING, LOCK_SECONDS, STEP, TRANSPORT, Case, await_settled, body_of,
                     connect, connect_once, connection_string, consume, entity, is_empty, step, take)


class Settling(Case):
    def test_a_completed_message_is_gone(self):
        self.send("complete", "1", "2")
        step()
        receiver = self.receiver("complete")
        self.assertEqual(consume(receiver, 1), ["1"])
        step()
        self.assertEqual(consume(receiver, 1), ["2"])
        self.expect_empty(receiver)

    def test_what_is_received_and_deleted_is_gone_at_once(self):
        self.send("receive-and-delete", "1", "2")
        step()
        receiver = self.receiver("receive-and-delete", **DELETING)
        self.assertEqual([body_of(message) for message in take(receiver, 2)], ["1", "2"])
        self.expect_empty(receiver)

    def test_an_abandoned_message_comes_again_with_a_higher_delivery_count(self):
        self.send("abandon", "x", application_properties={"kept": 1})
        step()
        receiver = self.receiver("abandon")
        receiver.abandon_message(take(receiver, 1)[0])
        step()
        again, = take(receiver, 1)
        self.assertEqual(again.delivery_count, 1)
        self.assertEqual(dict(again.application_properties), {b"kept": 1})
        receiver.complete_message(again)

    def test_a_message_that_was_delivered_too_often_is_a_dead_letter(self):
        self.send("delivered-too-often", "poison")
        receiver = self.receiver("delivered-too-often")
        for _ in range(3):
            receiver.abandon_message(take(receiver, 1)[0])
            step()
        dead, = take(self.receiver("delivered-too-often", **DEAD_LETTERS), 1)
        self.assertEqual((body_of(dead), dead.dead_letter_reason), ("poison", "MaxDeliveryCountExceeded"))
        self.expect_empty(receiver)

    def test_a_deferred_message_is_received_by_its_number_only(self):
        self.send("defer", "deferred", "next")
        receiver = self.receiver("defer")
        message, = take(receiver, 1)
        receiver.defer_message(message)
        self.assertEqual(consume(receiver, 1), ["next"])
        step()
        deferred, = receiver.receive_deferred_messages(message.sequence_number)
        self.assertEqual(body_of(deferred), "deferred")
        receiver.complete_message(deferred)
        self.expect_empty(receiver)
        with self.assertRaises(MessageNotFoundError):
            other = self.receiver("defer", self.opened(connect_once()))
            other.receive_deferred_messages(message.sequence_number)

    def test_a_dead_letter_says_why_and_can_be_completed(self):
        self.send("dead-letter", "bad", message_id="b-1", application_properties={"kept": 7})
        receiver = self.receiver("dead-letter")
        message, = take(receiver, 1)
        receiver.dead_letter_message(message, reason="MalformedPayload", error_description="no JSON")
        await_settled(receiver, message)
        step()
        dead_letters = self.receiver("dead-letter", **DEAD_LETTERS)
        dead, = take(dead_letters, 1)
        self.assertEqual((body_of(dead), dead.message_id), ("bad", "b-1"))
        self.assertEqual((dead.dead_letter_reason, dead.dead_letter_error_description),
                         ("MalformedPayload", "no JSON"))
        self.assertEqual(dead.application_properties[b"kept"], 7)
        dead_letters.complete_message(dead)
        self.expect_empty(dead_letters)
        self.expect_empty(receiver)

    def test_peeking_shows_every_message_in_order_and_locks_none(self):
        self.send("peek", "0", "1", "2", "3", "4")
        step()
        receiver = self.receiver("peek")
        peeked = receiver.peek_messages(max_message_count=3)
        self.assertEqual([body_of(message) for message in peeked], ["0", "1", "2"])
        rest = receiver.peek_messages(max_message_count=10, sequence_number=peeked[1].sequence_number)
        self.assertEqual([body_of(message) for message in rest], ["1", "2", "3", "4"])
        self.assertEqual(consume(receiver, 5), ["0", "1", "2", "3", "4"])

    def test_a_receive_of_an_empty_queue_returns_nothing_in_its_time(self):
        receiver = self.receiver("empty")
        for seconds in (0.5, 5):  # finding the server again counts too
            self.assertEqual(receiver.receive_messages(max_wait_time=seconds), [])
            step()
        self.send("empty", "x")
        step()
        self.assertEqual(consume(receiver, 1), ["x"])

    def test_an_iterator_yields_message_after_message(self):
        self.send("iterator", "1", "2", "3")
        bodies = []
        receiver = self.receiver("iterator", max_wait_time=20 if STEP else 1)  # finding the server counts too
        for message in receiver:
            bodies.append(body_of(message))
            receiver.complete_message(message)
            await_settled(receiver, message)
            step()
            if STEP and len(bodies) == 3:
                break
        self.assertEqual(bodies, ["1", "2", "3"])
        self.expect_empty(receiver)

    def test_a_message_that_was_settled_cannot_be_settled_again(self):
        self.send("settled-twice", "x")
        receiver = self.receiver("settled-twice")
        message, = take(receiver, 1)
        receiver.complete_message(message)
        await_settled(receiver, message)
        step()
        with self.assertRaises(MessageAlreadySettled):
            receiver.complete_message(message)
        self.expect_empty(receiver)


class Locks(Case):
    def test_a_lock_that_was_renewed_holds_for_as_long_again(self):
        self.send("renew", "x")
        receiver = self.receiver("renew")
        message = self.step_under_lock(receiver, take(receiver, 1)[0])
        first = message.locked_until_utc
        time.sleep(LOCK_SECONDS - 2)
        self.assertGreater((receiver.renew_message_lock(message) - first).total_seconds(), 1)
        time.sleep(LOCK_SECONDS - 2)
        message = self.step_under_lock(receiver, message)
        receiver.complete_message(message)
        self.expect_empty(receiver)

    def test_after_its_lock_is_lost_a_message_comes_again_and_its_first_holder_cannot_renew_it(self):
        self.send("lock-lost", "x")
        receiver = self.receiver("lock-lost")
        message, = take(receiver, 1)
        step()  # which ends the lock; otherwise its time does
        again, = take(self.receiver("lock-lost", self.opened(connect())), 1)
        self.assertEqual(again.delivery_count, 1)
        with self.assertRaises(MessageLockLostError):
            receiver.renew_message_lock(message)
        with self.assertRaises(MessageLockLostError):
            receiver.complete_message(message)
        self.assertFalse(is_empty(receiver))
        self.assertEqual(consume(self.receiver("lock-lost"), 1), ["x"])

    def test_the_renewer_of_the_client_holds_a_lock_three_times_as_long(self):
        self.send("auto-renew", "slow")
        receiver = self.receiver("auto-renew")
        failures = []
        message = self.step_under_lock(receiver, take(receiver, 1)[0])
        with AutoLockRenewer() as renewer:
            renewer.register(receiver, message, max_lock_renewal_duration=60,
                             on_lock_renew_failure=lambda *failure: failures.append(failure))
            time.sleep(3 * LOCK_SECONDS)
            receiver.complete_message(message)
        self.assertEqual(failures, [])
        self.expect_empty(receiver)


class Rights(Case):
    def refused(self, action, *arguments, **options):
        expected = [ServiceBusAuthenticationError, ServiceBusAuthorizationError]
        if TRANSPORT != "amqp":
            # What the client makes of a refused token where it was given a custom endpoint.
            expected.append(ServiceBusConnectionError)
        with self.assertRaises(tuple(expected)):
            action(*arguments, **options)

    def test_a_wrong_key_is_refused(self):
        wrong = re.sub("SharedAccessKey=[^;]*", "SharedAccessKey=wrong", connection_string())
        step()
        client = self.opened(connect_once(wrong))
        self.refused(self.sender("rights", client).send_messages, ServiceBusMessage("x"))

    def test_a_key_to_send_cannot_receive_and_a_key_to_listen_cannot_send(self):
        sending = self.opened(connect_once(connection_string("sender")))
        listening = self.opened(connect_once(connection_string("listener")))
        self.sender("rights", sending).send_messages(ServiceBusMessage("sent"))
        step()
        sending = self.opened(connect_once(connection_string("sender")))
        self.refused(self.receiver("rights", sending).receive_messages, max_wait_time=5)
        self.refused(self.sender("rights", listening).send_messages, ServiceBusMessage("x"))
        self.assertEqual(consume(self.receiver("rights", listening), 1), ["sent"])

    def test_a_key_of_one_entity_opens_no_other(self):
        client = self.opened(connect_once(connection_string(f"one-entity-{TRANSPORT}")))
        self.sender("one-entity", client).send_messages(ServiceBusMessage("x"))
        step()
        client = self.opened(connect_once(connection_string(f"one-entity-{TRANSPORT}")))
        self.assertEqual(consume(self.receiver("one-entity", client), 1), ["x"])
        self.refused(self.sender("rights", client).send_messages, ServiceBusMessage("x"))
        self.expect_empty(self.opened(self.client.get_queue_receiver(entity("rights"))))
