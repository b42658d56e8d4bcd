// A client that knows AMQP 1.0 and nothing of Azure: rhea.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Peer, message, nextEvent, types } from './support/peer.js';
import { restarting, step } from './support/steps.js';

const port = Number(process.env.MILLRACE_AMQP_PORT);
const keys = JSON.parse(process.env.MILLRACE_ACCESS_KEYS);
const plain = (name) => ({ port, username: name, password: keys[name] });
const everyone = plain('RootManageSharedAccessKey');
const SECOND = { rcv_settle_mode: 1 }; // the receiver waits for the answer to its outcome
const queue = (name) => `${name}-amqp`;

/** A test with a connection of its own. */
function scenario(name, body, options = everyone) {
    test(name, async () => {
        const peer = await Peer.connect(options);
        await body(peer);
        await peer.close();
    });
}

const conditionOf = (action) =>
    action.then(
        () => 'no error',
        (error) => error.condition ?? error.message,
    );

describe('who may connect', () => {
    test('a wrong key is refused', async () => {
        await step();
        await assert.rejects(Peer.connect({ ...everyone, password: 'wrong' }));
    });

    scenario(
        'without a key a link is refused where keys are asked for',
        async (peer) => {
            assert.equal(
                await conditionOf(peer.sender(queue('settlement'))),
                'amqp:unauthorized-access',
            );
            await peer.step();
            assert.equal(
                await conditionOf(peer.receiver(queue('settlement'))),
                'amqp:unauthorized-access',
            );
        },
        { port, username: 'nobody' },
    );

    scenario(
        'a key to listen opens no sender',
        async (peer) => {
            assert.equal(
                await conditionOf(peer.sender(queue('settlement'))),
                'amqp:unauthorized-access',
            );
            await peer.step();
            await (await peer.receiver(queue('settlement'))).close();
        },
        plain('listener'),
    );

    scenario(
        'without keys on the server everyone sends and receives',
        async (peer) => {
            assert.equal(await peer.send(queue('settlement'), { body: 'x' }), 'accepted');
            await peer.step('open');
            const receiver = await peer.receiver(queue('settlement'), SECOND);
            const { message: received, delivery } = await receiver.take();
            assert.equal(String(received.body), 'x');
            assert.equal(await receiver.settle(delivery, () => delivery.accept()), 'accepted');
        },
        { port: Number(process.env.MILLRACE_OPEN_AMQP_PORT) },
    );
});

