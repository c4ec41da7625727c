// What it takes to draw a long list that scrolls: by the clock, and in processor time of the page's main
// thread, which other work on the machine hardly changes.

const STEPS = 300;
/** Where Chromium's tracing says how long tasks ran, and where scripts' own marks are. */
const CATEGORIES = ['toplevel', 'blink.user_timing'];
const TASK = 'ThreadControllerImpl::RunTask';

/** Scrolls the list on `page` to its end; each step brings rows that were not in view before. Milliseconds. */
export async function scroll(page) {
  const tracing = await page.context().newCDPSession(page);
  const events = [];
  tracing.on('Tracing.dataCollected', ({ value }) => events.push(...value));
  await tracing.send('Tracing.start', {
    transferMode: 'ReportEvents',
    traceConfig: { includedCategories: CATEGORIES },
  });
  const byClock = await page.evaluate(walk, STEPS);
  const complete = new Promise((resolve) => tracing.once('Tracing.tracingComplete', resolve));
  await tracing.send('Tracing.end');
  await complete;
  return { byClock: sorted(byClock), busy: sorted(busyPerStep(events)) };
}

/** In the page: one step, the frame that draws it, and the one after, so that nothing is left to do. */
async function walk(steps) {
  const list = document.querySelector('.virtual');
  const end = list.scrollHeight - list.clientHeight;
  const taken = [];
  for (let step = 1; step <= steps; step += 1) {
    performance.mark('step');
    const before = performance.now();
    list.scrollTop = (end * step) / steps;
    await new Promise((resolve) =>
      requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(resolve))),
    );
    taken.push((performance.now() - before) / 2);
  }
  performance.mark('step');
  return taken;
}

/** Processor time of the main thread between one mark and the next. */
function busyPerStep(events) {
  const marks = events.filter(({ name, ph }) => name === 'step' && ph !== 'E');
  const { pid, tid } = marks[0];
  const tasks = events.filter(
    (event) => event.name === TASK && event.pid === pid && event.tid === tid && event.tdur,
  );
  const starts = marks.map(({ ts }) => ts).sort((left, right) => left - right);
  return starts.slice(1).map((until, at) => {
    const own = tasks.filter(({ ts }) => ts >= starts[at] && ts < until);
    return own.reduce((sum, { tdur }) => sum + tdur, 0) / 1000;
  });
}

const sorted = (values) => values.sort((left, right) => left - right);
