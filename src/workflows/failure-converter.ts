import { DefaultFailureConverter } from '@temporalio/common';

/**
 * Messages and stack traces of failures become payloads, which the codec encrypts with the others. In the sandbox it is
 * always at work, since what runs there cannot know of keys; without any, the text stands in its payload in the clear.
 */
export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
