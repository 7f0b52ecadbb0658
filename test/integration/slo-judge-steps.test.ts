/** That no walk over records stops another, however much there is to judge and however long that takes. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { SloCounts } from '../../src/domain/objectives.ts';
import { type History, randomHistory } from '../support/slo-histories.ts';
import { byMinute, verdictsOf } from '../support/slo-oracle.ts';
import { writeHistory } from '../support/slo-rows.ts';
import { judgeAll, newSloStore, thresholds } from '../support/slo-store.ts';

let store: Awaited<ReturnType<typeof newSloStore>>;
let history: History;
beforeAll(async () => {
  store = await newSloStore();
});
beforeEach(async () => {
  const since = Math.floor(Date.now() / 1_000) * 1_000 - 3_600_000;
  await store.begin(since - 1);
  history = randomHistory(81, since, { orders: 120 });
  await writeHistory(store.admin, history);
});
afterEach(async () => {
  await store.admin.query('drop function if exists refuse cascade');
});
afterAll(() => store.stop());

/** Has PostgreSQL refuse to count whatever is `refused`, of the row `new`. */
async function refuse(refused: string, code: string): Promise<void> {
  await store.admin.query(`
    create function refuse() returns trigger language plpgsql as $$
      begin if ${refused} then raise 'no' using errcode = '${code}'; end if; return new; end $$;
    create trigger refuse before insert on slo_minutes for each row execute function refuse();
    alter table slo_minutes enable always trigger refuse`);
}

const expected = () => byMinute(verdictsOf(history, thresholds));
const ofDeliveries = ([key]: readonly [string, SloCounts]) => key.startsWith('delivery');

test('what takes longer than a statement may is judged in smaller parts, until all of it is', async () => {
  await refuse(`new.slo = 'delivery-dispatch' and new.good + new.bad + new.excluded > 40`, '57014');
  const [first, ...rest] = await judgeAll(store.records());
  expect(first).toMatchObject({ more: true, judged: { 'delivery-dispatch': { good: 0, bad: 0, excluded: 0 } } });
  expect(first?.judged['order-processing'].good).toBeGreaterThan(0);
  expect(rest.length).toBeGreaterThan(5);
  expect(await store.minutes()).toEqual(expected());
});

test('where one kind cannot be judged, all others are, and the judge says that it failed', async () => {
  await refuse(`new.slo like 'delivery%'`, '57P01');
  const records = store.records();
  await expect(records.judge(thresholds)).rejects.toMatchObject({ code: 'store_unavailable' });
  expect(await store.minutes()).toEqual(
    Object.fromEntries(Object.entries(expected()).filter((one) => !ofDeliveries(one))),
  );
  await store.admin.query('drop function refuse cascade');
  await judgeAll(records);
  expect(await store.minutes()).toEqual(expected());
});

test('a step is as large as its deliveries are many, not its events', async () => {
  const most = 40;
  const rounds = await judgeAll(store.records({ most }));
  // Those of the same moment are judged together: five consumers, and a few events of an order.
  for (const { judged } of rounds) {
    const { good, bad, excluded } = judged['delivery-dispatch'];
    expect(good + bad + excluded).toBeLessThanOrEqual(most);
  }
  expect(await store.minutes()).toEqual(expected());
});
