// Pins the notation command line: its module's list of versions is not kept by every mirror, so
// that it is built from here (`go build github.com/notaryproject/notation/cmd/notation`).
//
//go:build tools

package main

import _ "github.com/notaryproject/notation/cmd/notation"
