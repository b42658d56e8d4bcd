// What keys allow, and that a wrong one allows nothing.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import {
    codeOf,
    connectOnce,
    connectionString,
    consume,
    entity,
    scenario,
    step,
    takeOne,
    transport,
} from './support/servicebus.js';

const withKey = (name) => () => connectOnce({ text: connectionString(name) });
const queue = entity('rights');

// Each begins after a restart, where there are any.
describe('rights', { concurrency: false }, () => {
    scenario(
        'a wrong key is refused',
        async (client) => {
            await step();
            assert.equal(
                await codeOf(client.createSender(queue).sendMessages({ body: 1 })),
                'UnauthorizedAccess',
            );
        },
        {
            make: () =>
                connectOnce({
                    text: connectionString().replace(/SharedAccessKey=[^;]*/, 'SharedAccessKey=wrong'),
                }),
        },
    );

    scenario(
        'an unknown key name is refused',
        async (client) => {
            await step();
            assert.equal(
                await codeOf(client.createReceiver(queue).receiveMessages(1)),
                'UnauthorizedAccess',
            );
        },
        {
            make: () =>
                connectOnce({
                    text: connectionString().replace(
                        /SharedAccessKeyName=[^;]*/,
                        'SharedAccessKeyName=nobody',
                    ),
                }),
        },
    );

    scenario(
        'a key to send can send, and neither receive nor peek',
        async (client) => {
            await step();
            await client.createSender(queue).sendMessages({ body: 'sent' });
            assert.equal(
                await codeOf(client.createReceiver(queue).receiveMessages(1)),
                'UnauthorizedAccess',
            );
            assert.equal(
                await codeOf(client.createReceiver(queue).peekMessages(1)),
                'UnauthorizedAccess',
            );
        },
        { make: withKey('sender') },
    );

    scenario(
        'a key to listen can receive and settle, and not send',
        async (client) => {
            await step();
            assert.equal(
                await codeOf(client.createSender(queue).sendMessages({ body: 'x' })),
                'UnauthorizedAccess',
            );
            assert.deepEqual(await consume(client.createReceiver(queue), 1), ['sent']);
        },
        { make: withKey('listener') },
    );

    scenario(
        'a key to send changes no rules of a subscription',
        async (client) => {
            await step();
            const manager = client.createRuleManager(entity('rights-topic'), 'all');
            assert.equal(
                await codeOf(manager.createRule('x', { sqlExpression: '1 = 1' })),
                'UnauthorizedAccess',
            );
        },
        { make: withKey('sender') },
    );

    scenario(
        'a key to listen changes the rules of a subscription',
        async (client) => {
            await step();
            const manager = client.createRuleManager(entity('rights-topic'), 'all');
            await manager.createRule('x', { sqlExpression: '1 = 1' });
            await manager.deleteRule('x');
        },
        { make: withKey('listener') },
    );

    scenario(
        'a key of one entity opens no other',
        async (client) => {
            await step();
            const own = entity('one-entity');
            await client.createSender(own).sendMessages({ body: 'x' });
            assert.equal(
                (await takeOne(client.createReceiver(own, { receiveMode: 'receiveAndDelete' }))).body,
                'x',
            );
            assert.equal(
                await codeOf(client.createSender(queue).sendMessages({ body: 'x' })),
                'UnauthorizedAccess',
            );
        },
        { make: withKey(`one-entity-${transport}`) },
    );
});
