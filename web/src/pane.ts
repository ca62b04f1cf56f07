/** One picture of the angiogram on a canvas: scroll, zoom, click to go there; letters and the suspected site always on it. */

import { h } from './dom'
import { LIES, paint, project, sizeOf, type Layers, type Plane, type Slab, type Window } from './slab'

/** What all pictures share. */
export interface Scene {
  layers: Layers
  /** Where all planes meet: fractional (i, j, k). */
  cursor: [number, number, number]
  site: [number, number, number] | null
  thicknessMm: number
  window: Window
  opacity: number
  dimBone: boolean
  /** Nothing moves: pictures are made with the voxels of the scan where these are there. */
  resting: boolean
}

const WHEEL_PER_SLICE = 40
const DRAG_PER_SLICE = 6
const MARK = '#FFB000'

export class Pane {
  readonly element: HTMLElement
  private readonly canvas: HTMLCanvasElement
  private readonly caption = h('figcaption')
  private readonly buffer = document.createElement('canvas')
  private readonly size: [number, number]
  private slab: Slab | null = null
  private known = ''
  private full = false
  private scrolled = 0
  private zoom = 1
  private readonly fingers = new Map<number, PointerEvent>()

  constructor(private readonly scene: Scene, readonly plane: Plane, private readonly mirrored: boolean, private readonly changed: () => void) {
    this.canvas = h('canvas', { tabindex: 0, role: 'img' })
    this.element = h('figure', { class: `pane ${plane}${mirrored ? ' mirrored' : ''}` }, this.canvas, this.caption)
    this.size = sizeOf(scene.layers.cta, plane)
    this.listen()
    new ResizeObserver(() => { this.draw() }).observe(this.canvas)
  }

  /** Moves through the slices; positive is deeper along the axis. */
  step(slices: number): void {
    const { depth } = LIES[this.plane]
    const last = this.scene.layers.cta.shape[depth] - 1
    this.scene.cursor[depth] = Math.min(last, Math.max(0, Math.round(this.scene.cursor[depth]) + slices))
    this.changed()
  }

  /** Draws what the scene says; projects again only when that changed. */
  draw(): void {
    const { scene, plane } = this
    const depth = scene.cursor[LIES[plane].depth]
    const wanted = `${depth} ${scene.thicknessMm} ${scene.dimBone}`
    const full = scene.resting && scene.layers.full !== null
    if (!this.slab || wanted !== this.known || (full && !this.full)) {
      this.slab = project(scene.layers, plane, depth, scene.thicknessMm, scene.dimBone, full)
      this.known = wanted
      this.full = full
      this.element.dataset['resolution'] = full ? 'scan' : 'display'
      Object.assign(this.buffer, { width: this.slab.width, height: this.slab.height })
    }
    const inner = this.buffer.getContext('2d')
    if (!inner) return
    const pixels = inner.createImageData(this.buffer.width, this.buffer.height)
    paint(this.slab, pixels, scene.window, scene.opacity, this.mirrored)
    inner.putImageData(pixels, 0, 0)
    this.compose()
    this.describe(depth)
  }

