import { list } from './dead-letters/list.ts';
import { redrive } from './dead-letters/redrive.ts';
import { retry } from './dead-letters/retry.ts';
import { discard, edit } from './dead-letters/settle.ts';
import { show } from './dead-letters/show.ts';
import { withVerbs } from './verbs.ts';

const HELP = `usage: evenkeel dead-letters [list] [FILTER] [--group-by cause|consumer|type] [options]
       evenkeel dead-letters show ID [options]
       evenkeel dead-letters retry ID|FILTER|--all [options]
       evenkeel dead-letters edit ID --data FILE --reason WHY [options]
       evenkeel dead-letters discard ID... --reason WHY [options]
       evenkeel dead-letters redrive [ID [pause|resume|stop]] [--wait] [options]

Events that could not be delivered to a consumer, oldest first, and what to do with them.

  list      them, or how many there are of each cause, consumer or type
  show      one: the event, every attempt, and what people did
  retry     send one again, or all that a filter takes in: a redrive, the first few alone to see whether they arrive
  edit      send a corrected event in its stead; FILE holds the event's data, all of it
  discard   give it up; it stays in the records
  redrive   the latest redrives, or how one gets on; pause it, go on with it, or leave the rest of it as it is

Of a FILTER, all that is given must hold:
  --consumer CONSUMER    meant for this one, by its name or id
  --cause CAUSE          such as http_500, timeout or consumer_deleted
  --type TYPE            of the event; * stands for any run of characters
  --order ID             of this order
  --since, --until WHEN  dead from then on, before then: a moment, or 90m, 12h or 2d for so long ago

Of list:
  --limit N     so many at most (20)
  --all         all of them

Of retry:
  --all         every dead letter, in place of a filter
  --rate N      so many a second at most, after the first few (10)
  --dry-run     only say what would be sent
  --wait        show how it gets on until its end; exit code 0 if all arrived

  --actor WHO, --reason WHY   kept with what is done (the user of this terminal; none)
  --url URL                   where the API is (from EVENKEEL_HTTP_HOST and EVENKEEL_HTTP_PORT)
  --json                      as the API gives it
`;

/** `evenkeel dead-letters` */
export const run = withVerbs(HELP, { list, show, retry, edit, discard, redrive }, 'list');
