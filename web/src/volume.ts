/** A volume from a .nii.gz file of this program: NIfTI-1, little endian, one scan. Positions are DICOM's: LPS millimetres. */

import type { Unpacked, Wanted } from './unpack'

type Point = [number, number, number]

export interface Volume {
  /** Sizes along i (to the left), j (to the back), k (to the head). */
  readonly shape: Point
  readonly data: Int16Array | Uint8Array | Float32Array
  /** Distance of voxels along i, j, k. */
  readonly spacingMm: Point
  /** Fractional (i, j, k) of a position. */
  toIjk(lpsMm: Point): Point
}

const HEADER_BYTES = 348
const UINT8 = 2
const INT16 = 4
const FLOAT32 = 16

let thread: Worker | null = null
let asked = 0
const waiting = new Map<number, (said: Unpacked) => void>()

/** Loads a volume; fetching and unpacking happen in another thread. */
export async function loadVolume(url: string): Promise<Volume> {
  if (!thread) {
    thread = new Worker(new URL('./unpack.ts', import.meta.url), { type: 'module' })
    thread.addEventListener('message', (event: MessageEvent<Unpacked>) => { waiting.get(event.data.id)?.(event.data) })
    thread.addEventListener('error', () => {
      thread = null
      for (const tell of waiting.values()) tell({ id: 0, trouble: 'the images could not be unpacked' })
    })
  }
  const id = ++asked
  const said = await new Promise<Unpacked>((tell) => { waiting.set(id, tell); thread?.postMessage({ id, url } satisfies Wanted) })
  waiting.delete(id)
  if (!said.buffer) throw new Error(said.trouble ?? 'the images could not be loaded')
  return parse(said.buffer)
}

/** Reads the bytes of a NIfTI-1 file. */
export function parse(buffer: ArrayBuffer): Volume {
  const view = new DataView(buffer)
  if (buffer.byteLength < HEADER_BYTES || view.getInt32(0, true) !== HEADER_BYTES) throw new Error('this is no NIfTI-1 file')
  const shape = [42, 44, 46].map((at) => view.getInt16(at, true)) as Point
  const spacingMm = [80, 84, 88].map((at) => view.getFloat32(at, true)) as Point
  const rows = [280, 296, 312].map((at) => [0, 4, 8, 12].map((n) => view.getFloat32(at + n, true)))
  const sign = [-1, -1, 1] // NIfTI is RAS
  const affine = rows.map((row, n) => row.map((value) => value * (sign[n] ?? 1)))
  const data = voxels(buffer, view.getInt16(70, true), view.getFloat32(108, true), shape[0] * shape[1] * shape[2])
  return { shape, spacingMm, data, toIjk: inverse(affine) }
}

function voxels(buffer: ArrayBuffer, type: number, offset: number, count: number): Volume['data'] {
  if (type === UINT8) return new Uint8Array(buffer, offset, count)
  if (type === INT16) return new Int16Array(buffer, offset, count)
  if (type === FLOAT32) return new Float32Array(buffer, offset, count)
  throw new Error(`images of NIfTI type ${type} are not shown here`)
}

/** From LPS to (i, j, k), by Cramer's rule. */
function inverse(m: number[][]): (lpsMm: Point) => Point {
  const column = (n: number): Point => [m[0]?.[n] ?? 0, m[1]?.[n] ?? 0, m[2]?.[n] ?? 0]
  const [i, j, k, origin] = [column(0), column(1), column(2), column(3)]
  const whole = dot(i, cross(j, k))
  return (lpsMm) => {
    const p: Point = [lpsMm[0] - origin[0], lpsMm[1] - origin[1], lpsMm[2] - origin[2]]
    return [dot(p, cross(j, k)) / whole, dot(p, cross(k, i)) / whole, dot(p, cross(i, j)) / whole]
  }
}

const dot = (a: Point, b: Point): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
const cross = (a: Point, b: Point): Point => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