  private compose(): void {
    const ratio = window.devicePixelRatio || 1
    const [width, height] = [Math.round(this.canvas.clientWidth * ratio), Math.round(this.canvas.clientHeight * ratio)]
    if (width === 0 || height === 0) return
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height })
    const context = this.canvas.getContext('2d')
    if (!context) return
    context.fillStyle = '#000'
    context.fillRect(0, 0, width, height)
    const { scale, left, top } = this.frame()
    context.imageSmoothingQuality = 'high'
    const { full, cta } = this.scene.layers
    const pixel = (this.full && full ? full.spacingMm[0] / cta.spacingMm[0] : 1) * scale // both copies have the same middle
    const [wide, high] = [this.buffer.width * pixel, this.buffer.height * pixel]
    context.drawImage(this.buffer, left + (this.size[0] * scale - wide) / 2, top + (this.size[1] * scale - high) / 2, wide, high)
    this.marks(context, scale, left, top, ratio)
    this.letters(context, width, height, ratio)
  }

  /** How the picture lies on the canvas, in canvas pixels; when zoomed the cursor stays in the middle. */
  private frame(): { scale: number; left: number; top: number } {
    const { width, height } = this.canvas
    const scale = Math.min(width / this.size[0], height / this.size[1]) * this.zoom
    const [x, y] = this.zoom > 1 ? this.onPicture(this.scene.cursor) : [this.size[0] / 2, this.size[1] / 2]
    return { scale, left: width / 2 - x * scale, top: height / 2 - y * scale }
  }

  /** Column and row of a place, in pixels at display resolution. */
  private onPicture(ijk: readonly [number, number, number]): [number, number] {
    const lie = LIES[this.plane]
    const [column, row] = [ijk[lie.column] + 0.5, ijk[lie.row] + 0.5]
    return [this.mirrored ? this.size[0] - column : column, lie.rowsDown ? row : this.size[1] - row]
  }

  private marks(context: CanvasRenderingContext2D, scale: number, left: number, top: number, ratio: number): void {
    const { site, cursor, layers, thicknessMm } = this.scene
    const [x, y] = this.onPicture(cursor)
    context.strokeStyle = 'rgba(120, 200, 255, .45)'
    context.lineWidth = ratio
    context.beginPath()
    context.moveTo(0, top + y * scale)
    context.lineTo(this.canvas.width, top + y * scale)
    context.moveTo(left + x * scale, 0)
    context.lineTo(left + x * scale, this.canvas.height)
    context.stroke()
    const { depth } = LIES[this.plane]
    const reach = Math.max(thicknessMm / 2, 3) / layers.cta.spacingMm[depth]
    if (!site || Math.abs(site[depth] - cursor[depth]) > reach) return
    const [siteX, siteY] = this.onPicture(site)
    context.strokeStyle = MARK
    context.lineWidth = 2 * ratio
    context.beginPath()
    context.arc(left + siteX * scale, top + siteY * scale, 7 / layers.cta.spacingMm[0] * scale, 0, 2 * Math.PI)
    context.stroke()
  }

  private letters(context: CanvasRenderingContext2D, width: number, height: number, ratio: number): void {
    const [left, right, up, down] = LIES[this.plane].edges
    const sides = this.mirrored ? [right, left] : [left, right]
    context.font = `bold ${15 * ratio}px system-ui, sans-serif`
    context.fillStyle = MARK
    context.strokeStyle = '#000'
    context.lineWidth = 3 * ratio
    const write = (words: string, x: number, y: number, align: CanvasTextAlign): void => {
      context.textAlign = align
      context.strokeText(words, x, y)
      context.fillText(words, x, y)
    }
    context.textBaseline = 'middle'
    write(sides[0] ?? '', 6 * ratio, height / 2, 'left')
    write(sides[1] ?? '', width - 6 * ratio, height / 2, 'right')
    write(up, width / 2, 12 * ratio, 'center')
    write(down, width / 2, height - 12 * ratio, 'center')
    if (this.mirrored) write('MIRRORED', width / 2, 32 * ratio, 'center')
  }

  private describe(depth: number): void {
    const { scene, plane } = this
    const slices = scene.layers.cta.shape[LIES[plane].depth]
    const thick = scene.thicknessMm < 1 ? 'slice' : `${scene.thicknessMm} mm MIP`
    const words = `${plane}${this.mirrored ? ', mirrored' : ''}, ${thick}, ${Math.round(depth) + 1}/${slices}`
    this.caption.textContent = words
    const sides = this.plane === 'sagittal' ? 'front at the left' : `patient's ${this.mirrored ? 'left' : 'right'} at the left`
    this.canvas.setAttribute('aria-label', `CT angiogram, ${words}, ${sides}`)
  }

  private listen(): void {
    const { canvas, fingers } = this
    canvas.addEventListener('wheel', (event) => {
      event.preventDefault()
      if (event.ctrlKey) { this.zoomBy(Math.exp(-event.deltaY / 200)); return }
      this.scrollBy(event.deltaY, WHEEL_PER_SLICE)
    }, { passive: false })
    canvas.addEventListener('pointerdown', (event) => { canvas.setPointerCapture(event.pointerId); fingers.set(event.pointerId, event) })
    canvas.addEventListener('pointermove', (event) => { this.drag(event) })
    canvas.addEventListener('pointercancel', (event) => { fingers.delete(event.pointerId) })
    canvas.addEventListener('pointerup', (event) => {
      const start = fingers.get(event.pointerId)
      fingers.delete(event.pointerId)
      if (start && !this.moved) this.goTo(event)
      if (fingers.size === 0) this.moved = false
    })
    canvas.addEventListener('dblclick', () => { this.zoom = this.zoom > 1 ? 1 : 3; this.changed() })
  }

  private moved = false

  /** One finger moves through the slices, two change the zoom; with a mouse and Shift the window changes. */
  private drag(event: PointerEvent): void {
    const before = this.fingers.get(event.pointerId)
    if (!before) return
    const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY]
    if (!this.moved && Math.hypot(dx, dy) < 4) return
    this.moved = true
    const other = [...this.fingers.values()].find((finger) => finger.pointerId !== event.pointerId)
    this.fingers.set(event.pointerId, event)
    if (other) {
      const spread = (finger: PointerEvent): number => Math.hypot(finger.clientX - other.clientX, finger.clientY - other.clientY)
      this.zoomBy(spread(event) / Math.max(1, spread(before)))
    } else if (event.shiftKey) {
      const { window } = this.scene
      const width = Math.max(20, window.high - window.low + 2 * dx)
      const level = (window.high + window.low) / 2 - 2 * dy
      this.scene.window = { low: level - width / 2, high: level + width / 2 }
      this.changed()
    } else {
      this.scrollBy(dy, DRAG_PER_SLICE)
    }
  }

  private scrollBy(pixels: number, perSlice: number): void {
    this.scrolled += pixels
    const slices = Math.trunc(this.scrolled / perSlice)
    if (slices === 0) return
    this.scrolled -= slices * perSlice
    this.step(slices)
  }

  private zoomBy(factor: number): void {
    this.zoom = Math.min(8, Math.max(1, this.zoom * factor))
    this.changed()
  }

  private goTo(event: PointerEvent): void {
    const ratio = window.devicePixelRatio || 1
    const { scale, left, top } = this.frame()
    const lie = LIES[this.plane]
    const x = (event.offsetX * ratio - left) / scale
    const y = (event.offsetY * ratio - top) / scale
    const place = (value: number, axis: 0 | 1 | 2): number => Math.min(this.scene.layers.cta.shape[axis] - 1, Math.max(0, value - 0.5))
    this.scene.cursor[lie.column] = place(this.mirrored ? this.size[0] - x : x, lie.column)
    this.scene.cursor[lie.row] = place(lie.rowsDown ? y : this.size[1] - y, lie.row)
    this.changed()
  }
}
