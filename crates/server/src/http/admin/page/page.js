// The page of whoever looks after a server. What comes from the server is shown as text, never as markup.

const KEY = 'tetherline-admin-key';
const EVERY_MS = 2_000;
const $ = (id) => document.getElementById(id);

/** What is shown of /metrics: its title, the series that are added up, and whether it is a rate. */
const FIGURES = [
  { title: 'connections', series: 'tetherline_connections' },
  { title: 'connects / s', series: 'tetherline_connects_total', rate: true },
  { title: 'published / s', series: 'tetherline_publishes_total', rate: true },
  { title: 'delivered / s', series: 'tetherline_deliveries_total', rate: true },
  { title: 'commit, mean ms', mean: 'tetherline_commit_seconds' },
  { title: 'delivery, mean ms', mean: 'tetherline_delivery_seconds' },
];

let before = null;

async function refresh() {
  try {
    const [ready, metrics] = await Promise.all([fetch('readyz'), fetch('metrics')]);
    const said = await ready.json();
    $('readiness').textContent = ready.ok
      ? 'ready'
      : `not ready: ${said.error?.reason ?? said.detail}`;
    $('readiness').className = ready.ok ? '' : 'bad';
    showFigures(parse(await metrics.text()));
    if (key() !== null) await showBacklogs();
  } catch {
    $('readiness').textContent = 'the server does not answer';
    $('readiness').className = 'bad';
    before = null;
  }
  setTimeout(refresh, EVERY_MS);
}

/** All series of a name, added up. */
function parse(text) {
  const sums = new Map();
  for (const line of text.split('\n')) {
    const found = /^([a-z_]+)(\{.*\})? ([0-9.e+-]+)/.exec(line);
    if (found) sums.set(found[1], (sums.get(found[1]) ?? 0) + Number(found[3]));
  }
  return { at: performance.now(), sums };
}

function showFigures(now) {
  const last = before;
  before = now;
  const gained = (series) => (now.sums.get(series) ?? 0) - (last?.sums.get(series) ?? 0);
  const value = ({ series, rate, mean }) => {
    if (!rate && !mean) return String(now.sums.get(series) ?? 0);
    if (last === null) return '…';
    if (rate) return rounded((gained(series) * 1_000) / (now.at - last.at));
    const count = gained(`${mean}_count`);
    return count > 0 ? rounded((gained(`${mean}_sum`) * 1_000) / count) : '–';
  };
  const figures = FIGURES.map((figure) => {
    const [box, title, number] = ['div', 'dt', 'dd'].map((name) => document.createElement(name));
    title.textContent = figure.title;
    number.textContent = value(figure);
    box.append(title, number);
    return box;
  });
  $('figures').replaceChildren(...figures);
}

const rounded = (number) => (number >= 10 ? String(Math.round(number)) : number.toFixed(1));

// --- what needs a key

const key = () => sessionStorage.getItem(KEY);

async function ask(path, method = 'GET') {
  const answer = await fetch(path, { method, headers: { authorization: `Bearer ${key()}` } });
  if (answer.status === 204) return null;
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.detail ?? `the server answers ${answer.status}`);
  return said;
}

/** Without what turns the writing direction around, moves or hides: nobody is shown another name than the one that is meant. */
const printable = (text) =>
  String(text).replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (sign) => `\\u{${sign.codePointAt(0).toString(16)}}`,
  );

/** `.` and `..` are ways for a URL, whatever they are encoded as, and no users. */
const isUser = (user) => user !== '.' && user !== '..';

const ofUser = (user) => `v1/users/${encodeURIComponent(user).replaceAll('.', '%2E')}`;

function showKey(isGood) {
  $('key').hidden = isGood;
  $('users').hidden = !isGood;
}

$('key').addEventListener('submit', async (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, $('secret').value.trim());
  $('secret').value = '';
  try {
    await showBacklogs();
    $('key-said').textContent = '';
    showKey(true);
    $('user').focus();
  } catch (error) {
    sessionStorage.removeItem(KEY);
    $('key-said').textContent = error.message;
  }
});

