/** A thread of its own that fetches .nii.gz files and unpacks them, so that the page draws and answers meanwhile. */

export interface Wanted { id: number; url: string }
export interface Unpacked { id: number; buffer?: ArrayBuffer; trouble?: string }

async function unpack(url: string): Promise<ArrayBuffer> {
  const answer = await fetch(url)
  if (!answer.ok || !answer.body) throw new Error(`the images could not be loaded (${answer.status})`)
  return new Response(answer.body.pipeThrough(new DecompressionStream('gzip'))).arrayBuffer()
}

addEventListener('message', (event: MessageEvent<Wanted>) => {
  const { id, url } = event.data
  unpack(url).then(
    (buffer) => { postMessage({ id, buffer } satisfies Unpacked, { transfer: [buffer] }) },
    (error: unknown) => { postMessage({ id, trouble: error instanceof Error ? error.message : String(error) } satisfies Unpacked) })
})
