/// The script of the status page. It makes elements and sets their text, and never reads text as HTML.
enum PageScript {
    static let text = #"""
        "use strict";
        const $ = id => document.getElementById(id);
        const SVG = "http://www.w3.org/2000/svg";
        const LABELS = ["State", "Connections", "10 min", "New/s", "In/s", "Out/s", ""];
        let history = null, latest = null, paused = false, lost = "";

        function make(name, attributes, ...children) {
          const element = document.createElement(name);
          for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
          element.append(...children);
          return element;
        }
        // Only what has changed is touched: a reader's place and selection stay.
        function say(element, text) { if (element.textContent !== text) element.textContent = text; }
        function show(element, isShown) { if (element.hidden === isShown) element.hidden = !isShown; }
        // One child for each entry, found again by its key.
        function keep(parent, entries, key, create, update) {
          const old = new Map(Array.from(parent.children, child => [child.dataset.key, child]));
          let place = parent.firstElementChild;
          for (const entry of entries) {
            const name = key(entry);
            let child = old.get(name);
            old.delete(name);
            if (!child) { child = create(entry); child.dataset.key = name; }
            if (child === place) place = place.nextElementSibling; else parent.insertBefore(child, place);
            update(child, entry);
          }
          for (const child of old.values()) child.remove();
        }

        function count(number) { return Math.round(number).toLocaleString("en"); }
        function rate(number) { return number < 10 ? (Math.round(number * 10) / 10).toString() : count(number); }
        function bytes(number) {
          const units = ["B", "kB", "MB", "GB", "TB"];
          let unit = 0;
          while (number >= 1000 && unit < 4) { number /= 1000; unit += 1; }
          return (number < 10 && unit > 0 ? number.toFixed(1) : Math.round(number)) + " " + units[unit];
        }
        function age(seconds) {
          const s = Math.max(0, Math.floor(seconds));
          if (s < 60) return s + "s";
          if (s < 3600) return Math.floor(s / 60) + "m";
          if (s < 86400) return Math.floor(s / 3600) + "h " + Math.floor(s % 3600 / 60) + "m";
          return Math.floor(s / 86400) + "d " + Math.floor(s % 86400 / 3600) + "h";
        }
        function since(time) { return age((Date.parse(latest.time) - Date.parse(time)) / 1000); }
        function clock(time) { return new Date(time).toLocaleTimeString(undefined, { hour12: false }); }

        function chart() {
          const svg = document.createElementNS(SVG, "svg");
          svg.setAttribute("viewBox", "0 0 100 30");
          svg.setAttribute("preserveAspectRatio", "none");
          svg.setAttribute("role", "img");
          for (const name of ["area", "line"]) {
            const path = document.createElementNS(SVG, "path");
            path.setAttribute("class", name);
            svg.append(path);
          }
          return svg;
        }
        function draw(svg, values, label) {
          const top = Math.max(1e-9, ...values);
          const last = history.steps - 1;
          const x = index => (100 * (last - (values.length - 1 - index)) / last).toFixed(2);
          const y = value => (29 - 27 * value / top).toFixed(2);
          const points = values.map((value, index) => x(index) + " " + y(value)).join(" L");
          const line = values.length > 1 ? "M" + points : "";
          const area = line && line + " L100 30 L" + x(0) + " 30 Z";
          if (svg.lastChild.getAttribute("d") === line) return;
          svg.firstChild.setAttribute("d", area);
          svg.lastChild.setAttribute("d", line);
          svg.setAttribute("aria-label", label);
        }
        function series(key, name) { return ((history.series[key] || {})[name]) || []; }
        function told(values, unit) {
          if (values.length === 0) return "no figures yet";
          const last = values[values.length - 1];
          return "now " + unit(last) + ", at least " + unit(Math.min(...values)) + ", at most " +
            unit(Math.max(...values)) + " in the last ten minutes";
        }

        const CHARTS = [
          ["Connections", "connections", count, () => latest.status.connections],
          ["New per second", "accepts", rate, () => latest.rates.accepts],
          ["Bytes/s from clients", "in", bytes, () => latest.rates.in],
          ["Bytes/s to clients", "out", bytes, () => latest.rates.out],
        ];
        function showOverview() {
          keep($("overview"), CHARTS, entry => entry[1],
            ([title]) => make("figure", {}, make("figcaption", {}, title, make("b")), chart()),
            (figure, [title, name, unit, now]) => {
              say(figure.querySelector("b"), unit(now()));
              draw(figure.querySelector("svg"), series("", name), title + ": " + told(series("", name), unit));
            });
        }

