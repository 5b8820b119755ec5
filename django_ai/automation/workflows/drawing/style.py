"""The colours of a graph that is a file of its own, light or dark as its viewer likes it."""

STYLE = """
.wf-graph{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;background:var(--wf-page);
--wf-text:#1f2937;--wf-line:#9ca3af;--wf-surface:#f9fafb;--wf-page:#fff;--wf-gone:#2563eb}
@media(prefers-color-scheme:dark){.wf-graph{
--wf-text:#e5e7eb;--wf-line:#6b7280;--wf-surface:#1f2937;--wf-page:#111827;--wf-gone:#60a5fa}}
.wf-graph text{fill:var(--wf-text);text-anchor:middle}
.wf-graph .wf-small{font-size:11px;opacity:.8}.wf-graph .wf-left{text-anchor:start}
.wf-node rect{fill:var(--wf-surface);stroke:var(--wf-line)}
.wf-label{fill:var(--wf-page)}.wf-start{fill:var(--wf-text)}
.wf-edge{fill:none;stroke:var(--wf-line);stroke-width:1.5}.wf-edge-gone{stroke:var(--wf-gone);stroke-width:2.5}
.wf-head{fill:var(--wf-line)}.wf-head-gone{fill:var(--wf-gone)}
"""
