/** Elements without a framework: text is always text, so nothing from a result can become markup. */

type Child = Node | string | null | undefined | false
type Attributes = Record<string, string | number | boolean | undefined | ((event: Event) => void)>

/** An element with attributes (functions become listeners) and children. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name, value)
    else if (value === true) element.setAttribute(name, '')
    else if (value !== undefined && value !== false) element.setAttribute(name, String(value))
  }
  element.append(...children.filter((child): child is Node | string => child !== null && child !== undefined && child !== false))
  return element
}

/** An SVG element. */
export function svg(tag: string, attributes: Record<string, string | number>, ...children: (Node | string)[]): SVGElement {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value))
  element.append(...children)
  return element
}

/** The place of the page's content. */
export function page(): HTMLElement {
  const found = document.getElementById('page')
  if (!found) throw new Error('the page has no element #page')
  return found
}

/** Puts content on the page, and says to assistive technology that it is complete. */
export function show(...content: Child[]): void {
  const place = page()
  place.replaceChildren(...content.filter((child): child is Node | string => Boolean(child)))
  place.setAttribute('aria-busy', 'false')
}

/** A table with a caption and one header row; numbers stand right. */
export function table(caption: string, head: string[], rows: (string | Node)[][]): HTMLElement {
  return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption },
    h('table', {},
      h('caption', {}, caption),
      h('thead', {}, h('tr', {}, ...head.map((words) => h('th', { scope: 'col' }, words)))),
      h('tbody', {}, ...rows.map((row) => h('tr', {}, ...row.map((cell, n) => h('td', { 'data-label': head[n] ?? '' }, cell)))))))
}