$('forget').addEventListener('click', () => {
  sessionStorage.removeItem(KEY);
  $('inspection').replaceChildren();
  $('said').textContent = '';
  $('actions').hidden = true;
  showKey(false);
  $('secret').focus();
});

async function showBacklogs() {
  const backlogs = await ask('v1/backlogs');
  const rows = backlogs.map(({ user, connections, waiting, unhandled }) => {
    const open = document.createElement('button');
    open.type = 'button';
    open.textContent = printable(user);
    open.addEventListener('click', () => look(user, ''));
    return [open, connections, waiting, unhandled];
  });
  // Whoever is about to press a button of it keeps it.
  if ($('backlogs').contains(document.activeElement)) return;
  const nobody = document.createElement('p');
  nobody.textContent = 'Everybody who is connected has everything.';
  const columns = ['user', 'connections', 'to send', 'not acknowledged'];
  $('backlogs').replaceChildren(rows.length > 0 ? table(columns, rows) : nobody);
}

// --- one user

let shown = null;

$('look').addEventListener('submit', (event) => {
  event.preventDefault();
  void look($('user').value, $('seq').value.trim());
});

async function look(user, seq, said = '') {
  $('user').value = user;
  $('seq').value = seq;
  $('inspection').replaceChildren();
  $('actions').hidden = true;
  try {
    if (!isUser(user)) throw new Error(`“${user}” is no user: it would be a way in a URL.`);
    const inspection = await ask(`${ofUser(user)}/inspection${seq === '' ? '' : `?seq=${seq}`}`);
    shown = { user, seq };
    $('said').textContent = printable(said);
    $('inspection').replaceChildren(...parts(inspection));
    $('actions').hidden = false;
  } catch (error) {
    shown = null;
    $('said').textContent = printable(error.message);
  }
}

function parts(it) {
  const all = (it.verdicts ?? []).map(({ state, says }) => {
    const verdict = document.createElement('p');
    verdict.className = `verdict ${state}`;
    verdict.textContent = printable(says);
    return verdict;
  });
  const kept =
    it.trimmed === it.head ? 'nothing is kept' : `${it.trimmed + 1} to ${it.head} are kept`;
  const head = document.createElement('p');
  head.textContent = `newest ${it.head}, ${kept}, epoch ${it.epoch}`;
  all.push(head);
  if (it.trimmed > 0) {
    const trims = document.createElement('p');
    trims.textContent = trimmed(it);
    all.push(trims);
  }
  const part = (title, columns, rows) => {
    if (rows.length === 0) return;
    const heading = document.createElement('h3');
    heading.textContent = title;
    all.push(heading, table(columns, rows));
  };
  part(
    'Devices',
    ['device', 'handled', 'behind', 'last used'],
    it.devices.map((row) => [row.device, row.cursor, row.behind, time(row.last_used)]),
  );
  part(
    'Connections',
    [
      'device',
      'close',
      'waits for',
      'to send',
      'not acknowledged',
      'bytes not taken',
      'from',
      'connected since',
      'connection',
    ],
    it.connections.map((row) => [
      row.device ?? '–',
      closing(row),
      waits(row),
      row.waiting,
      row.unhandled,
      row.unsent_bytes,
      row.address ?? '–',
      time(row.since),
      row.connection_id,
    ]),
  );
  part(
    'Streams',
    ['stream', 'attempt', 'since'],
    it.streams.map((row) => [row.message_uuid, row.attempt, time(row.opened)]),
  );
  part(
    'Newest sends',
    ['id', 'decided', 'outcome'],
    it.sends.map((row) => [row.id, time(row.decided), row.outcome]),
  );
  part(
    'Sign-outs',
    ['what', 'at'],
    it.sign_outs.map((row) => [row.everywhere ? 'everywhere' : 'one session', time(row.at)]),
  );
  return all;
}

function trimmed({ trimmed, trimmed_by_number: byNumber }) {
  const why = [];
  if (byNumber > 0) why.push(`up to ${byNumber} because of how many newer ones there are`);
  if (trimmed > byNumber) why.push(`${byNumber + 1} to ${trimmed} because of their age`);
  return `not kept any more: ${why.join(', ')}`;
}

