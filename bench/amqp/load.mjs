// One sample of bench/amqp_bench.py with a client from npm, @azure/service-bus or rhea: sends, then receives
// and completes. Prints one line of JSON with the figures of each half.
//
//   node load.mjs azure|rhea '{"port", "address", "server", "messages", "bytes", "inFlight"}'
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const [client, text] = process.argv.slice(2);
const shape = JSON.parse(text);
const body = Buffer.alloc(shape.bytes, 'b');

/** Processor time that the server has used, in seconds. */
function serverCpu() {
    const line = readFileSync(`/proc/${shape.server}/stat`, 'latin1');
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function measure(work) {
    const server = serverCpu();
    const cpu = process.cpuUsage();
    const begin = process.hrtime.bigint();
    await work();
    const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
    const used = process.cpuUsage(cpu);
    return {
        messages: shape.messages,
        seconds,
        client_cpu: (used.user + used.system) / 1e6,
        server_cpu: serverCpu() - server,
    };
}

/** Runs `one` as often as there are messages, `inFlight` of them at the same time. */
async function manyAtOnce(one) {
    let left = shape.messages;
    const lane = async () => {
        while (left-- > 0) await one();
    };
    await Promise.all(Array.from({ length: shape.inFlight }, lane));
}

async function azure() {
    const { ServiceBusClient } = require('@azure/service-bus');
    const bus = new ServiceBusClient(
        `Endpoint=sb://127.0.0.1:${shape.port};SharedAccessKeyName=none;SharedAccessKey=none;` +
            'UseDevelopmentEmulator=true;',
    );
    const sender = bus.createSender(shape.address);
    await sender.createMessageBatch(); // opens the link
    const sent = await measure(() => manyAtOnce(() => sender.sendMessages({ body })));
    const receiver = bus.createReceiver(shape.address);
    const received = await measure(
        () =>
            new Promise((resolve, reject) => {
                let left = shape.messages;
                receiver.subscribe(
                    {
                        processMessage: async (message) => {
                            await receiver.completeMessage(message);
                            if (--left === 0) resolve();
                        },
                        processError: async ({ error }) => reject(error),
                    },
                    {
                        maxConcurrentCalls: shape.inFlight,
                        autoCompleteMessages: false,
                        maxAutoLockRenewalDurationInMs: 0,
                    },
                );
            }),
    );
    await bus.close();
    return { sent, received };
}

async function rhea() {
    const container = require('rhea');
    const once = (emitter, event) => new Promise((resolve) => emitter.once(event, resolve));
    const connection = container.connect({
        host: '127.0.0.1',
        port: shape.port,
        username: 'anonymous',
        reconnect: false,
    });
    for (const event of ['connection_error', 'sender_error', 'receiver_error', 'disconnected'])
        connection.on(event, (context) => {
            throw new Error(`${event}: ${context.connection?.error ?? context.error}`);
        });
    const sender = connection.open_sender({ target: { address: shape.address, durable: 2 } });
    await once(sender, 'sendable');
    const message = { durable: true, body: container.message.data_section(body) };
    const sent = await measure(
        () =>
            new Promise((resolve) => {
                let begun = 0;
                let ended = 0;
                const send = () => {
                    while (begun < shape.messages && begun - ended < shape.inFlight && sender.sendable()) {
                        begun += 1;
                        sender.send(message);
                    }
                };
                sender.on('sendable', send);
                sender.on('accepted', () => {
                    if (++ended === shape.messages) resolve();
                    else send();
                });
                send();
            }),
    );
    const receiver = connection.open_receiver({
        source: { address: shape.address, durable: 2 },
        credit_window: shape.inFlight,
        autoaccept: false,
    });
    const received = await measure(
        () =>
            new Promise((resolve) => {
                let left = shape.messages;
                receiver.on('message', ({ delivery }) => {
                    delivery.update(false, container.message.accepted().described());
                });
                receiver.on('settled', ({ delivery }) => {
                    delivery.settled = true; // now forgotten
                    if (--left === 0) resolve();
                });
            }),
    );
    connection.removeAllListeners('disconnected');
    connection.close();
    return { sent, received };
}

console.log(JSON.stringify(await (client === 'azure' ? azure() : rhea())));
process.exit(0);
