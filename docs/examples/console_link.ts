// Prints a link that opens the console for an account, once, within five minutes.
//
// CONSOLE_URL=… CONSOLE_LINK_SECRET=… node console_link.ts ACCOUNT_ID [view|manage]        Node 22.18 or newer alone

import { createHmac, randomBytes } from 'node:crypto'

const { CONSOLE_URL, CONSOLE_LINK_SECRET } = process.env as Record<string, string>
const VALID = 300 // seconds, up to 900

function consoleLink(account: string, right: string): string {
  const expires = String(Math.floor(Date.now() / 1000) + VALID)
  const nonce = randomBytes(16).toString('base64url')
  const text = ['grafient.console.link.v1', account, right, expires, nonce].join('\n')
  const signature = createHmac('sha256', CONSOLE_LINK_SECRET).update(text).digest('base64url')
  return `${CONSOLE_URL}/enter?${new URLSearchParams({ account, right, expires, nonce, signature })}`
}

const [account = '', right = 'view'] = process.argv.slice(2)
console.log(consoleLink(account, right))
