#include "http/status_page.hpp"

#include <string_view>

namespace millrace::http {

namespace {

constexpr std::string_view kHead = R"html(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>Millrace</title><style>
:root{color-scheme:light dark;--fg:#1c2733;--dim:#67788a;--line:#d9e0e7;--bg:#fff;--accent:#1769aa;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--fg:#dde5ec;--dim:#8b9bab;--line:#2f3b47;--bg:#141a20;--accent:#6cb6f0;--bad:#f2867d}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1rem;margin:2rem 0 .5rem}p{margin:.3rem 0}.dim{color:var(--dim)}
table{border-collapse:collapse;width:100%}th,td{padding:.3rem .6rem;border-bottom:1px solid var(--line);text-align:right}
th{font-weight:500;color:var(--dim)}th:first-child,td:first-child{text-align:left}.bad{color:var(--bad);font-weight:600}
form{display:flex;gap:.5rem}input{flex:1;font:inherit;padding:.45rem .6rem;border:1px solid var(--line);border-radius:6px;background:transparent;color:inherit}
button{font:inherit;padding:.45rem 1rem;border:0;border-radius:6px;background:var(--accent);color:var(--bg);cursor:pointer}
li{margin:.8rem 0}ol{padding-left:1.4rem}code{font-size:.9em}a{color:var(--accent)}
</style></head><body>
<h1>Millrace</h1><p class="dim">version )html";

constexpr std::string_view kBody = R"html( · <a href="/healthz">health</a> · <a href="/metrics">metrics</a> ·
<span id="state">…</span></p>
<h2>Search</h2>
<form id="form"><input id="query" placeholder="words or a question" aria-label="Search" autofocus><button>Search</button></form>
<p class="dim" id="took"></p><ol id="results"></ol>
<h2>Queues</h2>
<table><thead><tr><th>queue</th><th>active</th><th>locked</th><th>scheduled</th><th>dead letters</th><th>oldest</th><th>done/s</th></tr></thead>
<tbody id="queues"></tbody></table>
<h2>Documents</h2>
<p>Send one: <code>curl -H 'Content-Type: text/plain' --data-binary @notes.txt '<span id="origin"></span>/v1/documents?title=Notes'</code></p>
<table><thead><tr><th>document</th><th>category</th><th>status</th><th>chunks</th></tr></thead><tbody id="documents"></tbody></table>
<script>
const $ = id => document.getElementById(id);
const cell = (row, text, bad) => { const td = row.insertCell(); td.textContent = text; if (bad) td.className = 'bad'; };
const get = async path => { const answer = await fetch(path); if (!answer.ok) throw new Error(answer.status); return answer.json(); };
const age = s => s == null ? '' : s < 60 ? s.toFixed(0) + ' s' : s < 3600 ? (s / 60).toFixed(0) + ' min' : (s / 3600).toFixed(1) + ' h';
$('origin').textContent = location.origin;
async function refresh() {
  try {
    const { queues } = await get('/v1/queues');
    $('queues').replaceChildren();
    for (const q of queues) {
      const row = $('queues').insertRow();
      [q.name, q.active, q.locked, q.scheduled].forEach(v => cell(row, v));
      cell(row, q.deadLettered, q.deadLettered > 0);
      cell(row, age(q.oldestAgeSeconds)); cell(row, q.rates.completedPerSecond.toFixed(1));
    }
    const { documents } = await get('/v1/documents?limit=20');
    $('documents').replaceChildren();
    for (const d of documents) {
      const row = $('documents').insertRow();
      [d.title || d.id, d.category].forEach(v => cell(row, v));
      cell(row, d.error || d.status, d.status === 'failed'); cell(row, d.chunks);
    }
    $('state').textContent = 'live';
  } catch (error) { $('state').textContent = 'not reachable (' + error.message + ')'; }
}
$('form').addEventListener('submit', async event => {
  event.preventDefault();
  const answer = await fetch('/v1/search', { method: 'POST', headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ query: $('query').value, top: 5, chunksPerDocument: 1 }) });
  const body = await answer.json();
  $('results').replaceChildren();
  $('took').textContent = answer.ok ? body.results.length + ' results in ' + body.tookMs + ' ms' : body.detail;
  for (const hit of body.results || []) {
    const item = document.createElement('li'), title = document.createElement('strong'), text = document.createElement('div');
    title.textContent = (hit.title || hit.documentId) + (hit.page ? ', page ' + hit.page : '');
    text.textContent = hit.text.slice(0, 300); text.className = 'dim';
    item.append(title, text); $('results').append(item);
  }
});
refresh(); setInterval(refresh, 2000);
</script></body></html>
)html";

}  // namespace

std::string status_page() {
    std::string page(kHead);
    page.append(MILLRACE_VERSION).append(kBody);
    return page;
}

}  // namespace millrace::http
