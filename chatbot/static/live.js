// Live pages: the server sends an event about what has changed, and the parts of the page that show it
// are requested again. Events carry no data, so one refresh makes up for any that are missed. Without a
// socket, or while the server has no subscription, prosa.js polls.
"use strict";

(function () {
  const body = document.body.dataset;
  const parts = [...document.querySelectorAll("[data-live-on]")];
  if (!body.live || !parts.length) return;

  const SILENCE_MS = 50000; // the server sends a heartbeat every 20 s
  const RETRY_MS = [1000, 30000];
  const CLOSE_UNAUTHENTICATED = 4401;

  const topicsOf = (part) => part.dataset.liveOn.split(" ");
  const watched = new URLSearchParams(parts.flatMap(topicsOf).map((topic) => ["watch", topic]));
  const address = new URL(`${body.live}?${watched}`, location.href);
  address.protocol = address.protocol.replace("http", "ws");

  let at = body.liveAt; // position of the last event that the page has handled
  let failures = 0;
  let silence = null;

  const change = (changed) => changed.forEach((part) => part.dispatchEvent(new Event("changed")));

  function setLive(isLive) {
    for (const part of parts) {
      // Some parts also show data without events, such as server metrics, and keep polling.
      const wanted = isLive && !("liveAlso" in part.dataset);
      if (wanted === "live" in part.dataset) continue;
      part.toggleAttribute("data-live", wanted);
      part.dispatchEvent(new Event("live"));
    }
  }

  // "epoch/number": with another epoch, or a higher number than ours, events were missed.
  function hasGap(now) {
    const [epoch, number] = at.split("/");
    const [nowEpoch, nowNumber] = now.split("/");
    return !epoch || epoch !== nowEpoch || Number(nowNumber) > Number(number);
  }

  const handlers = {
    hello: (said) => {
      setLive(said.at !== "");
      if (hasGap(said.at)) change(parts);
    },
    away: () => { setLive(false); change(parts); },
    all: () => { setLive(true); change(parts); },
    beat: (said, socket) => { setLive(said.at !== ""); socket.send("beat"); },
  };

  function take(said, socket) {
    if (said.kind in handlers) handlers[said.kind](said, socket);
    else {
      const of = [said.kind, `${said.kind}:${said.id}`];
      change(parts.filter((part) => topicsOf(part).some((topic) =>
        of.includes(topic) || (said.id === null && topic.startsWith(`${said.kind}:`)))));
    }
    at = said.at;
  }

  function connect() {
    const socket = new WebSocket(address);
    const watch = () => {
      clearTimeout(silence);
      silence = setTimeout(() => socket.close(), SILENCE_MS);
    };
    socket.onopen = () => { failures = 0; watch(); };
    socket.onmessage = (event) => { watch(); take(JSON.parse(event.data), socket); };
    socket.onclose = (event) => {
      clearTimeout(silence);
      setLive(false);
      // A refreshed part redirects to the sign-in.
      if (event.code === CLOSE_UNAUTHENTICATED) return change(parts);
      const [least, most] = RETRY_MS;
      const waitMs = Math.min(most, least * 2 ** failures);
      failures += 1;
      setTimeout(connect, waitMs * (0.5 + Math.random()));
    };
  }

  connect();
})();
