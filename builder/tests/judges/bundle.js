// Asks npm's @sigstore/verify whether a bundle is signed by a key, and its statement is about a digest:
//   node bundle.js MODULES BUNDLE PUBLIC-KEY SHA256
const { createPublicKey } = require('crypto');
const { readFileSync } = require('fs');
const { join } = require('path');
const [modules, bundlePath, keyPath, sha256] = process.argv.slice(2);
const { Verifier, toTrustMaterial, toSignedEntity } = require(join(modules, '@sigstore', 'verify'));
const { bundleFromJSON } = require(join(modules, '@sigstore', 'bundle'));

const bundle = bundleFromJSON(JSON.parse(readFileSync(bundlePath, 'utf8')));
const key = createPublicKey(readFileSync(keyPath));
const hint = require('crypto').createHash('sha256').update(key.export({ type: 'spki', format: 'der' })).digest('base64');
const find = (wanted) => {
  if (wanted !== hint) throw new Error(`the hint is ${wanted}, not ${hint}`);
  return { publicKey: key, validFor: () => true };
};
const nothing = { tlogs: [], ctlogs: [], certificateAuthorities: [], timestampAuthorities: [] };
const none = { tlogThreshold: 0, ctlogThreshold: 0, tsaThreshold: 0, timestampThreshold: 0 };
new Verifier(toTrustMaterial(nothing, find), none).verify(toSignedEntity(bundle));
const statement = JSON.parse(bundle.content.dsseEnvelope.payload.toString());
if (statement.subject[0].digest.sha256 !== sha256) throw new Error('the statement is about something else');
console.log('accepted');
