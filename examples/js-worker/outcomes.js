// What becomes of a message whose handling failed.
import OpenAI from 'openai';
import { Unusable } from './document.js';

const RETRIED = new Set([408, 409, 429]);

/** {retry: true}, or {deadLetter: reason}: what can never succeed must not come again. */
export function outcomeOf(error) {
    if (error instanceof Unusable) return { deadLetter: error.reason };
    if (error instanceof OpenAI.APIError) {
        if (error.code === 'content_filter') return { deadLetter: 'ContentFiltered' };
        const retried = error.status === undefined || error.status >= 500 || RETRIED.has(error.status);
        if (retried && error.code !== 'insufficient_quota') return { retry: true };
        return { deadLetter: `ApiError_${error.status}` };
    }
    return { deadLetter: 'UnexpectedException' };
}
