import { WorkflowUpdateFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { describe, expect, test } from 'vitest';
import type { Attention } from '../../src/domain/step-ports.ts';
import { type DecisionAction, type StepName, allowedDecisions, decisionActions } from '../../src/domain/steps.ts';
import type { Correction } from '../support/memory-store.ts';
import { useShop } from '../support/shop.ts';
import { type BeginOptions, DAY_MS, type Story } from '../support/workflow.ts';
import { after, before, held, refused } from '../support/world.ts';

const shop = useShop();

/** How an order comes to be parked at a step. */
interface Way {
  readonly step: StepName;
  readonly given: BeginOptions;
  readonly reach?: (story: Story) => Promise<void>;
}

const untilCancelled = async (story: Story): Promise<void> => {
  await story.booked();
  await story.cancel();
};
const untilDispatched = async (story: Story): Promise<void> => {
  await story.booked();
  await story.dispatched();
};
const untilOverdue = async (story: Story): Promise<void> => {
  await untilDispatched(story);
  await story.until('captured 1');
  await story.pass(31 * DAY_MS);
};

const ways = {
  screen: { step: 'screen', given: { verdict: { verdict: 'review', reason: 'total_above_limit' } } },
  reserve: { step: 'reserve', given: { given: (w) => w.script('reserve', before('conflict')) } },
  authorize: { step: 'authorize', given: { given: (w) => w.script('authorize', before('provider_rejected')) } },
  confirm: { step: 'confirm', given: { given: (w) => w.script('confirm', before('conflict')) } },
  book: { step: 'book', given: { given: (w) => w.script('book', refused('address_undeliverable')) } },
  awaitDispatch: {
    step: 'await_dispatch',
    given: {},
    reach: async (story) => {
      await story.booked();
      await story.pass(31 * DAY_MS);
    },
  },
  dispatch: {
    step: 'dispatch',
    given: { given: (w) => w.script('dispatch', before('conflict')) },
    reach: untilDispatched,
  },
  capture: {
    step: 'capture',
    given: { given: (w) => w.script('capture', refused('expired')) },
    reach: untilDispatched,
  },
  awaitDelivery: { step: 'await_delivery', given: {}, reach: untilOverdue },
  void: {
    step: 'void',
    given: { given: (w) => w.script('undoAuthorize', refused('settled')) },
    reach: untilCancelled,
  },
  cancelShipment: {
    step: 'cancel_shipment',
    given: { given: (w) => w.script('undoBook', before('provider_rejected')) },
    reach: untilCancelled,
  },
  release: {
    step: 'release',
    given: { given: (w) => w.script('release', before('conflict')) },
    reach: untilCancelled,
  },
  refund: {
    step: 'refund',
    given: { given: (w) => w.script('undoCapture', refused('too_late')) },
    reach: async (story) => {
      await untilOverdue(story);
      await story.decide((await story.parked('await_delivery')).attentionId, 'cancel');
    },
  },
} as const satisfies Record<string, Way>;

async function park({ step, given, reach }: Way): Promise<{ story: Story; attention: Attention }> {
  const story = await shop().begin(given);
  await reach?.(story);
  return { story, attention: await story.parked(step) };
}

/** The type of the failure that a decision is refused with. */
async function refusalOf(decision: Promise<void>): Promise<string | null | undefined> {
  const error = await decision.then(
    () => undefined,
    (refusal: unknown) => refusal,
  );
  if (!(error instanceof WorkflowUpdateFailedError)) throw new Error('the decision was not refused', { cause: error });
  return error.cause instanceof ApplicationFailure ? error.cause.type : undefined;
}

interface Row {
  readonly way: Way;
  readonly action: DecisionAction;
  readonly correction?: Correction;
  readonly afterwards?: (story: Story) => Promise<void>;
  readonly ends: string;
}

const carry = (story: Story): Promise<void> => story.carry();
const deliver = (story: Story): Promise<void> => story.delivered();
/** Nothing was found of the former authorization: it is looked for once more when the longest attempt is over. */
const lookAgainThenCarry = async (story: Story): Promise<void> => {
  const looked = (): number => story.world.attempts('undoAuthorize').length;
  await story.passUntil('the undo has looked again', 16_000, () => looked() === 2);
  await story.carry();
};

const rows: readonly Row[] = [
  { way: ways.screen, action: 'approve', afterwards: carry, ends: 'completed' },
  { way: ways.screen, action: 'reject', ends: 'rejected' },
  { way: ways.reserve, action: 'retry', afterwards: carry, ends: 'completed' },
  { way: ways.reserve, action: 'cancel', ends: 'cancelled' },
  { way: ways.authorize, action: 'retry', afterwards: carry, ends: 'completed' },
  {
    way: ways.authorize,
    action: 'retry_corrected',
    correction: { token: 'tok_mastercard' },
    afterwards: lookAgainThenCarry,
    ends: 'completed',
  },
  { way: ways.authorize, action: 'cancel', ends: 'cancelled' },
  { way: ways.confirm, action: 'retry', afterwards: carry, ends: 'completed' },
  { way: ways.confirm, action: 'cancel', ends: 'cancelled' },
  { way: ways.book, action: 'retry', afterwards: carry, ends: 'completed' },
  {
    way: ways.book,
    action: 'retry_corrected',
    correction: { postalCode: 'CD2' },
    afterwards: carry,
    ends: 'completed',
  },
  { way: ways.book, action: 'cancel', ends: 'cancelled' },
  { way: ways.awaitDispatch, action: 'retry', afterwards: carry, ends: 'completed' },
  { way: ways.awaitDispatch, action: 'cancel', ends: 'cancelled' },
  { way: ways.dispatch, action: 'retry', afterwards: deliver, ends: 'completed' },
  { way: ways.capture, action: 'retry', afterwards: deliver, ends: 'completed' },
  { way: ways.capture, action: 'skip', afterwards: deliver, ends: 'completed' },
  { way: ways.awaitDelivery, action: 'retry', afterwards: deliver, ends: 'completed' },
  { way: ways.awaitDelivery, action: 'skip', ends: 'completed' },
  { way: ways.awaitDelivery, action: 'cancel', ends: 'cancelled' },
  { way: ways.void, action: 'retry', ends: 'cancelled' },
  { way: ways.void, action: 'skip', ends: 'cancelled' },
  { way: ways.cancelShipment, action: 'retry', ends: 'cancelled' },
  { way: ways.cancelShipment, action: 'skip', ends: 'cancelled' },
  { way: ways.release, action: 'retry', ends: 'cancelled' },
  { way: ways.refund, action: 'retry', ends: 'cancelled' },
  { way: ways.refund, action: 'skip', ends: 'cancelled' },
];

describe('an order that is parked', () => {
  test.each(rows.map((row) => [row.way.step, row.action, row] as const))(
    'at %s and decided by %s',
    async (_s, _a, row) => {
      const { way, action, correction, afterwards, ends } = row;
      const { story, attention } = await park(way);
      await story.decide(attention.attentionId, action, correction);
      await afterwards?.(story);
      expect((await story.end()).status).toBe(ends);
      const { closed } = story.world.store.attentions.get(attention.attentionId) ?? {};
      expect(closed).toMatchObject({ by: 'decision', action });
    },
  );

  test.each(Object.values(ways))('at $step refuses what the table does not allow', async (way) => {
    const { story, attention } = await park(way);
    expect(attention.allowed).toEqual(allowedDecisions(way.step));
    for (const action of decisionActions.filter((candidate) => !attention.allowed.includes(candidate))) {
      expect([action, await refusalOf(story.decide(attention.attentionId, action))]).toEqual([
        action,
        'decision_not_allowed',
      ]);
    }
    expect(story.world.store.openAttentions()).toHaveLength(1);
    await story.handle.terminate();
  });

  test('covers every step that the table names, and every decision that it allows', () => {
    for (const { step } of Object.values(ways)) {
      const decided = rows.filter((row) => row.way.step === step).map(({ action }) => action);
      expect([step, decided.toSorted()]).toEqual([step, [...allowedDecisions(step)].toSorted()]);
    }
  });

  test('refuses a decision on an attention that is not open, or was decided before', async () => {
    const { story, attention } = await park(ways.void);
    expect(await refusalOf(story.decide('a0-99', 'retry'))).toBe('attention_stale');
    await story.decide(attention.attentionId, 'skip');
    await story.end();
    const again = await park(ways.book);
    await again.story.decide(again.attention.attentionId, 'retry');
    await again.story.booked();
    expect(await refusalOf(again.story.decide(again.attention.attentionId, 'retry'))).toBe('attention_stale');
    await again.story.carry();
    await again.story.end();
  });

  test('refuses a decision that nobody recorded, whoever sends it, and takes the recorded one', async () => {
    const { story, attention } = await park(ways.book);
    const { attentionId } = attention;
    const forged = { attentionId, decisionId: 'forged', action: 'retry' } as const;
    expect(await refusalOf(story.tell(forged))).toBe('decision_not_allowed');
    expect(await refusalOf(story.tell({ ...forged, auditId: 'audit-of-another' }))).toBe('decision_not_allowed');
    await story.decide(attentionId, 'retry');
    await story.carry();
    await story.end();
  });

  test('takes one decision about an attention, however long the store takes to look it up', async () => {
    const { story, attention } = await park(ways.book);
    story.world.script('checkDecision', held('store_unavailable'));
    const first = story.decide(attention.attentionId, 'retry');
    await story.world.holds();
    expect(await refusalOf(story.decide(attention.attentionId, 'cancel'))).toBe('attention_stale');
    story.world.release();
    await first;
    await story.carry();
    expect((await story.end()).status).toBe('completed');
  });

  test('refuses a decision whose attention closes while the store looks it up', async () => {
    const { story, attention } = await park(ways.book);
    story.world.script('checkDecision', held('store_unavailable'));
    const decided = refusalOf(story.decide(attention.attentionId, 'retry'));
    await story.world.holds();
    await story.cancel();
    story.world.release();
    expect(await decided).toBe('attention_stale');
    expect((await story.end()).status).toBe('cancelled');
  });

  test('knows an attention as soon as anybody can see it', async () => {
    const { story, attention } = await (async () => {
      const begun = await shop().begin({
        given: (world) =>
          world.script('book', refused('address_undeliverable')).script('openAttention', after(), held()),
      });
      return { story: begun, attention: await begun.parked('book') };
    })();
    await story.world.holds();
    await story.decide(attention.attentionId, 'retry');
    story.world.release();
    await story.carry();
    expect((await story.end()).status).toBe('completed');
  });
});

describe('a retry with corrected input', () => {
  test('begins a new generation, after the former one was proved to have no effect', async () => {
    const { story, attention } = await park(ways.authorize);
    await story.decide(attention.attentionId, 'retry_corrected', { token: 'tok_mastercard' });
    await story.until('attention closed');
    expect(story.world.gateway.authorizations).toHaveLength(0);
    await lookAgainThenCarry(story);
    await story.end();
    expect(story.world.keys('authorize')).toEqual(['authorize:1', 'authorize:2']);
    expect(story.world.keys('undoAuthorize')).toEqual(['void:1']);
    expect(story.world.gateway.authorizations.map(({ token }) => token)).toEqual(['tok_mastercard']);
  });

  test('takes back what the former generation turned out to have done', async () => {
    const story = await shop().begin({
      given: (world) => world.script('authorize', after()).script('lookup', before('provider_rejected')),
    });
    const { attentionId } = await story.parked('authorize');
    expect(story.world.gateway.authorizations).toHaveLength(1);
    await story.decide(attentionId, 'retry_corrected', { token: 'tok_mastercard' });
    await story.carry();
    expect((await story.end()).status).toBe('completed');
    expect(story.world.gateway.authorizations.map(({ token, voided }) => [token, voided])).toEqual([
      ['tok_visa', true],
      ['tok_mastercard', false],
    ]);
  });

  test('books anew where the former booking had happened after all, and was called off', async () => {
    const story = await shop().begin({
      given: (world) => world.script('book', after()).script('lookup', before('provider_rejected')),
    });
    const { attentionId } = await story.parked('book', 1);
    await story.decide(attentionId, 'retry_corrected', { postalCode: 'CD2' });
    await story.until('booked 1', 2);
    await story.carry();
    expect((await story.end()).status).toBe('completed');
    expect(story.world.carrier.shipments.map(({ postalCode, status }) => [postalCode, status])).toEqual([
      ['AB1', 'cancelled'],
      ['CD2', 'taken'],
    ]);
  });

  test('gives both generations back if the order is cancelled after all', async () => {
    const { story, attention } = await park(ways.book);
    await story.decide(attention.attentionId, 'retry_corrected', { postalCode: 'CD2' });
    await story.booked();
    await story.cancel();
    expect((await story.end()).status).toBe('cancelled');
    expect(story.world.keys('undoBook').map((key) => key.replace(story.world.orderId, 'o'))).toEqual([
      'cancel_shipment:o-1:1',
      'cancel_shipment:o-1:2',
    ]);
    expect(story.world.carrier.shipments.map(({ postalCode }) => postalCode)).toEqual(['CD2']);
  });

  test('waits for a person again if its correction cannot be applied', async () => {
    const { story, attention } = await park(ways.book);
    story.world.script('correct', before('conflict'));
    await story.decide(attention.attentionId, 'retry_corrected', { postalCode: 'CD2' });
    await story.decide((await story.parked('correct')).attentionId, 'retry');
    await story.carry();
    expect((await story.end()).status).toBe('completed');
    expect(story.world.carrier.shipments.map(({ postalCode }) => postalCode)).toEqual(['CD2']);
  });
});
