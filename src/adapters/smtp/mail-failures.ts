import type { NodemailerError } from 'nodemailer';
import type { FailureCause } from '../../domain/delivery.ts';

export interface Failure {
  readonly cause: FailureCause;
  /** The server's reply code, where it replied. */
  readonly status: number | null;
  /** In words for a person: never a recipient, nor what the server says of one. */
  readonly error: string;
}

/** OpenSSL's and Node's codes for a handshake or a certificate, among those that Node gives sockets. */
const tls = /^(ERR_TLS_|ERR_SSL_|ERR_OSSL_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|EPROTO)/;

/** What an attempt to hand a mail over failed by. What is not known counts as a connection that broke. */
export function failureOf(error: unknown): Failure {
  if (!(error instanceof Error)) return unanswered('connection_broken', 'it failed for a reason without words');
  const { code, command, response, responseCode, timeoutType }: NodemailerError = error;
  if (responseCode !== undefined) return refusal({ code: responseCode, text: response ?? '', command: command ?? '' });
  const socketCode = 'originalCode' in error && typeof error.originalCode === 'string' ? error.originalCode : code;
  if (code === 'EDNS') return unanswered('dns_failed', "the mail server's name was not found");
  if (code === 'ETLS' || tls.test(socketCode ?? '')) {
    return unanswered('tls_failed', named('no secure connection to the mail server', socketCode));
  }
  if (socketCode === 'ECONNREFUSED') return unanswered('connection_refused', 'the mail server refuses connections');
  if (code === 'ETIMEDOUT') {
    return timeoutType === 'SOCKET_TIMEOUT'
      ? unanswered('timeout', 'no answer from the mail server in time')
      : unanswered('connection_broken', 'no connection to the mail server in time');
  }
  if (code === 'EAUTH' || code === 'ENOAUTH') {
    return unanswered('mail_unavailable', 'cannot log in to the mail server: look at SMTP_URL');
  }
  // It was never sent: a mail that cannot even be written is the event's own trouble.
  if (code === 'EENVELOPE' || code === 'EMESSAGE') {
    return unanswered('mail_refused', 'no mail could be made of the event and its recipient');
  }
  return unanswered('connection_broken', named('the connection to the mail server broke', socketCode));
}

function unanswered(cause: FailureCause, error: string): Failure {
  return { cause, status: null, error };
}

interface Reply {
  readonly code: number;
  readonly text: string;
  /** What it replies to. */
  readonly command: string;
}

/**
 * Whom a reply is about. Before a recipient is named it is about us, or the server: so is a 421, with which it hangs up,
 * and what its extended code (RFC 3463) calls the mail system's or the network's for now. What that calls policy may be
 * about either, as are replies to commands that it does not like. The rest is about the recipient, or the mail.
 */
function refusal({ code, text, command }: Reply): Failure {
  const extended = /^\d{3}[ -]([245]\.\d{1,3}\.\d{1,3})/.exec(text)?.[1];
  const said = extended === undefined ? String(code) : `${code} ${extended}`;
  if (command !== 'RCPT TO' && command !== 'DATA') {
    const words = firstLine(text);
    const why = /^AUTH|^API/.test(command) ? 'does not let us log in: look at SMTP_URL' : 'does not take mail from us';
    return { cause: 'mail_unavailable', status: code, error: `the mail server ${why}: ${words === '' ? said : words}` };
  }
  // No more than the codes: in words the server likes to say whose mailbox it is.
  const subject = extended?.split('.')[1];
  if (code < 500) {
    const isMailbox = [450, 451, 452].includes(code) && subject !== '3' && subject !== '4';
    return isMailbox
      ? { cause: `smtp_${code}`, status: code, error: `the mail server does not take this mail for now: ${said}` }
      : { cause: 'mail_unavailable', status: code, error: `the mail server takes no mail for now: ${said}` };
  }
  return subject === '7' || code < 550
    ? { cause: 'mail_refused', status: code, error: `the mail server refuses by its rules: ${said}` }
    : { cause: `smtp_${code}`, status: code, error: `the mail server refuses the recipient or the mail: ${said}` };
}

/** Without addresses: among them may be the name that we log in with. */
function firstLine(text: string): string {
  return (text.split(/[\r\n]/, 1)[0] ?? '').replaceAll(/[^\s<>"'(),;:]+@[^\s<>"'(),;]+/g, '(address)').slice(0, 300);
}

function named(words: string, code: string | undefined): string {
  return code === undefined ? words : `${words} (${code})`;
}