describe('settlement', () => {
    scenario('accepted: gone', async (peer) => {
        await peer.send(queue('settlement'), { body: 'x' });
        await peer.step();
        const receiver = await peer.receiver(queue('settlement'), SECOND);
        const { delivery } = await receiver.take();
        assert.equal(await receiver.settle(delivery, () => delivery.accept()), 'accepted');
        assert.equal(await receiver.drained(), 0);
        await peer.step();
        assert.equal(await (await peer.receiver(queue('settlement'))).drained(), 0);
    });

    scenario('released: comes again', async (peer) => {
        await peer.send(queue('released'), { body: 'x' });
        await peer.step();
        const first = await peer.receiver(queue('released'), SECOND);
        const { delivery } = await first.take();
        assert.equal(await first.settle(delivery, () => delivery.release()), 'released');
        await peer.step();
        const second = await peer.receiver(queue('released'), SECOND);
        const again = await second.take();
        assert.equal(again.message.body, 'x');
        await second.settle(again.delivery, () => again.delivery.accept());
    });

    scenario(
        'modified as failed: comes again with a higher count and the annotations as properties',
        async (peer) => {
            await peer.send(queue('modified'), { body: 'x', application_properties: { kept: 1 } });
            await peer.step();
            let receiver = await peer.receiver(queue('modified'), SECOND);
            const { message: first, delivery } = await receiver.take();
            assert.equal(first.delivery_count ?? 0, 0);
            const outcome = {
                delivery_failed: true,
                undeliverable_here: false,
                message_annotations: { tried: 'once' },
            };
            assert.equal(await receiver.settle(delivery, () => delivery.modified(outcome)), 'modified');
            await peer.step();
            receiver = await peer.receiver(queue('modified'), SECOND);
            const again = await receiver.take();
            assert.equal(again.message.delivery_count, 1);
            assert.deepEqual(again.message.application_properties, { kept: 1, tried: 'once' });
            await receiver.settle(again.delivery, () => again.delivery.accept());
        },
    );

    scenario('rejected: a dead letter with the reason', async (peer) => {
        await peer.send(queue('rejected'), { body: 'x' });
        await peer.step();
        const receiver = await peer.receiver(queue('rejected'), SECOND);
        const { delivery } = await receiver.take();
        const error = { condition: 'app:malformed', description: 'no JSON' };
        assert.match(await receiver.settle(delivery, () => delivery.reject(error)), /^rejected/);
        await peer.step();
        const deadLetters = await peer.receiver(`${queue('rejected')}/$DeadLetterQueue`, SECOND);
        const dead = await deadLetters.take();
        assert.equal(dead.message.body, 'x');
        assert.match(JSON.stringify(dead.message.application_properties), /no JSON|app:malformed/);
        await deadLetters.settle(dead.delivery, () => dead.delivery.accept());
    });

    if (restarting)
        scenario('without an outcome: comes again after each end of the server, counted', async (peer) => {
            await peer.send(queue('unsettled'), { body: 'x' });
            for (const count of [0, 1, 2]) {
                await peer.step();
                const receiver = await peer.receiver(queue('unsettled'), SECOND);
                const { message: received, delivery } = await receiver.take();
                assert.equal(received.delivery_count ?? 0, count);
                if (count === 2) await receiver.settle(delivery, () => delivery.accept());
            }
            await peer.step();
            assert.equal(await (await peer.receiver(queue('unsettled'))).drained(), 0);
        });

    scenario('sent and received as settled: delivered without answers', async (peer) => {
        const sender = await peer.sender(queue('settled'), { snd_settle_mode: 1 });
        sender.send({ body: 'x' });
        const receiver = await peer.receiver(queue('settled'), { snd_settle_mode: 1 });
        const { message: received, delivery } = await receiver.take();
        assert.equal(received.body, 'x');
        assert.equal(delivery.remote_settled, true);
        assert.equal(await receiver.drained(), 0);
        await peer.step();
        assert.equal(await (await peer.receiver(queue('settled'))).drained(), 0);
    });
});

