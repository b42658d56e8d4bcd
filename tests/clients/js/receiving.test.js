// Receiving and settling.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import {
    codeOf,
    connect,
    consume,
    entity,
    isEmpty,
    restarting,
    scenario,
    step,
    take,
    takeOne,
} from './support/servicebus.js';

const deadLettersOf = (client, queue) => client.createReceiver(queue, { subQueueType: 'deadLetter' });

describe('receiving', { concurrency: !restarting }, () => {
    scenario('a completed message is gone', async (client) => {
        const queue = entity('complete');
        await client.createSender(queue).sendMessages([{ body: 1 }, { body: 2 }]);
        const receiver = client.createReceiver(queue);
        await step();
        assert.deepEqual(await consume(receiver, 1), [1]);
        await step();
        assert.deepEqual(await consume(receiver, 1), [2]);
        await step();
        assert(await isEmpty(receiver));
    });

    scenario('a trace context arrives as it was sent, also among the dead letters', async (client) => {
        const queue = entity('traced');
        const traced = {
            traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
            'Diagnostic-Id': '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
            tracestate: 'vendor=a,other=b',
        };
        await client
            .createSender(queue)
            .sendMessages([{ body: 1, applicationProperties: traced }, { body: 2 }]);
        const receiver = client.createReceiver(queue);
        await step();
        const [first, second] = await take(receiver, 2);
        assert.deepEqual({ ...first.applicationProperties }, traced);
        assert.deepEqual({ ...second.applicationProperties }, {}, 'nothing is added');
        await receiver.deadLetterMessage(first);
        await receiver.completeMessage(second);
        await step();
        const dead = await takeOne(deadLettersOf(client, queue));
        for (const [name, value] of Object.entries(traced))
            assert.equal(dead.applicationProperties[name], value);
    });

    scenario('what is received and deleted is gone at once', async (client) => {
        const queue = entity('receive-and-delete');
        await client.createSender(queue).sendMessages([{ body: 1 }, { body: 2 }]);
        await step();
        const receiver = client.createReceiver(queue, { receiveMode: 'receiveAndDelete' });
        assert.deepEqual(
            (await take(receiver, 2)).map((message) => message.body),
            [1, 2],
        );
        assert(await isEmpty(receiver));
    });

    scenario(
        'an abandoned message comes again with its new properties and a higher delivery count',
        async (client) => {
            const queue = entity('abandon');
            await client
                .createSender(queue)
                .sendMessages({ body: 'x', applicationProperties: { kept: 1, changed: 'old' } });
            const receiver = client.createReceiver(queue);
            await receiver.abandonMessage(await takeOne(receiver), { changed: 'new', added: true });
            await step();
            const again = await takeOne(receiver);
            assert.equal(again.deliveryCount, 1);
            assert.deepEqual(
                { ...again.applicationProperties },
                { kept: 1, changed: 'new', added: true },
            );
            await receiver.abandonMessage(again);
            await step();
            const third = await takeOne(receiver);
            assert.equal(third.deliveryCount, 2);
            await receiver.completeMessage(third);
        },
    );

    scenario('a message that was delivered too often is a dead letter', async (client) => {
        const queue = entity('delivered-too-often'); // max_delivery_count = 3
        await client.createSender(queue).sendMessages({ body: 'poison' });
        const receiver = client.createReceiver(queue);
        for (let i = 0; i < 3; ++i) {
            await receiver.abandonMessage(await takeOne(receiver));
            await step();
        }
        const dead = await takeOne(deadLettersOf(client, queue));
        assert.equal(dead.body, 'poison');
        assert.equal(dead.deadLetterReason, 'MaxDeliveryCountExceeded');
        assert(dead.deadLetterErrorDescription);
        assert(await isEmpty(receiver));
    });

    scenario('a deferred message is received by its number only', async (client) => {
        const queue = entity('defer');
        await client.createSender(queue).sendMessages([{ body: 'deferred' }, { body: 'next' }]);
        const receiver = client.createReceiver(queue);
        const message = await takeOne(receiver);
        await receiver.deferMessage(message, { why: 'later' });
        await step();
        assert.deepEqual(await consume(receiver, 1), ['next']);
        const [peeked] = await receiver.peekMessages(1);
        assert.equal(peeked.state, 'deferred');
        const [deferred] = await receiver.receiveDeferredMessages(message.sequenceNumber);
        assert.equal(deferred.body, 'deferred');
        assert.equal(deferred.applicationProperties.why, 'later');
        await receiver.completeMessage(deferred);
        await step();
        assert(await isEmpty(receiver));
        assert.equal(
            await codeOf(receiver.receiveDeferredMessages(message.sequenceNumber)),
            'MessageNotFound',
        );
    });

    scenario(
        'deferred messages can be abandoned, dead-lettered or received and deleted',
        async (client) => {
            const queue = entity('defer-and-more');
            await client.createSender(queue).sendMessages([{ body: 1 }, { body: 2 }, { body: 3 }]);
            const receiver = client.createReceiver(queue);
            const messages = await take(receiver, 3);
            for (const message of messages) await receiver.deferMessage(message);
            const numbers = messages.map((message) => message.sequenceNumber);
            await step();
            const [first, second] = await receiver.receiveDeferredMessages(numbers.slice(0, 2));
            await receiver.abandonMessage(first);
            await receiver.deadLetterMessage(second, { deadLetterReason: 'late' });
            const deleting = client.createReceiver(queue, { receiveMode: 'receiveAndDelete' });
            assert.equal((await deleting.receiveDeferredMessages(numbers[2]))[0].body, 3);
            await step();
            assert.equal((await takeOne(deadLettersOf(client, queue))).deadLetterReason, 'late');
            // Abandoned, it is still deferred.
            assert.equal((await deleting.receiveDeferredMessages(numbers[0]))[0].body, 1);
            assert(await isEmpty(receiver));
        },
    );

    scenario('a dead letter says why, keeps its properties and can be completed', async (client) => {
        const queue = entity('dead-letter');
        await client
            .createSender(queue)
            .sendMessages({ body: 'bad', messageId: 'b-1', applicationProperties: { kept: 7 } });
        const receiver = client.createReceiver(queue);
        await receiver.deadLetterMessage(await takeOne(receiver), {
            deadLetterReason: 'MalformedPayload',
            deadLetterErrorDescription: 'no JSON',
            attempt: 3,
        });
        await step();
        assert(await isEmpty(receiver));
        const deadLetters = deadLettersOf(client, queue);
        const dead = await takeOne(deadLetters);
        assert.equal(dead.body, 'bad');
        assert.equal(dead.messageId, 'b-1');
        assert.equal(dead.deadLetterReason, 'MalformedPayload');
        assert.equal(dead.deadLetterErrorDescription, 'no JSON');
        assert.equal(dead.applicationProperties.kept, 7);
        assert.equal(dead.applicationProperties.attempt, 3);
        await deadLetters.completeMessage(dead);
        await step();
        assert(await isEmpty(deadLetters));
    });

    scenario('peeking shows every message in order and locks none', async (client) => {
        const queue = entity('peek');
        const sender = client.createSender(queue);
        await sender.sendMessages(Array.from({ length: 5 }, (_, body) => ({ body })));
        await step();
        const receiver = client.createReceiver(queue);
        const peeked = await receiver.peekMessages(3);
        assert.deepEqual(
            peeked.map((message) => message.body),
            [0, 1, 2],
        );
        assert.deepEqual(
            (await receiver.peekMessages(3)).map((message) => message.body),
            [3, 4],
        );
        assert.deepEqual(await receiver.peekMessages(3), []);
        const fromSecond = await receiver.peekMessages(10, {
            fromSequenceNumber: peeked[1].sequenceNumber,
        });
        assert.deepEqual(
            fromSecond.map((message) => message.body),
            [1, 2, 3, 4],
        );
        assert.equal(peeked[0].lockToken, undefined);
        const heads = await receiver.peekMessages(10, {
            fromSequenceNumber: peeked[0].sequenceNumber,
            omitMessageBody: true,
        });
        assert.deepEqual(
            heads.map((message) => message.sequenceNumber.toNumber()),
            [1, 2, 3, 4, 5],
        );
        assert(heads.every((message) => !message.body?.length));
        const fresh = client.createReceiver(queue);
        assert.deepEqual(await consume(fresh, 5), [0, 1, 2, 3, 4]);
    });

    scenario(
        'a receive of an empty queue returns nothing in its time, and the next one gets a message',
        async (client) => {
            const queue = entity('empty');
            const receiver = client.createReceiver(queue);
            for (let i = 0; i < 2; ++i) {
                assert.deepEqual(await receiver.receiveMessages(5, { maxWaitTimeInMs: 200 }), []);
                await step();
            }
            await client.createSender(queue).sendMessages({ body: 'x' });
            await step();
            assert.deepEqual(await consume(receiver, 1), ['x']);
        },
    );

    scenario('a waiting receiver gets a message when it is sent', async (client) => {
        const queue = entity('waiting');
        const receiver = client.createReceiver(queue);
        await receiver.receiveMessages(1, { maxWaitTimeInMs: 1 }); // its link is open from here on
        const receiving = restarting
            ? takeOne(receiver)
            : receiver.receiveMessages(1, { maxWaitTimeInMs: 20_000 }).then(([message]) => message);
        await step();
        await client.createSender(queue).sendMessages({ body: 'now' });
        assert.equal((await receiving).body, 'now');
    });

    scenario('an iterator yields message after message', async (client) => {
        const queue = entity('iterator');
        await client.createSender(queue).sendMessages([{ body: 1 }, { body: 2 }, { body: 3 }]);
        const receiver = client.createReceiver(queue);
        const bodies = [];
        for await (const message of receiver.getMessageIterator({ maxWaitTimeInMs: 5_000 })) {
            bodies.push(message.body);
            await receiver.completeMessage(message);
            await step();
            if (bodies.length === 3) break;
        }
        assert.deepEqual(bodies, [1, 2, 3]);
        assert(await isEmpty(receiver));
    });

    scenario('an iterator yields what it held when the server was killed once more', async (client) => {
        const queue = entity('iterator-killed');
        await client.createSender(queue).sendMessages([{ body: 1 }, { body: 2 }]);
        const receiver = client.createReceiver(queue);
        const seen = [];
        for await (const message of receiver.getMessageIterator({ maxWaitTimeInMs: 5_000 })) {
            seen.push([message.body, message.deliveryCount]);
            if (message.deliveryCount === 0) await step();
            const code = await codeOf(receiver.completeMessage(message));
            const lost = restarting && message.deliveryCount === 0;
            assert.equal(code, lost ? 'MessageLockLost' : 'no error');
            if (await isEmpty(receiver)) break;
        }
        const once = [
            [1, 0],
            [2, 0],
        ];
        const twice = [1, 2].flatMap((body) => [
            [body, 0],
            [body, 1],
        ]);
        assert.deepEqual(seen, restarting ? twice : once);
    });

    scenario('a message that was settled cannot be settled again', async (client) => {
        const queue = entity('settled-twice');
        await client.createSender(queue).sendMessages({ body: 'x' });
        const receiver = client.createReceiver(queue);
        const message = await takeOne(receiver);
        await receiver.completeMessage(message);
        await step();
        await assert.rejects(receiver.completeMessage(message));
        assert(await isEmpty(receiver));
    });

    scenario('two receivers share the messages of a queue', async (client, t) => {
        const queue = entity('shared');
        const other = connect();
        t.after(() => other.close());
        await client.createSender(queue).sendMessages([{ body: 1 }, { body: 2 }]);
        const receivers = [client.createReceiver(queue), other.createReceiver(queue)];
        const bodies = [];
        for (const receiver of receivers) {
            await step();
            bodies.push(...(await consume(receiver, 1)));
        }
        assert.deepEqual(bodies, [1, 2]);
        await step();
        for (const receiver of receivers) assert(await isEmpty(receiver));
    });

    scenario('names of entities are not case-sensitive', async (client) => {
        const queue = entity('Mixed-Case');
        await client.createSender(queue.toUpperCase()).sendMessages({ body: 'x' });
        await step();
        assert.deepEqual(await consume(client.createReceiver(queue.toLowerCase()), 1), ['x']);
    });

    scenario('an entity may have slashes in its name', async (client) => {
        const queue = entity('europe/orders');
        await client.createSender(queue).sendMessages({ body: 'x' });
        await step();
        const receiver = client.createReceiver(queue);
        assert.equal((await receiver.peekMessages(1)).length, 1);
        assert.deepEqual(await consume(receiver, 1), ['x']);
    });
});
