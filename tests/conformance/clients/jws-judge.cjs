// Verifies a Notary Project JWS envelope by a public key with npm's jose:
// `node jws-judge.cjs ENVELOPE KEY.pem`. Prints the payload.
//
// The library checks the signature alone; whoever calls compares what was signed.
"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const { createRequire } = require("node:module");
const path = require("node:path");
const { pathToFileURL } = require("node:url");

const installed = createRequire(path.join(process.cwd(), "package.json"));
const [envelopeFile, keyFile] = process.argv.slice(2);

async function judge() {
  const { flattenedVerify } = await import(pathToFileURL(installed.resolve("jose")));
  const envelope = JSON.parse(fs.readFileSync(envelopeFile, "utf8"));
  const key = crypto.createPublicKey(fs.readFileSync(keyFile));
  const { payload, protected: protected_, signature } = envelope;
  const crit = {
    "io.cncf.notary.signingScheme": true,
    "io.cncf.notary.expiry": true,
  };
  const done = await flattenedVerify({ payload, protected: protected_, signature }, key, { crit });
  process.stdout.write(done.payload);
}

judge().catch((error) => {
  process.stderr.write(`${error}\n`);
  process.exitCode = 1;
});
