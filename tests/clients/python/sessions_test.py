"""Sessions: one receiver at a time, in order, with a state."""

import time

from azure.servicebus import NEXT_AVAILABLE_SESSION, AutoLockRenewer, ServiceBusMessage
from azure.servicebus.exceptions import (OperationTimeoutError, ServiceBusError, SessionCannotBeLockedError,
                                         SessionLockLostError)

from support import (LOCK_SECONDS, STEP, Case, body_of, connect, connect_once, consume, step, take)


class Sessions(Case):
    def session(self, name, session_id, client=None, **options):
        return self.receiver(name, client, session_id=session_id, **options)

    def test_a_named_session_gives_its_messages_in_order_and_no_others(self):
        sender = self.sender("session-order")
        for i in range(3):
            sender.send_messages([ServiceBusMessage(f"{name}{i}", session_id=name) for name in ("a", "b")])
        step()
        receiver = self.session("session-order", "b")
        messages = take(receiver, 3)
        self.assertEqual([body_of(message) for message in messages], ["b0", "b1", "b2"])
        self.assertEqual({message.session_id for message in messages}, {"b"})
        for message in messages:
            receiver.complete_message(message)
        self.expect_empty(receiver)
        receiver.close()
        step()
        self.assertEqual(consume(self.session("session-order", "a"), 3), ["a0", "a1", "a2"])

    def test_the_next_session_is_one_that_has_messages_and_that_nobody_holds(self):
        self.send("session-next", "1", session_id="x")
        self.send("session-next", "2", session_id="y")
        step()
        names = []
        for _ in range(2):
            receiver = self.session("session-next", NEXT_AVAILABLE_SESSION)
            message, = take(receiver, 1)
            names.append(receiver.session.session_id)
            self.assertEqual(message.session_id, names[-1])
            receiver.complete_message(message)
        self.assertEqual(sorted(names), ["x", "y"])

    def test_waiting_for_the_next_session_ends_if_none_comes(self):
        receiver = self.session("session-none", NEXT_AVAILABLE_SESSION, connect_once(), max_wait_time=2)
        for _ in range(2):
            started = time.monotonic()
            with self.assertRaises(OperationTimeoutError):
                receiver.receive_messages(max_wait_time=2)
            self.assertLess(time.monotonic() - started, 30)
            step()

    def test_a_session_that_somebody_holds_cannot_be_accepted_until_it_is_released(self):
        holder = self.session("session-busy", "s")
        self.assertIsNone(holder.session.get_state() or None)
        other = self.opened(connect_once())
        with self.assertRaises(SessionCannotBeLockedError):
            self.session("session-busy", "s", other).receive_messages(max_wait_time=5)
        if STEP:
            step()  # releases it too
            other = self.opened(connect_once())
        else:
            holder.close()
        next_holder = self.session("session-busy", "s", other)
        self.assertIsNone(next_holder.session.get_state() or None)

    def test_the_state_of_a_session_is_kept_replaced_and_cleared(self):
        for state in (b"\x00\x01\xff", "text".encode(), None):
            receiver = self.session("session-state", "s")
            receiver.session.set_state(state)
            receiver.close()
            step()
            receiver = self.session("session-state", "s")
            kept = receiver.session.get_state()
            self.assertEqual(None if kept is None else bytes(kept), state)
            receiver.close()

    def test_abandon_defer_and_dead_letter_keep_the_order_of_a_session(self):
        self.send("session-settle", "1", "2", "3", "4", session_id="s")
        step()
        receiver = self.session("session-settle", "s")
        receiver.abandon_message(take(receiver, 1)[0])
        first, = take(receiver, 1)
        self.assertEqual((body_of(first), first.delivery_count), ("1", 1))
        receiver.defer_message(first)
        receiver.dead_letter_message(take(receiver, 1)[0], reason="bad")
        self.assertEqual(consume(receiver, 2), ["3", "4"])
        receiver.close()
        step()
        receiver = self.session("session-settle", "s")
        deferred, = receiver.receive_deferred_messages(first.sequence_number)
        receiver.complete_message(deferred)
        self.expect_empty(receiver)

    def test_the_lock_of_a_session_is_renewed_by_hand_and_by_the_client(self):
        self.send("session-auto-renew", "x", session_id="s")
        def accept():
            return self.session("session-auto-renew", "s")

        receiver = accept()
        receiver, message = self.step_under_session(receiver, take(receiver, 1)[0], accept)
        first = receiver.session.locked_until_utc
        time.sleep(1)
        self.assertGreater((receiver.session.renew_lock() - first).total_seconds(), 0.5)
        with AutoLockRenewer() as renewer:
            renewer.register(receiver, receiver.session, max_lock_renewal_duration=60)
            time.sleep(3 * LOCK_SECONDS)
            receiver.complete_message(message)
        self.expect_empty(receiver)

    def test_a_session_whose_lock_was_lost_goes_to_the_next_receiver(self):
        self.send("session-lost", "x", session_id="s")
        receiver = self.session("session-lost", "s")
        message, = take(receiver, 1)
        step()  # which ends the lock; otherwise its time does
        following = self.session("session-lost", NEXT_AVAILABLE_SESSION, self.opened(connect()))
        again, = take(following, 1)
        self.assertEqual(again.delivery_count, 1)
        if STEP:
            self.expect_session_lost(receiver)
        with self.assertRaises(SessionLockLostError):
            receiver.complete_message(message)
        following.complete_message(again)
        self.expect_empty(following)

    def test_a_queue_with_sessions_takes_no_message_without_one_and_gives_none_without_a_session(self):
        client = self.opened(connect_once())
        with self.assertRaisesRegex(ServiceBusError, "(?i)session"):
            self.sender("session-required", client).send_messages(ServiceBusMessage("x"))
        step()
        client = self.opened(connect_once())
        with self.assertRaisesRegex(ServiceBusError, "(?i)session"):
            self.receiver("session-required", client).receive_messages(max_wait_time=5)
