// Topics: copies for subscriptions, chosen and changed by rules.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import {
    codeOf,
    connectOnce,
    consume,
    entity,
    isEmpty,
    restarting,
    scenario,
    step,
    take,
    takeOne,
} from './support/servicebus.js';

/** The rules of a subscription as {name: rule}. */
async function rulesOf(manager) {
    const rules = {};
    for await (const rule of manager.listRules()) rules[rule.name] = rule;
    return rules;
}

/** Puts `rules` (name -> [filter, action]) in place of the one that a subscription starts with. */
async function setRules(client, topic, subscription, rules) {
    const manager = client.createRuleManager(topic, subscription);
    for (const [name, [filter, action]] of Object.entries(rules))
        await manager.createRule(name, filter, action);
    await manager.deleteRule('$Default');
    return manager;
}

const bodiesOf = async (client, topic, subscription, count) => {
    const receiver = client.createReceiver(topic, subscription);
    const bodies = await consume(receiver, count);
    assert(await isEmpty(receiver), `${subscription} holds more`);
    return bodies;
};

describe('topics', { concurrency: !restarting }, () => {
    scenario('each subscription gets its own copy', async (client) => {
        const topic = entity('news');
        await client.createSender(topic).sendMessages([{ body: 1 }, { body: 2 }]);
        await step();
        assert.deepEqual(await bodiesOf(client, topic, 'first', 2), [1, 2]);
        await step();
        const second = client.createReceiver(topic, 'second');
        await second.deadLetterMessage(await takeOne(second), { deadLetterReason: 'unwanted' });
        assert.deepEqual(await bodiesOf(client, topic, 'second', 1), [2]);
        const dead = await takeOne(
            client.createReceiver(topic, 'second', { subQueueType: 'deadLetter' }),
        );
        assert.equal(dead.body, 1);
        assert(await isEmpty(client.createReceiver(topic, 'first', { subQueueType: 'deadLetter' })));
    });

    scenario('a correlation filter takes messages that equal all its fields', async (client) => {
        const topic = entity('correlated');
        await setRules(client, topic, 'urgent', {
            urgent: [
                {
                    subject: 'alarm',
                    correlationId: 'c-1',
                    applicationProperties: { level: 3, area: 'eu' },
                },
            ],
        });
        await setRules(client, topic, 'either', { a: [{ to: 'a' }], b: [{ contentType: 'text/b' }] });
        await step();
        const alarm = { subject: 'alarm', correlationId: 'c-1' };
        await client.createSender(topic).sendMessages([
            { body: 'yes', ...alarm, applicationProperties: { level: 3, area: 'eu' } },
            { body: 'other level', ...alarm, applicationProperties: { level: 2, area: 'eu' } },
            {
                body: 'other case',
                ...alarm,
                subject: 'Alarm',
                applicationProperties: { level: 3, area: 'eu' },
            },
            { body: 'no area', ...alarm, applicationProperties: { level: 3 } },
            { body: 'to a', to: 'a' },
            { body: 'b', contentType: 'text/b' },
            { body: 'both', to: 'a', contentType: 'text/b' },
        ]);
        await step();
        assert.deepEqual(await bodiesOf(client, topic, 'urgent', 1), ['yes']);
        assert.deepEqual(await bodiesOf(client, topic, 'either', 3), ['to a', 'b', 'both']);
    });

    scenario('an SQL filter decides by properties', async (client) => {
        const topic = entity('filtered');
        await setRules(client, topic, 'large', {
            large: [
                {
                    sqlExpression:
                        "quantity > 100 AND color IN ('red', 'blue') OR sys.Label LIKE 'vip%'",
                },
            ],
        });
        await setRules(client, topic, 'unknown', { unknown: [{ sqlExpression: 'quantity IS NULL' }] });
        await step();
        const order = (body, quantity, color, subject) => ({
            body,
            subject,
            applicationProperties: { quantity, color },
        });
        await client
            .createSender(topic)
            .sendMessages([
                order('large red', 101, 'red'),
                order('small red', 100, 'red'),
                order('large green', 1_000, 'green'),
                order('vip', 1, 'green', 'vip customer'),
                { body: 'none' },
            ]);
        await step();
        assert.deepEqual(await bodiesOf(client, topic, 'large', 2), ['large red', 'vip']);
        assert.deepEqual(await bodiesOf(client, topic, 'unknown', 1), ['none']);
    });

    scenario('rules with actions give a changed copy each', async (client) => {
        const topic = entity('changed');
        await setRules(client, topic, 'marked', {
            dear: [
                { sqlExpression: 'price > 10' },
                { sqlExpression: "SET class = 'dear'; REMOVE secret" },
            ],
            all: [
                { sqlExpression: '1 = 1' },
                { sqlExpression: "SET price = price * 2; SET sys.Label = 'doubled'" },
            ],
        });
        await step();
        await client
            .createSender(topic)
            .sendMessages({ body: 'x', applicationProperties: { price: 20, secret: 's' } });
        await step();
        const copies = await take(
            client.createReceiver(topic, 'marked', { receiveMode: 'receiveAndDelete' }),
            2,
        );
        const byRule = Object.fromEntries(
            copies.map((copy) => [copy.applicationProperties.RuleName, copy]),
        );
        assert.deepEqual(
            { ...byRule.dear.applicationProperties },
            { price: 20, class: 'dear', RuleName: 'dear' },
        );
        assert.deepEqual(
            { ...byRule.all.applicationProperties },
            { price: 40, secret: 's', RuleName: 'all' },
        );
        assert.equal(byRule.all.subject, 'doubled');
        assert.equal(byRule.dear.subject, undefined);
    });

    scenario('a message that no rule takes is accepted and gone', async (client) => {
        const topic = entity('unheard');
        await setRules(client, topic, 'picky', { none: [{ sqlExpression: '1 = 2' }] });
        await client.createSender(topic).sendMessages({ body: 'x' });
        await step();
        assert(await isEmpty(client.createReceiver(topic, 'picky')));
    });

    scenario('rules are listed, added and removed', async (client) => {
        const topic = entity('rules');
        const manager = client.createRuleManager(topic, 'all');
        assert.deepEqual(Object.keys(await rulesOf(manager)), ['$Default']);
        const correlation = {
            subject: 's',
            messageId: 'm',
            applicationProperties: { n: 1, text: 't' },
        };
        await manager.createRule('by-correlation', correlation);
        await manager.createRule('by-sql', { sqlExpression: 'n > 1' }, { sqlExpression: 'SET m = 2' });
        await step();
        const rules = await rulesOf(manager);
        assert.deepEqual(Object.keys(rules).sort(), ['$Default', 'by-correlation', 'by-sql']);
        assert.equal(rules['by-sql'].filter.sqlExpression, 'n > 1');
        assert.equal(rules['by-sql'].action.sqlExpression, 'SET m = 2');
        assert.equal(rules['by-correlation'].filter.subject, 's');
        assert.equal(rules['by-correlation'].filter.messageId, 'm');
        assert.deepEqual(
            { ...rules['by-correlation'].filter.applicationProperties },
            { n: 1, text: 't' },
        );
        await manager.deleteRule('by-sql');
        await step();
        assert.deepEqual(Object.keys(await rulesOf(manager)).sort(), ['$Default', 'by-correlation']);
    });

    scenario(
        'a rule that is there or not there already says so',
        async (client) => {
            const manager = client.createRuleManager(entity('rule-errors'), 'all');
            await manager.createRule('once', { sqlExpression: '1 = 1' });
            await step();
            assert.equal(
                await codeOf(manager.createRule('once', { sqlExpression: '1 = 1' })),
                'MessagingEntityAlreadyExists',
            );
            await step();
            assert.equal(await codeOf(manager.deleteRule('never')), 'MessagingEntityNotFound');
            await step();
            assert.notEqual(
                await codeOf(manager.createRule('wrong', { sqlExpression: 'n >' })),
                'no error',
            );
            await step();
            assert.deepEqual(Object.keys(await rulesOf(manager)).sort(), ['$Default', 'once']);
        },
        { make: connectOnce },
    );

    scenario(
        'a subscription that does not exist says so',
        async (client) => {
            for (let i = 0; i < 2; ++i) {
                const receiver = client.createReceiver(entity('news'), 'nobody');
                assert.equal(await codeOf(receiver.receiveMessages(1)), 'MessagingEntityNotFound');
                await step();
            }
        },
        { make: connectOnce },
    );

    scenario('a subscription may require sessions', async (client) => {
        const topic = entity('sessions-topic');
        await client.createSender(topic).sendMessages([
            { body: 1, sessionId: 's' },
            { body: 2, sessionId: 't' },
        ]);
        await step();
        const receiver = await client.acceptSession(topic, 'ordered', 's');
        assert.deepEqual(await consume(receiver, 1), [1]);
        await receiver.close();
    });
});
