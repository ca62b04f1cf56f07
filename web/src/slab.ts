/** Slabs of a volume: the largest value along their depth, in the way radiologists look at a head. */

import type { Volume } from './volume'

export type Plane = 'axial' | 'coronal' | 'sagittal'

/** How a plane lies: axes of its columns, rows and depth, whether rows run against the axis, and the letters at its edges. */
interface Lie { column: 0 | 1 | 2; row: 0 | 1 | 2; depth: 0 | 1 | 2; rowsDown: boolean; edges: [string, string, string, string] }

/** The patient's right is at the image's left: i runs to the left, j to the back, k to the head. Edges: left, right, top, bottom. */
export const LIES: Record<Plane, Lie> = {
  axial: { column: 0, row: 1, depth: 2, rowsDown: true, edges: ['R', 'L', 'A', 'P'] },
  coronal: { column: 0, row: 2, depth: 1, rowsDown: false, edges: ['R', 'L', 'S', 'I'] },
  sagittal: { column: 1, row: 2, depth: 0, rowsDown: false, edges: ['A', 'P', 'S', 'I'] },
}

/** The angiogram at display resolution, what lies on its grid, and the same angiogram with the voxels of the scan once that is there. */
export interface Layers { cta: Volume; vessels: Volume | null; bone: Volume | null; full: Volume | null }

/** A projected slab: row-major HU, and the largest vessel code of every pixel (a clot has the largest). */
export interface Slab { width: number; height: number; hu: Int16Array; vessel: Uint8Array }

const DIMMED_HU = 80
const DARKEST_HU = -32768

/** Number of pixels of a plane, columns by rows. */
export function sizeOf(cta: Volume, plane: Plane): [number, number] {
  const lie = LIES[plane]
  return [cta.shape[lie.column], cta.shape[lie.row]]
}

/** Projects a slab.
 *  @param layers what is projected; the vessel codes and the mask of bone are read at the nearest voxel
 *  @param plane how to look
 *  @param center index along the depth, at display resolution
 *  @param thicknessMm of the slab; less than a voxel is one voxel
 *  @param dimBone draw bone dull
 *  @param full with the voxels of the scan
 */
export function project(layers: Layers, plane: Plane, center: number, thicknessMm: number, dimBone: boolean, full: boolean): Slab {
  const cta = full && layers.full ? layers.full : layers.cta
  const lie = LIES[plane]
  const [width, height] = sizeOf(cta, plane)
  const strides = stridesOf(cta)
  const [columns, rows, depths] = [lie.column, lie.row, lie.depth].map((axis) => offsets(cta, layers.cta, axis as 0 | 1 | 2)) as [Int32Array, Int32Array, Int32Array]
  const half = Math.max(0, (thicknessMm / cta.spacingMm[lie.depth] - 1) / 2)
  const last = cta.shape[lie.depth] - 1
  const middle = reindex(center, layers.cta, cta, lie.depth)
  const from = Math.min(last, Math.max(0, Math.round(middle - half)))
  const to = Math.max(from, Math.min(last, Math.round(middle + half)))
  const slab = { width, height, hu: new Int16Array(width * height).fill(DARKEST_HU), vessel: new Uint8Array(width * height) }
  const bone = dimBone ? layers.bone?.data ?? null : null
  for (let depth = from; depth <= to; depth++) {
    for (let y = 0; y < height; y++) {
      const row = lie.rowsDown ? y : height - 1 - y
      const start = depth * strides[lie.depth] + row * strides[lie.row]
      const beside = (depths[depth] ?? 0) + (rows[row] ?? 0)
      addRow(slab, y * width, { values: cta.data, start, stride: strides[lie.column] }, { vessels: layers.vessels?.data ?? null, bone, start: beside, columns })
    }
  }
  return slab
}

const stridesOf = (volume: Volume): [number, number, number] => [1, volume.shape[0], volume.shape[0] * volume.shape[1]]

/** An index along an axis of one volume as an index in another that lies alike around the same middle. */
function reindex(index: number, from: Volume, to: Volume, axis: 0 | 1 | 2): number {
  return (index - (from.shape[axis] - 1) / 2) * from.spacingMm[axis] / to.spacingMm[axis] + (to.shape[axis] - 1) / 2
}

/** For every index along an axis of one volume the nearest in another, in elements of its array. */
function offsets(from: Volume, to: Volume, axis: 0 | 1 | 2): Int32Array {
  const [stride, last] = [stridesOf(to)[axis], to.shape[axis] - 1]
  return Int32Array.from({ length: from.shape[axis] }, (_, index) => stride * Math.min(last, Math.max(0, Math.round(reindex(index, from, to, axis)))))
}

type Values = Volume['data']
interface Line { values: Values; start: number; stride: number }
interface Beside { vessels: Values | null; bone: Values | null; start: number; columns: Int32Array }

function addRow(slab: Slab, out: number, line: Line, beside: Beside): void {
  const { hu, vessel, width } = slab
  const { values, stride } = line
  const { vessels, bone, columns, start } = beside
  for (let x = 0, at = line.start; x < width; x++, at += stride) {
    let value = values[at] ?? 0
    const other = start + (columns[x] ?? 0)
    if (value > DIMMED_HU && bone?.[other]) value = DIMMED_HU
    if (value > (hu[out + x] ?? 0)) hu[out + x] = value
    const code = vessels?.[other] ?? 0
    if (code > (vessel[out + x] ?? 0)) vessel[out + x] = code
  }
}

/** Grey limits in HU. */
export interface Window { low: number; high: number }

/** Vessel codes 0 to 7 as in `lvo.core.anatomy.VESSEL_CLASSES`; colours as in the pictures. Veins are not coloured. */
export const COLORS: readonly (readonly [number, number, number] | null)[] =
  [null, [0, 130, 255], [255, 39, 1], [53, 219, 171], [199, 255, 25], [186, 96, 153], null, [255, 255, 255]]
export const VESSEL_NAMES = [['ICA', '#0082FF'], ['MCA', '#FF2701'], ['ACA', '#35DBAB'], ['PCA', '#C7FF19'], ['VB', '#BA6099'], ['clot', '#FFFFFF']] as const

/** Draws a slab into pixels.
 *  @param mirrored left and right exchanged
 *  @param opacity of the artery map, 0 to 1
 */
export function paint(slab: Slab, pixels: ImageData, window: Window, opacity: number, mirrored: boolean): void {
  const { width, height, hu, vessel } = slab
  const scale = 255 / (window.high - window.low)
  const out = pixels.data
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + (mirrored ? width - 1 - x : x)
      const grey = ((hu[at] ?? 0) - window.low) * scale
      const color = opacity > 0 ? COLORS[vessel[at] ?? 0] : null
      const to = 4 * (y * width + x)
      for (let c = 0; c < 3; c++) out[to + c] = color ? grey + ((color[c] ?? 0) - grey) * opacity : grey
      out[to + 3] = 255
    }
  }
}
