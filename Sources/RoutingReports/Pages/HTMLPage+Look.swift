// What a page looks like, and what happens when its buttons are pressed.

extension HTMLPage {
  /// Colours have a contrast of at least 4.5 with their ground, marks of charts of at least 3.
  static let style = """
    :root { color-scheme: light dark; --ink: #1b1f24; --pale: #57606a; --ground: #ffffff; --line: #d0d7de; --shade: #f3f5f7;
      --link: #0550ae; --c0: #0550ae; --c1: #b35900; --c2: #1a7f37; --c3: #a40e26; --c4: #6639ba; --c5: #7a5c00; --c6: #0e7490;
      --c7: #a0307c; }
    @media (prefers-color-scheme: dark) {
      :root { --ink: #e6edf3; --pale: #9ea7b3; --ground: #0d1117; --line: #3d444d; --shade: #161b22; --link: #79b8ff;
        --c0: #79b8ff; --c1: #ffab70; --c2: #56d364; --c3: #ff8e88; --c4: #d2a8ff; --c5: #e3c04f; --c6: #5ccfe6; --c7: #f692ce; }
    }
    * { box-sizing: border-box; }
    body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
    main { max-width: 72rem; margin: 0 auto; padding: 1rem; }
    h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }
    h2 { font-size: 1.15rem; margin: 1.5rem 0 .25rem; overflow-wrap: anywhere; }
    p { margin: .25rem 0; overflow-wrap: anywhere; }
    .note, header p, figcaption { color: var(--pale); font-size: .9rem; }
    button { font: inherit; color: var(--link); background: none; border: 1px solid var(--line); border-radius: .25rem;
      padding: .1rem .5rem; cursor: pointer; }
    :focus-visible { outline: 2px solid var(--link); outline-offset: 1px; }
    .table { overflow-x: auto; margin: .5rem 0 1rem; }
    table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
    th, td { text-align: right; padding: .15rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap;
      font-weight: normal; vertical-align: top; }
    th.text, td.text { text-align: left; white-space: normal; min-width: 8rem; }
    thead th { background: var(--shade); vertical-align: bottom; }
    thead button { border: 0; padding: 0; color: inherit; font-weight: 600; text-align: inherit; }
    th[aria-sort] button::after { content: " ▴"; }
    th[aria-sort=descending] button::after { content: " ▾"; }
    tr.secondary { color: var(--pale); }
    details { border-bottom: 1px solid var(--line); padding: .4rem 0; content-visibility: auto;
      contain-intrinsic-size: auto 2.4rem; }
    summary { cursor: pointer; overflow-wrap: anywhere; }
    .charts { display: flex; flex-wrap: wrap; gap: 1rem; margin-top: 1rem; }
    figure { margin: 0; flex: 1 1 20rem; min-width: 0; max-width: 34rem; }
    svg { width: 100%; height: auto; display: block; }
    svg text { fill: var(--ink); font-size: 11px; }
    svg .grid { stroke: var(--line); stroke-width: 1; }
    svg .mark { stroke: var(--ground); stroke-width: .5; }
    svg .mark:hover, svg .mark:focus { stroke: var(--ink); stroke-width: 2; outline: none; }
    svg .curve { fill: none; stroke-width: 1.75; }
    svg .band { opacity: .18; }
    .legend { list-style: none; display: flex; flex-wrap: wrap; gap: .1rem .9rem; margin: .25rem 0 0; padding: 0;
      font-size: .85rem; overflow-wrap: anywhere; }
    .legend svg { display: inline-block; width: .9em; vertical-align: -.05em; margin-right: .3em; }
    .told { min-height: 1.5em; font-size: .85rem; overflow-wrap: anywhere; }
    @media print { button#save, .told { display: none; } details { content-visibility: visible; } main { max-width: none; } }

    """

