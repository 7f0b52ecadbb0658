import { gate } from './slo/gate.ts';
import { generate } from './slo/generate.ts';
import { lint } from './slo/lint.ts';
import { report } from './slo/report.ts';
import { status } from './slo/status.ts';
import { withVerbs } from './verbs.ts';

const HELP = `usage: evenkeel slo [status] [options]
       evenkeel slo report [--month MONTH] [options]
       evenkeel slo gate [--min-left SHARE] [--burning] [--strict] [options]
       evenkeel slo lint [--slo-dir DIR] [--events N]
       evenkeel slo generate [--check] [--time-scale N] [--out DIR] [--slo-dir DIR]

What is aimed for, how it is kept, and what is left to spend.

  status     every objective: its share of good events, its error budget, and how fast that goes; an alarm is what
             the alerts' rules make of this, whether there is a Prometheus to tell anybody or not
  report     a calendar month as Markdown: objectives, promises, credits, worst days
  gate       for deployments: exit code 1 if the budget of an objective that pages is spent
  lint       whether the files of objectives can be used, and what they say
  generate   rules, alerts, their tests and dashboards from these files

  --url URL          where the API is (from EVENKEEL_HTTP_HOST and EVENKEEL_HTTP_PORT)
  --json             of status and report: as the API gives it
  --month MONTH      such as 2026-10, in UTC (the last one that is over)
  --slo-dir DIR      where the files are (EVENKEEL_SLO_DIR, or those that come with the program)
  --events N         of lint: warn of targets that allow no bad event at all of so many a month (1000)

Of gate:
  --min-left SHARE   what must be left of each budget, such as 10% (0%)
  --burning          fail too where a budget burns so fast that it is an alarm that pages: for a look after a roll-out
  --strict           fail too where there is not enough data: no events, one bad event among few, nothing judged lately

Of generate:
  --check            write nothing; exit code 1 if a file is not as it would be
  --time-scale N     divide all times by N, from 1 to 60, to see alerts at work sooner
  --out DIR          where to write to
`;

/** `evenkeel slo` */
export const run = withVerbs(HELP, { status, report, gate, lint, generate }, 'status');
