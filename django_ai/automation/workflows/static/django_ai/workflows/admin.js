// The page of a run moves by itself: it asks whether the run has, and exchanges the parts that differ.

const PAUSE = { moving: 1000, resting: 3000, lost: 15000 }; // milliseconds

const page = document.querySelector("[data-live]");
const bulk = document.querySelector("form[data-go-on]");

/** Put what is new of `fresh` into the page, leaving open what a person has opened. */
function renew(fresh) {
  for (const section of page.querySelectorAll("section[id]")) {
    const other = fresh.getElementById(section.id);
    // A section with a version holds what a person may be typing: it stays as long as that does.
    if (!other || (section.dataset.version && section.dataset.version === other.dataset.version)) continue;
    const open = new Set([...section.querySelectorAll("details[open]")].map((details) => details.dataset.key));
    for (const details of other.querySelectorAll("details")) details.open = open.has(details.dataset.key);
    section.replaceWith(other);
  }
}

async function look() {
  const headers = { "If-None-Match": page.dataset.etag };
  const response = await fetch(page.dataset.base.replace("change/", page.dataset.live), {
    headers,
    cache: "no-store",
    credentials: "same-origin",
  });
  if (response.status === 304) return;
  if (!response.ok || response.redirected) throw new Error(response.statusText);
  page.dataset.etag = response.headers.get("ETag");
  renew(new DOMParser().parseFromString(await response.text(), "text/html"));
}

function hasEnded() {
  return Boolean(page.querySelector("#wf-top[data-final]"));
}

async function follow() {
  let pause = page.querySelector(".wf-badge--running") ? PAUSE.moving : PAUSE.resting;
  if (!document.hidden) {
    try {
      await look();
    } catch {
      pause = PAUSE.lost;
    }
  }
  if (!hasEnded()) setTimeout(follow, pause);
}

/** Count on how long that takes which has no end yet. */
function tick() {
  for (const element of document.querySelectorAll("[data-since]")) {
    element.textContent = duration((Date.now() - Date.parse(element.dataset.since)) / 1000);
  }
}

function duration(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

if (page) {
  if (!hasEnded()) {
    setTimeout(follow, PAUSE.moving);
    setInterval(tick, 1000);
  }
}
if (bulk) bulk.requestSubmit();
