// Asks the Notary Project's own rules for certificate chains: `chain-judge < QUESTIONS`.
//
// Each line of stdin is a JSON object: `use` (code-signing or timestamping), `at` (seconds since
// the epoch) and `certificates` (base64 of DER, leaf first). Each line of stdout answers one:
// `ok`, or what the library says against it.
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	corex509 "github.com/notaryproject/notation-core-go/x509"
)

type question struct {
	Use          string   `json:"use"`
	At           int64    `json:"at"`
	Certificates [][]byte `json:"certificates"`
}

func judge(asked question) error {
	var chain []*x509.Certificate
	for _, der := range asked.Certificates {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		chain = append(chain, certificate)
	}
	if asked.Use == "timestamping" {
		return corex509.ValidateTimestampingCertChain(chain)
	}
	at := time.Unix(asked.At, 0)
	return corex509.ValidateCodeSigningCertChain(chain, &at)
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		answer := "ok"
		if err := judge(asked); err != nil {
			answer = strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Println(answer)
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}
