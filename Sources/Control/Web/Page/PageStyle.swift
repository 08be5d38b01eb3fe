/// The style of the status page.
enum PageStyle {
    static let text = """
        :root {
          color-scheme: light dark;
          --back: #fbfbf9; --card: #ffffff; --text: #1d2125; --soft: #59636e; --line: #d6dade;
          --good: #1a6b34; --warn: #8a5300; --bad: #b3201c; --chart: #2563a8; --fill: #2563a822;
        }
        @media (prefers-color-scheme: dark) {
          :root {
            --back: #15181b; --card: #1e2226; --text: #e6e8ea; --soft: #a3adb8; --line: #373d44;
            --good: #6fce8b; --warn: #f0b55a; --bad: #ff8a80; --chart: #7db4f0; --fill: #7db4f022;
          }
        }
        * { box-sizing: border-box; }
        body {
          margin: 0 auto; max-width: 72rem; padding: 0 1rem 2rem; background: var(--back); color: var(--text);
          font: 16px/1.45 system-ui, sans-serif; font-variant-numeric: tabular-nums;
        }
        header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .25rem 1rem; padding-top: 1rem; }
        header p { flex: 1 1 16rem; margin: 0; }
        h1 { font-size: 1.4rem; margin: 0; }
        h2 { font-size: 1.1rem; margin: 1.5rem 0 .5rem; }
        h2 small { font-weight: normal; color: var(--soft); }
        a { color: var(--chart); }
        a:focus-visible, button:focus-visible, [tabindex]:focus-visible { outline: 3px solid var(--chart); }
        button {
          font: inherit; color: inherit; background: var(--card); border: 1px solid var(--soft);
          border-radius: .4rem; padding: .2rem .8rem; min-height: 2rem;
        }
        button[aria-pressed="true"] { background: var(--text); color: var(--back); }
        .skip { position: absolute; left: -100vw; }
        .skip:focus { left: 1rem; top: .25rem; background: var(--card); padding: .25rem .5rem; }
        .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: .75rem; }
        figure, .card { margin: 0; padding: .6rem .8rem; background: var(--card); border: 1px solid var(--line);
          border-radius: .5rem; }
        figcaption { color: var(--soft); }
        figcaption b { color: var(--text); font-size: 1.2rem; margin-left: .4rem; }
        svg { display: block; width: 100%; height: 3.5rem; }
        td svg { width: 7rem; height: 1.5rem; }
        svg .line { fill: none; stroke: var(--chart); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
        svg .area { fill: var(--fill); stroke: none; }
        .scroll { position: relative; }
        .scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
        table { border-collapse: collapse; width: 100%; }
        th, td { text-align: left; padding: .35rem .7rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
        tbody tr:last-child > * { border-bottom: 0; }
        thead th { color: var(--soft); font-weight: normal; }
        tbody th { font-weight: 600; }
        .n { text-align: right; }
        .note { white-space: normal; color: var(--soft); min-width: 10rem; overflow-wrap: anywhere; }
        .state::before { content: "●"; margin-right: .35rem; }
        .up, .accepting { color: var(--good); }
        .draining, .drained, .checking, .full, .maintenance, .paused, .removed { color: var(--warn); }
        .down, .refusing, .alert { color: var(--bad); }
        .alert { font-weight: 600; }
        .soft { color: var(--soft); }
        ul, ol { padding-left: 0; list-style: none; margin: 0; }
        #drains li { margin-bottom: .5rem; }
        progress { width: 100%; height: .8rem; accent-color: var(--chart); }
        .events li { padding: .2rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
        .events time { color: var(--soft); margin-right: .6rem; }
        footer { margin-top: 2rem; color: var(--soft); overflow-wrap: anywhere; }
        @media (max-width: 40rem) {
          thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
          tbody tr { display: grid; grid-template-columns: 1fr 1fr; padding: .4rem 0;
            border-bottom: 1px solid var(--line); }
          tbody th, td { border: 0; padding: .1rem .7rem; white-space: normal; overflow-wrap: anywhere; }
          td.n { text-align: left; }
          td[data-label]:not([data-label=""])::before { content: attr(data-label) " "; color: var(--soft); }
          td.note { grid-column: 1 / -1; }
          td.note:empty { display: none; }
        }

        """
}
