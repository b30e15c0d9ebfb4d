// Pins Kyverno's command line, which cannot be installed by name and version alone: its module
// replaces another, and that counts only where it is the main one. It is built from here
// (`go build github.com/kyverno/kyverno/cmd/cli/kubectl-kyverno`).
//
//go:build tools

package main

import _ "github.com/kyverno/kyverno/cmd/cli/kubectl-kyverno"
