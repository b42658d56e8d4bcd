// The administration client of Azure Service Bus against `millrace serve` over HTTPS.
// MILLRACE_HTTPS: its URL, e.g. https://127.0.0.1:8443. MILLRACE_SAS_KEY: key of RootManageSharedAccessKey.
// NODE_EXTRA_CA_CERTS names the certificate's authority.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { Long, codeOf, connectOnce, step } from './support/servicebus.js';

const { ServiceBusAdministrationClient } = createRequire(import.meta.url)('@azure/service-bus');

const endpoint = (process.env.MILLRACE_HTTPS ?? 'https://127.0.0.1:8443')
    .replace(/^https:/, 'sb:')
    .replace(/\/$/, '');
const key = process.env.MILLRACE_SAS_KEY ?? 'secret';
const connection = (secret) =>
    `Endpoint=${endpoint}/;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=${secret}`;

/** A client that gives up at the first error. Where there are restarts, each change is followed by one. */
function administer(secret) {
    const client = new ServiceBusAdministrationClient(connection(secret), {
        retryOptions: { maxRetries: 0 },
    });
    let changed = false;
    client.pipeline.addPolicy({
        name: 'restarts',
        async sendRequest(request, next) {
            if (changed) await step();
            changed = request.method !== 'GET';
            return next(request);
        },
    });
    return client;
}

const client = administer(key);
const forEver = 'P10675199DT2H48M5.4775807S';
const queue = 'admin/orders';
const target = 'admin/target';
const closed = 'admin/closed';
const topic = 'admin/events';

async function removeAll() {
    for (const name of [queue, target, closed, 'admin/page-1', 'admin/page-2', 'admin/page-3']) {
        if (await client.queueExists(name)) await client.deleteQueue(name);
    }
    if (await client.topicExists(topic)) await client.deleteTopic(topic);
}
before(removeAll);
after(removeAll);

async function all(pages) {
    const list = [];
    for await (const one of pages) list.push(one);
    return list;
}

test('namespace properties', async () => {
    const properties = await client.getNamespaceProperties();
    assert.equal(properties.name, new URL(endpoint.replace('sb:', 'https:')).hostname);
    assert(!Number.isNaN(properties.createdAt.valueOf()));
});

test('a queue is created with the defaults of the service', async () => {
    const made = await client.createQueue(queue);
    assert.equal(made._response.status, 201);
    assert.equal(made.name, queue);
    assert.equal(made.lockDuration, 'PT1M');
    assert.equal(made.maxDeliveryCount, 10);
    assert.equal(made.maxSizeInMegabytes, 1024);
    assert.equal(made.defaultMessageTimeToLive, forEver);
    assert.equal(made.autoDeleteOnIdle, forEver);
    assert.equal(made.duplicateDetectionHistoryTimeWindow, 'PT10M');
    assert.equal(made.status, 'Active');
    assert.equal(made.requiresSession, false);
    assert.equal(made.forwardTo, undefined);
    await assert.rejects(
        client.createQueue(queue),
        (e) => e.code === 'MessageEntityAlreadyExistsError' && e.statusCode === 409,
    );
    await assert.rejects(client.createQueue(queue.toUpperCase()), (e) => e.statusCode === 409);
    await assert.rejects(client.createTopic(queue), (e) => e.statusCode === 409);
});

test('every option of a queue is kept', async () => {
    await client.deleteQueue(queue);
    await client.createQueue(target);
    const options = {
        lockDuration: 'PT45S',
        maxDeliveryCount: 7,
        maxSizeInMegabytes: 2048,
        requiresSession: false,
        requiresDuplicateDetection: true,
        duplicateDetectionHistoryTimeWindow: 'PT2M',
        defaultMessageTimeToLive: 'P2DT3H',
        deadLetteringOnMessageExpiration: true,
        userMetadata: 'notes <&> "ü"',
        autoDeleteOnIdle: 'PT1H',
        forwardDeadLetteredMessagesTo: target,
        status: 'SendDisabled',
        enableBatchedOperations: true,
    };
    await client.createQueue(queue, options);
    const got = await client.getQueue(queue);
    for (const [name, value] of Object.entries(options)) {
        assert.equal(
            got[name],
            name === 'forwardDeadLetteredMessagesTo' ? `${endpoint}/${target}` : value,
            name,
        );
    }
});

test('a queue is updated', async () => {
    const got = await client.getQueue(queue);
    got.lockDuration = 'PT30S';
    got.status = 'Active';
    got.forwardDeadLetteredMessagesTo = undefined;
    const updated = await client.updateQueue(got);
    assert.equal(updated.lockDuration, 'PT30S');
    assert.equal(updated.status, 'Active');
    assert.equal(updated.forwardDeadLetteredMessagesTo, undefined);
    assert.equal(updated.maxSizeInMegabytes, 2048);
    got.requiresSession = true;
    await assert.rejects(client.updateQueue(got), (e) => e.statusCode === 400);
    await assert.rejects(
        client.updateQueue({ ...got, name: 'admin/nothing' }),
        (e) => e.statusCode === 404,
    );
});