describe('links', () => {
    scenario('a receiver gets no more than its credit', async (peer) => {
        await peer.send(queue('credit'), { body: 1 }, { body: 2 }, { body: 3 });
        await peer.step();
        const first = await peer.receiver(queue('credit'), SECOND);
        const two = [await first.take(), await first.take()];
        const second = await peer.receiver(queue('credit'), SECOND);
        const third = await second.take();
        assert.deepEqual(
            [...two, third].map(({ message: { body } }) => body),
            [1, 2, 3],
        );
        for (const { delivery } of two) await first.settle(delivery, () => delivery.accept());
        await second.settle(third.delivery, () => third.delivery.accept());
        await peer.step();
        assert.equal(await (await peer.receiver(queue('credit'))).drained(), 0);
    });

    scenario('a drain gives what is there and takes the rest of the credit back', async (peer) => {
        await peer.send(queue('drain'), { body: 1 }, { body: 2 });
        await peer.step();
        const receiver = await peer.receiver(queue('drain'), SECOND);
        assert.equal(await receiver.drained(10), 2);
        const arrived = receiver.arrived();
        assert.equal(receiver.link.credit, 0);
        await peer.send(queue('drain'), { body: 3 });
        assert.deepEqual(receiver.arrived(), []);
        arrived.push(await receiver.take());
        assert.deepEqual(
            arrived.map(({ message: { body } }) => body),
            [1, 2, 3],
        );
        for (const { delivery } of arrived) await receiver.settle(delivery, () => delivery.accept());
    });

    scenario(
        'a message of 900 KB passes in frames of 4 KB',
        async (peer) => {
            const body = Buffer.alloc(900_000, 'millrace');
            assert.equal(
                await peer.send(queue('large'), { body: message.data_section(body) }),
                'accepted',
            );
            await peer.step();
            const receiver = await peer.receiver(queue('large'), SECOND);
            const { message: received, delivery } = await receiver.take();
            assert(body.equals(received.body.content));
            await receiver.settle(delivery, () => delivery.accept());
        },
        { ...everyone, max_frame_size: 4096 },
    );

    scenario('a batch is one transfer and becomes its messages', async (peer) => {
        const parts = [1, 2, 3].map((n) => message.encode({ message_id: `m${n}`, body: `body ${n}` }));
        const batch = message.encode({ body: message.data_sections(parts) });
        const sender = await peer.sender(queue('batch'));
        await nextEvent(sender, 'settled', () => sender.send(batch, undefined, 0x80013700));
        await peer.step();
        const receiver = await peer.receiver(queue('batch'), SECOND);
        for (const n of [1, 2, 3]) {
            const { message: received, delivery } = await receiver.take();
            assert.deepEqual([received.message_id, received.body], [`m${n}`, `body ${n}`]);
            await receiver.settle(delivery, () => delivery.accept());
        }
    });

    scenario('what the server knows of a message is in its annotations', async (peer) => {
        const sent = {
            body: 'x',
            message_id: 'm',
            subject: 's',
            group_id: 'g',
            application_properties: { n: 1 },
            message_annotations: { 'x-opt-partition-key': 'p', 'x-mine': 'kept' },
        };
        await peer.send(queue('annotations'), sent);
        await peer.step();
        const receiver = await peer.receiver(queue('annotations'), SECOND);
        const { message: received, delivery } = await receiver.take();
        const annotations = received.message_annotations;
        assert(Number(annotations['x-opt-sequence-number']) > 0);
        assert(annotations['x-opt-locked-until'] > annotations['x-opt-enqueued-time']);
        assert.equal(annotations['x-opt-partition-key'], 'p');
        assert.equal(annotations['x-mine'], 'kept');
        assert.deepEqual([received.message_id, received.subject, received.group_id], ['m', 's', 'g']);
        assert.deepEqual(received.application_properties, { n: 1 });
        assert.equal(delivery.tag.length, 16);
        await receiver.settle(delivery, () => delivery.accept());
    });

    scenario('an unknown address is not found', async (peer) => {
        assert.equal(await conditionOf(peer.sender('nothing')), 'amqp:not-found');
        await peer.step();
        assert.equal(await conditionOf(peer.receiver('nothing/Subscriptions/here')), 'amqp:not-found');
    });

    for (const address of [
        `/${queue('async')}`,
        `amqps://127.0.0.1:5671/${queue('async')}`,
        queue('ASYNC'),
    ]) {
        scenario(`${address} is an address`, async (peer) => {
            assert.equal(await peer.send(address, { body: address }), 'accepted');
            await peer.step();
            const receiver = await peer.receiver(address, SECOND);
            const { message: received, delivery } = await receiver.take();
            assert.equal(received.body, address);
            await receiver.settle(delivery, () => delivery.accept());
        });
    }

    for (const [form, wrap] of [
        ['plain', (id) => id],
        ['described', (id) => types.wrap_described(id, 'com.microsoft:session-filter')],
    ]) {
        scenario(`a session is chosen by a ${form} filter`, async (peer) => {
            const sent = ['a', 'b'].map((id) => ({ body: `in ${id}`, group_id: id }));
            await peer.send(queue('session-filter'), ...sent);
            const options = (id) => ({
                ...SECOND,
                source: { filter: { 'com.microsoft:session-filter': wrap(id) } },
            });
            for (const id of ['b', 'a']) {
                await peer.step();
                const receiver = await peer.receiver(queue('session-filter'), options(id));
                const { message: received, delivery } = await receiver.take();
                assert.equal(received.body, `in ${id}`);
                await receiver.settle(delivery, () => delivery.accept());
                await receiver.close();
            }
        });
    }
});
