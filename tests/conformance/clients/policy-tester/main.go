// Pins policy-controller's own tester of policies, which cannot be installed by name and version
// alone: its module replaces others, and that counts only where it is the main one. It is built
// from here (`go build github.com/sigstore/policy-controller/cmd/tester`).
//
//go:build tools

package main

import _ "github.com/sigstore/policy-controller/cmd/tester"
