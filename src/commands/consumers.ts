import { add } from './consumers/add.ts';
import { enable, pause, remove, resume } from './consumers/change.ts';
import { list } from './consumers/list.ts';
import { ping } from './consumers/ping.ts';
import { show } from './consumers/show.ts';
import { withVerbs } from './verbs.ts';

const HELP = `usage: evenkeel consumers [list] [options]
       evenkeel consumers show|ping|pause|resume|enable|delete CONSUMER [options]
       evenkeel consumers add --name NAME --url URL|--exchange NAME|--mail --types TYPES [options]

Who gets events, and how each of them does. CONSUMER is a name or an id.

  list     all of them, with what waits for each and since when
  show     one, with its trouble and its last failures
  ping     send it a test event now; exit code 0 if it took it
  pause    send it nothing for a while; what is meant for it is held and does not age
  resume   go on with a paused one
  enable   go on with a disabled one, once it is seen to why it was
  delete   what it has not got yet becomes dead letters, which can only be looked at and discarded
  add      have events delivered; prints the secret that they are signed with, this once

  --actor WHO, --reason WHY   kept with what is done (the user of this terminal; none)
  --url URL                   where the API is (from EVENKEEL_HTTP_HOST and EVENKEEL_HTTP_PORT)
  --json                      as the API gives it

Of add:
  --name NAME           what people call it
  --url URL             where its webhooks go
  --exchange NAME       in place of --url: an exchange of Evenkeel's RabbitMQ
  --routing-key KEY     with --exchange: one key for all (the type of the event)
  --mail                in place of --url: the customers themselves, by mail
  --from SENDER         with --mail: who writes (EVENKEEL_MAIL_FROM)
  --types TYPES         which, with commas between them; * stands for any run of characters
  --filter JSON         only events whose envelope contains all of this
  --max-in-flight N     deliveries under way at a time
  --disabled            hold everything until it is enabled
  --api URL             where the API is
`;

/** `evenkeel consumers` */
export const run = withVerbs(HELP, { list, show, ping, pause, resume, enable, delete: remove, add }, 'list');
