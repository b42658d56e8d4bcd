// Sessions: one receiver at a time, in order, with a state.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import {
    LOCK_SECONDS,
    codeOf,
    connect,
    connectOnce,
    consume,
    entity,
    eventually,
    isEmpty,
    persistently,
    restarting,
    scenario,
    step,
    stepUnderSession,
    take,
    takeOne,
} from './support/servicebus.js';

const seconds = (count) => new Promise((resolve) => setTimeout(resolve, 1_000 * count));
const inSession = (sessionId, ...bodies) => bodies.map((body) => ({ body, sessionId }));
const NO_RENEWAL = { maxAutoLockRenewalDurationInMs: 0 };

describe('sessions', { concurrency: !restarting }, () => {
    scenario('a named session gives its messages in order and no others', async (client) => {
        const queue = entity('session-order');
        const sender = client.createSender(queue);
        for (let i = 0; i < 3; ++i)
            await sender.sendMessages([...inSession('a', `a${i}`), ...inSession('b', `b${i}`)]);
        await step();
        const receiver = await client.acceptSession(queue, 'b');
        assert.equal(receiver.sessionId, 'b');
        assert(receiver.sessionLockedUntilUtc > new Date());
        const messages = await take(receiver, 3);
        assert.deepEqual(
            messages.map((message) => message.body),
            ['b0', 'b1', 'b2'],
        );
        assert(messages.every((message) => message.sessionId === 'b'));
        for (const message of messages) await receiver.completeMessage(message);
        assert(await isEmpty(receiver));
        await receiver.close();
        await step();
        const other = await client.acceptSession(queue, 'a');
        assert.deepEqual(await consume(other, 3), ['a0', 'a1', 'a2']);
        await other.close();
    });

    scenario('the next session is one that has messages and that nobody holds', async (client) => {
        const queue = entity('session-next');
        await client.createSender(queue).sendMessages([...inSession('x', 1), ...inSession('y', 2)]);
        await step();
        const first = await client.acceptNextSession(queue);
        const second = await client.acceptNextSession(queue);
        assert.deepEqual([first.sessionId, second.sessionId].sort(), ['x', 'y']);
        for (const receiver of [first, second]) {
            const message = await takeOne(receiver);
            assert.equal(message.sessionId, receiver.sessionId);
            await receiver.completeMessage(message);
            await receiver.close();
        }
    });

    scenario(
        'waiting for the next session ends with ServiceTimeout if none comes',
        async (client) => {
            for (let i = 0; i < 2; ++i) {
                const started = Date.now();
                assert.equal(
                    await codeOf(client.acceptNextSession(entity('session-none'))),
                    'ServiceTimeout',
                );
                assert(Date.now() - started < 15_000);
                await step();
            }
        },
        { make: () => connectOnce({ timeoutInMs: 2_000 }) },
    );

    scenario('waiting for the next session ends when a message comes', async (client, t) => {
        const queue = entity('session-waiting');
        const other = connect();
        t.after(() => other.close());
        const accepting = persistently(() => client.acceptNextSession(queue));
        await step();
        await other.createSender(queue).sendMessages(inSession('late', 'x'));
        const receiver = await accepting;
        assert.equal(receiver.sessionId, 'late');
        assert.deepEqual(await consume(receiver, 1), ['x']);
        await receiver.close();
    });

    scenario(
        'a session that somebody holds cannot be accepted until it is released',
        async (client, t) => {
            const queue = entity('session-busy');
            const other = connectOnce();
            t.after(() => other.close());
            const holder = await client.acceptSession(queue, 's');
            assert.equal(await codeOf(other.acceptSession(queue, 's')), 'SessionCannotBeLocked');
            await (restarting ? step() : holder.close()); // both release it
            const next = await other.acceptSession(queue, 's');
            assert.equal(next.sessionId, 's');
            if (restarting)
                assert.equal(await codeOf(() => holder.getSessionState()), 'SessionLockLost');
            assert.equal(await codeOf(client.acceptSession(queue, 's')), 'SessionCannotBeLocked');
            await next.close();
        },
    );

    scenario('the state of a session is kept, replaced and cleared', async (client) => {
        const queue = entity('session-state');
        await client.createSender(queue).sendMessages(inSession('s', 1));
        const accept = () => client.acceptSession(queue, 's');
        let receiver = await accept();
        const next = async () => {
            await receiver.close();
            await step();
            receiver = await accept();
        };
        assert.equal(await receiver.getSessionState(), null);
        await receiver.setSessionState({ done: 3, list: ['ä'] });
        await next();
        assert.deepEqual(await receiver.getSessionState(), { done: 3, list: ['ä'] });
        await receiver.setSessionState(Buffer.from([0, 1, 255]));
        await next();
        assert.deepEqual([...(await receiver.getSessionState())], [0, 1, 255]);
        await consume(receiver, 1);
        await next();
        // It outlives the messages of the session.
        assert.deepEqual([...(await receiver.getSessionState())], [0, 1, 255]);
        await receiver.setSessionState(null);
        await next();
        assert.equal(await receiver.getSessionState(), null);
        await receiver.close();
    });

    scenario('the lock of a session is renewed by hand', async (client) => {
        const queue = entity('session-renew');
        await client.createSender(queue).sendMessages(inSession('s', 'x'));
        const accept = () => client.acceptSession(queue, 's', NO_RENEWAL);
        let receiver = await accept();
        let message = await takeOne(receiver);
        [receiver, message] = await stepUnderSession(receiver, message, accept);
        const first = receiver.sessionLockedUntilUtc;
        await seconds(LOCK_SECONDS - 2);
        const renewed = await receiver.renewSessionLock();
        assert(renewed - first > 1_000, `${renewed - first} ms longer`);
        await seconds(LOCK_SECONDS - 2);
        [receiver, message] = await stepUnderSession(receiver, message, accept);
        await receiver.completeMessage(message);
        assert(await isEmpty(receiver));
        await receiver.close();
    });

    scenario(
        'the lock of a session is renewed by the client for as long as it is told',
        async (client) => {
            const queue = entity('session-auto-renew');
            await client.createSender(queue).sendMessages(inSession('s', 'x'));
            const accept = () => client.acceptSession(queue, 's');
            let receiver = await accept();
            let message = await takeOne(receiver);
            [receiver, message] = await stepUnderSession(receiver, message, accept);
            await seconds(3 * LOCK_SECONDS);
            await receiver.completeMessage(message);
            assert(await isEmpty(receiver));
            await receiver.close();
        },
    );

    scenario('a session whose lock was lost goes to the next receiver', async (client, t) => {
        const queue = entity('session-lost');
        const other = connect();
        t.after(() => other.close());
        await client.createSender(queue).sendMessages(inSession('s', 'x'));
        const receiver = await client.acceptSession(queue, 's', NO_RENEWAL);
        await receiver.setSessionState('half done');
        const message = await takeOne(receiver);
        await step(); // which ends the lock; otherwise its time does
        const next = await other.acceptNextSession(queue);
        assert.equal(next.sessionId, 's');
        assert.equal(await next.getSessionState(), 'half done');
        const again = await takeOne(next);
        assert.equal(again.deliveryCount, 1);
        assert.equal(await codeOf(receiver.completeMessage(message)), 'SessionLockLost');
        await next.completeMessage(again);
        await next.close();
    });

    scenario('abandon, defer and dead-letter keep the order of a session', async (client) => {
        const queue = entity('session-settle');
        await client.createSender(queue).sendMessages(inSession('s', 1, 2, 3, 4));
        let receiver = await client.acceptSession(queue, 's');
        const again = async () => {
            await receiver.close();
            await step();
            receiver = await client.acceptSession(queue, 's');
        };
        await receiver.abandonMessage(await takeOne(receiver), { tried: true });
        const first = await takeOne(receiver);
        assert.equal(first.body, 1);
        assert.equal(first.deliveryCount, 1);
        assert.equal(first.applicationProperties.tried, true);
        await receiver.deferMessage(first);
        await again();
        await receiver.deadLetterMessage(await takeOne(receiver), { deadLetterReason: 'bad' });
        assert.deepEqual(await consume(receiver, 2), [3, 4]);
        await again();
        const [deferred] = await receiver.receiveDeferredMessages(first.sequenceNumber);
        assert.equal(deferred.body, 1);
        await receiver.completeMessage(deferred);
        assert(await isEmpty(receiver));
        await receiver.close();
        const dead = await takeOne(client.createReceiver(queue, { subQueueType: 'deadLetter' }));
        assert.deepEqual([dead.body, dead.sessionId, dead.deadLetterReason], [2, 's', 'bad']);
    });

    scenario('messages of a session can be scheduled and cancelled', async (client) => {
        const queue = entity('session-scheduled');
        const sender = client.createSender(queue);
        const inAnHour = new Date(Date.now() + 3_600_000);
        const numbers = await sender.scheduleMessages(inSession('s', 'cancelled'), inAnHour);
        const soon = new Date(Date.now() + 1_000);
        await sender.scheduleMessages(inSession('s', 'kept'), soon);
        await sender.cancelScheduledMessages(numbers);
        await step();
        const receiver = await client.acceptSession(queue, 's');
        assert.deepEqual(await consume(receiver, 1), ['kept']);
        assert(Date.now() >= soon.getTime());
        assert(await isEmpty(receiver));
        await receiver.close();
    });

    scenario('a session is handled by a processor', async (client) => {
        const queue = entity('session-processor');
        await client.createSender(queue).sendMessages(inSession('s', 1, 2, 3));
        const handled = [];
        /** Accepts the session and handles its messages; the code of the error that ended it, or 'none'. */
        const handle = async () => {
            const receiver = await persistently(() => client.acceptNextSession(queue));
            const code = await new Promise((resolve) => {
                receiver.subscribe({
                    processMessage: async ({ body, deliveryCount }) => {
                        handled.push([body, deliveryCount]);
                        if (body === 2 && deliveryCount === 0) await step();
                        if (body === 3) resolve('none');
                    },
                    processError: async ({ error }) => resolve(error.code),
                });
            });
            if (code === 'none') await eventually(() => isEmpty(receiver));
            await receiver.close();
            return code;
        };
        // A receiver ends with the lock of its session: who goes on accepts the session again.
        if (restarting) assert.equal(await handle(), 'SessionLockLost');
        assert.equal(await handle(), 'none');
        const again = restarting ? [[2, 1]] : [];
        assert.deepEqual(handled, [[1, 0], [2, 0], ...again, [3, 0]]);
    });

    scenario(
        'a queue with sessions takes no message without one, and gives none without a session',
        async (client) => {
            const queue = entity('session-required');
            assert.notEqual(
                await codeOf(client.createSender(queue).sendMessages({ body: 'x' })),
                'no error',
            );
            await step();
            assert.match(
                await refusal(client.createSender(queue).sendMessages({ body: 'x' })),
                /session/i,
            );
            await step();
            assert.match(await refusal(client.createReceiver(queue).receiveMessages(1)), /session/i);
        },
        { make: connectOnce },
    );

    scenario(
        'a queue without sessions gives none',
        async (client) => {
            for (let i = 0; i < 2; ++i) {
                assert.match(
                    await refusal(client.acceptSession(entity('session-not-here'), 's')),
                    /session/i,
                );
                await step();
            }
        },
        { make: connectOnce },
    );
});

async function refusal(action) {
    try {
        await action;
    } catch (error) {
        return error.message;
    }
    return '';
}