function waits({ waits_for, waits_since, held }) {
  const what = waits_for === 'nothing' ? 'nothing' : `${waits_for}, since ${time(waits_since)}`;
  return held ? `${what}; said too much, and is not listened to` : what;
}

/** What closes one of several. */
function closing({ connection_id: id, device }) {
  const close = document.createElement('button');
  close.type = 'button';
  close.textContent = 'Close';
  close.ariaLabel = `Close the connection ${printable(id)}`;
  close.addEventListener('click', () => carryOut(ofConnection(id, device)));
  return close;
}

function table(columns, rows) {
  const box = document.createElement('div');
  box.className = 'table';
  box.tabIndex = 0;
  const [table, head, body] = ['table', 'thead', 'tbody'].map((name) =>
    document.createElement(name),
  );
  const line = (cells, name) => {
    const row = document.createElement('tr');
    row.append(
      ...cells.map((content) => {
        const cell = document.createElement(name);
        if (name === 'th') cell.scope = 'col';
        if (content instanceof Node) cell.append(content);
        else cell.textContent = printable(content);
        return cell;
      }),
    );
    return row;
  };
  head.append(line(columns, 'th'));
  body.append(...rows.map((cells) => line(cells, 'td')));
  table.append(head, body);
  box.append(table);
  box.role = 'region';
  box.ariaLabel = columns.join(', ');
  return box;
}

const time = (text) => text.replace('T', ' ').replace(/\.\d+Z$/, ' UTC');

// --- what changes something

const ACTIONS = {
  disconnect: {
    what: (user) => `Disconnect ${user}?`,
    why: 'Their connections are closed, and come back by themselves. Nothing is lost.',
    yes: 'Disconnect',
    carryOut: (user) => ask(`${ofUser(user)}/disconnect`, 'POST'),
    said: (user) => `${user} was disconnected.`,
  },
  'sign-out': {
    what: (user) => `Sign ${user} out everywhere?`,
    why: 'Every token of theirs that was made until now counts no more. Their messages stay.',
    yes: 'Sign out',
    carryOut: (user) => ask(`${ofUser(user)}/sessions`, 'DELETE'),
    said: (user) => `${user} was signed out.`,
  },
  erase: {
    what: (user) => `Erase ${user}?`,
    why: 'Messages, devices, keys and recorded sends are deleted for good. This cannot be undone.',
    yes: 'Erase',
    named: true,
    carryOut: (user) => ask(ofUser(user), 'DELETE'),
    said: (user) => `${user} was erased.`,
  },
};

const ofConnection = (id, device) => ({
  what: (user) => `Close one connection of ${user}?`,
  why: `The connection ${id} of ${device ?? 'no device'} is closed, and comes back by itself. Nothing is lost.`,
  yes: 'Close it',
  carryOut: (user) => ask(`${ofUser(user)}/connections/${encodeURIComponent(id)}`, 'DELETE'),
  said: (user) => `One connection of ${user} was closed.`,
});

async function carryOut(action) {
  const { user, seq } = shown;
  if (!(await isSure(action, user))) return;
  try {
    await action.carryOut(user);
    await look(user, seq, action.said(user));
  } catch (error) {
    $('said').textContent = printable(error.message);
  }
}

for (const [id, action] of Object.entries(ACTIONS)) {
  $(id).addEventListener('click', () => carryOut(action));
}

function isSure({ what, why, yes, named = false }, user) {
  $('sure-what').textContent = printable(what(user));
  $('sure-why').textContent = printable(why);
  $('yes').textContent = yes;
  $('sure-name').hidden = !named;
  $('name').value = '';
  const check = () => {
    $('yes').disabled = named && $('name').value !== user;
  };
  $('name').oninput = check;
  check();
  $('sure').returnValue = 'no';
  $('sure').showModal();
  return new Promise((resolve) => {
    $('sure').onclose = () =>
      resolve($('sure').returnValue === 'yes' && !(named && $('name').value !== user));
  });
}

showKey(key() !== null);
void refresh();
