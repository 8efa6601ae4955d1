'use strict';
// What goes wrong is left in the document, where a test finds it.
addEventListener('error', event => { document.documentElement.dataset.error = event.message; });
addEventListener('securitypolicyviolation', event => {
  document.documentElement.dataset.error = `not permitted: ${event.effectiveDirective} ${event.blockedURI}`;
});

// Characters that show nothing, or that reorder what stands beside them, are shown as escapes.
const shown = text => String(text).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu,
  mark => `\\u{${mark.codePointAt(0).toString(16)}}`);

// An element. Texts become text nodes, so that a name is never markup.
function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === 'onclick') made.addEventListener('click', value);
    else if (name in made && name !== 'list') made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter(child => child !== null && child !== undefined && child !== ''));
  return made;
}

const count = (number, one, many = `${one}s`) => `${number.toLocaleString('en')} ${number === 1 ? one : many}`;

// 1 234 567 ns as 1.23 ms.
function nanoseconds(ns) {
  for (const [unit, size] of [['s', 1e9], ['ms', 1e6], ['\u00b5s', 1e3]]) {
    if (ns >= size) {
      const value = ns / size;
      return `${value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2)} ${unit}`;
    }
  }
  return `${Math.round(ns)} ns`;
}

// Milliseconds as a dump shows them: 12 ms, 1.5 s, 1 m 5 s, 2 h 3 m.
function milliseconds(ms) {
  if (ms < 1000) return `${ms} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.floor(ms / 1000), minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60);
  if (hours === 0) return `${minutes} m ${seconds % 60} s`;
  return hours < 48 ? `${hours} h ${minutes % 60} m` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

const ROWS_AT_ONCE = 500;

// A table that is sorted by a click on the head of a column. `columns`: {head, value: for sorting, cell: text or nodes,
// css, first: the direction of the first click}. Only so many rows are made at once.
function sortedTable(host, columns, {sort = 0, descending = false, choose = null, empty = 'Nothing to show.'} = {}) {
  let rows = [], limit = ROWS_AT_ONCE, chosen = null;
  const body = el('tbody'), more = el('div', {className: 'more'});
  const heads = columns.map((column, index) => el('th', {className: column.css || '', scope: 'col'},
    column.value ? el('button', {type: 'button', onclick: () => {
      descending = sort === index ? !descending : Boolean(column.descending);
      sort = index;
      limit = ROWS_AT_ONCE;
      arrange();
    }}, column.head) : column.head));
  host.replaceChildren(el('table', {}, el('thead', {}, el('tr', {}, ...heads)), body), more);

  function arrange() {
    const value = columns[sort].value, sign = descending ? -1 : 1;
    const keyed = rows.map((row, index) => [value(row), index, row]);
    keyed.sort(([a, i], [b, j]) => (a < b ? -sign : a > b ? sign : i - j));
    rows = keyed.map(([, , row]) => row);
    heads.forEach((head, index) => {
      if (index === sort) head.setAttribute('aria-sort', descending ? 'descending' : 'ascending');
      else head.removeAttribute('aria-sort');
    });
    fill();
  }

  function fill() {
    body.replaceChildren(...rows.slice(0, limit).map(row => {
      const cells = columns.map(column => el('td', {className: column.css || ''}, ...[column.cell(row)].flat()));
      const line = el('tr', {}, ...cells);
      if (choose) {
        line.tabIndex = 0;
        line.setAttribute('aria-selected', row === chosen);
        line.addEventListener('click', event => { if (!event.target.closest('button')) choose(row); });
        line.addEventListener('keydown', event => { if (event.key === 'Enter' && event.target === line) choose(row); });
      }
      return line;
    }));
    more.replaceChildren();
    if (rows.length === 0) more.append(el('span', {className: 'muted'}, empty));
    if (rows.length > limit) {
      more.append(el('button', {type: 'button', onclick: () => { limit += ROWS_AT_ONCE; fill(); }},
        `Show ${Math.min(ROWS_AT_ONCE, rows.length - limit)} more of ${rows.length - limit}`));
    }
  }

  return {
    set(next) { rows = next.slice(); limit = ROWS_AT_ONCE; arrange(); },
    mark(row) { chosen = row; fill(); },
  };
}

// Buttons of which one is chosen.
function tabs(host, names, choose) {
  const buttons = names.map(([key, label]) => el('button', {type: 'button', role: 'tab', onclick: () => pick(key)}, label));
  host.setAttribute('role', 'tablist');
  host.classList.add('tabs');
  host.replaceChildren(...buttons);
  function pick(key) {
    names.forEach(([name], index) => buttons[index].setAttribute('aria-selected', name === key));
    choose(key);
  }
  return pick;
}
