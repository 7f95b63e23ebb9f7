"""The style sheet of report.html: one column, light or dark as the system asks, wide things scroll in place."""

STYLE = """
:root { color-scheme: light dark;
  --paper: #ffffff; --ink: #1b1f24; --muted: #5b6470; --rule: #dde1e6; --soft: #f5f6f8;
  --right: #0069a6; --wrong: #c24d00; --bar: #7d8590; --chip: #ffe08a; --chip-ink: #4a3500; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #161a20; --ink: #e8ebef; --muted: #9aa4b0; --rule: #343b45; --soft: #20262e;
  --right: #56b4e9; --wrong: #ff8f4a; --bar: #8791a0; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 70rem; padding: 2.5rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; line-height: 1.3; margin: 3rem 0 .6rem; }
p { max-width: 44rem; margin: .5rem 0; }
.lead { font-size: 1.08rem; color: var(--muted); }
.quiet { color: var(--muted); }
.badge { display: inline-block; background: var(--chip); color: var(--chip-ink); border-radius: .6em; padding: .1em
  .6em;
  font-size: .8rem; font-weight: 650; letter-spacing: .01em; white-space: nowrap; vertical-align: .2em; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; margin: 1.5rem 0;
  padding: 0; }
.tiles div { background: var(--soft); border-radius: .7rem; padding: .8rem 1rem; }
.tiles dt { color: var(--muted); font-size: .85rem; }
.tiles dd { margin: 0; font-size: 1.75rem; line-height: 1.25; font-weight: 650; font-variant-numeric: tabular-nums; }
.tiles dd small { display: block; font-size: .8rem; font-weight: 400; color: var(--muted); }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.25rem; margin: 1rem 0; }
.facts dt { color: var(--muted); }
.facts dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
code { font: .875em/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-wrap:
  anywhere; }
pre { background: var(--soft); border-radius: .5rem; padding: .7rem 1rem; overflow-x: auto; margin: .6rem 0; }
pre code { overflow-wrap: normal; }
.note { border-left: .25rem solid var(--wrong); background: var(--soft); padding: .5rem 1rem; margin: .75rem 0;
  max-width: none; }
.unseen { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); }
.wide { overflow-x: auto; margin: .75rem 0; }
.wide img { display: block; max-width: 100%; height: auto; }
.drawn { margin: 2.5rem 0 .5rem -1.25rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .94rem; }
th, td { text-align: left; padding: .3rem 1.4rem .3rem 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
thead th { color: var(--muted); font-weight: 500; font-size: .85rem; white-space: nowrap; }
tbody th { font-weight: 500; }
.num { text-align: right; white-space: nowrap; }
.meter { min-width: 7rem; width: 12rem; vertical-align: middle; }
.meter i, .best i { display: block; height: .7rem; background: var(--bar); min-width: 1px; border-radius: 1px; }
.meter i { background: var(--right); }
.clip { margin: 0; padding: 1rem 0; border-top: 1px solid var(--rule); display: grid; gap: .3rem 1.75rem;
  grid-template-columns: minmax(0, 1fr) 26rem; align-items: center; }
.clip figcaption { grid-column: 1 / -1; display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: baseline; }
.clip figcaption .quiet { font-size: .85rem; overflow-wrap: anywhere; }
.clip img { display: block; width: 100%; height: auto; border-radius: .3rem; }
.best { display: grid; grid-template-columns: minmax(0, 1fr) 6rem 3rem; gap: .15rem .6rem; margin: 0; font-size:
  .88rem;
  align-items: center; font-variant-numeric: tabular-nums; }
.best > * { grid-column: auto; }
.best span { text-align: right; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.best .true { font-weight: 650; } .best .true + b i { background: var(--right); } .best .false + b i { background:
  var(--wrong); }
.best b { font-weight: 400; } .best em { font-style: normal; color: var(--muted); }
summary { cursor: pointer; padding: .35rem 0; color: var(--right); }
footer { margin-top: 3.5rem; padding-top: .8rem; border-top: 1px solid var(--rule); color: var(--muted); font-size:
  .85rem; }
@media (max-width: 46rem) {
  body { padding: 1.5rem 1rem 3rem; }
  h1 { font-size: 1.5rem; }
  .facts { grid-template-columns: 1fr; gap: 0; } .facts dd { margin-bottom: .5rem; }
  .wide img { max-width: none; }
  .clip { grid-template-columns: minmax(0, 1fr); }
  .meter { min-width: 5rem; }
}
@media print { body { max-width: none; } .clip, table tr { break-inside: avoid; } }
"""
