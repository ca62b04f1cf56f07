/** The arterial and the venous curve. */

import { h, svg } from './dom'
import type { Curve } from './server'

const WIDTH = 640
const HEIGHT = 240
const MARGIN = 40

/** Draws both curves with axes, units and a legend in words. */
export function curves(aif: Curve, vof: Curve): HTMLElement {
  const last = Math.max(...aif.times_s, ...vof.times_s)
  const top = Math.max(aif.peak_hu, vof.peak_hu) * 1.05
  const bottom = Math.min(0, ...aif.enhancement_hu, ...vof.enhancement_hu)
  const x = (time: number): number => MARGIN + (WIDTH - MARGIN - 10) * time / last
  const y = (hu: number): number => HEIGHT - MARGIN + 10 - (HEIGHT - MARGIN) * (hu - bottom) / (top - bottom)
  const line = (curve: Curve, name: string): SVGElement =>
    svg('polyline', { class: name, points: curve.times_s.map((time, n) => `${x(time).toFixed(1)},${y(curve.enhancement_hu[n] ?? 0).toFixed(1)}`).join(' ') })
  const ticks = [0, 0.25, 0.5, 0.75, 1].flatMap((part) => [
    svg('text', { x: x(last * part), y: HEIGHT - 8, 'text-anchor': part === 1 ? 'end' : 'middle' }, `${Math.round(last * part)} s`),
    svg('text', { x: MARGIN - 6, y: y(top * part) + 4, 'text-anchor': 'end' }, `${Math.round(top * part)}`),
  ])
  const words = `Artery peaks at ${aif.time_to_peak_s.toFixed(1)} s with ${aif.peak_hu.toFixed(0)} HU, vein at ${vof.time_to_peak_s.toFixed(1)} s with ${vof.peak_hu.toFixed(0)} HU`
  return h('figure', { class: 'curves' },
    h('figcaption', {}, 'Enhancement (HU) of ', h('span', { class: 'aif' }, 'artery (AIF, solid)'), ' and ', h('span', { class: 'vof' }, 'vein (VOF, dashed)'), `. ${words}.`),
    svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': words }, svg('line', { x1: MARGIN, y1: y(0), x2: WIDTH - 10, y2: y(0) }), ...ticks, line(aif, 'aif'), line(vof, 'vof')) as unknown as HTMLElement)
}
