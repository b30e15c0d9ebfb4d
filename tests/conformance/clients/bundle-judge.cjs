// Verifies a sigstore bundle by a public key with @sigstore/verify, without any network:
// `node bundle-judge.cjs BUNDLE KEY.pem TRUSTED_ROOT`. Prints the in-toto statement.
//
// One log entry is demanded. The library checks the envelope alone; whoever calls compares subject
// and predicate.
"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const { createRequire } = require("node:module");
const path = require("node:path");

const installed = createRequire(path.join(process.cwd(), "package.json"));
const { bundleFromJSON } = installed("@sigstore/bundle");
const { TrustedRoot } = installed("@sigstore/protobuf-specs");
const { toSignedEntity, toTrustMaterial, Verifier } = installed("@sigstore/verify");

const [bundleFile, keyFile, rootFile] = process.argv.slice(2);
const bundle = bundleFromJSON(JSON.parse(fs.readFileSync(bundleFile, "utf8")));
const publicKey = crypto.createPublicKey(fs.readFileSync(keyFile));
const root = TrustedRoot.fromJSON(JSON.parse(fs.readFileSync(rootFile, "utf8")));
const trust = toTrustMaterial(root, () => ({ publicKey, validFor: () => true }));
const thresholds = { tlogThreshold: 1, ctlogThreshold: 0, timestampThreshold: 0 };

new Verifier(trust, thresholds).verify(toSignedEntity(bundle));
process.stdout.write(bundle.content.dsseEnvelope.payload.toString());
