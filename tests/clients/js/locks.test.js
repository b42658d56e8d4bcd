// Message locks, of 5 seconds here: how they are renewed, and what happens when they are lost.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import {
    LOCK_SECONDS,
    codeOf,
    connect,
    consume,
    entity,
    eventually,
    isEmpty,
    restarting,
    scenario,
    step,
    takeOne,
    volatile,
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

describe('locks', { concurrency: !restarting }, () => {
    scenario(
        'a lock that was renewed holds for as long again',
        async (client) => {
            const queue = entity('renew');
            await client.createSender(queue).sendMessages({ body: 'x' });
            const receiver = client.createReceiver(queue, NO_RENEWAL);
            const message = await takeOne(receiver);
            const first = message.lockedUntilUtc;
            await seconds(LOCK_SECONDS - 2);
            const renewed = await receiver.renewMessageLock(message);
            assert(renewed - first > 1_000, `${renewed - first} ms longer`);
            assert.deepEqual(message.lockedUntilUtc, renewed);
            await seconds(LOCK_SECONDS - 2);
            await receiver.completeMessage(message);
            assert(await isEmpty(receiver));
        },
        volatile,
    );

    scenario(
        'after its lock is lost a message comes again, and the first holder cannot settle it',
        async (client, t) => {
            const queue = entity('lock-lost');
            await client.createSender(queue).sendMessages({ body: 'x' });
            const receiver = client.createReceiver(queue, NO_RENEWAL);
            const message = await takeOne(receiver);
            const other = connect();
            t.after(() => other.close());
            const second = other.createReceiver(queue, NO_RENEWAL);
            const again = await takeOne(second);
            assert(Date.now() >= message.lockedUntilUtc, 'came while it was locked');
            assert.equal(again.deliveryCount, 1);
            assert.equal(await codeOf(receiver.completeMessage(message)), 'MessageLockLost');
            assert.equal(await codeOf(receiver.renewMessageLock(message)), 'MessageLockLost');
            await second.completeMessage(again);
            assert(await isEmpty(receiver));
        },
        volatile,
    );

    scenario(
        'a receiver that was closed leaves its message to the next',
        async (client) => {
            const queue = entity('left-behind');
            await client.createSender(queue).sendMessages({ body: 'x' });
            const receiver = client.createReceiver(queue, NO_RENEWAL);
            const message = await takeOne(receiver);
            await receiver.close();
            const next = client.createReceiver(queue);
            const again = await takeOne(next);
            assert.equal(again.body, 'x');
            assert(!again.sequenceNumber.neq(message.sequenceNumber));
            await next.completeMessage(again);
        },
        volatile,
    );

    scenario(
        'a processor renews the lock of a message that takes three times as long',
        async (client) => {
            const queue = entity('auto-renew');
            await client.createSender(queue).sendMessages({ body: 'slow' });
            let deliveries = 0;
            let done = false;
            const receiver = client.createReceiver(queue);
            const { errors, close } = subscribe(receiver, async () => {
                ++deliveries;
                await seconds(3 * LOCK_SECONDS);
                done = true;
            });
            await eventually(() => done);
            await eventually(() => isEmpty(receiver));
            await close();
            assert.equal(deliveries, 1);
            assert.deepEqual(errors, []);
        },
        volatile,
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

    scenario(
        'a processor works on as many messages at once as it was told',
        async (client) => {
            const queue = entity('concurrent');
            await client
                .createSender(queue)
                .sendMessages(Array.from({ length: 12 }, (_, body) => ({ body })));
            let now = 0,
                most = 0,
                handled = 0;
            let open;
            const gate = new Promise((resolve) => {
                open = resolve;
            });
            const receiver = client.createReceiver(queue);
            const { errors, close } = subscribe(
                receiver,
                async () => {
                    most = Math.max(most, ++now);
                    if (now === 4) open();
                    await gate;
                    --now;
                    ++handled;
                },
                { maxConcurrentCalls: 4 },
            );
            await eventually(() => handled === 12);
            await eventually(() => isEmpty(receiver));
            await close();
            assert.equal(most, 4);
            assert.deepEqual(errors, []);
        },
        volatile,
    );

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
        'a message that was locked when the server was killed comes again',
        async (client) => {
            const queue = entity('locked-at-the-kill');
            await client.createSender(queue).sendMessages({ body: 'x' });
            const receiver = client.createReceiver(queue, NO_RENEWAL);
            await takeOne(receiver);
            await step();
            assert.deepEqual(await consume(receiver, 1), ['x']);
            assert(await isEmpty(receiver));
        },
        { skip: !restarting && 'needs --restart-between-steps' },
    );
});