  /// The shades of heat maps, from the ground to a blue on which ink still has a contrast of 6.9.
  static let shades: String = {
    func rules(_ ground: [Double], _ full: [Double]) -> String {
      (0..<HeatMap.shades).map { k in
        let share = Double(k) / Double(HeatMap.shades - 1)
        let mixed = zip(ground, full).map { "\(Int(($0 + share * ($1 - $0)).rounded()))" }
        return ".shade\(k) { background: rgb(\(mixed.joined(separator: ", "))); }"
      }.joined(separator: "\n") + "\n"
    }
    let dark = rules([13, 17, 23], [29, 79, 140])
    return rules([255, 255, 255], [125, 180, 240]) + "@media (prefers-color-scheme: dark) {\n\(dark)}\n"
      + "td[class^=shade] { print-color-adjust: exact; -webkit-print-color-adjust: exact; }\n"
  }()

  /// Columns sort by the first number of their cells, else by text; rows that only add to the one above stay below it. Laying out
  /// 10,000 rows takes a browser most of a second, so the first 1000 of a table are shown until all are asked for.
  static let script = """
    "use strict";
    const numeral = /[-−]?\\d+(\\.\\d+)?(e[-+]?\\d+)?/i;
    function value(row, column) {
      const text = row.cells[column].textContent.trim();
      if (row.cells[column].className === "text") return text;
      if (/^-?∞$/.test(text)) return text === "∞" ? Infinity : -Infinity;
      const found = numeral.exec(text);
      return found ? Number(found[0].replace("−", "-")) : null;
    }
    const most = 1000;
    // Comparing by one collator takes a tenth of what localeCompare does.
    const words = new Intl.Collator("en", { numeric: true });
    function trim(table) {
      const rows = [...table.tBodies[0].rows];
      rows.forEach((row, place) => { row.hidden = place >= most && !table.dataset.all; });
      if (rows.length <= most || table.dataset.all || table.nextElementSibling) return;
      const more = document.createElement("button");
      more.type = "button";
      more.textContent = `All ${rows.length} rows`;
      more.addEventListener("click", () => { table.dataset.all = "yes"; more.remove(); trim(table); });
      table.after(more);
    }
    for (const table of document.querySelectorAll("table")) {
      trim(table);
      const heads = [...table.tHead.rows[0].cells];
      heads.forEach((head, column) => head.firstChild.addEventListener("click", () => {
        const descends = head.getAttribute("aria-sort") === "ascending";
        heads.forEach(other => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", descends ? "descending" : "ascending");
        const body = table.tBodies[0], groups = [];
        for (const row of body.rows) {
          if (row.className === "secondary" && groups.length) groups[groups.length - 1].rows.push(row);
          else groups.push({ key: value(row, column), rows: [row] });
        }
        const sign = descends ? -1 : 1;
        groups.sort((a, b) => {
          if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
          return sign * (typeof a.key === "string" ? words.compare(a.key, b.key) : a.key < b.key ? -1 : +(a.key > b.key));
        });
        const sorted = document.createDocumentFragment();
        for (const group of groups) sorted.append(...group.rows);
        body.append(sorted);
        trim(table);
      }));
    }
    for (const figure of document.querySelectorAll("figure")) {
      const told = figure.querySelector(".told");
      for (const event of ["mouseover", "focusin"]) {
        figure.addEventListener(event, ({ target }) => {
          const title = target.closest(".mark")?.querySelector("title");
          if (title) told.textContent = title.textContent;
        });
      }
    }
    document.getElementById("save").addEventListener("click", () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([document.getElementById("data").textContent.trim() + "\\n"], { type: "application/json" }));
      link.download = document.title.replace(/[^\\w.-]+/g, "-") + ".json";
      link.click();
      URL.revokeObjectURL(link.href);
    });
    addEventListener("beforeprint", () => {
      document.querySelectorAll("details").forEach(details => details.open = true);
      document.querySelectorAll("tr[hidden]").forEach(row => row.hidden = false);
    });

    """
}
