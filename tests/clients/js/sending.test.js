// What a sender may send, and that it arrives as it was sent.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import {
    codeOf,
    connectOnce,
    consume,
    entity,
    eventually,
    isEmpty,
    restarting,
    scenario,
    step,
    take,
    takeOne,
} from './support/servicebus.js';

const MESSAGE_BYTES_MAX = 1024 * 1024;

describe('sending', { concurrency: !restarting }, () => {
    scenario('every property of a message arrives', async (client) => {
        const queue = entity('properties');
        const sent = {
            body: { text: 'Grüße', list: [1, 2.5, null, true] },
            messageId: 'm-1',
            correlationId: 'c-1',
            contentType: 'application/json',
            subject: 'greeting',
            to: 'somebody',
            replyTo: 'answers',
            replyToSessionId: 's-9',
            partitionKey: 'p-1',
            timeToLive: 3_600_000,
        };
        await client.createSender(queue).sendMessages(sent);
        await step();
        const receiver = client.createReceiver(queue);
        const message = await takeOne(receiver);
        const { timeToLive, ...rest } = sent;
        for (const [name, value] of Object.entries(rest)) assert.deepEqual(message[name], value, name);
        // The client takes the difference of two times, one of which is the sender's.
        assert(Math.abs(message.timeToLive - timeToLive) < 60_000, `${message.timeToLive}`);
        assert.equal(message.deliveryCount, 0);
        assert.equal(message.state, 'active');
        assert.equal(message.expiresAtUtc - message.enqueuedTimeUtc, 3_600_000);
        assert(Math.abs(message.enqueuedTimeUtc - Date.now()) < 60_000);
        assert(message.lockedUntilUtc > new Date());
        assert(message.sequenceNumber.gt(0));
        await receiver.completeMessage(message);
    });

    scenario('application properties keep their values and types', async (client) => {
        const queue = entity('application-properties');
        const applicationProperties = {
            zero: 0,
            small: -7,
            int: 2 ** 31 - 1,
            long: 2 ** 40,
            fraction: 0.1,
            yes: true,
            no: false,
            text: 'ä',
            empty: '',
            nothing: null,
            date: new Date('2026-02-03T04:05:06.789Z'),
        };
        await client.createSender(queue).sendMessages({ body: 'x', applicationProperties });
        await step();
        const receiver = client.createReceiver(queue, { skipConvertingDate: true });
        const message = await takeOne(receiver);
        assert.deepEqual({ ...message.applicationProperties }, applicationProperties);
        await receiver.completeMessage(message);
    });

    scenario('bodies of every kind arrive', async (client) => {
        const queue = entity('bodies');
        const bodies = [
            'text',
            '',
            42,
            1.5,
            true,
            null,
            [1, [2]],
            { a: { b: 'c' } },
            Buffer.from([0, 255, 0x53, 0x75]),
            Buffer.alloc(0),
            'x'.repeat(70_000),
        ];
        const sender = client.createSender(queue);
        for (const body of bodies) await sender.sendMessages({ body });
        await step();
        const received = await consume(client.createReceiver(queue), bodies.length);
        assert.deepEqual(received, bodies);
    });

    scenario('bodies of AMQP values and sequences arrive as such', async (client) => {
        const queue = entity('sections');
        const bodies = [
            ['value', 'text'],
            ['value', 17],
            ['value', { k: 'v' }],
            ['sequence', [1, 'two', null]],
        ];
        const sender = client.createSender(queue);
        for (const [bodyType, body] of bodies) await sender.sendMessages({ bodyType, body });
        await step();
        const receiver = client.createReceiver(queue);
        for (const [bodyType, body] of bodies) {
            const message = await takeOne(receiver);
            assert.equal(message._rawAmqpMessage.bodyType, bodyType);
            assert.deepEqual(message.body, body);
            await receiver.completeMessage(message);
        }
    });

    scenario('a message of 900 KB arrives whole', async (client) => {
        const queue = entity('large');
        const body = Buffer.alloc(900_000, Buffer.from('0123456789abcdef!'));
        await client.createSender(queue).sendMessages({ body });
        await step();
        const [received] = await consume(client.createReceiver(queue), 1);
        assert(body.equals(received));
    });

    scenario('a message that is too large is refused, and the next one is not', async (client, t) => {
        const queue = entity('too-large');
        const impatient = connectOnce();
        t.after(() => impatient.close());
        const tooLarge = { body: Buffer.alloc(MESSAGE_BYTES_MAX + 1) };
        const code = await codeOf(impatient.createSender(queue).sendMessages(tooLarge));
        assert.equal(code, 'MessageSizeExceeded');
        await step();
        await client.createSender(queue).sendMessages({ body: 'fits' });
        assert.deepEqual(await consume(client.createReceiver(queue), 1), ['fits']);
    });

    scenario('an array is sent as one batch, in its order', async (client) => {
        const queue = entity('array');
        const bodies = Array.from({ length: 50 }, (_, i) => `message ${i}`);
        await client
            .createSender(queue)
            .sendMessages(bodies.map((body, i) => ({ body, messageId: `id-${i}` })));
        await step();
        const messages = await take(
            client.createReceiver(queue, { receiveMode: 'receiveAndDelete' }),
            bodies.length,
        );
        assert.deepEqual(
            messages.map((message) => message.body),
            bodies,
        );
        assert.deepEqual(
            messages.map((message) => message.messageId),
            bodies.map((_, i) => `id-${i}`),
        );
    });

    scenario('a batch takes what fits and arrives whole', async (client) => {
        const queue = entity('batch');
        const sender = client.createSender(queue);
        const batch = await sender.createMessageBatch();
        const part = { body: Buffer.alloc(100_000), applicationProperties: { n: 1 } };
        while (batch.tryAddMessage(part));
        assert(batch.count >= 2 && batch.count <= MESSAGE_BYTES_MAX / 100_000, `${batch.count} fit`);
        await sender.sendMessages(batch);
        await step();
        const messages = await take(
            client.createReceiver(queue, { receiveMode: 'receiveAndDelete' }),
            batch.count,
        );
        assert(messages.every((message) => message.body.length === 100_000));
        assert(messages.every((message) => message.applicationProperties.n === 1));
    });

    scenario('a message without an id gets one', async (client) => {
        const queue = entity('no-id');
        await client.createSender(queue).sendMessages({ body: 'x' });
        await step();
        const receiver = client.createReceiver(queue);
        const message = await takeOne(receiver);
        assert.match(message.messageId, /^[0-9a-f-]{32,36}$/);
        await receiver.completeMessage(message);
    });

    scenario(
        'a message that was seen is accepted and dropped where duplicates are detected',
        async (client) => {
            const queue = entity('duplicates');
            const sender = client.createSender(queue);
            await sender.sendMessages({ body: 1, messageId: 'one' });
            await step();
            await sender.sendMessages({ body: 2, messageId: 'one' });
            await sender.sendMessages([
                { body: 3, messageId: 'two' },
                { body: 4, messageId: 'one' },
            ]);
            const receiver = client.createReceiver(queue);
            assert.deepEqual(await consume(receiver, 2), [1, 3]);
            await step();
            await sender.sendMessages({ body: 5, messageId: 'two' });
            assert(await isEmpty(receiver));
        },
    );

    scenario('a scheduled message waits for its time', async (client) => {
        const queue = entity('scheduled');
        const sender = client.createSender(queue);
        const receiver = client.createReceiver(queue);
        const inAnHour = new Date(Date.now() + 3_600_000);
        const [far] = await sender.scheduleMessages({ body: 'far' }, inAnHour);
        const due = new Date(Date.now() + 2_000);
        const numbers = await sender.scheduleMessages([{ body: 'first' }, { body: 'second' }], due);
        assert.equal(numbers.length, 2);
        await step();
        const [peeked] = await receiver.peekMessages(1, { fromSequenceNumber: far });
        assert.equal(peeked.body, 'far');
        assert.equal(peeked.state, 'scheduled');
        assert.equal(peeked.scheduledEnqueueTimeUtc.getTime(), inAnHour.getTime());
        const messages = await take(receiver, 2);
        assert(Date.now() >= due.getTime(), 'came before its time');
        assert(messages[0].enqueuedTimeUtc >= due);
        assert.deepEqual(
            messages.map((message) => message.body),
            ['first', 'second'],
        );
        for (const message of messages) await receiver.completeMessage(message);
        await sender.cancelScheduledMessages(far);
        assert(await isEmpty(receiver));
    });

    scenario('a message can be sent with the time at which it is due', async (client) => {
        const queue = entity('scheduled-by-property');
        const due = new Date(Date.now() + 1_000);
        await client.createSender(queue).sendMessages({ body: 'later', scheduledEnqueueTimeUtc: due });
        await step();
        const receiver = client.createReceiver(queue);
        const message = await takeOne(receiver);
        assert(Date.now() >= due.getTime(), 'came before its time');
        await receiver.completeMessage(message);
    });

    scenario('a scheduled message that is cancelled never comes', async (client) => {
        const queue = entity('cancelled');
        const sender = client.createSender(queue);
        const receiver = client.createReceiver(queue);
        const numbers = await sender.scheduleMessages(
            [{ body: 1 }, { body: 2 }],
            new Date(Date.now() + 3_600_000),
        );
        await step();
        await sender.cancelScheduledMessages(numbers[0]);
        assert.deepEqual(
            (await receiver.peekMessages(10)).map((message) => message.body),
            [2],
        );
        await step();
        await sender.cancelScheduledMessages(numbers[1]);
        assert(await isEmpty(receiver));
        assert.equal(await codeOf(sender.cancelScheduledMessages(numbers[0])), 'MessageNotFound');
    });

    scenario('a hundred sends at once are all stored', async (client) => {
        const queue = entity('many');
        const sender = client.createSender(queue);
        const bodies = Array.from({ length: 100 }, (_, i) => i);
        await Promise.all(bodies.map((body) => sender.sendMessages({ body })));
        await step();
        const messages = await take(
            client.createReceiver(queue, { receiveMode: 'receiveAndDelete' }),
            100,
        );
        assert.deepEqual(
            messages.map((message) => message.body).sort((a, b) => a - b),
            bodies,
        );
    });

    scenario(
        'an expired message is dropped, or dead-lettered where the queue says so',
        async (client) => {
            const dropping = entity('expires');
            const keeping = entity('expires-to-dead-letters');
            for (const queue of [dropping, keeping]) {
                await client
                    .createSender(queue)
                    .sendMessages([{ body: 'old', timeToLive: 500 }, { body: 'new' }]);
            }
            await step();
            const dead = await takeOne(client.createReceiver(keeping, { subQueueType: 'deadLetter' }));
            assert.equal(dead.body, 'old');
            assert.equal(dead.deadLetterReason, 'TTLExpiredException');
            const receiver = client.createReceiver(dropping);
            await eventually(async () => (await receiver.peekMessages(10)).length === 1);
            assert.deepEqual(await consume(receiver, 1), ['new']);
        },
    );

    scenario(
        'sending to nothing says so',
        async (client, t) => {
            assert.equal(
                await codeOf(client.createSender('nothing/here').sendMessages({ body: 1 })),
                'MessagingEntityNotFound',
            );
            await step();
            const other = connectOnce();
            t.after(() => other.close());
            assert.equal(
                await codeOf(other.createReceiver('nothing').receiveMessages(1)),
                'MessagingEntityNotFound',
            );
            assert.equal(
                await codeOf(other.createReceiver('nothing').peekMessages(1)),
                'MessagingEntityNotFound',
            );
        },
        { make: connectOnce },
    );
});
