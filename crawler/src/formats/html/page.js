'use strict';
// What goes wrong is left in the document, where a test finds it.
addEventListener('error', event => { document.documentElement.dataset.error = event.message; });
addEventListener('securitypolicyviolation', event => {
  document.documentElement.dataset.error = `not permitted: ${event.effectiveDirective} ${event.blockedURI}`;
});

const ROWS_AT_ONCE = 500;
const at = id => document.getElementById(id);
const rows = JSON.parse(at('data').textContent).rows.map(([fate, url, status, detail, bytes, citers, advice]) =>
  ({fate, url, status, detail, bytes, citers, advice, text: [url, status, detail, ...citers.flatMap(([page, through]) => [page, through])].join('\n').toLowerCase()}));

// Characters that show nothing, or that reorder what stands beside them, are shown as escapes.
const shown = text => String(text).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu,
  mark => `\\u{${mark.codePointAt(0).toString(16)}}`);

// An element. Texts become text nodes, so that no address is ever markup.
function element(tag, properties, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value; else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// An address, as a link if it is one of the web.
const link = url => /^https?:\/\//i.test(url)
  ? element('a', {href: url, rel: 'noreferrer noopener', target: '_blank'}, shown(url)) : shown(url);

const number = value => value === null ? '' : value.toLocaleString('en');
const plural = (value, noun) => `${number(value)} ${noun}${value === 1 ? '' : noun.endsWith('s') ? 'es' : 's'}`;

function details(row) {
  if (row.fate === 'redirect') return ['to ', link(row.detail)];
  if (row.advice === '') return [shown(row.detail)];
  return [shown(row.detail), element('div', {className: 'advice'}, row.advice)];
}

function citers(row) {
  if (row.fate !== 'broken' && row.fate !== 'redirect') return [];
  if (row.citers.length === 0) return ['a start of the crawl'];
  const items = row.citers.map(([page, through, line]) => element('li', {}, link(page),
    ...(through === null ? [] : [' through ', link(through)]), line === null ? '' : `, line ${line}`));
  const list = element('ul', {}, ...items);
  if (items.length <= 3) return [list];
  return [element('details', {}, element('summary', {}, plural(items.length, 'page')), list)];
}

// The order of the fates: what needs work comes first.
const FATES = ['broken', 'redirect', 'not reached', 'skipped', 'outside', 'excluded', 'good'];
const COLUMNS = [
  {head: 'Outcome', key: row => FATES.indexOf(row.fate)},
  {head: 'Address', key: row => row.url},
  {head: 'Status', css: 'number', key: row => row.status ?? 0},
  {head: 'Details', key: row => row.detail},
  {head: 'Cited by', key: row => row.citers.length, isDown: true},
  {head: 'Bytes', css: 'number', key: row => row.bytes ?? -1, isDown: true},
];

// The view is in the fragment of the page's address, so that it can be kept and passed on.
const view = {show: '', sort: 0, down: false, words: ''};

function readView() {
  const given = new URLSearchParams(location.hash.slice(1));
  const sort = Number(given.get('sort') ?? 0);
  view.show = FATES.includes(given.get('show')) ? given.get('show') : '';
  view.sort = sort in COLUMNS ? sort : 0;
  view.down = given.get('down') === '1';
  view.words = given.get('words') ?? '';
}

function keepView() {
  const kept = new URLSearchParams();
  if (view.show !== '') kept.set('show', view.show);
  if (view.sort !== 0) kept.set('sort', view.sort);
  if (view.down) kept.set('down', 1);
  if (view.words !== '') kept.set('words', view.words);
  history.replaceState(null, '', `#${kept}`);
}

const heads = COLUMNS.map((column, index) => {
  const button = element('button', {type: 'button'}, column.head);
  button.addEventListener('click', () => {
    view.down = view.sort === index ? !view.down : Boolean(column.isDown);
    view.sort = index;
    keepView();
    arrange();
  });
  return element('th', {scope: 'col', className: column.css ?? ''}, button);
});

const choices = ['', ...FATES].map(fate => {
  const found = fate === '' ? rows.length : rows.filter(row => row.fate === fate).length;
  const input = element('input', {type: 'radio', name: 'show', value: fate});
  input.addEventListener('change', () => { view.show = fate; keepView(); arrange(); });
  const label = element('label', {}, input, ` ${fate === '' ? 'all' : fate} (${number(found)})`);
  return {fate, found, input, label};
});

let visible = [], limit = ROWS_AT_ONCE;

// Filters and sorts.
function arrange() {
  const words = view.words.toLowerCase().split(/\s+/).filter(word => word !== '');
  const {key} = COLUMNS[view.sort], sign = view.down ? -1 : 1;
  visible = rows.filter(row => (view.show === '' || row.fate === view.show) && words.every(word => row.text.includes(word)));
  // The rows come sorted by address, which decides between equals.
  visible = visible.map((row, index) => [key(row), index, row])
    .sort(([a, i], [b, j]) => (a < b ? -sign : a > b ? sign : i - j)).map(([, , row]) => row);
  limit = ROWS_AT_ONCE;
  choices.forEach(choice => { choice.input.checked = choice.fate === view.show; });
  heads.forEach((head, index) => {
    if (index === view.sort) head.setAttribute('aria-sort', view.down ? 'descending' : 'ascending');
    else head.removeAttribute('aria-sort');
  });
  if (at('words').value !== view.words) at('words').value = view.words;
  at('matches').textContent = visible.length === rows.length
    ? plural(rows.length, 'address') : `${number(visible.length)} of ${plural(rows.length, 'address')}`;
  at('rows').replaceChildren();
  append();
}

// Makes the rows that are not there yet, up to the limit.
function append() {
  const body = at('rows'), from = body.children.length;
  body.append(...visible.slice(from, limit).map(row => element('tr', {},
    element('td', {className: `word ${row.fate}`}, row.fate),
    element('th', {scope: 'row'}, link(row.url)),
    element('td', {className: 'number'}, row.status === null ? '' : String(row.status)),
    element('td', {}, ...details(row)),
    element('td', {}, ...citers(row)),
    element('td', {className: 'number'}, number(row.bytes)))));
  at('more').replaceChildren();
  const rest = visible.length - limit;
  if (rest > 0) {
    const button = element('button', {type: 'button'}, `Show ${number(Math.min(rest, ROWS_AT_ONCE))} more of ${number(rest)}`);
    button.addEventListener('click', () => {
      const next = limit;
      limit += ROWS_AT_ONCE;
      append();
      // The focus would be lost with the button.
      const first = at('rows').children[next];
      first.tabIndex = -1;
      first.focus();
    });
    at('more').append(button);
  }
  document.documentElement.dataset.drawn =
    `shown=${body.children.length} matches=${visible.length} all=${rows.length}`;
}

at('heads').append(...heads);
at('fates').append(...choices.filter(choice => choice.fate === '' || choice.found > 0).map(choice => choice.label));
at('words').addEventListener('input', () => { view.words = at('words').value; keepView(); arrange(); });
at('filters').addEventListener('submit', event => event.preventDefault());
addEventListener('hashchange', () => { readView(); arrange(); });
readView();
arrange();
at('all').hidden = false;
