// What every test with @azure/service-bus needs: connections for the transport under test, names, restarts.
//
// From tests/clients/run.py: MILLRACE_CONNECTION_STRING (plain), MILLRACE_TLS_CONNECTION_STRING,
// MILLRACE_TRANSPORT (amqp, tls or websocket), MILLRACE_ACCESS_KEYS (JSON: name -> key), MILLRACE_STEP (see
// steps.js).
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { restarting, step } from './steps.js';

export { restarting, step };

const require = createRequire(import.meta.url);
export const { ServiceBusClient } = require('@azure/service-bus');
export const Long = require('long');
const WebSocket = require('ws');

export const transport = process.env.MILLRACE_TRANSPORT ?? 'amqp';
export const LOCK_SECONDS = 5;

/** The entity of this name for the transport under test: the suites of all transports share one server. */
export const entity = (name) => `${name}-${transport}`;

export function connectionString(keyName) {
    const text =
        transport === 'amqp'
            ? process.env.MILLRACE_CONNECTION_STRING
            : process.env.MILLRACE_TLS_CONNECTION_STRING;
    if (!keyName) return text;
    const key = JSON.parse(process.env.MILLRACE_ACCESS_KEYS)[keyName];
    return text
        .replace(/SharedAccessKeyName=[^;]*/, `SharedAccessKeyName=${keyName}`)
        .replace(/SharedAccessKey=[^;]*/, `SharedAccessKey=${key}`);
}

/** A client as a user makes one, but for shorter retries. */
export function connect({ text = connectionString(), ...options } = {}) {
    return new ServiceBusClient(text, {
        retryOptions: { maxRetries: 8, retryDelayInMs: 250, timeoutInMs: 20_000 },
        ...(transport === 'websocket' && { webSocketOptions: { webSocket: WebSocket } }),
        ...options,
    });
}

/** A client that gives up at the first error: for tests about errors. */
export const connectOnce = ({ timeoutInMs = 8_000, ...options } = {}) =>
    connect({ ...options, retryOptions: { maxRetries: 0, timeoutInMs } });

/** A test with a client of its own, which is closed at its end. */
export function scenario(name, body, { make = connect, skip = false } = {}) {
    test(name, { skip }, async (t) => {
        const client = make();
        try {
            await body(client, t);
        } finally {
            await client.close();
        }
    });
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 50));

/**
 * Of an error while the server is killed: true if it is about the connection, which can break at any point
 * and has as many names, and not an answer of the server: a ServiceBusError with a code that says more.
 */
export const isLostConnection = (error) =>
    error.retryable || error.name !== 'ServiceBusError' || error.code === 'GeneralError';

/** Does `action`, and does it again where the server is killed under it and the client does not repeat it. */
export async function persistently(action) {
    const end = Date.now() + 30_000;
    for (;;) {
        try {
            return await action();
        } catch (error) {
            if (!restarting || !isLostConnection(error) || Date.now() > end) throw error;
        }
        await pause();
    }
}

/** Receives exactly `count` messages, however many calls that takes. */
export async function take(receiver, count) {
    const messages = [];
    const end = Date.now() + 30_000;
    while (messages.length < count) {
        assert(Date.now() < end, `${messages.length} of ${count} messages came`);
        const more = () =>
            receiver.receiveMessages(count - messages.length, { maxWaitTimeInMs: 5_000 });
        messages.push(...(await persistently(more)));
    }
    return messages;
}

export const takeOne = async (receiver) => (await take(receiver, 1))[0];

/** Receives and completes `count` messages; their bodies in the order of arrival. */
export async function consume(receiver, count) {
    const messages = await take(receiver, count);
    for (const message of messages) await receiver.completeMessage(message);
    return messages.map((message) => message.body);
}

/** True if the entity holds nothing: nothing active, locked, deferred or scheduled. */
export async function isEmpty(receiver) {
    // Without a number it begins behind the last message that was peeked.
    const messages = await receiver.peekMessages(1, { fromSequenceNumber: Long.ONE });
    return messages.length === 0;
}

/**
 * A place in a test where `receiver` holds the lock of `message`. With restarts the server is killed here
 * and locks end with it: this one is lost, and the message comes again with this delivery counted. Returns
 * the message whose lock is held from here on.
 */
export async function stepUnderLock(receiver, message) {
    if (!restarting) return message;
    await step();
    assert.equal(await codeOf(receiver.renewMessageLock(message)), 'MessageLockLost');
    assert.equal(await codeOf(receiver.completeMessage(message)), 'MessageLockLost');
    const again = await takeOne(receiver);
    assert(again.sequenceNumber.eq(message.sequenceNumber));
    assert.equal(again.deliveryCount, message.deliveryCount + 1);
    return again;
}

/**
 * The same where `receiver` holds a session, as accept() answered it, and has received `message` of it.
 * Returns who holds the session from here on, and the message.
 */
export async function stepUnderSession(receiver, message, accept) {
    if (!restarting) return [receiver, message];
    await step();
    assert.equal(await codeOf(() => receiver.renewSessionLock()), 'SessionLockLost');
    assert.equal(await codeOf(() => receiver.completeMessage(message)), 'SessionLockLost');
    const next = await accept();
    assert.equal(next.sessionId, receiver.sessionId);
    const again = await takeOne(next);
    assert(again.sequenceNumber.eq(message.sequenceNumber));
    assert.equal(again.deliveryCount, message.deliveryCount + 1);
    return [next, again];
}

/** The code of the ServiceBusError that `action` ends with. */
export async function codeOf(action) {
    try {
        await (typeof action === 'function' ? action() : action);
    } catch (error) {
        const { name, code } = error.errors?.[0] ?? error;
        return name === 'ServiceBusError' ? code : `${name}: ${error.message}`;
    }
    return 'no error';
}

/** The first value for which `found` returns something; asks again until then. */
export async function eventually(found) {
    const end = Date.now() + 30_000;
    for (;;) {
        const value = await found();
        if (value) return value;
        assert(Date.now() < end, `did not happen: ${found}`);
        await pause();
    }
}
