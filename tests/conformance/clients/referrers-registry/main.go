// Registries that have the referrers API, in memory: `referrers-registry (ggcr|ociregistry)`.
//
// Listens on a free port of the loopback interface, prints it, and ends with its standard input.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	"github.com/google/go-containerregistry/pkg/registry"
)

func handler(kind string) (http.Handler, error) {
	switch kind {
	case "ggcr":
		quiet := log.New(io.Discard, "", 0)
		return registry.New(registry.WithReferrersSupport(true), registry.Logger(quiet)), nil
	case "ociregistry":
		return ociserver.New(ocimem.New(), nil), nil
	}
	return nil, fmt.Errorf("no such registry: %s", kind)
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: referrers-registry (ggcr|ociregistry)")
		os.Exit(2)
	}
	served, err := handler(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	log.Fatal(http.Serve(listener, served))
}