test('forwarding goes to an existing entity', async () => {
    const got = await client.getQueue(queue);
    got.forwardTo = target;
    assert.equal((await client.updateQueue(got)).forwardTo, `${endpoint}/${target}`);
    got.forwardTo = 'admin/nothing';
    await assert.rejects(client.updateQueue(got), (e) => [400, 404].includes(e.statusCode));
});

test('runtime properties of a queue', async () => {
    const runtime = await client.getQueueRuntimeProperties(queue);
    assert.equal(runtime.name, queue);
    for (const count of [
        'totalMessageCount',
        'activeMessageCount',
        'deadLetterMessageCount',
        'scheduledMessageCount',
        'transferMessageCount',
        'transferDeadLetterMessageCount',
        'sizeInBytes',
    ])
        assert.equal(runtime[count], 0, count);
    assert(Math.abs(runtime.createdAt - Date.now()) < 3600_000);
    assert(runtime.modifiedAt >= runtime.createdAt);
});

test('what is not there is not found', async () => {
    assert.equal(await client.queueExists('admin/nothing'), false);
    await assert.rejects(
        client.getQueue('admin/nothing'),
        (e) => e.code === 'MessageEntityNotFoundError',
    );
    await assert.rejects(client.deleteQueue('admin/nothing'), (e) => e.statusCode === 404);
    await assert.rejects(
        client.getTopicRuntimeProperties('admin/nothing'),
        (e) => e.statusCode === 404,
    );
    await assert.rejects(
        client.createSubscription('admin/nothing', 's'),
        (e) => e.statusCode === 404,
    );
});

test('what cannot be is refused with its reason', async () => {
    for (const options of [
        { lockDuration: 'PT10M' },
        { lockDuration: 'soon' },
        { maxDeliveryCount: 0 },
        { enablePartitioning: true },
        { enableExpress: true },
        {
            authorizationRules: [
                {
                    claimType: 'SharedAccessKey',
                    accessRights: ['Listen'],
                    keyName: 'k',
                    primaryKey: 'p',
                    secondaryKey: 's',
                },
            ],
        },
    ]) {
        await assert.rejects(
            client.createQueue('admin/refused', options),
            (e) => e.statusCode === 400 && /SubCode=40000/.test(e.message),
            JSON.stringify(options),
        );
    }
    await assert.rejects(client.createQueue('admin/bad name'), (e) => e.statusCode === 400);
    assert.equal(await client.queueExists('admin/refused'), false);
});

test('queues are listed page by page', async () => {
    for (const n of [1, 2, 3]) await client.createQueue(`admin/page-${n}`);
    const names = (await all(client.listQueues())).map((one) => one.name);
    assert.deepEqual(
        names.filter((name) => name.startsWith('admin/page')),
        ['admin/page-1', 'admin/page-2', 'admin/page-3'],
    );
    const paged = [];
    let pages = 0;
    for await (const page of client.listQueues().byPage({ maxPageSize: 2 })) {
        ++pages;
        paged.push(...page.map((one) => one.name));
    }
    assert.deepEqual(paged, names);
    assert.equal(pages, Math.ceil(names.length / 2));
    const runtimes = await all(client.listQueuesRuntimeProperties());
    assert.deepEqual(
        runtimes.map((one) => one.name),
        names,
    );
});

test('what a disabled queue refuses is said to be disabled', async (t) => {
    await client.createQueue(closed, { status: 'Disabled' });
    const messages = connectOnce();
    t.after(() => messages.close());
    const sender = messages.createSender(closed);
    const receiver = messages.createReceiver(closed);
    const due = new Date(Date.now() + 60_000);
    for (const refused of [
        () => sender.sendMessages({ body: 1 }),
        () => sender.scheduleMessages({ body: 1 }, due),
        () => receiver.receiveMessages(1),
        () => receiver.receiveDeferredMessages(Long.ONE),
    ]) {
        await step();
        assert.equal(await codeOf(refused), 'MessagingEntityDisabled', `${refused}`);
    }
    await step();
    assert.deepEqual(await receiver.peekMessages(1), []);
});

test('a topic is created, updated and listed', async () => {
    const made = await client.createTopic(topic, {
        requiresDuplicateDetection: true,
        userMetadata: 'x',
        maxSizeInMegabytes: 5120,
    });
    assert.equal(made.name, topic);
    assert.equal(made.supportOrdering, true);
    assert.equal(made.maxSizeInMegabytes, 5120);
    made.status = 'SendDisabled';
    assert.equal((await client.updateTopic(made)).status, 'SendDisabled');
    made.status = 'Active';
    await client.updateTopic(made);
    assert.deepEqual(
        (await all(client.listTopics())).map((one) => one.name).filter((name) => name === topic),
        [topic],
    );
    const runtime = await client.getTopicRuntimeProperties(topic);
    assert.equal(runtime.subscriptionCount, 0);
    assert((await all(client.listTopicsRuntimeProperties())).length >= 1);
    assert.equal(await client.topicExists(topic), true);
});

