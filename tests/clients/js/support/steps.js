// The places in a test where the server is killed and started again, with --restart-between-steps only.
import net from 'node:net';

export const restarting = Boolean(process.env.MILLRACE_STEP);

/**
 * A place in a test where all that counts is stored: with --restart-between-steps the server of this name is
 * killed and started again before this returns. The clients are not told.
 */
export function step(server = 'server') {
    if (!restarting) return Promise.resolve();
    return new Promise((resolve, reject) => {
        const socket = net.connect(process.env.MILLRACE_STEP, () => socket.write(`${server}\n`));
        socket.on('data', () => {
            socket.end();
            resolve();
        });
        socket.on('error', reject);
        socket.on('end', () => reject(new Error('the server did not come back')));
    });
}
