// Asks Notary Project's own verifier: `notation-judge CONFIG_DIR REPOSITORY@DIGEST`.
//
// CONFIG_DIR has the layout of notation's configuration directory (trustpolicy.json,
// truststore/). Exit code 0: verified; 1: refused, with the library's words on stderr.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/dir"
	"github.com/notaryproject/notation-go/registry"
	"github.com/notaryproject/notation-go/verifier"
	"oras.land/oras-go/v2/registry/remote"
)

const maxSignatures = 50

func judge(ctx context.Context, config, reference string) error {
	dir.UserConfigDir = config
	checker, err := verifier.NewFromConfig()
	if err != nil {
		return err
	}
	repository, err := remote.NewRepository(reference)
	if err != nil {
		return err
	}
	repository.PlainHTTP = true
	descriptor, outcomes, err := notation.Verify(
		ctx, checker, registry.NewRepository(repository),
		notation.VerifyOptions{ArtifactReference: reference, MaxSignatureAttempts: maxSignatures},
	)
	if err != nil {
		return err
	}
	for _, outcome := range outcomes {
		signer := outcome.EnvelopeContent.SignerInfo
		fmt.Printf("verified %s by %s\n", descriptor.Digest, signer.CertificateChain[0].Subject)
	}
	return nil
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: notation-judge CONFIG_DIR REPOSITORY@DIGEST")
		os.Exit(2)
	}
	if err := judge(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