        function note(row) {
          const parts = [];
          if (row.weight !== row.weight_configured && row.state !== "removed")
            parts.push("weight " + row.weight + " in place of " + row.weight_configured);
          if (row.ramp !== null && row.ramp !== undefined) parts.push("starts slowly, " + row.ramp * 100 + " %");
          if (row.away > 0) parts.push(count(row.away) + " away from home");
          if (row.connecting > 0) parts.push(count(row.connecting) + " connecting");
          if (row.closes_at && !isEmptied(row)) parts.push("what is left is closed at " + clock(row.closes_at));
          if (row.state === "down" && row.check_result) parts.push(row.check_result);
          return parts.join("; ");
        }
        function makeRow() {
          // Told apart as cells also where the style makes something else of them.
          const cells = LABELS.map(label => make("td", { role: "cell", "data-label": label }));
          for (const index of [1, 3, 4, 5]) cells[index].className = "n";
          cells[0].append(make("span"), " ", make("span", { class: "soft" }));
          cells[2].append(chart());
          cells[6].className = "note";
          return make("tr", { role: "row" }, make("th", { role: "rowheader", scope: "row" }), ...cells);
        }
        function fillRow(tr, row) {
          const key = row.service + "/" + row.name;
          const now = latest.rates.backends[key] || { accepts: 0, in: 0, out: 0 };
          const cells = tr.children;
          say(cells[0], row.name);
          cells[0].title = row.address;
          const [word, long] = cells[1].children;
          say(word, row.state);
          word.className = "state " + row.state;
          say(long, since(row.since));
          say(cells[2], count(row.connections));
          const values = series(key, "connections");
          draw(cells[3].firstChild, values, row.name + ": connections, " + told(values, count));
          say(cells[4], rate(now.accepts));
          say(cells[5], bytes(now.in));
          say(cells[6], bytes(now.out));
          say(cells[7], note(row));
        }
        function makeService(service) {
          const id = "s-" + service.name;
          const title = (text, kind) => make("th", { role: "columnheader", scope: "col", class: kind }, text);
          const head = make("tr", { role: "row" }, title("Backend", ""),
            ...LABELS.map((label, index) => title(label || "Remarks", [1, 3, 4, 5].includes(index) ? "n" : "")));
          return make("section", { "aria-labelledby": id },
            make("h2", { id: id }, service.name + " ", make("small")),
            make("p", { class: "alert", role: "alert", hidden: "" }, "No backend of this service is up."),
            make("div", { class: "scroll", role: "region", tabindex: "0", "aria-labelledby": id },
              make("table", { role: "table", "aria-labelledby": id }, make("thead", { role: "rowgroup" }, head),
                make("tbody", { role: "rowgroup" }))));
        }
        function fillService(section, service) {
          say(section.querySelector("small"), service.listeners.map(row =>
            row.name + (row.state === "accepting" ? "" : " " + row.state + (row.reason ? ": " + row.reason : "")))
            .join(", "));
          show(section.querySelector(".alert"), service.panic);
          keep(section.querySelector("tbody"), service.backends, row => row.name, makeRow, fillRow);
        }

