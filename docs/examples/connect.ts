// Connects an xAI team by a command: seals its key, publishes AddIntegration, and prints its one result.
//
// npm install @hpke/core @platformatic/kafka        Node 22.18 or newer, which runs TypeScript as it is
// CONNECTOR_URL=… TOKEN=… KAFKA_BOOTSTRAP_SERVERS=… node connect.ts ACCOUNT_ID TEAM_ID PLAN, the key on standard input.
// Without a result within DEADLINE seconds (60 by default) it prints what is known of the command, with status 1.

import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core'
import { compatibilityPartitioner, Consumer, ListOffsetTimestamps, Producer } from '@platformatic/kafka'
import { stringDeserializers, stringSerializers } from '@platformatic/kafka'
import { randomUUID } from 'node:crypto'
import { text } from 'node:stream/consumers'
import { setTimeout } from 'node:timers/promises'

const suite = new CipherSuite({ kem: new DhkemX25519HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() })
const { CONNECTOR_URL, TOKEN, KAFKA_BOOTSTRAP_SERVERS, DEADLINE = '60' } = process.env as Record<string, string>
const RESULTS = 'xai.command-results.v1'

type SealingKey = { key_id: string; public_key: string; format: string; environment: string }
type Command = { command_id: string; account_id: string; [field: string]: string }

function get(path: string): Promise<Response> {
  return fetch(`${CONNECTOR_URL}/v1/${path}`, { headers: { Authorization: `Bearer ${TOKEN}` } })
}

async function sealingKey(): Promise<SealingKey> {
  const answer = await get('sealing-key')
  if (!answer.ok) throw new Error(`no sealing key: ${answer.status}`)
  return (await answer.json()) as SealingKey
}

function prefixed(part: string): Buffer {
  const data = Buffer.from(part)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(data.length)
  return Buffer.concat([length, data])
}

async function seal(key: string, to: SealingKey, accountId: string, commandId: string): Promise<string> {
  const recipientPublicKey = await suite.kem.deserializePublicKey(Buffer.from(to.public_key, 'base64url'))
  const info = Buffer.concat([to.format, to.environment, accountId, commandId].map(prefixed))
  const { enc, ct } = await suite.seal({ recipientPublicKey, info }, Buffer.from(key))
  return ['v1', to.key_id, ...[enc, ct].map(part => Buffer.from(part).toString('base64url'))].join('.')
}

async function publish(bootstrapBrokers: string[], type: string, command: Command): Promise<void> {
  const headers = {
    ce_specversion: '1.0',
    ce_id: command.command_id,
    ce_type: type,
    ce_source: '/my-web-app',
    'content-type': 'application/json',
  }
  const message = { topic: 'xai.commands.v1', key: command.account_id, value: JSON.stringify(command), headers }
  const producer = new Producer({
    clientId: 'my-web-app',
    bootstrapBrokers,
    serializers: stringSerializers,
    partitioner: compatibilityPartitioner, // as in Java: the default of this client puts other keys together
    idempotent: true,
  })
  await producer.send({ messages: [message] })
  await producer.close()
}

const [account_id, team_id, plan] = process.argv.slice(2) as [string, string, string]
const bootstrapBrokers = KAFKA_BOOTSTRAP_SERVERS!.split(',')
const command_id = randomUUID()
const sealed_key = await seal((await text(process.stdin)).trim(), await sealingKey(), account_id, command_id)
const expires_at = new Date(Date.now() + 3_600_000).toISOString()

const groupId = `my-web-app-${command_id}`
const consumer = new Consumer({ clientId: 'my-web-app', groupId, bootstrapBrokers, deserializers: stringDeserializers })
const ends = await consumer.listOffsets({ topics: [RESULTS], timestamp: ListOffsetTimestamps.LATEST })
const offsets = ends.get(RESULTS)!.map((offset, partition) => ({ topic: RESULTS, partition, offset }))
const results = await consumer.consume({ topics: [RESULTS], mode: 'manual', offsets, autocommit: false }) // from now on

await publish(bootstrapBrokers, 'AddIntegration', { command_id, account_id, team_id, plan, sealed_key, expires_at })

async function resultOf(): Promise<string | undefined> {
  for await (const record of results) {
    const result = JSON.parse(record.value!) as Command
    if (result.account_id !== account_id || result.command_id !== command_id) continue
    return `${record.headers.get('ce_type')} ${JSON.stringify(result)}`
  }
}

const result = await Promise.race([resultOf(), setTimeout(Number(DEADLINE) * 1000, undefined, { ref: false })])
if (result) console.log(result)
else {
  const known = await get(`accounts/${account_id}/commands/${encodeURIComponent(command_id)}`) // 404: it has not arrived
  console.error(`no result yet: ${await known.text()}`)
  process.exitCode = 1
}
await results.close()
await consumer.close()
