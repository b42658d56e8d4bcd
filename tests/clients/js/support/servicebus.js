// What every test with @azure/service-bus needs: connections for the transport under test, names, restarts.
//
// From tests/clients/run.py: MILLRACE_CONNECTION_STRING (plain), MILLRACE_TLS_CONNECTION_STRING,
// MILLRACE_TRANSPORT (amqp, tls or websocket), MILLRACE_ACCESS_KEYS (JSON: name -> key), MILLRACE_STEP (the
// socket of step()).
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import net from 'node:net';
import { test } from 'node:test';

const require = createRequire(import.meta.url);
export const { ServiceBusClient } = require('@azure/service-bus');
export const Long = require('long');
const WebSocket = require('ws');

export const transport = process.env.MILLRACE_TRANSPORT ?? 'amqp';
export const restarting = Boolean(process.env.MILLRACE_STEP);
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

/** Of tests about what is in memory only, such as locks: a restart ends it. */
export const volatile = { skip: restarting && 'what a restart ends' };

/**
 * A place in a test where all that counts is stored: with --restart-between-steps the server is killed and
 * started again before this returns. The clients are not told.
 */
export function step() {
    if (!restarting) return Promise.resolve();
    return new Promise((resolve, reject) => {
        const socket = net.connect(process.env.MILLRACE_STEP, () => socket.write('restart\n'));
        socket.on('data', () => {
            socket.end();
            resolve();
        });
        socket.on('error', reject);
        socket.on('end', () => reject(new Error('the server did not come back')));
    });
}

/** Receives exactly `count` messages, however many calls that takes. */
export async function take(receiver, count) {
    const messages = [];
    const end = Date.now() + 30_000;
    while (messages.length < count) {
        assert(Date.now() < end, `${messages.length} of ${count} messages came`);
        try {
            messages.push(
                ...(await receiver.receiveMessages(count - messages.length, {
                    maxWaitTimeInMs: 5_000,
                })),
            );
        } catch (error) {
            // The client does not repeat a receive under which the connection broke.
            if (!restarting || !error.retryable) throw error;
        }
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
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
}