        function isEmptied(row) {
          return row.state === "draining" || row.state === "maintenance" && row.connections > 0 && row.drain !== null &&
            row.drain.phase !== "kept";
        }
        function pace(drain) {
          const about = drain.seconds_left === null ? "" : ", about " + age(drain.seconds_left) + " left";
          switch (drain.phase) {
          case "kept": return "none is closed" + (about ? " before the deadline" + about : "");
          case "grace": return "closing begins in " + age(drain.grace_seconds) + about;
          case "shedding": return "closing" + (drain.rate === null ? "" : " " + rate(drain.rate) + " a second") + about;
          case "paused": return "paused" + (drain.reason ? ": " + drain.reason : "");
          case "closing": return "the deadline has come, and what is left is being closed";
          default: return "";
          }
        }
        function showDrains() {
          const rows = latest.services.flatMap(service => service.backends).filter(isEmptied);
          show($("drains-section"), rows.length > 0);
          keep($("drains"), rows, row => row.service + "/" + row.name,
            row => make("li", { class: "card" }, make("span"), make("progress", { max: "1" })),
            (item, row) => {
              const key = row.service + "/" + row.name;
              const most = Math.max(row.connections, ...series(key, "connections"));
              const how = row.drain ? pace(row.drain) : "";
              say(item.firstChild, key + ": " + count(row.connections) +
                (row.connections === 1 ? " connection" : " connections") + " left, draining for " +
                since(row.intent_since || row.since) + (how ? "; " + how : ""));
              const bar = item.lastChild;
              bar.setAttribute("aria-label", key + ": share of its connections that have gone");
              bar.value = most > 0 ? 1 - row.connections / most : 1;
            });
        }
        function sentence(event) {
          const of = event.listener || [event.service, event.backend].filter(part => part).join("/");
          const change = event.old && event.new ? event.old + " → " + event.new : event.new || "";
          const number = event.count !== null && event.count !== undefined ? "(" + event.count + ")" : "";
          const what = [change, event.cause].filter(part => part).join(": ");
          return [event.event, of && of + ":", what, number].filter(part => part).join(" ");
        }
        function showEvents() {
          const entries = latest.events.slice().reverse();
          keep($("events"), entries.length ? entries : [null], entry => entry ? entry.number + "" : "none",
            entry => entry
              ? make("li", {}, make("time", { datetime: entry.time }, clock(entry.time)), sentence(entry.event))
              : make("li", { class: "soft" }, "None so far."), () => {});
        }
        function showClients() {
          show($("clients-section"), latest.clients !== null && latest.clients !== undefined);
          keep($("clients"), latest.clients || [], entry => entry.client, () => make("li"),
            (item, entry) => say(item, entry.client + ": " + count(entry.connections)));
        }
        function showAll() {
          if (lost) say($("summary"), lost);
          if (!latest || !history || paused) return;
          const status = latest.status;
          const ready = status.ready ? "ready" : "not ready" + (latest.reason ? ": " + latest.reason : "");
          say($("summary"), lost || ready + ", " + count(status.connections) + " of at most " +
            count(status.max_connections) + " connections, up " + age(status.uptime_seconds));
          document.title = "Limpet: " + count(status.connections) + " connections";
          document.body.dataset.time = latest.time;
          showOverview();
          showDrains();
          keep($("services"), latest.services, service => service.name, makeService, fillService);
          showClients();
          showEvents();
          say($("about"), "limpetd " + latest.version + ", configuration " + status.config_hash + ", " +
            status.workers + " workers, engine " + status.engine_generation +
            (status.last_death ? ", last death " + status.last_death.time + ": " + status.last_death.reason : "") +
            (latest.left_out > 0 ? "; " + latest.left_out + " further backends are not shown here" : ""));
        }

        function addStep(step) {
          history.step = step.step;
          for (const [key, values] of Object.entries(step.series)) {
            const kept = history.series[key] || (history.series[key] = {});
            for (const [name, value] of Object.entries(values)) {
              const list = kept[name] || (kept[name] = []);
              list.push(value[0]);
              if (list.length > history.steps) list.shift();
            }
          }
          for (const key of Object.keys(history.series)) if (!step.series[key]) delete history.series[key];
        }
        function lose(reason) { lost = reason + "; trying again …"; showAll(); }
        // A browser tries again by itself where nobody answers, and never where the answer is a refusal.
        function listen() {
          const source = new EventSource("/events");
          source.addEventListener("history", message => { history = JSON.parse(message.data); });
          source.addEventListener("step", message => {
            const step = JSON.parse(message.data);
            if (history && step.step > history.step) addStep(step);
          });
          source.addEventListener("update", message => {
            latest = JSON.parse(message.data);
            if (lost && paused) say($("summary"), "The daemon answers again; this page is paused");
            lost = "";
            showAll();
          });
          source.onerror = () => {
            if (source.readyState !== EventSource.CLOSED) { lose("No answer from the daemon"); return; }
            // Why, an EventSource does not say.
            const asking = new AbortController();
            fetch("/events", { signal: asking.signal, cache: "no-store" }).then(async answer => {
              if (answer.status === 404) lose("The status page is switched off");
              else if (!answer.ok) lose("Refused: " + (await answer.text()).trim());
              else asking.abort();
            }).catch(() => lose("No answer from the daemon"));
            setTimeout(listen, 5000);
          };
        }
        listen();
        $("pause").addEventListener("click", event => {
          paused = !paused;
          event.target.setAttribute("aria-pressed", paused);
          showAll();
        });

        """#
}