test('subscriptions of a topic', async () => {
    const made = await client.createSubscription(topic, 'all', {
        lockDuration: 'PT20S',
        maxDeliveryCount: 3,
        deadLetteringOnFilterEvaluationExceptions: false,
        userMetadata: 'u',
    });
    assert.equal(made.subscriptionName, 'all');
    assert.equal(made.topicName, topic);
    assert.equal(made.lockDuration, 'PT20S');
    assert.equal(made.deadLetteringOnFilterEvaluationExceptions, false);
    await assert.rejects(
        client.createSubscription(topic, 'all'),
        (e) => e.code === 'MessageEntityAlreadyExistsError',
    );
    made.maxDeliveryCount = 4;
    assert.equal((await client.updateSubscription(made)).maxDeliveryCount, 4);
    assert.deepEqual(
        (await all(client.listSubscriptions(topic))).map((one) => one.subscriptionName),
        ['all'],
    );
    const runtime = await client.getSubscriptionRuntimeProperties(topic, 'all');
    assert.equal(runtime.totalMessageCount, 0);
    assert.equal((await all(client.listSubscriptionsRuntimeProperties(topic)))[0].topicName, topic);
    assert.equal((await client.getTopicRuntimeProperties(topic)).subscriptionCount, 1);
    assert.equal(await client.subscriptionExists(topic, 'none'), false);
});

test('a subscription may begin with a rule of its own', async () => {
    await client.createSubscription(topic, 'some', {
        defaultRuleOptions: {
            name: 'first',
            filter: { sqlExpression: "color = 'red'" },
            action: { sqlExpression: "SET seen = 'yes'" },
        },
    });
    const rules = await all(client.listRules(topic, 'some'));
    assert.deepEqual(
        rules.map((rule) => rule.name),
        ['first'],
    );
    assert.equal(rules[0].filter.sqlExpression, "color = 'red'");
    assert.equal(rules[0].action.sqlExpression, "SET seen = 'yes'");
});

test('rules with every kind of filter', async () => {
    const [standard] = await all(client.listRules(topic, 'all'));
    assert.equal(standard.name, '$Default');
    assert.equal(standard.filter.sqlExpression, '1=1');
    await client.createRule(topic, 'all', 'sql', { sqlExpression: 'size > 5 AND price <= 1.5' });
    const when = new Date('2026-01-02T03:04:05.678Z');
    await client.createRule(topic, 'all', 'correlation', {
        correlationId: 'c',
        subject: 's',
        to: 't',
        replyTo: 'r',
        replyToSessionId: 'rs',
        sessionId: 'si',
        messageId: 'm',
        contentType: 'ct',
        applicationProperties: { text: 'a<b', number: 2.5, flag: true, when },
    });
    const got = await client.getRule(topic, 'all', 'correlation');
    assert.equal(got.filter.subject, 's');
    assert.equal(got.filter.replyToSessionId, 'rs');
    assert.deepEqual(got.filter.applicationProperties, {
        text: 'a<b',
        number: 2.5,
        flag: true,
        when,
    });
    got.filter = { sqlExpression: 'a IS NOT NULL' };
    got.action = { sqlExpression: 'REMOVE b' };
    const updated = await client.updateRule(topic, 'all', got);
    assert.equal(updated.filter.sqlExpression, 'a IS NOT NULL');
    assert.equal(updated.action.sqlExpression, 'REMOVE b');
    await assert.rejects(
        client.createRule(topic, 'all', 'sql', { sqlExpression: '1=0' }),
        (e) => e.statusCode === 409,
    );
    await assert.rejects(
        client.createRule(topic, 'all', 'bad', { sqlExpression: 'size >' }),
        (e) => e.statusCode === 400,
    );
    assert.equal(await client.ruleExists(topic, 'all', '$Default'), true);
    await client.deleteRule(topic, 'all', '$Default');
    assert.equal(await client.ruleExists(topic, 'all', '$Default'), false);
    assert.deepEqual(
        (await all(client.listRules(topic, 'all'))).map((rule) => rule.name),
        ['correlation', 'sql'],
    );
});

test('deletion takes what is below along', async () => {
    await client.deleteSubscription(topic, 'some');
    assert.equal(await client.subscriptionExists(topic, 'some'), false);
    await client.deleteTopic(topic);
    assert.equal(await client.topicExists(topic), false);
    await assert.rejects(client.getSubscription(topic, 'all'), (e) => e.statusCode === 404);
});

test('a wrong key is refused', async () => {
    const stranger = administer('wrong');
    await step();
    await assert.rejects(
        stranger.getQueue(queue),
        (e) => e.statusCode === 401 && e.code === 'UnauthorizedRequestError',
    );
});
