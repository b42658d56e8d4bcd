// Message locks, of 5 seconds here: how they are renewed, and what happens when they are lost.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import {
    LOCK_SECONDS,
    codeOf,
    connect,
    entity,
    eventually,
    isEmpty,
    isLostConnection,
    restarting,
    scenario,
    step,
    stepUnderLock,
    takeOne,
} from './support/servicebus.js';

const seconds = (count) => new Promise((resolve) => setTimeout(resolve, 1_000 * count));
const NO_RENEWAL = { maxAutoLockRenewalDurationInMs: 0 };

/** Subscribes and collects errors; `handler` gets each message. */
function subscribe(receiver, handler, options) {
    const errors = [];
    const subscription = receiver.subscribe(
        {
            processMessage: handler,
            processError: async ({ error }) => {
                errors.push(error);
            },
        },
        options,
    );
    return { errors, close: () => subscription.close() };
}

/** What errors of a processor say, each code once, besides that the connection is lost where it must be. */
const codesIn = (errors) => {
    const telling = errors.filter((error) => !restarting || !isLostConnection(error));
    return [...new Set(telling.map(({ code, message }) => code ?? message))];
};

describe('locks', { concurrency: !restarting }, () => {
    scenario('a lock that was renewed holds for as long again', async (client) => {
        const queue = entity('renew');
        await client.createSender(queue).sendMessages({ body: 'x' });
        const receiver = client.createReceiver(queue, NO_RENEWAL);
        let message = await stepUnderLock(receiver, await takeOne(receiver));
        const first = message.lockedUntilUtc;
        await seconds(LOCK_SECONDS - 2);
        const renewed = await receiver.renewMessageLock(message);
        assert(renewed - first > 1_000, `${renewed - first} ms longer`);
        assert.deepEqual(message.lockedUntilUtc, renewed);
        await seconds(LOCK_SECONDS - 2);
        message = await stepUnderLock(receiver, message);
        await receiver.completeMessage(message);
        await step();
        assert(await isEmpty(receiver));
    });

    scenario(
        'after its lock is lost a message comes again, and the first holder cannot settle it',
        async (client, t) => {
            const queue = entity('lock-lost');
            await client.createSender(queue).sendMessages({ body: 'x' });
            const receiver = client.createReceiver(queue, NO_RENEWAL);
            const message = await takeOne(receiver);
            await step(); // which ends the lock; otherwise its time does
            const other = connect();
            t.after(() => other.close());
            const second = other.createReceiver(queue, NO_RENEWAL);
            const again = await takeOne(second);
            assert(restarting || Date.now() >= message.lockedUntilUtc, 'came while it was locked');
            assert.equal(again.deliveryCount, 1);
            assert.equal(await codeOf(receiver.completeMessage(message)), 'MessageLockLost');
            assert.equal(await codeOf(receiver.renewMessageLock(message)), 'MessageLockLost');
            await second.completeMessage(again);
            await step();
            assert(await isEmpty(receiver));
        },
    );

    scenario('a receiver that was closed leaves its message to the next', async (client) => {
        const queue = entity('left-behind');
        await client.createSender(queue).sendMessages({ body: 'x' });
        const receiver = client.createReceiver(queue, NO_RENEWAL);
        const message = await takeOne(receiver);
        await receiver.close();
        await step();
        const next = client.createReceiver(queue);
        const again = await takeOne(next);
        assert.equal(again.body, 'x');
        assert(again.sequenceNumber.eq(message.sequenceNumber));
        await next.completeMessage(again);
        await step();
        assert(await isEmpty(next));
    });

    scenario(
        'a processor renews the lock of a message that takes three times as long',
        async (client) => {
            const queue = entity('auto-renew');
            await client.createSender(queue).sendMessages({ body: 'slow' });
            const counts = [];
            let done = false;
            const receiver = client.createReceiver(queue);
            const { errors, close } = subscribe(receiver, async ({ deliveryCount }) => {
                counts.push(deliveryCount);
                // Where the lock ends with the server nothing is to be renewed, and the message comes again.
                if (counts.length === 1 && restarting) return step();
                await seconds(3 * LOCK_SECONDS);
                done = true;
            });
            await eventually(() => done);
            await eventually(() => isEmpty(receiver));
            await close();
            assert.deepEqual(counts, restarting ? [0, 1] : [0]);
            assert.deepEqual(codesIn(errors), restarting ? ['MessageLockLost'] : []);
        },
    );

    scenario('a processor completes what was handled and abandons what threw', async (client) => {
        const queue = entity('processor');
        await client.createSender(queue).sendMessages([{ body: 'good' }, { body: 'bad' }]);
        await step();
        const counts = [];
        const receiver = client.createReceiver(queue);
        const { errors, close } = subscribe(receiver, async ({ body, deliveryCount }) => {
            if (body !== 'bad') return;
            counts.push(deliveryCount);
            if (counts.length === 1) throw new Error('first time');
        });
        await eventually(() => counts.length === 2);
        await eventually(() => isEmpty(receiver));
        await close();
        assert.deepEqual(counts, [0, 1]);
        assert.deepEqual(
            errors.map((error) => error.message),
            ['first time'],
        );
    });

    scenario('a processor works on as many messages at once as it was told', async (client) => {
        const queue = entity('concurrent');
        await client
            .createSender(queue)
            .sendMessages(Array.from({ length: 12 }, (_, body) => ({ body })));
        await step();
        let begun = 0,
            most = 0;
        const held = new Set();
        const handled = [];
        let open;
        const gate = new Promise((resolve) => {
            open = resolve;
        });
        const receiver = client.createReceiver(queue);
        const { errors, close } = subscribe(
            receiver,
            async (message) => {
                held.add(message);
                most = Math.max(most, held.size);
                if (++begun === 4) {
                    if (restarting) held.clear(); // their locks end with the server
                    step().then(open);
                }
                await gate;
                held.delete(message);
                handled.push([message.body, message.deliveryCount]);
            },
            { maxConcurrentCalls: 4 },
        );
        const first = [0, 1, 2, 3].map((body) => [body, 0]);
        const rest = [4, 5, 6, 7, 8, 9, 10, 11].map((body) => [body, 0]);
        const again = restarting ? [0, 1, 2, 3].map((body) => [body, 1]) : [];
        await eventually(() => handled.length === 12 + again.length);
        await eventually(() => isEmpty(receiver));
        await close();
        const byBody = (left, right) => left[0] - right[0] || left[1] - right[1];
        assert.deepEqual(handled.sort(byBody), [...first, ...again, ...rest].sort(byBody));
        assert.equal(most, 4);
        assert.deepEqual(codesIn(errors), restarting ? ['MessageLockLost'] : []);
    });

    scenario('a processor goes on after the server came back', async (client) => {
        const queue = entity('processor-across-restarts');
        const bodies = new Set();
        const { close } = subscribe(client.createReceiver(queue), async ({ body }) => {
            bodies.add(body);
        });
        const sender = connect();
        try {
            for (let i = 0; i < 3; ++i) {
                await sender.createSender(queue).sendMessages({ body: i });
                await eventually(() => bodies.has(i));
                await step();
            }
            await eventually(() => isEmpty(sender.createReceiver(queue)));
        } finally {
            await sender.close();
            await close();
        }
    });

    scenario(
        'a message that was locked when the server was killed comes again, counted, to whoever asks first',
        async (client, t) => {
            const queue = entity('locked-at-the-kill');
            const other = connect();
            t.after(() => other.close());
            await client.createSender(queue).sendMessages([{ body: 'x' }, { body: 'y' }]);
            const receivers = [client, other].map((one) => one.createReceiver(queue, NO_RENEWAL));
            let message = await takeOne(receivers[0]);
            for (const count of [1, 2, 3]) {
                await step();
                message = await takeOne(receivers[count % 2]);
                assert.deepEqual([message.body, message.deliveryCount], ['x', count]);
            }
            await receivers[1].completeMessage(message);
            message = await takeOne(receivers[0]);
            assert.deepEqual([message.body, message.deliveryCount], ['y', 0]);
            await receivers[0].completeMessage(message);
            await step();
            assert(await isEmpty(receivers[0]));
        },
        { skip: !restarting && 'needs --restart-between-steps' },
    );
});
