// The private RabbitMQ of tests/clients/rabbitmq.py behaves as the tests of the worker rely on.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Peer } from './support/peer.js';

const port = Number(process.env.RABBITMQ_PORT);
const guest = { port, username: 'guest', password: 'guest' };

for (const [name, options] of [
    ['PLAIN', guest],
    ['ANONYMOUS', { port, username: 'nobody' }],
]) {
    test(`with ${name} a message that was sent is received, and gone once accepted`, async () => {
        const peer = await Peer.connect(options);
        const queue = `/queue/accepted-${name}`;
        await peer.send(queue, { body: 'hello', application_properties: { n: 1 } });
        const receiver = await peer.receiver(queue);
        const { message, delivery } = await receiver.take();
        assert.equal(message.body, 'hello');
        assert.equal(message.application_properties.n, 1);
        delivery.accept();
        await receiver.close();
        await peer.send(queue, { body: 'next' });
        assert.equal((await (await peer.receiver(queue)).take()).message.body, 'next');
        await peer.close();
    });
}

test('a message that is released comes again and says so', async () => {
    const peer = await Peer.connect(guest);
    await peer.send('/queue/released', { body: 'again' });
    const receiver = await peer.receiver('/queue/released');
    const first = await receiver.take();
    first.delivery.release();
    const second = await receiver.take();
    assert.equal(second.message.body, 'again');
    assert.equal(second.message.first_acquirer, false);
    second.delivery.accept();
    await peer.close();
});
