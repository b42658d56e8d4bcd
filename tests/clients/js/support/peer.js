// rhea with promises: a generic AMQP 1.0 client, as used against any broker.
import { createRequire } from 'node:module';

import { restarting, step } from './steps.js';

const rhea = createRequire(import.meta.url)('rhea');

const FAILURES = [
    'sender_error',
    'receiver_error',
    'connection_error',
    'session_error',
    'disconnected',
];

/** The peer refused or ended something. `condition` is that of AMQP, undefined for a lost connection. */
export class Refusal extends Error {
    constructor(context) {
        const error =
            context.sender?.error ??
            context.receiver?.error ??
            context.connection?.error ??
            context.error;
        super(error?.description ?? String(error ?? 'connection lost'));
        this.condition = error?.condition;
    }
}

/** Does `action`, then waits for `event` of a connection or link; a Refusal if that fails instead. */
export function nextEvent(emitter, event, action = () => {}) {
    return new Promise((resolve, reject) => {
        const heard = (context) => {
            stop();
            resolve(context);
        };
        const failed = (context) => {
            stop();
            reject(new Refusal(context));
        };
        const stop = () => {
            emitter.removeListener(event, heard);
            for (const failure of FAILURES) emitter.removeListener(failure, failed);
        };
        emitter.on(event, heard);
        for (const failure of FAILURES.filter((name) => name !== event)) emitter.on(failure, failed);
        action();
    });
}

/** A receiver with credit by hand and settlement by hand; messages wait in `take()` order. */
class Receiver {
    #arrived = [];
    #waiting = [];

    constructor(link) {
        this.link = link;
        link.on('message', (context) => {
            const waiting = this.#waiting.shift();
            if (waiting) waiting(context);
            else this.#arrived.push(context);
        });
    }

    /** Gives one credit and waits for the message: {message, delivery}. */
    take() {
        if (this.#arrived.length) return Promise.resolve(this.#arrived.shift());
        return new Promise((resolve) => {
            this.#waiting.push(resolve);
            this.link.add_credit(1);
        });
    }

    async takeMany(count) {
        return Promise.all(Array.from({ length: count }, () => this.take()));
    }

    /** Gives `credit` and drains at once; the number of messages that came before the credit was used up. */
    async drained(credit = 10) {
        await nextEvent(this.link, 'receiver_drained', () => {
            this.link.add_credit(credit);
            this.link.drain_credit();
        });
        this.link.drain = false;
        return this.#arrived.length;
    }

    /** What came without a take(). */
    arrived() {
        return this.#arrived.splice(0);
    }

    /** Sends an outcome, e.g. () => delivery.accept(); the outcome as the peer then settled it. */
    async settle(delivery, action) {
        await nextEvent(this.link, 'settled', action);
        return outcomeOf(delivery.remote_state);
    }

    close() {
        return nextEvent(this.link, 'receiver_close', () => this.link.close());
    }
}

/** One connection. */
export class Peer {
    constructor(connection, options) {
        this.connection = connection;
        this.options = options;
    }

    /** options of rhea: port; username and password (PLAIN), a name alone (ANONYMOUS), or no SASL. */
    static async connect(options) {
        const container = rhea.create_container();
        const connection = container.connect({ host: '127.0.0.1', reconnect: false, ...options });
        await nextEvent(connection, 'connection_open');
        // What ends later is reported by what waits for something then.
        for (const failure of FAILURES) connection.on(failure, () => {});
        return new Peer(connection, options);
    }

    /**
     * A place in a test where all that counts is stored and no link is used any more: with
     * --restart-between-steps the server is killed and started again, and this peer connects anew.
     */
    async step(server) {
        if (!restarting) return;
        await step(server);
        this.connection = (await Peer.connect(this.options)).connection;
    }

    /** A sender that has credit. */
    async sender(address, options = {}) {
        const link = this.connection.open_sender({
            target: { address },
            treat_modified_as_released: false,
            ...options,
        });
        await nextEvent(link, 'sendable');
        return link;
    }

    /** Sends messages, one after the other, on a link of their own; the outcome of the last: 'accepted' … */
    async send(address, ...messages) {
        const sender = await this.sender(address);
        let outcome;
        for (const message of messages) {
            const { delivery } = await nextEvent(sender, 'settled', () => sender.send(message));
            outcome = outcomeOf(delivery.remote_state);
        }
        await nextEvent(sender, 'sender_close', () => sender.close());
        return outcome;
    }

    async receiver(address, options = {}) {
        const { source, ...rest } = options;
        const link = this.connection.open_receiver({
            source: { address, ...source },
            credit_window: 0,
            autoaccept: false,
            autosettle: true,
            ...rest,
        });
        const closed = nextEvent(link, 'receiver_close');
        closed.catch(() => {});
        await nextEvent(link, 'receiver_open');
        // A link without a source is one that is refused (AMQP 1.0, part 2, 2.6.3).
        if (!link.source?.address) await closed;
        return new Receiver(link);
    }

    async close() {
        await nextEvent(this.connection, 'connection_close', () => this.connection.close());
    }
}

/** An outcome as text: its name and, if rejected for a reason, the condition. */
function outcomeOf(state) {
    const name = state?.constructor?.composite_type;
    return state?.error ? `${name} ${state.error.condition}` : name;
}

export const { message, types } = rhea;
